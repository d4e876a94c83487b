"""The index on a Qdrant server: chunks go in as points of a collection, passages come out of one fused search.

The embedded index keeps the same payloads and vectors and fuses the same rankings, so both find the same passages.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TypeVar

import qdrant_edge
from qdrant_client import QdrantClient, models

from pipelines.domain import NO_FILTERS, Chunk, Document, Filters, IndexedDocument, Passage, Vector, group_scope
from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex, Place, SearchRequest
from pipelines.stores.catalog import Catalog
from pipelines.stores.payload import (
    BM25,
    CHUNK_FIELDS,
    DENSE,
    RRF_K,
    in_order,
    published_payload,
    read_chunk,
    read_passage,
)
from pipelines.stores.qdrant_changes import ABANDONED_S, Changes
from pipelines.stores.qdrant_filters import FIELDS, is_equal, make_point, only, readable_by, sparse
from pipelines.stores.qdrant_heads import Change, Head, Heads
from pipelines.stores.qdrant_listing import Listing
from pipelines.stores.qdrant_points import Points
from pipelines.stores.rankings import Ranking, rankings

log = logging.getLogger(__name__)

BATCH = 256
"""Points in one call that writes: about 2 MB of JSON; the server takes 32."""
ATTEMPTS = 5
"""How often a search is made again because of documents that changed while it ran."""

_FOUND_FIELDS = [*CHUNK_FIELDS, "staging"]

Found = TypeVar("Found", models.Record, models.ScoredPoint)


class QdrantIndex(ChunkIndex):
    """Chunks in the collection `collection` of a server, with one model's vectors; any number of processes use it.

    Which chunks count is said by one point a document, its head, in the collection `<collection>-documents`. A search
    filters by access, then reads the heads of what it found, leaves out what does not count (other chunks than the
    head's, readers other than the head's) and, if there was any, searches again without that.

    So a document changes for readers with the one write of its head, in all processes at once: nobody finds half of a
    document, two revisions together, or one that was closed to him. Publishing opens the new points, writes the head,
    deletes the points of the former. Each change is noted before it is begun. When a process is killed in the middle,
    readers find the earlier state or the new one, whole, for as long as it takes; the next change of that document
    finishes it, or any process that writes, after a minute.

    Different documents may be changed by any number of processes. One document is to be changed by one at a time, as
    the registry sees to; where two do, one of the two gets `StoreUnavailable` or is overwritten, as a whole. Staging
    is known to the process that stages; an hour after its last point, anybody deletes what was not published.

    What is not guaranteed: the catalog lags a second behind changes of other processes, and their clocks have to agree
    within half a minute. Points opened by a killed process take part in the statistics of BM25 until it is finished.

    Raises:
        SetupFailed: it was built with another embedding model, or the server is too old.
        StoreUnavailable: the server does not answer, or refuses.
    """

    def __init__(self, client: QdrantClient, collection: str, embedding: EmbeddingProvider) -> None:
        self._bm25 = qdrant_edge.Bm25()
        self._stagings: dict[str, tuple[str, str]] = {}  # by document: its revision and the id of the staging
        self._starting = threading.Lock()
        self._closed = False
        chunks, documents = collections_of(collection)
        self._heads = Heads(client, documents)
        self._heads.create(embedding)
        self._points = Points(client, chunks)
        _create(self._points, embedding)
        self._listing = Listing(self._heads)
        self._changes = Changes(self._points, self._heads, made=self._listing.take)
        self._changes.sweep(but=())
        self._listing.look()

    def stage(self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vector]) -> None:
        self._sweep()
        staging, at = self._staging(document), int(time.time())
        for start in range(0, len(chunks), BATCH):
            batch = slice(start, start + BATCH)
            points = [
                make_point(chunk, vector, staging=staging, revision=document.content_hash, at=at, bm25=self._bm25)
                for chunk, vector in zip(chunks[batch], vectors[batch], strict=True)
            ]
            self._points.upsert(points)

    def publish(self, indexed: IndexedDocument) -> None:
        document = indexed.document
        revision, staging = self._stagings.get(document.id, ("", ""))
        found = self._points.count(only(is_equal("staging", staging))) if staging else 0
        if revision != document.content_hash or found != indexed.chunks or not found:
            raise StoreUnavailable(
                f"{found} chunks of {document.name} are staged instead of {indexed.chunks}: it must be read again."
            )
        payload = published_payload(indexed)
        self._change(document.id, lambda was: Change("publish", document.id, was, staging, payload))
        del self._stagings[document.id]

    def discard(self, document_id: str) -> None:
        _, staging = self._stagings.pop(document_id, ("", ""))
        if staging:
            self._points.delete(only(is_equal("staging", staging)))

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        self._changes.settle(document_id)
        if self._is_published(document_id):
            payload = {"access": list(access)}
            self._change(document_id, lambda was: Change("access", document_id, was, payload=payload))

    def remove(self, document_id: str) -> bool:
        self._changes.settle(document_id)
        self._stagings.pop(document_id, None)
        there = self._is_published(document_id)
        if there or self._points.count(only(is_equal("document_id", document_id))):
            self._change(document_id, lambda was: Change("remove", document_id, was))
        return there

    def search(self, request: SearchRequest) -> list[Passage]:
        if not request.scopes:
            return []
        found = self._current(lambda without: self._query(request, without), request.scopes, request.filters)
        return in_order(read_passage(point, request.vector, head.indexed.document) for point, head in found)

    def read(self, places: Sequence[Place], scopes: Sequence[str]) -> list[Chunk]:
        if not places or not scopes:
            return []
        by_document: dict[str, list[int]] = {}
        for place in places:
            by_document.setdefault(place.document_id, []).append(place.ordinal)

        def scroll(without: Collection[str]) -> list[models.Record]:
            these = readable_by(scopes, without=without, places=by_document)
            return list(self._points.scroll(these, _FOUND_FIELDS))

        return [read_chunk(record.payload or {}) for record, _ in self._current(scroll, scopes)]

    def catalog(self) -> Catalog:
        self._require_open()
        self._listing.look()
        return self._listing.catalog

    def documents(self) -> list[IndexedDocument]:
        self._require_open()
        self._listing.look(after_s=0)
        return self._listing.documents()

    def count(self) -> int:
        return sum(row.chunks for row in self.documents())

    def close(self) -> None:
        # The client belongs to whoever made it.
        self._closed = True

    def _current(
        self,
        find: Callable[[Collection[str]], list[Found]],
        scopes: Sequence[str],
        filters: Filters = NO_FILTERS,
    ) -> list[tuple[Found, Head]]:
        """What `find` finds, with the heads by which it counts; made again without the stagings that do not."""
        self._require_open()
        held, opened_to = set(scopes), {group_scope(group) for group in filters.groups}
        left_out: dict[str, str] = {}  # document by staging
        current: list[tuple[Found, Head]] = []
        for _ in range(ATTEMPTS):
            points = find(left_out)
            seen = left_out | {_of(point, "staging"): _of(point, "document_id") for point in points}
            # Read after what was found: it counts if it does now.
            heads = self._heads.read(set(seen.values()))
            counting = {
                head.staging: head
                for head in heads.values()
                if head.staging in seen and _is_open(head, held, opened_to)
            }
            current = [(point, counting[staging]) for point in points if (staging := _of(point, "staging")) in counting]
            not_counting = {staging: document for staging, document in seen.items() if staging not in counting}
            if not_counting == left_out:
                break
            left_out = not_counting
        return current

    def _query(self, request: SearchRequest, without: Iterable[str]) -> list[models.ScoredPoint]:
        """The only search there is; each ranking in it filters by access."""
        readable = partial(readable_by, request.scopes, without=list(without), filters=request.filters)
        params = self._bm25_params(request.scopes, readable())
        prefetch = [
            models.Prefetch(
                query=self._nearest(request, ranking),
                using=ranking.using,
                limit=request.candidates,
                filter=readable(documents=ranking.documents),
                params=params if ranking.using == BM25 else None,
            )
            for ranking in rankings(request)
        ]
        if not prefetch:
            return []
        fusion = models.RrfQuery(rrf=models.Rrf(k=RRF_K, weights=[ranking.weight for ranking in rankings(request)]))
        return self._points.query(prefetch, fusion, request.limit, fields=_FOUND_FIELDS, vector=DENSE)

    def _bm25_params(self, scopes: Sequence[str], readable: models.Filter) -> models.SearchParams | None:
        """How rare a word is, is counted in what the reader may read: in all there is, it would tell of the rest."""
        if self.catalog().is_open_to(scopes):
            return None
        return models.SearchParams(idf=models.IdfCorpusParams(corpus=readable))

    def _nearest(self, request: SearchRequest, ranking: Ranking) -> models.NearestQuery:
        if ranking.using == DENSE:
            return models.NearestQuery(nearest=request.vector.tolist())
        return models.NearestQuery(nearest=sparse(self._bm25.embed_query(ranking.text)))

    def _change(self, document_id: str, make: Callable[[str], Change]) -> None:
        """Make a change of the head as it is; again if another process changed it meanwhile."""
        for _ in range(ATTEMPTS):
            head = self._heads.read([document_id]).get(document_id)
            if self._changes.make(make(head.version if head else ""), head):
                return
        raise StoreUnavailable("A document is being changed by another process: it must be done again.")

    def _staging(self, document: Document) -> str:
        """The id of the staging of this revision: the one begun, or a new one in place of another revision's."""
        with self._starting:
            revision, staging = self._stagings.get(document.id, ("", ""))
            if revision == document.content_hash:
                return staging
        self.discard(document.id)
        self._changes.settle(document.id)
        staging = str(uuid.uuid4())
        self._stagings[document.id] = (document.content_hash, staging)
        return staging

    def _sweep(self) -> None:
        if self._changes.swept_ago() > ABANDONED_S:
            self._changes.sweep(but=[staging for _, staging in list(self._stagings.values())])

    def _is_published(self, document_id: str) -> bool:
        head = self._heads.read([document_id]).get(document_id)
        return bool(head and head.staging)

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("The document index is closed.")


def collections_of(collection: str) -> tuple[str, str]:
    """The names of the two collections of an index: its chunks, and the heads of its documents."""
    return collection, f"{collection}-documents"


def _of(point: models.Record | models.ScoredPoint, field: str) -> str:
    return str((point.payload or {})[field])


def _is_open(head: Head, held: set[str], opened_to: set[str]) -> bool:
    return bool(head.access & held) and (not opened_to or bool(head.access & opened_to))


def _create(points: Points, embedding: EmbeddingProvider) -> None:
    points.create(
        {DENSE: models.VectorParams(size=embedding.dimensions, distance=models.Distance.COSINE)},
        {BM25: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        FIELDS,
    )
    size = points.size_of(DENSE)
    if size != embedding.dimensions:
        raise SetupFailed(
            f"The collection {points.collection} holds vectors of {size} dimensions, and {embedding.name} makes "
            f"{embedding.dimensions}: set EMBEDDING_MODEL back, or delete it, and all is indexed anew."
        )
