"""What an index and a source of documents are to the rest of the product."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from pipelines.domain import NO_FILTERS, Chunk, Document, Filters, Grant, IndexedDocument, Passage, Vector
from pipelines.stores.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each ranking counts in the fusion; one of weight 0 is not made.

    `dense` and `bm25` rank what the reader may read, `preferred_dense` and `preferred_bm25` the same within the
    preferred documents alone.
    """

    dense: float = 1.0
    bm25: float = 1.0
    preferred_dense: float = 1.0
    preferred_bm25: float = 1.0


EQUAL = Weights()


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search. `scopes` is not optional: there is no way to read the index without the access filter.

    `text` is matched by BM25 and `vector` by cosine similarity; `limit` bounds the passages returned, `candidates`
    how many each ranking brings into the fusion. `preferred` are ids of documents that the question names, and `focus`
    is matched there by BM25 in place of `text`: their names are in all their chunks. `filters` narrow what is found,
    and never widen it.
    """

    text: str
    vector: Vector
    scopes: Sequence[str]
    limit: int = 8
    candidates: int = 60
    preferred: Sequence[str] = ()
    focus: str = ""
    filters: Filters = NO_FILTERS
    weights: Weights = EQUAL


SPREAD = 8


def spread(preferred: Sequence[str]) -> list[Sequence[str]]:
    """The sets of preferred documents that are ranked apart: each alone, so that all are seen, unless they are many.

    In the fusion the first of each ranking meet at the top; more than `SPREAD` documents are one set.
    """
    if len(preferred) <= SPREAD:
        return [[document_id] for document_id in preferred]
    return [preferred]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chunk stands: the `ordinal`-th of its document."""

    document_id: str
    ordinal: int


class ChunkIndex(ABC):
    """Chunks with their vectors, searchable by those who may read them. Thread-safe; calls block.

    A document goes in by steps: its chunks are staged, a batch at a time and seen by nobody; publishing makes them
    what the document consists of, in one step for readers. What was staged and not published is gone after a restart.
    """

    parallel: int = 0
    """How many searches are worth making at once; 0: any number."""

    @abstractmethod
    def stage(self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vector]) -> None:
        """Take in some chunks of this revision (`content_hash`) of `document`; nobody finds them yet."""

    @abstractmethod
    def publish(self, indexed: IndexedDocument) -> None:
        """Make the document consist of exactly the staged chunks of its revision, readable by its `access`."""

    @abstractmethod
    def discard(self, document_id: str) -> None:
        """Forget what is staged of a document; what is published stays."""

    @abstractmethod
    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        """Let other readers read a published document, from the next search on."""

    @abstractmethod
    def remove(self, document_id: str) -> bool:
        """Remove a document and all its chunks; False when there is none of that id."""

    @abstractmethod
    def search(self, request: SearchRequest) -> list[Passage]:
        """The best passages that any of `request.scopes` may read, best first, `relevance` in 0..1."""

    @abstractmethod
    def read(self, places: Sequence[Place], scopes: Sequence[str]) -> list[Chunk]:
        """The published chunks at these places that any of `scopes` may read, in no order: neighbours."""

    @abstractmethod
    def catalog(self) -> Catalog:
        """What there is: every published document with its facts and its access, as it is now; costs no search."""

    @abstractmethod
    def documents(self) -> list[IndexedDocument]:
        """Every published document, by title. For operators: it does not filter by access."""

    @abstractmethod
    def count(self) -> int:
        """How many published chunks there are."""

    @abstractmethod
    def close(self) -> None:
        """Write what is pending and release the files."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One document as its source lists it.

    `key` is its path below the source, `origin` its whole address, from which the document's id follows. `version`
    changes when the bytes do. `size` is in bytes.
    """

    key: PurePosixPath
    origin: str
    size: int
    version: str


class DocumentSource(ABC):
    """Where documents come from: a folder, a bucket, what people uploaded. Thread-safe; calls block."""

    url: str
    """Its address without a trailing slash; the origin of every entry begins with it and a slash."""

    @abstractmethod
    def list(self) -> Iterator[SourceEntry]:
        """Every document there is, in a stable order, without reading any.

        Raises `SourceUnavailable` when the list cannot be had whole, even in the middle of it: what was not listed
        must never be taken for removed.
        """

    @abstractmethod
    def find(self, origin: str) -> SourceEntry | None:
        """The document of that origin as it is now; None when there is none. Raises `SourceUnavailable`."""

    @abstractmethod
    def read(self, entry: SourceEntry, into: BinaryIO, *, max_bytes: int) -> None:
        """Write the document's bytes.

        Raises:
            UnreadableDocument: it is gone, or may not be read.
            DocumentTooLarge: it has more than `max_bytes`; no more than that is read.
            DocumentChanged: it is no longer the version that was listed.
            SourceUnavailable: the source does not answer.
        """

    def grant(self, entry: SourceEntry) -> Grant | None:
        """Who may read the document, where the source itself says so; else None. Raises `SourceUnavailable`."""
        del entry
        return None


class UploadStore(DocumentSource):
    """Keeps what people uploaded, so that it can be indexed again. Its entries' origins are those given to `put`."""

    @abstractmethod
    def put(self, origin: str, data: BinaryIO) -> SourceEntry:
        """Keep a document, in place of what was kept under this origin; it is durable when this returns."""

    @abstractmethod
    def delete(self, origin: str) -> None:
        """Forget a document; no error when there is none."""
