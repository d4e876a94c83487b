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
from pydantic import BaseModel, TypeAdapter

from pipelines.domain import Chunk, Document, IndexedDocument, Passage, Vector
from pipelines.errors import StoreUnavailable
from pipelines.stores.base import ChunkIndex, SearchRequest


class StageBody(BaseModel):
    """Some chunks of a document. `vectors` are float32 numbers, little-endian, row by row, in base64."""

    document: Document
    chunks: list[Chunk]
    vectors: str
    dimensions: int

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
        self._call("POST", "/stage", content=body.model_dump_json())

    def publish(self, indexed: IndexedDocument) -> None:
        self._call("POST", "/publish", content=INDEXED.dump_json(indexed))

    def discard(self, document_id: str) -> None:
        self._call("DELETE", f"/staged/{document_id}")

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        self._call("PUT", f"/documents/{document_id}/access", json=list(access))

    def remove(self, document_id: str) -> bool:
        return bool(self._call("DELETE", f"/documents/{document_id}")["removed"])

    def search(self, request: SearchRequest) -> list[Passage]:
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


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"pipelines, which has the index open, does not answer ({error}).") from error
