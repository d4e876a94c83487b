"""Wires the bulk engine together: settings and paths go in, how the documents come on comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from pipelines.bootstrap_documents import (
    Sources,
    access_rules,
    ingest_path,
    load_configured_embedding,
    open_registry,
    recipe,
    served_generations,
)
from pipelines.domain import Grant
from pipelines.ingest.add_paths import Progress
from pipelines.ingest.bulk import Bulk
from pipelines.ingest.bulk_list import BulkLister
from pipelines.ingest.engine_ray import CollectedChunks, Preparer, prepare_with_ray
from pipelines.ingest.publish import apply_due_access
from pipelines.settings import SECRETS, Settings, quiet_ray
from pipelines.stores.generations import Generation
from pipelines.stores.registry import Registry
from pipelines.stores.served_index import ServedGenerations

CONNECTIONS = 4


def add_with_ray(settings: Settings, places: Sequence[str], *, grant: Grant | None, address: str) -> Iterator[Progress]:
    """Back-fill the documents at some paths and `s3://bucket/prefix` addresses over a Ray cluster; yield their course.

    Raises:
        SetupFailed: a setting, Ray or the model is missing or wrong; says what to do.
        SourceUnavailable: a place cannot be listed.
        Unavailable: the cluster, the registry or pipelines does not answer.
    """
    quiet_ray()
    # Loaded here as well, so that the machines of the cluster that share this folder find the model prepared.
    embedding = load_configured_embedding(settings)
    generations = served_generations(settings, embedding)
    registry = open_registry(settings, connections=CONNECTIONS)
    prepare = partial(
        prepare_with_ray,
        open_preparer=partial(open_preparer, for_the_cluster(settings)),
        address=address,
        workers=settings.ingest_workers,
    )
    try:
        yield Progress(0, 0, 0, 0, doing="listing")
        lister = _lister(settings, registry, generations, grant)
        documents = tuple(lister.list(places))
        yield from Bulk(registry, generations, prepare).add(documents)
    finally:
        registry.close()
        generations.close()


def open_preparer(settings: Settings) -> Preparer:
    """What one worker of the cluster works with; raises `SetupFailed`."""
    embedding = load_configured_embedding(settings)
    generation = Generation("", CollectedChunks(), embedding, recipe(embedding))
    return Preparer(ingest_path(settings, 1), Sources(settings).open, generation)


def for_the_cluster(settings: Settings) -> Settings:
    """The settings without what a worker of the cluster has no use for: the keys of other parts, and the registry."""
    blank = {name: SecretStr("") for name in (*SECRETS, "registry_url")}
    # Its workers need not run in the folder that this command was called in.
    places = {
        "state_dir": settings.state_dir.resolve(),
        "models_dir": settings.models_dir.resolve(),
        "document_sources": ",".join(map(_absolute, settings.sources())),
        "uploads_url": _absolute(settings.uploads_url),
    }
    return settings.model_copy(update={**blank, **places, "client_api_key": None})


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).expanduser().resolve())


def _lister(settings: Settings, registry: Registry, generations: ServedGenerations, grant: Grant | None) -> BulkLister:
    sources = Sources(settings)
    (generation,) = generations.written()

    def reopen(document_id: str, readers: Grant) -> None:
        registry.set_grant(document_id, readers, "person")
        apply_due_access(generations.kept, registry)

    return BulkLister(
        urls=sources.urls,
        open_source=sources.open,
        uploads=sources.uploads,
        registry=registry,
        indexed=registry.indexed(generation.id),
        rules=access_rules(settings)(),
        grant=grant,
        reopen=reopen,
        max_bytes=settings.max_document_mb * 2**20,
    )
