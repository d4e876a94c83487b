"""What the embedded index keeps of a chunk and its document, and the filters that find it: points in, passages out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import qdrant_edge as qdrant

from pipelines.domain import (
    NO_FILTERS,
    Chunk,
    Document,
    DocumentFacts,
    Filters,
    IndexedDocument,
    Passage,
    Vector,
    group_scope,
)

DENSE, BM25 = "dense", "bm25"

STAGED = "staged"
"""The access scope of a point that is not published. Every scope of a reader has another form, so nobody holds it."""

CHUNK_FIELDS = ["chunk_id", "document_id", "ordinal", "text", "title", "section", "page", "about"]
"""What a chunk is made of again."""

FIELDS = {
    "access": qdrant.PayloadSchemaType.Keyword,
    "document_id": qdrant.PayloadSchemaType.Keyword,
    "staging": qdrant.PayloadSchemaType.Keyword,
    "ordinal": qdrant.PayloadSchemaType.Integer,
}
"""The fields that points are found by."""


def make_point(chunk: Chunk, vector: Vector, *, staging: str, revision: str, bm25: qdrant.Bm25) -> qdrant.Point:
    """A staged point. Its id is its own in every staging, so that staging never touches what is published."""
    return qdrant.Point(
        str(uuid.uuid5(uuid.UUID(staging), chunk.id)),
        {DENSE: vector.tolist(), BM25: bm25.embed_document(chunk.context)},
        {
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
        },
    )


def published_payload(indexed: IndexedDocument) -> dict[str, Any]:
    """What publishing adds to every point of a document."""
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


def read_indexed_document(payload: dict[str, Any]) -> IndexedDocument:
    row = payload["document"]
    return IndexedDocument(_document(payload), row["chunks"], row["pages"], row["indexed_at"])


def read_passage(point: qdrant.ScoredPoint, question: Vector) -> Passage:
    """The passage of a point that came with its payload and its dense vector."""
    payload: dict[str, Any] = point.payload or {}
    # Asked for by name, so that it comes as a dictionary; the stubs allow every shape.
    vectors: Any = point.vector
    similarity = float(question @ np.asarray(vectors[DENSE], dtype=np.float32))
    relevance = min(max(similarity, 0.0), 1.0)
    return Passage(read_chunk(payload), _document(payload), score=point.score, relevance=relevance)


def read_chunk(payload: dict[str, Any]) -> Chunk:
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


def is_equal(field: str, value: str | int) -> qdrant.FieldCondition:
    return qdrant.FieldCondition(field, qdrant.MatchValue(value))


def is_any(field: str, values: Sequence[str]) -> qdrant.FieldCondition:
    return qdrant.FieldCondition(field, qdrant.MatchAny(list(values)))


def readable_by(
    scopes: Sequence[str],
    *,
    hidden: qdrant.Filter | None,
    filters: Filters = NO_FILTERS,
    places: Mapping[str, Sequence[int]] | None = None,
) -> qdrant.Filter:
    """The points that a holder of any of `scopes` may read, but for the `hidden` ones.

    `filters` and `places`, ordinals by document, narrow that further.
    """
    must: list[Any] = [is_any("access", scopes)]
    if filters.documents:
        must.append(is_any("document_id", filters.documents))
    if filters.groups:
        must.append(is_any("access", [group_scope(group) for group in filters.groups]))
    at: list[Any] = [
        qdrant.Filter(must=[is_equal("document_id", document_id), qdrant.FieldCondition("ordinal", _any_of(ordinals))])
        for document_id, ordinals in (places or {}).items()
    ]
    return qdrant.Filter(must=must, should=at or None, must_not=_these(hidden))


def published(*, hidden: qdrant.Filter | None, only: qdrant.FieldCondition | None = None) -> qdrant.Filter:
    """The points that are not staged, but for the `hidden` ones."""
    return qdrant.Filter(must=[only] if only else None, must_not=[is_equal("access", STAGED), *(_these(hidden) or [])])


def _any_of(ordinals: Sequence[int]) -> qdrant.MatchAny:
    return qdrant.MatchAny(list(ordinals))


def _these(hidden: qdrant.Filter | None) -> list[Any] | None:
    return None if hidden is None else [hidden]


def _document(payload: dict[str, Any]) -> Document:
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


def _facts(row: dict[str, Any]) -> DocumentFacts:
    listed = {name: tuple(row.get(name, ())) for name in ("names", "kinds", "periods")}
    return DocumentFacts(**listed, dated=row.get("dated", ""))
