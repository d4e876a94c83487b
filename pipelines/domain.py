"""The words of this product as types: what flows between the stages.

document → parse → chunk → embed → index:  Document, Block, Chunk, Vector
question → gateway → workflow → retrieve → generate → stream:  Question, Passage, Citation, Prompt, AnswerEvent

Everything here is frozen; nothing here knows a vendor, HTTP or the environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt

EVERYONE = "everyone"
"""The access scope of a document that anybody who may chat may read."""

Vector = npt.NDArray[np.float32]
"""The numbers for one chunk or one question: shape (dimensions,), L2-normalised."""


def user_scope(user_id: str) -> str:
    """The access scope that only this user holds."""
    return f"user:{user_id}"


def group_scope(group_id: str) -> str:
    """The access scope that the members of this group hold."""
    return f"group:{group_id}"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. `groups` are group ids, never names: names may contain the separator of the header they come in."""

    id: str
    groups: tuple[str, ...] = ()
    name: str = ""

    def scopes(self) -> tuple[str, ...]:
        """Every access scope this user holds, in a stable order."""
        own = (user_scope(self.id),) if self.id else ()
        return (EVERYONE, *own, *sorted(group_scope(group) for group in self.groups))


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What a document is about, as its title, its file name and its first page say it; learned at ingestion.

    `names` are organisations, products and people, as written; `kinds` what it calls itself ("10q", "policy").
    `periods` are the times it speaks of, in one notation, such as "2023", "2023-Q3" and "2023-09-30"; `dated` is the
    last day of the newest (ISO 8601), or empty.
    """

    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    periods: tuple[str, ...] = ()
    dated: str = ""


NO_FACTS = DocumentFacts()


@dataclass(frozen=True, slots=True)
class Document:
    """What a person put in.

    `id` follows from where it came from (`origin`), so the same file put in again is the same document;
    `content_hash` (SHA-256, hex) tells whether its bytes have changed.
    """

    id: str
    title: str
    origin: str
    media_type: str
    content_hash: str
    size: int
    access: tuple[str, ...] = (EVERYONE,)
    facts: DocumentFacts = NO_FACTS

    @property
    def name(self) -> str:
        """The file name it came under: what readers see of `origin`."""
        return PurePosixPath(self.origin).name


BlockKind = Literal["heading", "paragraph", "list", "table"]


@dataclass(frozen=True, slots=True)
class Block:
    """A run of text that a parser kept together, with its place.

    `page` counts from 1 and is None where the format has no pages. `section` is the path of headings above it.
    A `table` block carries one row per line; `header` repeats the table's header row so that a row can be split off.
    """

    text: str
    kind: BlockKind = "paragraph"
    page: int | None = None
    section: tuple[str, ...] = ()
    header: str = ""


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document's text in reading order. `title` is what the document calls itself, or empty.

    `unread` are the numbers of the pages that hold something but no usable text: images of text, most often.
    """

    blocks: tuple[Block, ...]
    title: str = ""
    pages: int | None = None
    unread: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document with its place. `id` is deterministic (UUIDv5 of document, content hash, ordinal, text).

    `about` says whose document it is and of which period, where the title does not.
    """

    id: str
    document_id: str
    ordinal: int
    text: str
    title: str
    section: tuple[str, ...] = ()
    page: int | None = None
    about: str = ""

    @property
    def context(self) -> str:
        """The text that is embedded: where the chunk stands, then what it says."""
        place = " › ".join(part for part in (self.title, self.about, *self.section) if part)
        return f"{place}\n{self.text}" if place else self.text


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """A document as the index knows it."""

    document: Document
    chunks: int
    pages: int | None
    indexed_at: str


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may read a document, as people write it: groups by name, users by id. Nobody, unless something is said."""

    everyone: bool = False
    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def scopes(self, group_ids: Mapping[str, str]) -> tuple[str, ...]:
        """The access scopes this comes to; a group that `group_ids` does not know opens the document to nobody."""
        named = {group_scope(group_ids[name]) for name in self.groups if name in group_ids}
        return tuple(sorted({*named, *map(user_scope, self.users), *([EVERYONE] if self.everyone else [])}))


DocumentState = Literal["queued", "working", "ready", "failed", "removing"]
"""Where a document stands. A `ready` document is wholly searchable; a `queued`, `working` or `failed` one may still
be searchable in its earlier revision."""


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """A document as the registry knows it.

    `source` is the address of the source that lists it, `version` what that source says of its bytes. `unread_pages`
    could not be read; `problem` says why, or why the document failed as a whole (`error_code` is then set).
    """

    id: str
    origin: str
    source: str
    version: str
    state: DocumentState
    title: str
    grant: Grant
    access: tuple[str, ...]
    owner: str = ""
    media_type: str = ""
    size: int | None = None
    content_hash: str = ""
    stage: str = ""
    error_code: str = ""
    problem: str = ""
    attempts: int = 0
    pages: int | None = None
    unread_pages: tuple[int, ...] = ()
    chunks: int | None = None
    indexed_with: str = ""
    queued_at: datetime | None = None
    indexed_at: datetime | None = None

    @property
    def name(self) -> str:
        """The file name it came under."""
        return PurePosixPath(self.origin).name


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that retrieval returned. `score` orders passages; `relevance` is 0..1 for people to read."""

    chunk: Chunk
    document: Document
    score: float
    relevance: float


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Filters:
    """What a caller narrows a search to; never more than the reader may read. Empty means no narrowing.

    `documents` are ids; `groups` are group ids: only what was opened to one of these groups.
    """

    documents: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Question:
    """The last user turn plus what is needed to understand it."""

    text: str
    user: User
    history: tuple[Message, ...] = ()
    filters: Filters = NO_FILTERS


@dataclass(frozen=True, slots=True)
class Prompt:
    """The exact messages sent to the model: `system` and one user message, context first and question last."""

    system: str
    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A numbered link from an answer to one page of one document, with the passages quoted from it."""

    number: int
    document_id: str
    page: int | None
    name: str
    passages: tuple[str, ...]
    relevances: tuple[float, ...]

    @property
    def key(self) -> str:
        """Distinct per number: Open WebUI counts distinct keys to number its citations."""
        return f"{self.document_id}#{self.page or 0}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call. `estimated` when the provider did not report them.

    `prompt_tokens` counts all of the prompt, also what the provider read from its prompt cache (`cache_read_tokens`)
    or wrote into it (`cache_write_tokens`), which are charged at other prices.
    """

    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one answer went, in milliseconds; None where a stage did not run."""

    total_ms: float | None = None
    ttft_ms: float | None = None
    gateway_ms: float | None = None
    workflow_ms: float | None = None
    understand_ms: float | None = None
    embed_ms: float | None = None
    recognise_ms: float | None = None
    search_ms: float | None = None
    rerank_ms: float | None = None
    assemble_ms: float | None = None
    retrieve_ms: float | None = None
    queue_ms: float | None = None
    model_ttft_ms: float | None = None
    model_ms: float | None = None


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """What is being done, for the reader to see while waiting."""

    description: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class CitationsEvent:
    """The citations of the answer that follows, in the order of their numbers."""

    citations: Sequence[Citation]


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class DoneEvent:
    """The end of a whole answer. `cached`: no model was called for it, `usage` is what the kept answer took."""

    model: str = ""
    usage: Usage | None = None
    cost_usd: float | None = None
    cached: bool = False
    timings: Timings = field(default_factory=Timings)


AnswerEvent = StatusEvent | CitationsEvent | TokenEvent | DoneEvent
"""One streamed piece of an answer. An answer that fails raises; the edge renders what ends its stream."""
