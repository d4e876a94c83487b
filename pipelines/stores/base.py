"""What an index and a source of documents are to the rest of the product."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.domain import Chunk, Document, IndexedDocument, Passage, Vector


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search. `scopes` is not optional: there is no way to read the index without the access filter.

    `text` is matched by BM25 and `vector` by cosine similarity; `limit` bounds the passages returned,
    `candidates` how many each of the two brings into the fusion.
    """

    text: str
    vector: Vector
    scopes: Sequence[str]
    limit: int = 8
    candidates: int = 60


class ChunkIndex(ABC):
    """Chunks with their vectors, searchable by those who may read them. Thread-safe; calls block."""

    @abstractmethod
    def put(
        self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vector], *, pages: int | None
    ) -> IndexedDocument:
        """Make `document` consist of exactly these chunks instead of what it had; return it as `documents` does."""

    @abstractmethod
    def remove(self, document_id: str) -> bool:
        """Remove a document and all its chunks; False when there is none of that id."""

    @abstractmethod
    def search(self, request: SearchRequest) -> list[Passage]:
        """The best passages that any of `request.scopes` may read, best first, `relevance` in 0..1."""

    @abstractmethod
    def documents(self) -> list[IndexedDocument]:
        """Every document in the index, by title. For operators: it does not filter by access."""

    @abstractmethod
    def count(self) -> int:
        """How many chunks there are."""

    @abstractmethod
    def close(self) -> None:
        """Write what is pending and release the files."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One document as its source lists it. `version` changes when the bytes do."""

    key: PurePosixPath
    origin: str
    size: int
    version: str


class DocumentSource(ABC):
    """Where documents come from: a folder, a bucket, an upload."""

    @abstractmethod
    def list(self) -> Iterator[SourceEntry]:
        """Every document there is, in a stable order, without reading any."""

    @abstractmethod
    def read(self, entry: SourceEntry) -> bytes:
        """The document's bytes; raises `UnreadableDocument` when it is gone or may not be read."""
