"""What the tests of ingestion share: a database and reading processes for the session, all else for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pipelines.ingest.isolate import Isolation
from pipelines.providers.base import VisionProvider
from pipelines.provision.databases import ServerUrl
from pipelines.stores.postgres import open_database
from pipelines.stores.registry import Registry
from tests.database import fresh_database
from tests.unit.ingest.ingestion import Ingestion, quick_folder


@pytest.fixture(scope="session")
def registry_url(postgres_server: ServerUrl) -> str:
    """One database for all: to make one takes longer than most tests."""
    return fresh_database(postgres_server)


@pytest.fixture(scope="session")
def shared_registry(registry_url: str) -> Iterator[Registry]:
    opened = Registry(open_database(registry_url, connections=12))
    yield opened
    opened.close()


@pytest.fixture
def sql(registry_url: str) -> Iterator[Callable[[str], None]]:
    """Runs a statement, for what a test cannot wait for."""
    with psycopg.connect(registry_url, autocommit=True) as connection:

        def run(statement: str) -> None:
            connection.execute(statement.encode())

        yield run


@pytest.fixture
def registry(shared_registry: Registry, sql: Callable[[str], None]) -> Registry:
    sql("DELETE FROM document")
    sql("DELETE FROM access_group")
    return shared_registry


@pytest.fixture(scope="session")
def isolation() -> Iterator[Isolation]:
    """One for all: a reading process takes half a second to start."""
    opened = Isolation(workers=2, memory_mb=1024, timeout_s=60)
    yield opened
    opened.close()


Make = Callable[..., Ingestion]


@pytest.fixture
def make_ingestion(tmp_path: Path, registry: Registry, isolation: Isolation) -> Iterator[Make]:
    made: list[Ingestion] = []
    with quick_folder(tmp_path) as folder:

        def make(*, vision: VisionProvider | None = None) -> Ingestion:
            made.append(Ingestion(folder, registry, isolation, vision=vision))
            return made[-1]

        yield make
        for each in made:
            each.close()


@pytest.fixture
def ingestion(make_ingestion: Make) -> Ingestion:
    return make_ingestion()


@pytest.fixture
def hurry(sql: Callable[[str], None]) -> Callable[[], None]:
    """What waits for another try is due now."""
    return lambda: sql("UPDATE document SET not_before = now()")
