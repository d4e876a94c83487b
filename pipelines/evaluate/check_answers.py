"""Golden questions and somebody who answers in, a verdict on every answer and the share that is right out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter
from scipy import stats  # type: ignore[import-untyped]  # scipy 1.18 has no types

from pipelines.domain import Question, User
from pipelines.evaluate.answer_sources import Answers
from pipelines.evaluate.answer_verdict import Verdict, judge
from pipelines.evaluate.questions import GoldenQuestion

ASKER = "evaluation"
ALL = "all"

Report = Callable[[int, int, str], None]
"""Is told how many answers are judged, of how many, and the question of the last one."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of so many, with the 95 % interval of Wilson (1927), which holds for few questions and for all right."""

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """0 to 1; 0 of nothing."""
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class KindSummary:
    """The answers to one kind of question, or to `all`.

    `facts` and `citations` are of the answerable questions, `declined` of those that must be declined and
    `declined_wrongly` of the others. `wrong_citations` counts numbers that lead to another page than a right one.
    """

    kind: str
    passed: Share
    facts: Share
    citations: Share
    declined: Share
    declined_wrongly: Share
    wrong_citations: int


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """A whole check. `skipped` are ids of questions that could not be asked as their reader."""

    folder: str
    questions: str
    model: str
    summaries: Sequence[KindSummary]
    verdicts: Sequence[Verdict]
    skipped: Sequence[str]

    @property
    def failures(self) -> Sequence[Verdict]:
        """The answers that are not what a reader needs."""
        return [verdict for verdict in self.verdicts if not verdict.passed]

    def share(self, measure: str) -> Share:
        """One column of the row of all questions, by its name."""
        share: Share = getattr(self.summaries[-1], measure)
        return share


MEASURES = ("passed", "facts", "citations", "declined", "declined_wrongly")
"""The columns that are shares."""


async def check_answers(
    questions: Sequence[GoldenQuestion],
    answers: Answers,
    *,
    names: tuple[str, str, str],
    at_once: int = 1,
    report: Report = lambda done, total, name: None,
) -> AnswerCheck:
    """Ask every question and judge the answer; a question for a group is asked by an outsider as well.

    `names` are those of folder, questions and model, for the reader. Whatever `answers` raises ends the check.
    """
    asked = list(_asked(questions, answers))
    gate = asyncio.Semaphore(at_once)
    done = 0

    async def one(golden: GoldenQuestion, question: Question) -> Verdict:
        nonlocal done
        async with gate:
            answer = await answers.answer(question)
        done += 1
        report(done, len(asked), golden.text)
        return judge(golden, answer, closed=bool(golden.group) and not question.user.groups)

    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one(golden, question)) for golden, question in asked]
    except ExceptionGroup as failed:  # the first says it all: the others were cancelled, or met the same
        raise failed.exceptions[0] from failed
    verdicts = [task.result() for task in running]
    folder, file, model = names
    skipped = [golden.id for golden in questions if golden.group and not answers.knows_groups]
    return AnswerCheck(folder, file, model, summarise(verdicts), verdicts, skipped)


def summarise(verdicts: Sequence[Verdict]) -> list[KindSummary]:
    """One row a kind, in the order in which they are first asked, then one for all."""
    kinds = list(dict.fromkeys(verdict.kind for verdict in verdicts))
    rows = [_summary(kind, [verdict for verdict in verdicts if verdict.kind == kind]) for kind in kinds]
    return [*rows, _summary(ALL, verdicts)]


def write_check(check: AnswerCheck, file: Path) -> None:
    """Write a check as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(TypeAdapter(AnswerCheck).dump_json(check, indent=1) + b"\n")


def _asked(questions: Sequence[GoldenQuestion], answers: Answers) -> Iterator[tuple[GoldenQuestion, Question]]:
    for golden in questions:
        if golden.group and answers.knows_groups:
            yield golden, Question(golden.text, User(ASKER, (golden.group,)), golden.history)
        # A gateway's client reads what is open to everyone: to it, what is a group's is closed.
        yield golden, Question(golden.text, User(ASKER), golden.history)


def _summary(kind: str, verdicts: Sequence[Verdict]) -> KindSummary:
    answerable = [verdict for verdict in verdicts if verdict.answerable]
    others = [verdict for verdict in verdicts if not verdict.answerable]
    return KindSummary(
        kind=kind,
        passed=_share([verdict.passed for verdict in verdicts]),
        facts=_share([verdict.fact for verdict in answerable if verdict.fact is not None]),
        citations=_share([verdict.citations_right for verdict in answerable]),
        declined=_share([verdict.declined for verdict in others]),
        declined_wrongly=_share([verdict.declined for verdict in answerable]),
        wrong_citations=sum(verdict.cited_wrong for verdict in answerable),
    )


def _share(values: Sequence[bool]) -> Share:
    if not values:
        return Share(0, 0, 0.0, 0.0)
    interval = stats.binomtest(sum(values), len(values)).proportion_ci(confidence_level=0.95, method="wilson")
    return Share(sum(values), len(values), round(float(interval.low), 4), round(float(interval.high), 4))
