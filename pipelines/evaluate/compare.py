"""Two runs in, whether they differ and in which questions out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.errors import InvalidRequest
from pipelines.evaluate.ablations import ABLATIONS, fullest
from pipelines.evaluate.results import Difference, QuestionResult, Results
from pipelines.evaluate.score import MEASURES
from pipelines.evaluate.summarise import difference


@dataclass(frozen=True, slots=True)
class Change:
    """A question whose first right place came at another rank; None is not found. `place` is a page or a document."""

    id: str
    text: str
    place: str
    before: int | None
    after: int | None

    @property
    def gain(self) -> float:
        """How much more of a reciprocal rank it has."""
        return _reciprocal(self.after) - _reciprocal(self.before)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How run B differs from run A over the questions that both asked.

    `judged_otherwise` counts questions whose right places changed between the runs: they are left out.
    """

    ablation_a: str
    ablation_b: str
    differences: tuple[Difference, ...]
    better: tuple[Change, ...]
    worse: tuple[Change, ...]
    common: int
    judged_otherwise: int


def compare(a: Results, b: Results, ablation: str | None = None) -> Comparison:
    """Compare one ablation of two runs: the named one, else the fullest of each.

    Raises:
        InvalidRequest: a run lacks it, or they have no question in common.
    """
    name_a, of_a = _questions(a, ablation)
    name_b, of_b = _questions(b, ablation)
    asked = [id_ for id_, question in of_a.items() if id_ in of_b and of_b[id_].text == question.text]
    common = [id_ for id_ in asked if sorted(of_a[id_].right) == sorted(of_b[id_].right)]
    if not common:
        raise InvalidRequest(
            "The two runs have no question in common that is judged alike: there is nothing to compare."
        )
    before, after = [of_a[id_] for id_ in common], [of_b[id_] for id_ in common]
    found = (difference(measure, "A", before, "B", after) for measure in MEASURES)
    changes = sorted(map(_change, before, after), key=lambda change: -abs(change.gain))
    return Comparison(
        ablation_a=name_a,
        ablation_b=name_b,
        differences=tuple(each for each in found if each),
        better=tuple(change for change in changes if change.gain > 0),
        worse=tuple(change for change in changes if change.gain < 0),
        common=len(common),
        judged_otherwise=len(asked) - len(common),
    )


def _questions(results: Results, ablation: str | None) -> tuple[str, Mapping[str, QuestionResult]]:
    names = [run.ablation for run in results.runs]
    if not names or (ablation and ablation not in names):
        there = ", ".join(names) or "none"
        raise InvalidRequest(
            f"A run has no ablation {ablation or 'at all'} (it has: {there}; there are: {', '.join(ABLATIONS)})."
        )
    name = ablation or fullest(names)
    run = next(run for run in results.runs if run.ablation == name)
    return name, {question.id: question for question in run.questions}


def _change(before: QuestionResult, after: QuestionResult) -> Change:
    place = "page" if "page_RR@10" in before.measures else "document"
    return Change(before.id, before.text, place, _rank(before, place), _rank(after, place))


def _rank(question: QuestionResult, place: str) -> int | None:
    """The rank of the first right place within the first ten, from the reciprocal rank."""
    reciprocal = question.measures.get(f"{place}_RR@10", 0.0)
    return round(1 / reciprocal) if reciprocal else None


def _reciprocal(rank: int | None) -> float:
    return 1 / rank if rank else 0.0
