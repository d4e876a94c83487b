"""Wires the documents side together: settings go in, a library with its workers, index and registry comes out.

Apart from `bootstrap`, because `ragline worker` and the bulk engines need this side alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise

from pipelines.errors import SetupFailed
from pipelines.ingest.access import AccessRules
from pipelines.ingest.chunk import RECIPE
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.library import Library
from pipelines.ingest.listen import Listener
from pipelines.ingest.nice import be_nice
from pipelines.ingest.reconcile import reconcile
from pipelines.ingest.reindex import Reindex
from pipelines.ingest.run import IngestPath
from pipelines.ingest.spool import own_spool
from pipelines.ingest.work import Work, Workers
from pipelines.providers.base import EmbeddingProvider
from pipelines.providers.embedding import choose_embedding, load_embedding_by_name
from pipelines.providers.vision import choose_vision
from pipelines.settings import Settings
from pipelines.stores.base import DocumentSource, UploadStore
from pipelines.stores.generation_store import FolderGenerations, GenerationStore
from pipelines.stores.generations import Generations
from pipelines.stores.postgres import open_database
from pipelines.stores.registry import Registry
from pipelines.stores.s3 import s3_client
from pipelines.stores.served_index import ServedGenerations
from pipelines.stores.sources import open_source, open_uploads, source_url
from pipelines.stores.sqs import S3Notifications, sqs_client

STOP_S = 3.0
"""How long documents at work may go on when the part is stopped; what takes longer is done again."""
SPARE_CONNECTIONS = 8
"""To the registry, beside the two that each worker holds at most."""


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents side of one process."""

    library: Library
    reindex: Reindex
    generations: Generations
    registry: Registry
    work: Work
    workers: Workers
    listener: Listener | None
    release: Callable[[], None]

    def start(self) -> None:
        """Put index and registry right, then begin to work on what waits."""
        reconcile(self.generations, self.registry)
        self.workers.start()
        self.reindex.start()
        if self.listener:
            self.listener.start()

    def close(self) -> None:
        """Stop working and release everything."""
        if self.listener:
            self.listener.stop()
        self.reindex.stop()
        self.workers.stop(timeout_s=STOP_S)
        self.release()


def load_configured_embedding(settings: Settings) -> EmbeddingProvider:
    """The embedding model that the settings name; raises `SetupFailed`."""
    return choose_embedding(settings)


def open_documents(settings: Settings, embedding: EmbeddingProvider) -> Documents:
    """Open index, registry and sources, and make the workers; nothing works before `start`. Raises `SetupFailed`."""
    count = settings.ingest_workers or os.cpu_count() or 1
    registry = open_registry(settings, connections=2 * count + SPARE_CONNECTIONS)
    generations = open_generations(settings, embedding)
    sources = Sources(settings)
    path = ingest_path(settings, count)
    work = Work(registry, generations, path, sources.uploads, sources.open)
    # An index in this process is rebuilt here, where both the old and the new one are open; on a server, by all.
    rebuilds = not settings.qdrant_url
    workers = Workers(
        work,
        threads=count,
        resting=lambda: not (settings.ingest_here or (rebuilds and generations.building)),
    )
    rules = access_rules(settings)

    def release() -> None:
        embedding.close()
        path.close()
        generations.close()
        registry.close()

    return Documents(
        library=Library(work, workers, sources=sources.urls, rules=rules),
        reindex=Reindex(generations, registry, workers, configured=lambda: (embedding, recipe(embedding))),
        generations=generations,
        registry=registry,
        work=work,
        workers=workers,
        listener=_listener(settings, work, workers, sources.urls, rules) if settings.ingest_here else None,
        release=release,
    )


@dataclass(frozen=True, slots=True)
class Worker:
    """What a process beside pipelines runs."""

    workers: Workers
    listener: Listener | None
    registry: Registry


@contextmanager
def open_worker(settings: Settings) -> Iterator[Worker]:
    """The workers and the listener of a process beside pipelines, which has the index open; raises `SetupFailed`."""
    embedding = load_configured_embedding(settings)
    count = settings.ingest_workers or os.cpu_count() or 1
    registry = open_registry(settings, connections=2 * count + SPARE_CONNECTIONS)
    # On a server, the index is everybody's; in a process, it is reached through that process.
    opens = open_generations if settings.qdrant_url else served_generations
    generations = opens(settings, embedding)
    sources = Sources(settings)
    path = ingest_path(settings, count)
    work = Work(registry, generations, path, sources.uploads, sources.open)
    workers = Workers(work, threads=count)
    rules = access_rules(settings)
    try:
        yield Worker(workers, _listener(settings, work, workers, sources.urls, rules), registry)
    finally:
        workers.stop(timeout_s=STOP_S)
        embedding.close()
        path.close()
        generations.close()
        registry.close()


def ingest_path(settings: Settings, count: int) -> IngestPath:
    """The stages with what they need, for `count` documents at once."""
    return IngestPath(
        isolation=Isolation(workers=count, memory_mb=settings.read_memory_mb, timeout_s=settings.read_timeout_s),
        vision=choose_vision(settings, cores=count),
        threads=ThreadPoolExecutor(count, thread_name_prefix="embed", initializer=be_nice),
        thread_count=count,
        spool=own_spool(settings.state_dir / "data" / "spool"),
        max_bytes=settings.max_document_mb * 2**20,
    )


def recipe(embedding: EmbeddingProvider) -> str:
    """What chunks and vectors follow from, besides the documents: an index of another recipe is out of date."""
    return f"{embedding.name} {RECIPE}"


def open_registry(settings: Settings, *, connections: int) -> Registry:
    """The registry that the settings name, over at most so many connections; raises `SetupFailed`."""
    url = settings.registry_url.get_secret_value()
    if not url:
        raise SetupFailed("REGISTRY_URL is not set: it names the PostgreSQL database that knows every document.")
    return Registry(open_database(url, connections=connections))


def open_generations(settings: Settings, embedding: EmbeddingProvider) -> Generations:
    """The index that the settings name, opened; raises `SetupFailed` or `StoreUnavailable`."""
    return Generations(
        _generation_store(settings),
        embedding=embedding,
        recipe=recipe(embedding),
        load=partial(load_embedding_by_name, settings=settings),
    )


def _generation_store(settings: Settings) -> GenerationStore:
    if not settings.qdrant_url:
        return FolderGenerations(settings.state_dir / "data" / "qdrant")
    try:
        from pipelines.stores.generation_server import ServerGenerations
    except ModuleNotFoundError as error:
        raise SetupFailed("QDRANT_URL needs the client of Qdrant: install ragline[qdrant].") from error
    return ServerGenerations(settings.qdrant_url, settings.qdrant_api_key.get_secret_value())


def served_generations(settings: Settings, embedding: EmbeddingProvider) -> ServedGenerations:
    """The index of the running pipelines, for a process beside it. Connects to nothing."""
    key = settings.internal_api_key.get_secret_value()
    return ServedGenerations(settings.pipelines_url, key=key, embedding=embedding, recipe=recipe(embedding))


def access_rules(settings: Settings) -> Callable[[], AccessRules]:
    """Reads who may read what lies where, as the file says at that moment."""
    return partial(AccessRules.load, settings.access_file, settings.default_access)


class Sources:
    """Opens the sources of this deployment, each once.

    Raises:
        InvalidRequest: one of DOCUMENT_SOURCES is no address of a source.
        SetupFailed: one lies in another, which would fight over its documents; or uploads cannot be kept.
    """

    def __init__(self, settings: Settings) -> None:
        self._s3 = cache(
            partial(
                s3_client,
                endpoint_url=settings.s3_endpoint_url or None,
                region=settings.aws_region or None,
                access_key_id=settings.s3_access_key_id or None,
                secret_access_key=settings.s3_secret_access_key.get_secret_value() or None,
            )
        )
        self._tags = settings.source_tags
        self._open = cache(partial(open_source, s3=self._s3, tags=self._tags))
        self.uploads: UploadStore = open_uploads(settings.uploads_url, s3=self._s3)
        # A single file has the address of its folder: what is opened is what was named.
        self._named = {source_url(url): url for url in dict.fromkeys(settings.sources())}
        self.urls = tuple(self._named)
        _require_apart(settings.sources())

    def open(self, url: str) -> DocumentSource:
        """The source of an address; raises `SetupFailed` for one that is none of this deployment."""
        if url == self.uploads.url:
            return self.uploads
        if url not in self._named:
            raise SetupFailed(f"{url} is not in DOCUMENT_SOURCES: name it there, or take its documents out.")
        return self._open(self._named[url])


def _require_apart(sources: Sequence[str]) -> None:
    urls = sorted(f"{source_url(url)}/" for url in dict.fromkeys(sources))
    for outer, inner in pairwise(urls):
        if inner.startswith(outer):
            raise SetupFailed(f"DOCUMENT_SOURCES names {inner} and {outer}, which holds it: name only one of them.")


def _listener(
    settings: Settings, work: Work, workers: Workers, sources: Sequence[str], rules: Callable[[], AccessRules]
) -> Listener | None:
    if not settings.document_queue_url:
        return None
    notifications = S3Notifications(settings.document_queue_url, sqs_client(region=settings.aws_region or None))
    return Listener(notifications, work, workers, sources=sources, rules=rules)
