"""The points of one collection on a Qdrant server: every call is bounded in time and raises `StoreUnavailable`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any

import httpx
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from pipelines.errors import SetupFailed, StoreUnavailable

CONNECT_S = 3.0
CALL_S = 30
"""For the longest calls: those that change all chunks of a book at once."""
READ_S = 10
"""For a call that a reader waits for."""
LEARN_S = 10.0
"""How long a node of a cluster may take to learn of a collection that was made through another one."""
_FULL = "No space left on device"
PAGE = 1000
"""Points in one step of a scroll."""
OLDEST = (1, 19)
"""The first version of the server that counts how rare a word is in what a reader may read alone (`params.idf`,
https://github.com/qdrant/qdrant/pull/9661); an older one would ignore it and say nothing."""

Schema = dict[str, models.PayloadSchemaType]


def connect(url: str, api_key: str) -> QdrantClient:
    """A client of the server at `url`, thread-safe; nothing is asked yet. Raises `SetupFailed`."""

    def bound(request: httpx.Request) -> None:
        # The client knows one timeout for everything (qdrant-client 1.20).
        request.extensions["timeout"] = {**request.extensions.get("timeout", {}), "connect": CONNECT_S}

    try:
        return QdrantClient(
            url=url,
            timeout=CALL_S,
            # As a header, since `api_key` warns of http, which is what a private network has.
            headers={"api-key": api_key} if api_key else None,
            check_compatibility=False,
            # Let go before the server does, after 5 s.
            limits=httpx.Limits(max_keepalive_connections=32, keepalive_expiry=3),
            event_hooks={"request": [bound]},
        )
    except ValueError as error:
        raise SetupFailed(f"QDRANT_URL is no address of a Qdrant server: {error}.") from error


def require_version(client: QdrantClient) -> None:
    """Raise `SetupFailed` for a server that is too old."""
    with translated():
        version = client.info().version
    if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < OLDEST:
        raise SetupFailed(f"Qdrant is {version}, which is too old: use 1.19 or newer.")


class Points:
    """One collection. How many shards and replicas it has is the server's to say, by its own defaults.

    Every write is waited for on all replicas that are up. Where it is `ordered`, all of them get those that processes
    make at once in the same order, so that a condition of a write means the same on each.
    """

    def __init__(self, client: QdrantClient, collection: str, *, ordered: bool = False) -> None:
        self._client = client
        self.collection = collection
        # Through whichever replica leads now: a permanent leader that is down would stop all writes.
        self._ordering = models.WriteOrdering.MEDIUM if ordered else None

    def create(
        self, vectors: dict[str, models.VectorParams], sparse: dict[str, models.SparseVectorParams], fields: Schema
    ) -> None:
        """Make the collection with an index for each field, unless it is there; another process may be making it."""
        with translated():
            if not self._client.collection_exists(self.collection):
                try:
                    self._client.create_collection(self.collection, vectors, sparse_vectors_config=sparse)
                except UnexpectedResponse as error:
                    # Another process was first, whatever status a cluster has for that.
                    if error.status_code != httpx.codes.CONFLICT and not self._client.collection_exists(
                        self.collection
                    ):
                        raise
            there = self._learned().payload_schema
            for field, kind in fields.items():
                if field not in there:
                    self._client.create_payload_index(self.collection, field, kind)

    def _learned(self) -> models.CollectionInfo:
        deadline = time.monotonic() + LEARN_S
        while True:
            try:
                return self._client.get_collection(self.collection)
            except UnexpectedResponse as error:
                if error.status_code != httpx.codes.NOT_FOUND or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def size_of(self, vector: str) -> int | None:
        """How many dimensions the vectors of that name have; None when there are none of that name."""
        with translated():
            vectors = self._client.get_collection(self.collection).config.params.vectors
        params = vectors.get(vector) if isinstance(vectors, dict) else None
        return params.size if params else None

    def upsert(
        self,
        points: list[models.PointStruct],
        *,
        only: models.Filter | None = None,
        mode: models.UpdateMode | None = None,
    ) -> None:
        """Write points. Of those that are there, `only` these are replaced."""
        with translated():
            done = self._client.upsert(
                self.collection, points, update_filter=only, update_mode=mode, ordering=self._ordering
            )
        _require_done(done)

    def set_payload(self, payload: dict[str, Any], these: models.Filter) -> None:
        """Write these fields of the payload of all such points; readers may see some of them before others."""
        with translated():
            done = self._client.set_payload(self.collection, payload, points=these, ordering=self._ordering)
        _require_done(done)

    def delete(self, these: models.Filter) -> None:
        """Delete all such points; readers may miss some of them before others."""
        with translated():
            done = self._client.delete(self.collection, models.FilterSelector(filter=these), ordering=self._ordering)
        _require_done(done)

    def count(self, these: models.Filter) -> int:
        with translated():
            return self._client.count(self.collection, these, exact=True, timeout=READ_S).count

    def read(self, ids: Sequence[str]) -> list[models.Record]:
        """The points of these ids that there are, with their payload."""
        with translated():
            return self._client.retrieve(self.collection, list(ids), with_payload=True, timeout=READ_S) if ids else []

    def scroll(self, these: models.Filter, fields: list[str] | bool = True) -> Iterator[models.Record]:
        """All such points, with these fields of their payload."""
        offset: Any = None
        while True:
            with translated():
                records, offset = self._client.scroll(
                    self.collection, these, limit=PAGE, offset=offset, with_payload=fields, timeout=READ_S
                )
            yield from records
            if offset is None:
                return

    def query(
        self, prefetch: list[models.Prefetch], fusion: models.RrfQuery, limit: int, *, fields: list[str], vector: str
    ) -> list[models.ScoredPoint]:
        """The best points of the fused rankings, with these fields of their payload and that vector."""
        with translated():
            return self._client.query_points(
                self.collection,
                query=fusion,
                prefetch=prefetch,
                limit=limit,
                with_payload=fields,
                with_vectors=[vector],
                timeout=READ_S,
            ).points


@contextmanager
def translated() -> Iterator[None]:
    """Raise `StoreUnavailable` for what the client raises."""
    try:
        yield
    except ResourceExhaustedResponse as error:
        wait = float(error.retry_after_s)
        raise StoreUnavailable("Qdrant is asked too often; it will be asked again later.", retry_after=wait) from error
    except UnexpectedResponse as error:
        raise StoreUnavailable(_explain(error)) from error
    # What is no JSON at all, the client hands on as it is (1.20).
    except (ApiException, QdrantException, JSONDecodeError) as error:
        cause = getattr(error, "source", error)
        raise StoreUnavailable(
            f"Qdrant does not answer ({type(cause).__name__}): check that it runs, and QDRANT_URL."
        ) from error


def _explain(error: UnexpectedResponse) -> str:
    if error.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return "Qdrant refuses the key: check QDRANT_API_KEY."
    said = error.content.decode("utf-8", "replace")[:300]
    if _FULL in said:
        return "Qdrant's disk is full: make room on it. What it has is still found."
    return f"Qdrant refuses with {error.status_code}: {said}"


def _require_done(done: models.UpdateResult) -> None:
    if done.status != models.UpdateStatus.COMPLETED:
        raise StoreUnavailable("Qdrant has not made a change in time: it is overloaded, or a node of it is down.")
