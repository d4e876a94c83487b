"""Which chunks on the server count: one small point a document, its head, and one for each change that is under way.

A head names the staging that the document consists of and who may read it. It is replaced in one step, and only where
it still is what it was: of two processes that change one document at once, the second notices.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from qdrant_client import QdrantClient, models

from pipelines.domain import IndexedDocument
from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.payload import read_indexed_document
from pipelines.stores.qdrant_filters import is_equal, is_since, only
from pipelines.stores.qdrant_points import Points

_FIELDS = {
    "kind": models.PayloadSchemaType.KEYWORD,
    "version": models.PayloadSchemaType.KEYWORD,
    "document_id": models.PayloadSchemaType.KEYWORD,
    "staging": models.PayloadSchemaType.KEYWORD,
    "changed": models.PayloadSchemaType.INTEGER,
}
_BUILT_WITH = str(uuid.uuid5(uuid.NAMESPACE_URL, "built with"))


@dataclass(frozen=True, slots=True)
class Head:
    """What counts of a document. `staging` is empty where it was removed, and `replaced` is what counted before.

    `payload` is what `published_payload` made; `changed` is when, in milliseconds.
    """

    document_id: str
    staging: str
    replaced: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    version: str = field(default_factory=lambda: str(uuid.uuid4()))
    changed: int = field(default_factory=lambda: now_ms())

    @property
    def access(self) -> frozenset[str]:
        return frozenset(self.payload.get("access", ()))

    @property
    def indexed(self) -> IndexedDocument:
        return read_indexed_document(self.payload)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a document, which takes several calls. Each can be made again, so anybody can finish it.

    `was` is the version of the head it is a change of (empty: there was none), `version` that of the head it makes.
    """

    kind: Literal["publish", "access", "remove"]
    document_id: str
    was: str
    staging: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    version: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: int = field(default_factory=lambda: now_ms())


class Heads:
    """The heads and changes of one index, in a collection of their own."""

    def __init__(self, client: QdrantClient, collection: str) -> None:
        self._points = Points(client, collection, ordered=True)

    def create(self, embedding: EmbeddingProvider) -> None:
        """Make the collection unless it is there. Raises `SetupFailed` when the index is one of another model."""
        self._points.create({}, {}, _FIELDS)
        wanted = {"embedding": embedding.name, "dimensions": embedding.dimensions}
        # Whoever is first says it; the others compare.
        point = models.PointStruct(id=_BUILT_WITH, vector={}, payload={"kind": "built with", **wanted})
        self._points.upsert([point], mode=models.UpdateMode.INSERT_ONLY)
        records = self._points.read([_BUILT_WITH])
        if not records:
            raise StoreUnavailable(f"Qdrant has lost what was just written to {self._points.collection}: try again.")
        built_with = records[0].payload or {}
        if any(built_with.get(name) != value for name, value in wanted.items()):
            raise SetupFailed(
                f"The index {self._points.collection} was built with {built_with.get('embedding')} of "
                f"{built_with.get('dimensions')} dimensions, but the embedding model is now {embedding.name} of "
                f"{embedding.dimensions}: set EMBEDDING_MODEL back, or delete its collections, and all is indexed anew."
            )

    def read(self, document_ids: Iterable[str]) -> dict[str, Head]:
        """The heads of these documents as they are now, removed ones included."""
        ids = [_id("head", document_id) for document_id in document_ids]
        heads = [_head(record) for record in self._points.read(ids)]
        return {head.document_id: head for head in heads}

    def since(self, changed: int) -> Iterator[Head]:
        """Every head that was written since then, removed ones included."""
        records = self._points.scroll(only(is_equal("kind", "head"), is_since("changed", changed)))
        return map(_head, records)

    def swap(self, was: str, head: Head) -> bool:
        """Write the head, if that which is there is still of version `was` (empty: none is there); False if not."""
        point = models.PointStruct(
            id=_id("head", head.document_id), vector={}, payload={"kind": "head", **asdict(head)}
        )
        if was:
            self._points.upsert([point], only=only(is_equal("version", was)), mode=models.UpdateMode.UPDATE_ONLY)
        else:
            self._points.upsert([point], mode=models.UpdateMode.INSERT_ONLY)
        there = self.read([head.document_id]).get(head.document_id)
        return there is not None and there.version == head.version

    def forget_removed(self, before: int) -> None:
        """Delete the heads of documents that were removed before then."""
        removed = only(is_equal("kind", "head"), is_equal("staging", ""), but=[is_since("changed", before)])
        self._points.delete(removed)

    def note(self, change: Change) -> None:
        """Note a change before it is begun, so that it is finished even if this process is not there to do it."""
        payload = {"kind": "change", "document_id": change.document_id, "change": asdict(change)}
        self._points.upsert([models.PointStruct(id=_id("change", change.version), vector={}, payload=payload)])

    def changes(self, document_id: str | None = None) -> list[Change]:
        """The changes that are under way or were cut off: of one document, or of all."""
        of_document = [is_equal("document_id", document_id)] if document_id else []
        records = self._points.scroll(only(is_equal("kind", "change"), *of_document))
        changes = [Change(**(record.payload or {})["change"]) for record in records]
        return sorted(changes, key=lambda change: change.began)

    def clear(self, change: Change) -> None:
        """Note that a change is through."""
        self._points.delete(models.Filter(must=[models.HasIdCondition(has_id=[_id("change", change.version)])]))


_HEAD_FIELDS = tuple(Head.__dataclass_fields__)


def now_ms() -> int:
    return int(time.time() * 1000)


def _head(record: models.Record) -> Head:
    payload = record.payload or {}
    return Head(**{name: payload[name] for name in _HEAD_FIELDS})


def _id(kind: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {name}"))
