"""One deployment for all tests of access: none of them changes it, but for those that make their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from pipelines.ingest.isolate import Isolation
from pipelines.native.postgres import ServerUrl
from pipelines.stores.postgres import open_database
from pipelines.stores.registry import Registry
from tests.access.deployment import Deployment, deployed, plant_all
from tests.database import fresh_database
from tests.unit.ingest.ingestion import Ingestion, quick_folder


@pytest.fixture(scope="session")
def ingestion(tmp_path_factory: pytest.TempPathFactory, postgres_server: ServerUrl) -> Iterator[Ingestion]:
    registry = Registry(open_database(fresh_database(postgres_server), connections=12))
    isolation = Isolation(workers=2, memory_mb=1024, timeout_s=60)
    with quick_folder(tmp_path_factory.mktemp("access")) as folder:
        ingestion = Ingestion(folder, registry, isolation)
        yield ingestion
        ingestion.close()
    isolation.close()
    registry.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def at(ingestion: Ingestion, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    await plant_all(ingestion)
    async with deployed(ingestion, tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment
