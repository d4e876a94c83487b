"""What the measured processes report: one frozen record for each kind, which goes through JSON unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plan:
    """What one measured process does: `scenario` over `source`, with its own folder and database.

    `models` is the folder that holds the exported embedding model. With `ask`, questions are asked meanwhile.
    `checks` are questions with the end of the address of the document that answers.
    """

    scenario: str
    folder: str = ""
    models: str = ""
    registry_url: str = ""
    source: str = ""
    s3_url: str = ""
    vision_url: str = ""
    ask: bool = False
    checks: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OneDocument:
    """One document, from its bytes to found. `stage_s` adds up to `seconds`; memory and CPU are of all processes."""

    seconds: float
    pages: int
    chunks: int
    problem: str
    found: bool
    peak_mb: float
    cpu_s: float
    stage_s: dict[str, float]
    stage_mb: dict[str, float]
    asked_ms: list[float]
    quiet_ms: list[float]


@dataclass(frozen=True, slots=True)
class ParserAlone:
    """The same document, in one thread and nothing else: PDFium's own text, our parsing of it, our chunking."""

    pages: int
    text_s: float
    parse_s: float
    chunk_s: float


@dataclass(frozen=True, slots=True)
class EmbedderAlone:
    """The same chunks and nothing else: by as many threads as cores, and by one."""

    chunks: int
    threads: int
    all_s: float
    one_s: float


@dataclass(frozen=True, slots=True)
class Line:
    """One document of many. `pages` as the registry has them, `held` the numbers of those that chunks name."""

    name: str
    state: str
    problem: str
    pages: int
    held: list[int]
    unread: int
    chunks: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Many:
    """Many documents, ingested by the product's workers. `busy_s` sums the workers' time in each stage."""

    seconds: float
    workers: int
    lines: list[Line]
    busy_s: dict[str, float]
    index_updates: int
    peak_mb: float
    cpu_s: float
    found: int
    checked: int


@dataclass(frozen=True, slots=True)
class Look:
    """A second look at an unchanged source, by a new process. `files_changed` are those of the index."""

    start_s: float
    seconds: float
    unchanged: int
    queued: int
    index_updates: int
    files_changed: int
