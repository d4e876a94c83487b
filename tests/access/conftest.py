"""One deployment for each index, for all tests of access: none of them changes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from qdrant_client import QdrantClient

from pipelines.ingest.isolate import Isolation
from pipelines.providers.base import EmbeddingProvider
from pipelines.provision.databases import ServerUrl
from pipelines.stores.generations import Generation, Generations
from pipelines.stores.postgres import open_database
from pipelines.stores.qdrant import QdrantIndex
from pipelines.stores.qdrant_points import connect
from pipelines.stores.registry import Registry
from tests.access.deployment import Deployment, deployed, plant_all
from tests.database import fresh_database
from tests.fakes.qdrant_server import running_qdrant
from tests.unit.ingest.ingestion import RECIPE, Ingestion, quick_folder


class OverServer(Ingestion):
    """The same, with its index on a Qdrant server."""

    client: QdrantClient

    def open_generations(self) -> Generations:
        client = self.client

        class OnServer(Generations):
            def _open(self, generation: str, embedding: EmbeddingProvider, recipe: str) -> Generation:
                return Generation(generation, QdrantIndex(client, generation, embedding), embedding, recipe)

        load = self.models.__getitem__
        return OnServer(self.folder / "qdrant", embedding=self.embedding, recipe=RECIPE, load=load)


@pytest.fixture(scope="session")
def isolation() -> Iterator[Isolation]:
    opened = Isolation(workers=2, memory_mb=1024, timeout_s=60)
    yield opened
    opened.close()


@pytest.fixture(scope="session", params=["embedded"])
def ingestion(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: ServerUrl,
    isolation: Isolation,
) -> Iterator[Ingestion]:
    registry = Registry(open_database(fresh_database(postgres_server), connections=12))
    with ExitStack() as opened:
        opened.callback(registry.close)
        folder = opened.enter_context(quick_folder(tmp_path_factory.mktemp("access")))
        ingestion = _ingestion(request.param, folder, registry, isolation, opened)
        opened.callback(ingestion.close)
        yield ingestion


def _ingestion(index: str, folder: Path, registry: Registry, isolation: Isolation, opened: ExitStack) -> Ingestion:
    if index == "embedded":
        return Ingestion(folder, registry, isolation)
    server = opened.enter_context(running_qdrant(folder / "server"))
    OverServer.client = connect(server.url, "")
    opened.callback(OverServer.client.close)
    return OverServer(folder, registry, isolation)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def at(ingestion: Ingestion, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    await plant_all(ingestion)
    async with deployed(ingestion, tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment
