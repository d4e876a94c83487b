"""What the embedded index makes of a chunk, and the filters that find it: points of its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qdrant_edge as qdrant

from pipelines.domain import NO_FILTERS, Chunk, Filters, Vector, group_scope
from pipelines.stores.payload import BM25, DENSE, STAGED, point_id, staged_payload

FIELDS = {
    "access": qdrant.PayloadSchemaType.Keyword,
    "document_id": qdrant.PayloadSchemaType.Keyword,
    "staging": qdrant.PayloadSchemaType.Keyword,
    "ordinal": qdrant.PayloadSchemaType.Integer,
}
"""The fields that points are found by."""


def make_point(chunk: Chunk, vector: Vector, *, staging: str, revision: str, bm25: qdrant.Bm25) -> qdrant.Point:
    """A staged point."""
    return qdrant.Point(
        point_id(staging, chunk),
        {DENSE: vector.tolist(), BM25: bm25.embed_document(chunk.context)},
        staged_payload(chunk, staging=staging, revision=revision),
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
        # Of the groups named only those of the reader: to whom else a document is open is not for others to know.
        must.append(is_any("access", [scope for scope in map(group_scope, filters.groups) if scope in scopes]))
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
