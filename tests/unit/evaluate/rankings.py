"""Small questions, rankings and results for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.evaluate.questions import GoldenQuestion
from pipelines.evaluate.resolve import JudgedQuestion
from pipelines.evaluate.results import About, QuestionResult, Results, Run
from pipelines.evaluate.score import Ranking, score
from pipelines.evaluate.summarise import differences, summarise


def judged(
    id_: str = "q", *, pages: Mapping[str, int] | None = None, documents: Mapping[str, int] | None = None
) -> JudgedQuestion:
    question = GoldenQuestion(id=id_, text=f"What about {id_}?", kind="single", right=())
    return JudgedQuestion(question, documents or {}, pages or {}, ("pdf",) if documents else ())


def ranked(question: JudgedQuestion, *pages: str) -> Ranking:
    return Ranking(question, [page.partition("#")[0] for page in pages], pages)


def results(ranks: Mapping[str, Sequence[int | None]]) -> Results:
    """By ablation: the rank at which each question found its only right page, or None."""
    runs = [Run(name, [_result(number, rank) for number, rank in enumerate(of)]) for name, of in ranks.items()]
    return Results(_about(len(next(iter(ranks.values())))), runs, summarise(runs), differences(runs, "understand"))


def _result(number: int, rank: int | None) -> QuestionResult:
    found = [f"wrong.pdf#{place}" for place in range(1, 11)]
    if rank:
        found[rank - 1] = "right.pdf#1"
    question = judged(f"q{number}", pages={"right.pdf#1": 1}, documents={"right.pdf": 1})
    (measures,) = score([ranked(question, *found)])
    return QuestionResult(
        id=f"q{number}",
        text=f"What about q{number}?",
        kind="single" if number % 2 else "table",
        evidence="",
        formats=("pdf",),
        right=("right.pdf#1",),
        passages=found,
        measures=measures,
        ms=10.0 + number,
    )


def _about(asked: int) -> About:
    return About(
        folder="reports",
        questions="questions.json",
        half="all",
        limit=20,
        embedding="words",
        recipe="words chunks-1",
        documents=2,
        chunks=20,
        refused={"broken.pdf": "It is broken."},
        asked=asked,
        with_document=asked,
        with_page=asked,
        unanswerable=0,
        version="0",
        made_at="2026-11-21T08:00:00+00:00",
        built_s=None,
    )
