"""The embedded index: Qdrant's engine in this process, on a folder of its own.

Documents go in as points, one a chunk, each with a dense vector and a BM25 vector; passages come out of one fused
search whose two halves both carry the access filter.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qdrant

from pipelines.domain import Chunk, Document, IndexedDocument, Passage, Vector
from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex, SearchRequest

DENSE, BM25 = "dense", "bm25"
RRF_K = 60
"""The usual constant of reciprocal rank fusion (Cormack et al. 2009)."""

PAGE = 1000
"""Points in one step of a scroll."""

_UPDATE = qdrant.UpdateOperation


class QdrantEdgeIndex(ChunkIndex):
    """Chunks in an embedded Qdrant shard under `folder`, which one process may have open, with one model's vectors.

    The engine holds the interpreter's lock through every call (qdrant-edge-py 0.9.0), so calls never run side by
    side; `_lock` only keeps the two steps of a replacement together. For the same reason the graph that makes large
    indexes fast is built on opening, before anybody waits, and not between questions; what was added since is
    searched exactly.

    Raises:
        SetupFailed: another process has the folder open, or it was built with another embedding model.
        StoreUnavailable: the engine failed.
    """

    def __init__(self, folder: Path, embedding: EmbeddingProvider) -> None:
        self._lock = threading.Lock()
        self._bm25 = qdrant.Bm25()
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder / "embedding.json", embedding)
        self._shard = _open(folder / "shard", embedding.dimensions)

    def put(
        self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vector], *, pages: int | None
    ) -> IndexedDocument:
        indexed = IndexedDocument(document, len(chunks), pages, datetime.now(UTC).isoformat(timespec="seconds"))
        row = _document_row(indexed)
        points = [
            qdrant.Point(
                chunk.id,
                {DENSE: vector.tolist(), BM25: self._bm25.embed_document(chunk.context)},
                _payload(chunk, document, row),
            )
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        kept = qdrant.HasIdCondition({chunk.id for chunk in chunks})
        with self._lock, _translated():
            # One operation is one record of the write-ahead log: after a crash the document is whole or as before.
            self._shard.update(_UPDATE.upsert_points(points))
            self._shard.update(_UPDATE.delete_points_by_filter(_of_document(document.id, except_for=kept)))
        return indexed

    def remove(self, document_id: str) -> bool:
        with self._lock, _translated():
            there = self._shard.count(qdrant.CountRequest(filter=_of_document(document_id))) > 0
            self._shard.update(_UPDATE.delete_points_by_filter(_of_document(document_id)))
        return there

    def search(self, request: SearchRequest) -> list[Passage]:
        return [_passage(point, request.vector) for point in self._read(request)]

    def documents(self) -> list[IndexedDocument]:
        first_chunks = qdrant.Filter(must=[_equals("ordinal", 0)])
        rows: list[IndexedDocument] = []
        with self._lock, _translated():
            offset = None
            while True:
                records, offset = self._shard.scroll(
                    qdrant.ScrollRequest(offset, PAGE, first_chunks, with_payload=["document", "access"])
                )
                rows += [_indexed_document(record.payload or {}) for record in records]
                if offset is None:
                    break
        return sorted(rows, key=lambda row: (row.document.title.casefold(), row.document.id))

    def count(self) -> int:
        with self._lock, _translated():
            return int(self._shard.count(qdrant.CountRequest(exact=True)))

    def close(self) -> None:
        with self._lock, _translated():
            self._shard.close()

    def _read(self, request: SearchRequest) -> list[qdrant.ScoredPoint]:
        """The only function that takes chunks out of the shard; both halves of the search filter by access."""
        readable = qdrant.Filter(must=[qdrant.FieldCondition("access", qdrant.MatchAny(list(request.scopes)))])
        halves: list[tuple[str, Any]] = [
            (DENSE, request.vector.tolist()),
            (BM25, self._bm25.embed_query(request.text)),
        ]
        query = qdrant.QueryRequest(
            limit=request.limit,
            query=qdrant.Fusion.Rrf(RRF_K),  # type: ignore[arg-type]  # the stubs do not make Rrf a Fusion
            prefetches=[
                qdrant.Prefetch(request.candidates, qdrant.Query.Nearest(value, using=using), filter=readable)
                for using, value in halves
            ],
            with_payload=True,
            with_vector=[DENSE],
        )
        with self._lock, _translated():
            return self._shard.query(query)


def _claim(record: Path, embedding: EmbeddingProvider) -> None:
    """Write down which model the index is built with, or refuse another than the one written down."""
    wanted = {"embedding": embedding.name, "dimensions": embedding.dimensions}
    try:
        built_with = json.loads(record.read_text("utf-8"))
    except FileNotFoundError:
        record.write_text(json.dumps(wanted), "utf-8")
        return
    except ValueError as error:
        raise SetupFailed(
            f"{record} is damaged: delete the folder {record.parent} and add the documents again."
        ) from error
    if built_with != wanted:
        raise SetupFailed(
            f"The index in {record.parent} was built with {built_with.get('embedding')}, but the embedding model is "
            f"now {embedding.name}: set EMBEDDING_MODEL back, or delete that folder and add the documents again."
        )


def _open(folder: Path, dimensions: int) -> qdrant.EdgeShard:
    try:
        if any((folder / "segments").glob("*")):
            shard = qdrant.EdgeShard.load(str(folder))
            shard.optimize()
        else:
            shard = qdrant.EdgeShard.create(str(folder), _config(dimensions))
            for field in ("access", "document_id"):
                shard.update(_UPDATE.create_field_index(field, qdrant.PayloadSchemaType.Keyword))
            shard.update(_UPDATE.create_field_index("ordinal", qdrant.PayloadSchemaType.Integer))
    except Exception as error:
        raise _setup_failed(folder, error) from error
    return shard


def _setup_failed(folder: Path, error: Exception) -> SetupFailed:
    # How the engine says that the lock on its log is taken; everything it raises is a bare Exception.
    if "WouldBlock" in str(error):
        return SetupFailed(f"The index in {folder} is open in another process: stop that one first.")
    return SetupFailed(f"The index in {folder} cannot be opened: {error}.")


def _config(dimensions: int) -> qdrant.EdgeConfig:
    return qdrant.EdgeConfig(
        vectors={DENSE: qdrant.EdgeVectorParams(dimensions, qdrant.Distance.Cosine)},
        sparse_vectors={BM25: qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf)},
        wal_enabled=True,
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Broad, because everything the engine raises is a bare Exception.
        raise StoreUnavailable(f"The document index failed: {error}.") from error


def _equals(field: str, value: str | int) -> qdrant.FieldCondition:
    return qdrant.FieldCondition(field, qdrant.MatchValue(value))


def _of_document(document_id: str, *, except_for: qdrant.HasIdCondition | None = None) -> qdrant.Filter:
    return qdrant.Filter(
        must=[_equals("document_id", document_id)], must_not=None if except_for is None else [except_for]
    )


def _payload(chunk: Chunk, document: Document, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "access": list(document.access),
        "document_id": document.id,
        "revision": document.content_hash,
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        "title": chunk.title,
        "section": list(chunk.section),
        "page": chunk.page,
        "chunk_id": chunk.id,
        "document": row,
    }


def _document_row(indexed: IndexedDocument) -> dict[str, Any]:
    document = indexed.document
    return {
        "id": document.id,
        "title": document.title,
        "origin": document.origin,
        "media_type": document.media_type,
        "content_hash": document.content_hash,
        "size": document.size,
        "chunks": indexed.chunks,
        "pages": indexed.pages,
        "indexed_at": indexed.indexed_at,
    }


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
    )


def _indexed_document(payload: dict[str, Any]) -> IndexedDocument:
    row = payload["document"]
    return IndexedDocument(_document(payload), row["chunks"], row["pages"], row["indexed_at"])


def _passage(point: qdrant.ScoredPoint, question: Vector) -> Passage:
    payload: dict[str, Any] = point.payload or {}
    # Asked for by name, so that it comes as a dictionary; the stubs allow every shape.
    vectors: Any = point.vector
    similarity = float(question @ np.asarray(vectors[DENSE], dtype=np.float32))
    chunk = Chunk(
        id=payload["chunk_id"],
        document_id=payload["document_id"],
        ordinal=payload["ordinal"],
        text=payload["text"],
        title=payload["title"],
        section=tuple(payload["section"]),
        page=payload["page"],
    )
    return Passage(chunk, _document(payload), score=point.score, relevance=min(max(similarity, 0.0), 1.0))
