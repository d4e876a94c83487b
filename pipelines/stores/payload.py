"""What an index keeps of a chunk and its document, whichever Qdrant it is: chunks in, payloads out, and back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from pipelines.domain import Chunk, Document, DocumentFacts, IndexedDocument, Passage, Vector

DENSE, BM25 = "dense", "bm25"

RRF_K = 60
"""The usual constant of reciprocal rank fusion (Cormack et al. 2009)."""

STAGED = "staged"
"""The access scope of a point that is not published. Every scope of a reader has another form, so nobody holds it."""

CHUNK_FIELDS = ["chunk_id", "document_id", "ordinal", "text", "title", "section", "page", "about"]
"""What a chunk is made of again."""


class FoundPoint(Protocol):
    """A point as the embedded engine and the server's client both give it."""

    @property
    def payload(self) -> Any: ...  # noqa: ANN401  a dictionary, or None where none was asked for
    @property
    def vector(self) -> Any: ...  # noqa: ANN401  a dictionary where vectors were asked for by name
    @property
    def score(self) -> float: ...


def point_id(staging: str, chunk: Chunk) -> str:
    """The id of a point: its own in every staging, so that staging never touches what is published."""
    return str(uuid.uuid5(uuid.UUID(staging), chunk.id))


def staged_payload(chunk: Chunk, *, staging: str, revision: str) -> dict[str, Any]:
    """What a point has before it is published."""
    return {
        "access": [STAGED],
        "staging": staging,
        "document_id": chunk.document_id,
        "revision": revision,
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        "title": chunk.title,
        "section": list(chunk.section),
        "page": chunk.page,
        "about": chunk.about,
        "chunk_id": chunk.id,
    }


def published_payload(indexed: IndexedDocument) -> dict[str, Any]:
    """What publishing adds: who may read the document, and what it is."""
    document = indexed.document
    row = {
        "id": document.id,
        "title": document.title,
        "origin": document.origin,
        "media_type": document.media_type,
        "content_hash": document.content_hash,
        "size": document.size,
        "facts": asdict(document.facts),
        "chunks": indexed.chunks,
        "pages": indexed.pages,
        "indexed_at": indexed.indexed_at,
    }
    return {"access": list(document.access), "document": row}


def read_indexed_document(payload: Mapping[str, Any]) -> IndexedDocument:
    """The document of what `published_payload` made."""
    row = payload["document"]
    return IndexedDocument(_document(payload), row["chunks"], row["pages"], row["indexed_at"])


def read_passage(point: FoundPoint, question: Vector, document: Document | None = None) -> Passage:
    """The passage of a point that came with its payload and its dense vector; its document's, unless one is given."""
    payload: dict[str, Any] = point.payload or {}
    similarity = float(question @ np.asarray(point.vector[DENSE], dtype=np.float32))
    relevance = min(max(similarity, 0.0), 1.0)
    return Passage(read_chunk(payload), document or _document(payload), score=point.score, relevance=relevance)


def in_order(passages: Iterable[Passage]) -> list[Passage]:
    """Best first; of those that the fusion holds equal, the one nearer to the question first, always the same."""
    return sorted(passages, key=lambda each: (-each.score, -each.relevance, each.chunk.id))


def read_chunk(payload: Mapping[str, Any]) -> Chunk:
    """The chunk of a point that came with at least `CHUNK_FIELDS`."""
    return Chunk(
        id=payload["chunk_id"],
        document_id=payload["document_id"],
        ordinal=payload["ordinal"],
        text=payload["text"],
        title=payload["title"],
        section=tuple(payload["section"]),
        page=payload["page"],
        about=payload.get("about", ""),
    )


def _document(payload: Mapping[str, Any]) -> Document:
    row = payload["document"]
    return Document(
        id=row["id"],
        title=row["title"],
        origin=row["origin"],
        media_type=row["media_type"],
        content_hash=row["content_hash"],
        size=row["size"],
        access=tuple(payload["access"]),
        facts=_facts(row.get("facts", {})),
    )


def _facts(row: Mapping[str, Any]) -> DocumentFacts:
    listed = {name: tuple(row.get(name, ())) for name in ("names", "kinds", "periods")}
    return DocumentFacts(**listed, dated=row.get("dated", ""))
