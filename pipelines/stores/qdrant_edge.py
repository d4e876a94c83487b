"""The embedded index: Qdrant's engine in this process, on a folder of its own.

Chunks go in as points, one a chunk, each with a dense vector and a BM25 vector; passages come out of one fused search
whose two halves both carry the access filter.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import qdrant_edge as qdrant

from pipelines.domain import Chunk, Document, IndexedDocument, Passage, Vector
from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex, Place, SearchRequest
from pipelines.stores.catalog import Catalog
from pipelines.stores.payload import (
    BM25,
    CHUNK_FIELDS,
    DENSE,
    RRF_K,
    STAGED,
    in_order,
    published_payload,
    read_chunk,
    read_indexed_document,
    read_passage,
)
from pipelines.stores.qdrant_edge_change import Change, Journal
from pipelines.stores.qdrant_edge_folder import ShardFolders, claim, open_shard, translated
from pipelines.stores.qdrant_edge_optimise_copy import Missed, build_copy, copy_shard
from pipelines.stores.qdrant_edge_optimiser import Optimiser, Pace
from pipelines.stores.qdrant_edge_points import is_any, is_equal, make_point, published, readable_by
from pipelines.stores.rankings import Ranking, rankings

STEP = 256
"""Points in one call that writes: 5 to 10 ms, during which nothing else in this process runs."""
PAGE = 1000
"""Points in one step of a scroll."""

_UPDATE = qdrant.UpdateOperation
_PACE = Pace()


class QdrantEdgeIndex(ChunkIndex):
    """Chunks in an embedded Qdrant shard under `folder`, which one process may have open, with one model's vectors.

    The engine holds the interpreter's lock through every call (qdrant-edge-py 0.9.0): calls never run side by side,
    and one that writes the 16,000 chunks of a book would stop the process for a third of a second. So a change of a
    document is made in short steps, between which questions are answered; `_hidden` is what those leave out
    meanwhile. Publishing hides the new points, gives them their readers and their document, then by one assignment
    hides the old ones instead, and deletes them. The journal names the change until it is through, so that opening
    the index after a crash finishes it before anybody searches.

    For the same reason the graph that makes large indexes fast is built by another process, on a copy of the shard,
    once `pace` says so; what was added since the last build is searched exactly. Writing waits while the shard is
    copied, about a second for 50,000 chunks, and everything while the copy is opened, a fifth of one. What is written
    during the build is made good in the copy, each step again in the same order, before the copy takes the shard's
    place; a build that fails leaves all as it was.

    `_lock` is held for one step, or for as long as a reader has to see no step; `_changing` for a whole change;
    `_staging_step` for one step of staging, which needs no `_changing`. They are taken in the order `_changing`,
    `_staging_step`, `_lock`.

    A killed process loses nothing. A machine that loses its power may lose the last seconds: the engine's log
    reaches the disk with the system's own delay.

    Raises:
        SetupFailed: another process has the folder open, or it was built with another embedding model.
        StoreUnavailable: the engine failed.
    """

    parallel = 1

    def __init__(self, folder: Path, embedding: EmbeddingProvider, *, pace: Pace = _PACE) -> None:
        self._lock = threading.RLock()
        self._changing = threading.Lock()
        self._staging_step = threading.Lock()
        self._bm25 = qdrant.Bm25()
        self._stagings: dict[str, tuple[str, str]] = {}  # by document: its revision and the id of the staging
        self._unfinished: Change | None = None
        self._hidden: qdrant.Filter | None = None
        folder.mkdir(parents=True, exist_ok=True)
        claim(folder / "embedding.json", embedding)
        self._journal = Journal(folder / "change.json")
        self._folders = ShardFolders(folder)
        self._shard = self._folders.open_current(embedding.dimensions)
        self._missed: Missed | None = None
        self._dimensions, self._pace = embedding.dimensions, pace
        self._optimiser = Optimiser(self._build_graph, pace=pace, dimensions=embedding.dimensions)
        self._recover(folder)
        self._catalog = Catalog(row.document for row in self.documents())
        self._optimiser.wrote(self._changed_since_built())

    def stage(self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vector]) -> None:
        staging = self._staging(document)
        for start in range(0, len(chunks), STEP):
            step = slice(start, start + STEP)
            points = [
                make_point(chunk, vector, staging=staging, revision=document.content_hash, bm25=self._bm25)
                for chunk, vector in zip(chunks[step], vectors[step], strict=True)
            ]
            with self._staging_step:
                self._update(_UPDATE.upsert_points(points), len(points))
            self._optimiser.wrote(len(points))

    def publish(self, indexed: IndexedDocument) -> None:
        document = indexed.document
        with self._changing:
            revision, staging = self._stagings.get(document.id, ("", ""))
            found = self._count(qdrant.Filter(must=[is_equal("staging", staging)])) if staging else 0
            if revision != document.content_hash or found != indexed.chunks or not found:
                raise StoreUnavailable(
                    f"{found} chunks of {document.name} are staged instead of {indexed.chunks}: it must be read again."
                )
            self._make(Change("publish", document.id, staging, published_payload(indexed)))
            del self._stagings[document.id]
            self._catalog.put(document)

    def discard(self, document_id: str) -> None:
        with self._changing:
            _, staging = self._stagings.pop(document_id, ("", ""))
            if staging:
                self._delete(qdrant.Filter(must=[is_equal("staging", staging)]))

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        # The lock through all steps: a document is found whole by its old readers or whole by its new ones.
        with self._changing, self._lock:
            if self._count(published(hidden=None, only=is_equal("document_id", document_id))):
                self._make(Change("access", document_id, payload={"access": list(access)}))
                self._catalog.set_access(document_id, access)

    def remove(self, document_id: str) -> bool:
        of_document = is_equal("document_id", document_id)
        with self._changing:
            self._stagings.pop(document_id, None)
            found = self._count(qdrant.Filter(must=[of_document]))
            if not found:
                return False
            there = self._count(published(hidden=self._hidden, only=of_document)) > 0
            self._make(Change("remove", document_id))
            self._catalog.remove(document_id)
        self._optimiser.wrote(found)
        return there

    def search(self, request: SearchRequest) -> list[Passage]:
        return in_order(read_passage(point, request.vector) for point in self._read(request))

    def read(self, places: Sequence[Place], scopes: Sequence[str]) -> list[Chunk]:
        if not places:
            return []
        by_document: dict[str, list[int]] = {}
        for place in places:
            by_document.setdefault(place.document_id, []).append(place.ordinal)
        with self._lock:
            these = readable_by(scopes, hidden=self._hidden, places=by_document)
            pages = self._pages(these, CHUNK_FIELDS)
            return [read_chunk(record.payload or {}) for records in pages for record in records]

    def catalog(self) -> Catalog:
        return self._catalog

    def documents(self) -> list[IndexedDocument]:
        rows: list[IndexedDocument] = []
        with self._lock:
            first_chunks = published(hidden=self._hidden, only=is_equal("ordinal", 0))
            for records in self._pages(first_chunks, ["document", "access"]):
                rows += [read_indexed_document(record.payload or {}) for record in records]
        return sorted(rows, key=lambda row: (row.document.title.casefold(), row.document.id))

    def count(self) -> int:
        with self._lock:
            return self._count(published(hidden=self._hidden))

    def optimise_now(self) -> bool:
        """Build the search graph over all there is, and wait for it; False where there is too little for one.

        Raises `StoreUnavailable`: it failed, or the index is closed; what is searched is as it was.
        """
        return self._optimiser.now()

    def close(self) -> None:
        self._optimiser.close()
        with self._changing, self._lock, translated():
            self._shard.close()

    def _read(self, request: SearchRequest) -> list[qdrant.ScoredPoint]:
        """The only function that takes chunks out of the shard; both halves of the search filter by access."""
        made = rankings(request)
        if not made:
            return []
        dense = request.vector.tolist()
        with self._lock, translated():
            readable = readable_by(request.scopes, hidden=self._hidden, filters=request.filters)
            params = self._bm25_params(request.scopes, readable)
            fusion = qdrant.Fusion.Rrf(RRF_K, [ranking.weight for ranking in made])
            return self._shard.query(
                qdrant.QueryRequest(
                    limit=request.limit,
                    query=fusion,  # type: ignore[arg-type]  # the stubs do not make Rrf a Fusion
                    prefetches=[self._prefetch(ranking, dense, readable, params, request) for ranking in made],
                    with_payload=True,
                    with_vector=[DENSE],
                )
            )

    def _prefetch(
        self,
        ranking: Ranking,
        dense: list[float],
        readable: qdrant.Filter,
        bm25: qdrant.SearchParams | None,
        request: SearchRequest,
    ) -> qdrant.Prefetch:
        within = readable
        if ranking.documents:
            within = qdrant.Filter(must=[readable, is_any("document_id", ranking.documents)])
        if ranking.using == DENSE:
            return qdrant.Prefetch(request.candidates, qdrant.Query.Nearest(dense, using=DENSE), filter=within)
        words = self._bm25.embed_query(ranking.text)
        return qdrant.Prefetch(request.candidates, qdrant.Query.Nearest(words, using=BM25), filter=within, params=bm25)

    def _bm25_params(self, scopes: Sequence[str], readable: qdrant.Filter) -> qdrant.SearchParams | None:
        """How rare a word is, is counted in what the reader may read: in all there is, it would tell of the rest."""
        if self._catalog.is_open_to(scopes):
            return None
        return qdrant.SearchParams(idf=qdrant.IdfParams(readable))

    def _staging(self, document: Document) -> str:
        """The id of the staging of this revision: the one begun, or a new one in place of another revision's."""
        revision, staging = self._stagings.get(document.id, ("", ""))
        if revision != document.content_hash:
            self.discard(document.id)
            staging = str(uuid.uuid4())
            self._stagings[document.id] = (document.content_hash, staging)
        return staging

    def _make(self, change: Change) -> None:
        """Make a change, after the one before it if that one failed half way. The caller holds `_changing`."""
        if self._unfinished:
            self._finish(self._unfinished)
        with translated():
            self._journal.write(change)
        self._finish(change)

    def _finish(self, change: Change) -> None:
        """Do what is in the journal. When it fails, what is hidden stays hidden until it is tried again."""
        self._unfinished = change
        self._hidden = self._hidden or change.hidden_at_first
        if change.written:
            for records in self._pages(change.written):
                self._update(_UPDATE.set_payload([record.id for record in records], change.payload), len(records))
        if change.dropped:
            self._hidden = change.dropped
            self._delete(change.dropped)
        with translated():
            self._journal.clear()
        self._hidden = self._unfinished = None

    def _recover(self, folder: Path) -> None:
        """Finish the change that was cut off, and forget what was staged."""
        try:
            change = self._journal.read()
        except (ValueError, TypeError) as error:
            raise SetupFailed(
                f"{folder / 'change.json'} is damaged: delete {folder}, and all is indexed anew."
            ) from error
        if change and self._is_whole(change):
            self._finish(change)
        self._journal.clear()
        self._delete(qdrant.Filter(must=[is_equal("access", STAGED)]))

    def _is_whole(self, change: Change) -> bool:
        """False where the power went and the engine's log ends before the journal: the earlier revision stays."""
        if change.kind != "publish" or change.written is None:
            return True
        expected: int = change.payload["document"]["chunks"]
        return self._count(change.written) == expected

    def _delete(self, these: qdrant.Filter) -> None:
        for records in self._pages(these):
            self._update(_UPDATE.delete_points([record.id for record in records]), len(records))

    def _update(self, operation: qdrant.UpdateOperation, points: int) -> None:
        with self._lock, translated():
            if self._missed:
                # One that fails, too: the engine may have done it, and would do it once more from its log.
                self._missed.note(operation, points)
            self._shard.update(operation)

    def _count(self, these: qdrant.Filter) -> int:
        with self._lock, translated():
            return int(self._shard.count(qdrant.CountRequest(exact=True, filter=these)))

    def _pages(self, these: qdrant.Filter, payload: list[str] | None = None) -> Iterator[list[qdrant.Record]]:
        size = PAGE if payload else STEP
        offset = None
        while True:
            with self._lock, translated():
                records, offset = self._shard.scroll(
                    qdrant.ScrollRequest(offset, size, these, with_payload=payload or False)
                )
            if records:
                yield records
            if offset is None:
                return

    def _changed_since_built(self) -> int:
        """About how many points came or went since the graph was built.

        The engine counts a vector for each point, two once it is in a graph, and still those of the points that went.
        """
        with self._lock, translated():
            info = self._shard.info()
            return abs(2 * int(info.points_count) - int(info.indexed_vectors_count))

    def _build_graph(self) -> bool:
        copy = self._folders.new()
        try:
            with self._changing, self._staging_step:
                with self._lock, translated():
                    self._shard.flush()
                copy_shard(self._folders.current, copy, given_up=self._optimiser.closing.is_set)
                self._missed = missed = Missed()
            if not build_copy(copy, timeout_s=self._pace.timeout_s, given_up=self._build_is_given_up):
                return False
            self._replace_shard(copy, missed)
            return True
        finally:
            self._missed = None
            self._folders.delete_others()

    def _build_is_given_up(self) -> bool:
        missed = self._missed
        return self._optimiser.closing.is_set() or (missed is not None and missed.points > self._pace.missed)

    def _replace_shard(self, copy: Path, missed: Missed) -> None:
        """Make good in the copy what it missed, and let it count; whatever fails before that leaves the shard."""
        try:
            old, new = self._shard, open_shard(copy, self._dimensions)
        except SetupFailed as error:
            raise StoreUnavailable(f"The search graph is not built anew. {error.message}") from error
        try:
            missed.make_good(new, given_up=self._build_is_given_up)
            with self._changing, self._staging_step, translated():
                missed.make_good(new, given_up=self._build_is_given_up)
                new.flush()
                everything = qdrant.CountRequest(exact=True)
                if new.count(everything) != old.count(everything):
                    raise StoreUnavailable("The search graph is not built anew: points are missing in the copy.")
                self._folders.use(copy)
                with self._lock:
                    self._shard, self._missed = new, None
        finally:
            with translated():
                (old if self._shard is new else new).close()
