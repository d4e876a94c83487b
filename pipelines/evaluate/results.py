"""What a run measured, as `results.json` holds it: written by one run, read again to compare it with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipelines.errors import InvalidRequest

FORMAT = 1
"""Goes up when an older file can no longer be read."""


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """One question under one ablation. `passages` are the pages of the passages found, best first, as `page_name`.

    `measures` lacks those of pages where no right page is known. `ms` is the time of the whole retrieval.
    """

    id: str
    text: str
    kind: str
    evidence: str
    formats: Sequence[str]
    right: Sequence[str]
    passages: Sequence[str]
    measures: Mapping[str, float]
    ms: float


@dataclass(frozen=True, slots=True)
class Run:
    """All questions under one ablation."""

    ablation: str
    questions: Sequence[QuestionResult]


@dataclass(frozen=True, slots=True)
class Summary:
    """The mean of a measure over `n` questions with its 95 % interval, which one question has not.

    `group` says which: all of them, or those that share the value `value` of `group`.
    """

    ablation: str
    group: str
    value: str
    measure: str
    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more `better` has of a measure than `worse` over the same `n` questions; `p` of a paired bootstrap."""

    measure: str
    worse: str
    better: str
    difference: float
    low: float
    high: float
    p: float
    n: int

    @property
    def is_real(self) -> bool:
        """Whether it is more than the choice of questions makes likely by itself."""
        return self.p < 0.05


@dataclass(frozen=True, slots=True)
class About:
    """What was measured: enough to tell two runs apart. `asked` counts questions, each list states a denominator."""

    folder: str
    questions: str
    half: str
    limit: int
    embedding: str
    recipe: str
    documents: int
    chunks: int
    refused: Mapping[str, str]
    asked: int
    with_document: int
    with_page: int
    unanswerable: int
    version: str
    made_at: str
    built_s: float | None


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run."""

    about: About
    runs: Sequence[Run]
    summaries: Sequence[Summary]
    differences: Sequence[Difference]
    format: int = FORMAT


_ADAPTER = TypeAdapter(Results)


def write_results(results: Results, file: Path) -> None:
    """Write a run as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_ADAPTER.dump_json(results, indent=1) + b"\n")


def read_results(file: Path) -> Results:
    """Read a run.

    Raises:
        InvalidRequest: the file is none that `write_results` wrote.
    """
    try:
        results = _ADAPTER.validate_json(file.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise InvalidRequest(f"{file} is no results.json of `ragline eval run`.") from error
    if results.format != FORMAT:
        raise InvalidRequest(f"{file} was written by another version of Ragline: run the evaluation again.")
    return results
