"""Qdrant's JSON in terms of its engine: filters, queries, points and collections as REST clients write them.

What is not read here is refused, so that no test passes because the stand-in overlooked a condition.
"""

from __future__ import annotations

from typing import Any

import qdrant_edge as qdrant

NO_VECTOR = "no-vector"
"""The engine wants one vector at least (qdrant-edge-py 0.9.0); the server takes collections without any."""

Json = dict[str, Any]

_DISTANCES = {name: getattr(qdrant.Distance, name) for name in ("Cosine", "Dot", "Euclid", "Manhattan")}
_FIELDS = {"keyword": "Keyword", "integer": "Integer", "float": "Float", "bool": "Bool", "uuid": "Uuid", "text": "Text"}


class BadRequest(Exception):
    """What the server answers 400 to."""


def config(body: Json) -> qdrant.EdgeConfig:
    """The engine's configuration of a `PUT /collections/{name}` with named vectors."""
    dense = {
        name: qdrant.EdgeVectorParams(params["size"], _DISTANCES[params["distance"]])
        for name, params in (body.get("vectors") or {}).items()
    }
    sparse = {
        name: qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf if params.get("modifier") == "idf" else None)
        for name, params in (body.get("sparse_vectors") or {}).items()
    }
    if not dense and not sparse:
        sparse = {NO_VECTOR: qdrant.EdgeSparseVectorParams()}
    return qdrant.EdgeConfig(vectors=dense, sparse_vectors=sparse, wal_enabled=True)


def field_schema(schema: Json | str) -> qdrant.PayloadSchemaType:
    """The kind of a payload index."""
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind not in _FIELDS:
        raise BadRequest(f"unknown payload schema {kind}")
    return getattr(qdrant.PayloadSchemaType, _FIELDS[kind])


def point(body: Json) -> qdrant.Point:
    """A point to upsert, with named vectors."""
    _only(body, "id", "vector", "payload")
    vectors = {name: _vector(value) for name, value in body["vector"].items()}
    return qdrant.Point(body["id"], vectors, body.get("payload") or {})


def vectors_out(vectors: Any) -> Any:
    """The vectors of a point as JSON."""
    if not isinstance(vectors, dict):
        return vectors
    return {
        name: {"indices": value.indices, "values": value.values} if isinstance(value, qdrant.SparseVector) else value
        for name, value in vectors.items()
    }


def condition(body: Json | None) -> qdrant.Filter | None:
    """A filter: `must`, `should`, `must_not`, nested as deep as one likes."""
    if not body:
        return None
    _only(body, "must", "should", "must_not")
    parts = {name: [_condition(part) for part in _listed(body[name])] for name in body if body[name] is not None}
    return qdrant.Filter(**parts)


def query_request(body: Json) -> qdrant.QueryRequest:
    """The body of `POST /collections/{name}/points/query`."""
    _only(body, "prefetch", "query", "using", "filter", "limit", "offset", "with_payload", "with_vector")
    return qdrant.QueryRequest(
        limit=body.get("limit") or 10,
        offset=body.get("offset") or 0,
        query=_query(body.get("query"), body.get("using")),
        prefetches=[_prefetch(each) for each in _listed(body.get("prefetch") or [])],
        filter=condition(body.get("filter")),
        with_payload=with_payload(body, default=False),
        with_vector=body.get("with_vector") or False,
    )


def with_payload(body: Json, *, default: bool) -> bool | list[str]:
    """Which fields of the payload are asked for."""
    wanted = body.get("with_payload", default)
    if isinstance(wanted, dict):
        _only(wanted, "include")
        return list(wanted["include"])
    return default if wanted is None else wanted


def _prefetch(body: Json) -> qdrant.Prefetch:
    _only(body, "prefetch", "query", "using", "filter", "limit", "params")
    return qdrant.Prefetch(
        limit=body.get("limit") or 10,
        query=_query(body.get("query"), body.get("using")),
        prefetches=[_prefetch(each) for each in _listed(body.get("prefetch") or [])],
        filter=condition(body.get("filter")),
        params=_params(body.get("params")),
    )


def _params(body: Json | None) -> qdrant.SearchParams | None:
    """Of which points the rarity of words is counted: a server of 1.19 or newer can be told."""
    if not body:
        return None
    _only(body, "idf")
    _only(body["idf"], "corpus")
    return qdrant.SearchParams(idf=qdrant.IdfParams(condition(body["idf"]["corpus"])))


def _query(body: Any, using: str | None) -> Any:
    if body is None:
        return None
    if isinstance(body, dict) and "rrf" in body:
        _only(body["rrf"], "k", "weights")
        return qdrant.Fusion.Rrf(body["rrf"].get("k") or 2, body["rrf"].get("weights"))
    if isinstance(body, dict) and "fusion" in body:
        raise BadRequest("the stand-in fuses by {'rrf': ...} alone")
    if isinstance(body, dict) and "nearest" in body:
        _only(body, "nearest")
        body = body["nearest"]
    return qdrant.Query.Nearest(_vector(body), using=using)


def _vector(body: Any) -> Any:
    if isinstance(body, dict):
        _only(body, "indices", "values")
        return qdrant.SparseVector(body["indices"], body["values"])
    return [float(number) for number in body]


def _condition(body: Json) -> Any:
    if "key" in body:
        return _field(body)
    if "has_id" in body:
        return qdrant.HasIdCondition(set(body["has_id"]))
    if "is_empty" in body:
        return qdrant.IsEmptyCondition(body["is_empty"]["key"])
    if "nested" in body:
        return qdrant.NestedCondition(body["nested"]["key"], condition(body["nested"]["filter"]) or qdrant.Filter())
    return condition(body) or qdrant.Filter()


def _field(body: Json) -> qdrant.FieldCondition:
    _only(body, "key", "match", "range")
    if "range" in body:
        return qdrant.FieldCondition(body["key"], range=qdrant.RangeFloat(**body["range"]))
    match = body["match"]
    _only(match, "value", "any", "except")
    if "value" in match:
        return qdrant.FieldCondition(body["key"], qdrant.MatchValue(match["value"]))
    if "any" in match:
        return qdrant.FieldCondition(body["key"], qdrant.MatchAny(match["any"]))
    return qdrant.FieldCondition(body["key"], qdrant.MatchExcept(match["except"]))


def _listed(body: Any) -> list[Any]:
    return body if isinstance(body, list) else [body]


def _only(body: Json, *known: str) -> None:
    unknown = [name for name in body if name not in known]
    if unknown:
        raise BadRequest(f"the stand-in does not know {', '.join(unknown)}")
