"""The index of a running pipelines part, for processes beside it: the same steps, over HTTP and with the internal key.

The embedded engine belongs to one process; `ragline worker` and the bulk engines put documents in through it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
from pydantic import BaseModel, Field, TypeAdapter

from pipelines.domain import Chunk, Document, IndexedDocument, Passage, Vector
from pipelines.errors import StoreUnavailable
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex, Place, SearchRequest
from pipelines.stores.catalog import Catalog
from pipelines.stores.generations import Generation

REBUILD_RETRY_S = 30.0
_JSON = {"Content-Type": "application/json"}


class StageBody(BaseModel):
    """Some chunks of a document. `vectors` are float32 numbers, little-endian, row by row, in base64."""

    document: Document
    chunks: list[Chunk]
    vectors: str
    dimensions: int = Field(ge=1)

    @classmethod
    def of(cls, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vector]) -> StageBody:
        numbers = np.asarray(vectors, dtype="<f4")
        encoded = base64.b64encode(numbers.tobytes()).decode()
        return cls(document=document, chunks=list(chunks), vectors=encoded, dimensions=numbers.shape[-1])

    def rows(self) -> list[Vector]:
        """The vectors, one for each chunk; raises `ValueError` when there are not as many."""
        numbers = np.frombuffer(base64.b64decode(self.vectors), dtype="<f4").astype(np.float32)
        return list(numbers.reshape(len(self.chunks), self.dimensions))


INDEXED = TypeAdapter(IndexedDocument)
INDEXED_LIST = TypeAdapter(list[IndexedDocument])


class ServedIndex(ChunkIndex):
    """One generation of the index that pipelines has open. It takes documents in; questions are asked over there."""

    def __init__(self, http: httpx.Client, generation: str) -> None:
        self._http = http
        self._path = f"/index/{generation}"

    def stage(self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vector]) -> None:
        body = StageBody.of(document, chunks, vectors)
        self._call("POST", "/stage", content=body.model_dump_json(), headers=_JSON)

    def publish(self, indexed: IndexedDocument) -> None:
        self._call("POST", "/publish", content=INDEXED.dump_json(indexed), headers=_JSON)

    def discard(self, document_id: str) -> None:
        self._call("DELETE", f"/staged/{document_id}")

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        self._call("PUT", f"/documents/{document_id}/access", json=list(access))

    def remove(self, document_id: str) -> bool:
        return bool(self._call("DELETE", f"/documents/{document_id}")["removed"])

    def search(self, request: SearchRequest) -> list[Passage]:
        raise StoreUnavailable("A process beside pipelines does not answer questions: ask pipelines.")

    def read(self, places: Sequence[Place], scopes: Sequence[str]) -> list[Chunk]:
        raise StoreUnavailable("A process beside pipelines does not answer questions: ask pipelines.")

    def catalog(self) -> Catalog:
        raise StoreUnavailable("A process beside pipelines does not answer questions: ask pipelines.")

    def documents(self) -> list[IndexedDocument]:
        return INDEXED_LIST.validate_python(self._call("GET", "/documents")["documents"])

    def count(self) -> int:
        return int(self._call("GET", "/documents")["chunks"])

    def close(self) -> None:
        """The connection belongs to whoever made it."""

    def _call(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401  httpx's own
        with _translated():
            response = self._http.request(method, self._path + path, **kwargs)
        if not response.is_success:
            raise StoreUnavailable(f"pipelines refused {method} {path}: {response.text[:200]}")
        body: dict[str, Any] = response.json() if response.content else {}
        return body


class ServedGenerations:
    """The generations of the index that pipelines has open, for a worker that embeds with `embedding` and `recipe`."""

    def __init__(self, url: str, *, key: str, embedding: EmbeddingProvider, recipe: str) -> None:
        timeout = httpx.Timeout(10, read=120, write=120)
        self._http = httpx.Client(base_url=url, headers={"X-Ragline-Key": key}, timeout=timeout)
        self._embedding = embedding
        self._recipe = recipe

    def written(self) -> tuple[Generation, ...]:
        """The one that documents go into; raises `StoreUnavailable` while it cannot be this worker that does it."""
        state = self._state()
        if state["building"]:
            raise StoreUnavailable(
                "The index is being rebuilt; pipelines does that by itself.", retry_after=REBUILD_RETRY_S
            )
        if state["recipe"] != self._recipe:
            raise StoreUnavailable(
                f"The index is one of {state['recipe'] or 'a former release'}, and this worker makes {self._recipe}: "
                "give both the same EMBEDDING_MODEL, and run `ragline reindex` if it was changed.",
                retry_after=REBUILD_RETRY_S,
            )
        return (self._generation(state["live"]),)

    def kept(self) -> tuple[Generation, ...]:
        """All of them: what is removed or closed is so everywhere."""
        state = self._state()
        return tuple(self._generation(state[name]) for name in ("live", "building", "previous") if state[name])

    def close(self) -> None:
        """Release the connection."""
        self._http.close()

    def _generation(self, generation: str) -> Generation:
        return Generation(generation, ServedIndex(self._http, generation), self._embedding, self._recipe)

    def _state(self) -> dict[str, Any]:
        with _translated():
            response = self._http.get("/index")
        if not response.is_success:
            raise StoreUnavailable(f"pipelines refused GET /index: {response.text[:200]}")
        state: dict[str, Any] = response.json()
        return state


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"pipelines, which has the index open, does not answer ({error}).") from error
