"""Generations on a Qdrant server: collections `ragline-g1`, `ragline-g2`, …, and one point that says which count."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import asdict

from qdrant_client import models

from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex
from pipelines.stores.generation_records import Pointer, pointer_of
from pipelines.stores.generation_store import GenerationStore
from pipelines.stores.qdrant import QdrantIndex, collections_of
from pipelines.stores.qdrant_filters import is_equal, only
from pipelines.stores.qdrant_points import Points, connect, require_version, translated

PREFIX = "ragline"
_POINTER = str(uuid.uuid5(uuid.NAMESPACE_URL, "generations"))


class ServerGenerations(GenerationStore):
    """Two collections for each generation on the server at `url`; any number of processes have them open.

    Raises:
        SetupFailed: the address is none, or the server is too old.
        StoreUnavailable: it does not answer, or refuses the key.
    """

    shared = True

    def __init__(self, url: str, api_key: str, *, prefix: str = PREFIX) -> None:
        self._client = connect(url, api_key)
        self._prefix = prefix
        require_version(self._client)
        self._points = Points(self._client, f"{prefix}-generations", ordered=True)
        self._points.create({}, {}, {"version": models.PayloadSchemaType.KEYWORD})

    def read(self) -> Pointer | None:
        for record in self._points.read([_POINTER]):
            try:
                return pointer_of((record.payload or {})["pointer"])
            except (KeyError, TypeError, ValueError) as error:
                raise SetupFailed(
                    f"{self._points.collection} is damaged: delete it, and all is indexed anew."
                ) from error
        return None

    def write(self, new: Pointer, old: Pointer | None) -> None:
        payload = {"version": _version(new), "pointer": asdict(new)}
        point = models.PointStruct(id=_POINTER, vector={}, payload=payload)
        if old is None:
            self._points.upsert([point], mode=models.UpdateMode.INSERT_ONLY)
        else:
            unchanged = only(is_equal("version", _version(old)))
            self._points.upsert([point], only=unchanged, mode=models.UpdateMode.UPDATE_ONLY)
        if self.read() != new:
            raise StoreUnavailable("The index was switched by another process just now: look, and try again.")

    def open(self, generation: str, embedding: EmbeddingProvider) -> ChunkIndex:
        return QdrantIndex(self._client, f"{self._prefix}-{generation}", embedding)

    def left_over(self, pointer: Pointer) -> list[str]:
        with translated():
            names = [each.name for each in self._client.get_collections().collections]
        numbers = {
            int(match[1]) for name in names if (match := re.fullmatch(rf"{self._prefix}-g(\d+)(-documents)?", name))
        }
        # One that is newer than the pointer knows is just being made by another process.
        return [
            f"g{number}" for number in sorted(numbers) if number <= pointer.last and f"g{number}" not in pointer.ids
        ]

    def delete(self, generation: str) -> None:
        with translated():
            for collection in collections_of(f"{self._prefix}-{generation}"):
                self._client.delete_collection(collection)

    def close(self) -> None:
        self._client.close()


def _version(pointer: Pointer) -> str:
    return hashlib.sha256(json.dumps(asdict(pointer), sort_keys=True).encode()).hexdigest()
