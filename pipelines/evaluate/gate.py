"""`--fail-below` in, which measures are too low out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.errors import InvalidRequest
from pipelines.evaluate.ablations import ABLATIONS, fullest
from pipelines.evaluate.results import Results
from pipelines.evaluate.score import MEASURES
from pipelines.evaluate.summarise import ALL


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that the mean of a measure may be, 0 to 1."""

    measure: str
    least: float


def read_floor(text: str) -> Floor:
    """Read a floor as people write it, such as `page_hit@5=0.95`.

    Raises:
        InvalidRequest: there is no such measure, or the number is none from 0 to 1.
    """
    measure, _, number = text.partition("=")
    if measure not in MEASURES:
        raise InvalidRequest(f"There is no measure {measure}: choose from {', '.join(MEASURES)}.")
    try:
        least = float(number)
    except ValueError as error:
        raise InvalidRequest(f"{text} names no number: write it as in {measure}=0.95.") from error
    if not 0 <= least <= 1:
        raise InvalidRequest(f"{text} is not from 0 to 1: write it as in {measure}=0.95.")
    return Floor(measure, least)


def too_low(results: Results, floors: Sequence[Floor]) -> Iterator[str]:
    """One sentence for each floor that the fullest ablation does not reach; a measure of no question reaches none."""
    ablation = fullest([run.ablation for run in results.runs])
    means = {
        summary.measure: summary.mean
        for summary in results.summaries
        if summary.ablation == ablation and summary.group == ALL
    }
    for floor in floors:
        mean = means.get(floor.measure)
        if mean is None:
            yield f"{floor.measure} cannot be measured: no question has what it takes."
        elif mean < floor.least:
            yield f"{floor.measure} of {ABLATIONS[ablation]} is {mean:.3f}, below {floor.least:g}."
