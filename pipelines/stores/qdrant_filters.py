"""What the server's index makes of a chunk, and the filters that find it: points and conditions of its client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import qdrant_edge
from qdrant_client import models

from pipelines.domain import NO_FILTERS, Chunk, Filters, Vector, group_scope
from pipelines.stores.payload import BM25, DENSE, STAGED, point_id, staged_payload

FIELDS = {
    "access": models.PayloadSchemaType.KEYWORD,
    "document_id": models.PayloadSchemaType.KEYWORD,
    "staging": models.PayloadSchemaType.KEYWORD,
    "ordinal": models.PayloadSchemaType.INTEGER,
    "staged_at": models.PayloadSchemaType.INTEGER,
}
"""The fields that points are found by."""


def make_point(
    chunk: Chunk, vector: Vector, *, staging: str, revision: str, at: int, bm25: qdrant_edge.Bm25
) -> models.PointStruct:
    """A staged point; `at` says when, in seconds."""
    return models.PointStruct(
        id=point_id(staging, chunk),
        vector={DENSE: vector.tolist(), BM25: sparse(bm25.embed_document(chunk.context))},
        payload={**staged_payload(chunk, staging=staging, revision=revision), "staged_at": at},
    )


def sparse(vector: qdrant_edge.SparseVector) -> models.SparseVector:
    """The engine's vector in the client's words."""
    return models.SparseVector(indices=vector.indices, values=vector.values)


def is_equal(field: str, value: str | int) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))


def is_any(field: str, values: Iterable[str]) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))


def is_since(field: str, value: int) -> models.FieldCondition:
    return models.FieldCondition(key=field, range=models.Range(gte=value))


def only(*conditions: models.Condition, but: Sequence[models.Condition] = ()) -> models.Filter:
    """The points that meet all conditions, and none of `but`."""
    return models.Filter(must=list(conditions), must_not=list(but) or None)


STAGED_ONLY = is_equal("access", STAGED)


def readable_by(
    scopes: Sequence[str],
    *,
    without: Iterable[str] = (),
    filters: Filters = NO_FILTERS,
    documents: Sequence[str] = (),
    places: Mapping[str, Sequence[int]] | None = None,
) -> models.Filter:
    """The points that a holder of any of `scopes` may read, but for those of the stagings `without`.

    `filters`, `documents` and `places`, ordinals by document, narrow that further.
    """
    must: list[models.Condition] = [is_any("access", scopes)]
    must += [is_any("document_id", ids) for ids in (filters.documents, documents) if ids]
    if filters.groups:
        # A group that the reader is not in finds nothing: else it would tell which documents are opened to it.
        must.append(is_any("access", [scope for scope in map(group_scope, filters.groups) if scope in scopes]))
    at: list[models.Condition] = [
        only(
            is_equal("document_id", document_id),
            models.FieldCondition(key="ordinal", match=models.MatchAny(any=list(ordinals))),
        )
        for document_id, ordinals in (places or {}).items()
    ]
    left_out = list(without)
    return models.Filter(must=must, should=at or None, must_not=[is_any("staging", left_out)] if left_out else None)
