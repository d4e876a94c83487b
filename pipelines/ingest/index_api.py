"""`/index`: the generations of the index, and the way into them for workers beside this process (internal key)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request

from pipelines.domain import IndexedDocument
from pipelines.errors import InvalidRequest, NotFound
from pipelines.ingest.reindex import IndexState, Reindex
from pipelines.stores.base import ChunkIndex
from pipelines.stores.generations import Generations
from pipelines.stores.served_index import INDEXED_LIST, StageBody


def index_api(reindex: Reindex, generations: Generations, authorize: Callable[[Request], None]) -> APIRouter:
    """The routes over the generations; `authorize` raises for a caller without the internal key."""
    api = APIRouter(prefix="/index", tags=["documents"], dependencies=[Depends(authorize)])
    _add_rebuild_routes(api, reindex)
    _add_worker_routes(api, generations)
    return api


def _add_rebuild_routes(api: APIRouter, reindex: Reindex) -> None:
    @api.get("")
    def state() -> IndexState:
        return reindex.state()

    @api.post("/rebuild", status_code=202)
    def rebuild() -> IndexState:
        return reindex.begin()

    @api.delete("/rebuild")
    def abandon() -> IndexState:
        return reindex.abandon()

    @api.post("/rollback")
    def roll_back() -> IndexState:
        return reindex.roll_back()


def _index_of(generations: Generations, generation: str) -> ChunkIndex:
    for kept in generations.kept():
        if kept.id == generation:
            return kept.index
    raise NotFound(f"There is no generation {generation[:20]} of the index; GET /index names those there are.")


def _add_worker_routes(api: APIRouter, generations: Generations) -> None:
    index_of = partial(_index_of, generations)

    @api.post("/{generation}/stage", status_code=204)
    def stage(generation: str, body: StageBody) -> None:
        try:
            vectors = body.rows()
        except ValueError as error:
            raise InvalidRequest("The vectors are not as many as the chunks, or of another length.") from error
        index_of(generation).stage(body.document, body.chunks, vectors)

    @api.post("/{generation}/publish", status_code=204)
    def publish(generation: str, indexed: IndexedDocument) -> None:
        index_of(generation).publish(indexed)

    @api.delete("/{generation}/staged/{document_id}", status_code=204)
    def discard(generation: str, document_id: str) -> None:
        index_of(generation).discard(document_id)

    @api.put("/{generation}/documents/{document_id}/access", status_code=204)
    def set_access(generation: str, document_id: str, access: Annotated[list[str], Body()]) -> None:
        index_of(generation).set_access(document_id, access)

    @api.delete("/{generation}/documents/{document_id}")
    def remove(generation: str, document_id: str) -> dict[str, bool]:
        return {"removed": index_of(generation).remove(document_id)}

    @api.get("/{generation}/documents")
    def documents(generation: str) -> dict[str, object]:
        index = index_of(generation)
        return {"documents": INDEXED_LIST.dump_python(index.documents(), mode="json"), "chunks": index.count()}
