"""What the measured processes of the retrieval benchmark report: frozen records, which go through JSON unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plan:
    """What one measured process does: `task` with an index of so many chunks, or of a folder of `documents`.

    `state` holds the embedding model.
    """

    task: str
    state: str
    chunks: int = 0
    documents: str = ""


@dataclass(frozen=True, slots=True)
class Built:
    """A built index. `optimise_s` is how long its graph took; `written_mb` is the most memory of the process before
    that, `peak_mb` of the one that made the graph. `here` is False where the index was there before, and the figures
    are of then.
    """

    folder: str
    chunks: int
    documents: int
    make_s: float
    stage_s: float
    publish_s: float
    optimise_s: float
    written_mb: float
    peak_mb: float
    here: bool = True


@dataclass(frozen=True, slots=True)
class Resident:
    """Memory of a process in MB: its own data, what mirrors files, and the most of both together so far."""

    anonymous: float
    file: float
    peak: float


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an index takes: memory before it was opened, after that, and after questions; opening warm; its files."""

    chunks: int
    before: Resident
    opened: Resident
    searched: Resident
    open_s: float
    disk_mb: float
    index_ms: list[float]


@dataclass(frozen=True, slots=True)
class Load:
    """One round of questions over HTTP. `client_ms` is what asking costs the process that asks, for each question."""

    name: str
    clients: int
    ms: list[float]
    seconds: float
    client_ms: float
    failed: int = 0

    @property
    def rate(self) -> float:
        """Whole answers a second."""
        return len(self.ms) / self.seconds


@dataclass(frozen=True, slots=True)
class Alone:
    """What the same questions cost in the serving process with nothing around it, for each question in ms.

    `index_ms` is everything asked of the index for one question.
    """

    embed_ms: list[float]
    index_ms: list[float]


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the questions by one client and by many, HTTP with nothing behind it, and the parts alone.

    `stages_ms` are the server's own figures for each question of the one client. `foreign` counts passages that their
    reader may not read.
    """

    one: Load
    many: Load
    http_one: Load
    http_many: Load
    alone: Alone
    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    passages: int = 0
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """How one system did over a data set: the measures of each question by name, and the half it belongs to.

    A question without a known page has no measure of pages.
    """

    name: str
    load: Load
    measures: list[dict[str, float]]
    halves: list[str]

    def values(self, measure: str, half: str = "") -> list[float]:
        """A measure of every question that has it, of all or of one half."""
        rows = zip(self.measures, self.halves, strict=True)
        return [row[measure] for row, of_half in rows if measure in row and half in ("", of_half)]
