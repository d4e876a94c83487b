"""What tests of every kind share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.provision.databases import ServerUrl
from pipelines.stores.postgres import open_database
from pipelines.stores.registry import Registry
from tests.database import fresh_database, running_server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerUrl]:
    folder: Path = tmp_path_factory.mktemp("postgres")
    folder.parent.chmod(0o755)  # the server may run as another user
    with running_server(folder) as server:
        yield server


@pytest.fixture
def registry_url(postgres_server: ServerUrl) -> str:
    return fresh_database(postgres_server)


@pytest.fixture
def registry(registry_url: str) -> Iterator[Registry]:
    opened = Registry(open_database(registry_url, connections=12))
    yield opened
    opened.close()
