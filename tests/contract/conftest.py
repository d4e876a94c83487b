"""Every chunk index there is: a new one is one more row of `INDEXES`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from pipelines.stores.base import ChunkIndex
from pipelines.stores.qdrant import QdrantIndex
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from pipelines.stores.qdrant_points import connect
from tests.contract.chunk_indexes import EMBEDDING, Open
from tests.fakes.qdrant_server import running_qdrant
from tests.unit.ingest.ingestion import quick_folder

INDEXES = {"qdrant": "open_server", "qdrant_edge": "open_edge"}
"""The fixture that opens it, by adapter."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantClient]:
    """A client of a server that takes a change of many points by twos, between which it answers questions."""
    place = quick_folder(tmp_path_factory.mktemp("qdrant"))
    with place as folder, running_qdrant(folder / "qdrant", step=2) as running:
        client = connect(running.url, "")
        yield client
        client.close()


@pytest.fixture
def open_server(server: QdrantClient) -> Iterator[Open]:
    collection = f"index-{uuid.uuid4()}"
    yield lambda: QdrantIndex(server, collection, EMBEDDING)
    for name in (collection, f"{collection}-documents"):
        server.delete_collection(name)


@pytest.fixture
def open_edge(tmp_path: Path) -> Iterator[Open]:
    with quick_folder(tmp_path) as folder:
        yield lambda: QdrantEdgeIndex(folder / "index", EMBEDDING)


@pytest.fixture(params=sorted(INDEXES))
def open_index(request: pytest.FixtureRequest) -> Open:
    """Opens the same index again and again, as a restart does."""
    opens: Open = request.getfixturevalue(INDEXES[request.param])
    return opens


@pytest.fixture
def index(open_index: Open) -> Iterator[ChunkIndex]:
    opened = open_index()
    yield opened
    opened.close()
