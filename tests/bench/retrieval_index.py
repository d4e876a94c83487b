"""Builds the index that retrieval is measured on, once: a number of chunks in, a folder with the product's index out.

It is kept below the state folder and built anew when what it follows from has changed: the engine's configuration and
the adapter, the corpus, or the embedding model.
"""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from pipelines.bootstrap_documents import load_configured_embedding, recipe
from pipelines.providers.base import EmbeddingProvider
from pipelines.providers.sentence_transformers import load_exported
from pipelines.settings import Settings
from pipelines.stores.generations import Generations
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from tests.bench.child import CHECKOUT
from tests.bench.retrieval_corpus import Corpus, Language
from tests.bench.retrieval_results import Built, Plan

FOLLOWS_FROM = ("pipelines/stores/qdrant*.py", "pipelines/domain.py", "tests/bench/retrieval_corpus.py")
BUILT = "built.json"


def bench_settings(state: str) -> Settings:
    """The shipped settings, with secrets that nobody uses."""
    secrets = dict.fromkeys(("gateway_api_key", "internal_api_key", "webhook_api_key", "identity_secret"), "b" * 32)
    values: dict[str, Any] = {"state_dir": Path(state), "default_access": "nobody", **secrets}
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]  # pydantic-settings' own


def build_index(plan: Plan) -> Built:
    """Build the index, unless it is there."""
    settings = bench_settings(plan.state)
    embedding = load_configured_embedding(settings)
    kept = Path(plan.state) / "bench" / "retrieval"
    folder = kept / f"{plan.chunks}-{_key(embedding)}"
    if (folder / BUILT).exists():
        return replace(Built(**json.loads((folder / BUILT).read_text("utf-8"))), here=False)
    for outdated in kept.glob(f"{plan.chunks}-*"):
        shutil.rmtree(outdated)
    built = _fill(Corpus(Language(), embedding, kept), folder, plan.chunks, settings, embedding)
    (folder / BUILT).write_text(json.dumps(asdict(built)), "utf-8")
    return built


def open_index(folder: Path, settings: Settings, embedding: EmbeddingProvider) -> Generations:
    """The index in the folder, as pipelines opens it."""
    load = partial(load_exported, models_dir=settings.models_dir, threads=settings.embedding_threads)
    return Generations(folder / "index", embedding=embedding, recipe=recipe(embedding), load=load)


def _fill(corpus: Corpus, folder: Path, chunks: int, settings: Settings, embedding: EmbeddingProvider) -> Built:
    clock = _Clock()
    generations = open_index(folder, settings, embedding)
    index = generations.live.index
    documents = corpus.documents(chunks)
    count = 0
    while True:
        with clock.charging("make"):
            made = next(documents, None)
        if made is None:
            break
        with clock.charging("stage"):
            index.stage(made.indexed.document, made.chunks, list(made.vectors))
        with clock.charging("publish"):
            index.publish(made.indexed)
        count += 1
    written_mb = _peak_mb(resource.RUSAGE_SELF)
    with clock.charging("optimise"):
        cast(QdrantEdgeIndex, index).optimise_now()
    generations.close()
    return Built(
        str(folder),
        chunks,
        count,
        make_s=clock.seconds["make"],
        stage_s=clock.seconds["stage"],
        publish_s=clock.seconds["publish"],
        optimise_s=clock.seconds["optimise"],
        written_mb=written_mb,
        peak_mb=_peak_mb(resource.RUSAGE_CHILDREN),
    )


def _peak_mb(of: int) -> float:
    return resource.getrusage(of).ru_maxrss / 1024


@dataclass(slots=True)
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def charging(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def _key(embedding: EmbeddingProvider) -> str:
    digest = hashlib.sha256(f"{embedding.name} {version('qdrant-edge-py')}".encode())
    for pattern in FOLLOWS_FROM:
        for file in sorted(CHECKOUT.glob(pattern)):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
