"""The measures of every question in, means with their intervals and differences between ablations out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipelines.evaluate.intervals import mean_interval, paired_difference
from pipelines.evaluate.results import Difference, QuestionResult, Run, Summary
from pipelines.evaluate.score import MEASURES

ALL = "all"
GROUPS: dict[str, Callable[[QuestionResult], Sequence[str]]] = {
    ALL: lambda question: [ALL],
    "kind": lambda question: [question.kind],
    "evidence": lambda question: [question.evidence] if question.evidence else [],
    "format": lambda question: question.formats,
}
"""What questions are told apart by."""


def summarise(runs: Sequence[Run]) -> list[Summary]:
    """Every measure under every ablation, over all questions and over every group of them."""
    return [
        summary
        for run in runs
        for group, values_of in GROUPS.items()
        for value in sorted({value for question in run.questions for value in values_of(question)})
        for summary in _summaries(run, group, value, values_of)
    ]


def differences(runs: Sequence[Run], shipped: str) -> list[Difference]:
    """How much better the shipped ablation is than each other one, in every measure; none when it was not run."""
    ours = next((run for run in runs if run.ablation == shipped), None)
    if ours is None:
        return []
    return [
        found
        for other in runs
        if other is not ours
        for measure in MEASURES
        if (found := difference(measure, other.ablation, other.questions, shipped, ours.questions))
    ]


def difference(
    measure: str, worse: str, a: Sequence[QuestionResult], better: str, b: Sequence[QuestionResult]
) -> Difference | None:
    """Compare two runs over the questions that have this measure in both; None when there is none."""
    of_a = {question.id: question.measures[measure] for question in a if measure in question.measures}
    of_b = {question.id: question.measures[measure] for question in b if measure in question.measures}
    common = [id_ for id_ in of_a if id_ in of_b]
    if not common:
        return None
    found = paired_difference([of_a[id_] for id_ in common], [of_b[id_] for id_ in common])
    return Difference(measure, worse, better, found.mean, found.low, found.high, found.p, len(common))


def _summaries(run: Run, group: str, value: str, values_of: Callable[[QuestionResult], Sequence[str]]) -> list[Summary]:
    members = [question for question in run.questions if value in values_of(question)]
    found = []
    for measure in MEASURES:
        values = [question.measures[measure] for question in members if measure in question.measures]
        if values:
            interval = mean_interval(values)
            found.append(
                Summary(run.ablation, group, value, measure, interval.mean, interval.low, interval.high, len(values))
            )
    return found
