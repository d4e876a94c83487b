"""`ragline eval run`, a step a line: questions → index → resolve → ask → score → summarise."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines import __version__
from pipelines.answer.retrieve import Retriever
from pipelines.domain import Question, User
from pipelines.evaluate.ablations import SHIPPED, ablate
from pipelines.evaluate.build_index import FolderIndex
from pipelines.evaluate.questions import Half, Questions
from pipelines.evaluate.resolve import JudgedQuestion, page_name, resolve, restricted
from pipelines.evaluate.results import About, QuestionResult, Results, Run
from pipelines.evaluate.score import Ranking, score
from pipelines.evaluate.summarise import differences, summarise

ASKER = "evaluation"

Report = Callable[[int, int, str], None]
"""Is told how many questions have been asked, of how many, and under which ablation."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is measured. `folder` and `file` are names for the reader; `limit` is passages a question."""

    folder: Path
    file: Path
    half: Half
    ablations: Sequence[str]
    limit: int


async def evaluate(
    evaluation: Evaluation,
    questions: Questions,
    index: FolderIndex,
    retriever: Retriever,
    *,
    report: Report = lambda done, total, name: None,
) -> Results:
    """Ask every question of the half under every ablation, one after the other, and measure what was found.

    Raises:
        InvalidRequest: a question names a document that is not there.
        Unavailable: a model or the index failed.
    """
    index.open_to(restricted(questions, index.documents))
    judged = resolve(questions.of(evaluation.half), index.documents)
    runs = [
        await _run(name, judged, index, ablate(retriever, name), evaluation, report) for name in evaluation.ablations
    ]
    return Results(
        about=_about(evaluation, judged, index),
        runs=runs,
        summaries=summarise(runs),
        differences=differences(runs, SHIPPED),
    )


async def _run(
    name: str,
    judged: Sequence[JudgedQuestion],
    index: FolderIndex,
    retriever: Retriever,
    evaluation: Evaluation,
    report: Report,
) -> Run:
    keys = {document.id: document.key for document in index.documents}
    if judged:
        # The first question of a process pays for what is loaded late.
        await retriever.retrieve(_asked(judged[0]), limit=evaluation.limit)
    rankings, times = [], []
    for done, each in enumerate(judged):
        report(done, len(judged), name)
        ranking, ms = await _ask(each, retriever, keys, evaluation.limit)
        rankings.append(ranking)
        times.append(ms)
    report(len(judged), len(judged), name)
    measured = zip(rankings, times, score(rankings), strict=True)
    return Run(name, [_result(ranking, ms, measures) for ranking, ms, measures in measured])


async def _ask(
    judged: JudgedQuestion, retriever: Retriever, keys: Mapping[str, str], limit: int
) -> tuple[Ranking, float]:
    started = time.perf_counter()
    retrieval = await retriever.retrieve(_asked(judged), limit=limit)
    ms = (time.perf_counter() - started) * 1000
    documents = [keys[passage.document.id] for passage in retrieval.passages]
    pages = [page_name(key, passage.chunk.page) for key, passage in zip(documents, retrieval.passages, strict=True)]
    return Ranking(judged, documents, pages), round(ms, 2)


def _asked(judged: JudgedQuestion) -> Question:
    question = judged.question
    groups = (question.group,) if question.group else ()
    return Question(question.text, User(ASKER, groups), question.history)


def _result(ranking: Ranking, ms: float, measures: Mapping[str, float]) -> QuestionResult:
    judged = ranking.judged
    question = judged.question
    return QuestionResult(
        id=question.id,
        text=question.text,
        kind=question.kind,
        evidence=question.evidence,
        formats=judged.formats,
        right=tuple(judged.pages or judged.documents),
        passages=ranking.pages,
        measures={name: round(value, 6) for name, value in measures.items()},
        ms=ms,
    )


def _about(evaluation: Evaluation, judged: Sequence[JudgedQuestion], index: FolderIndex) -> About:
    live = index.live
    return About(
        folder=evaluation.folder.name,
        questions=evaluation.file.name,
        half=evaluation.half,
        limit=evaluation.limit,
        embedding=live.embedding.name,
        recipe=live.recipe,
        documents=len(index.documents),
        chunks=live.index.count(),
        refused=index.refused,
        asked=len(judged),
        with_document=sum(bool(each.documents) for each in judged),
        with_page=sum(bool(each.pages) for each in judged),
        unanswerable=sum(not each.documents for each in judged),
        version=__version__,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        built_s=None if index.built_s is None else round(index.built_s, 1),
    )
