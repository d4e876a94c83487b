"""The model server, and Ollama's own client to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import ollama
import pytest

from tests.models import ModelServer, running_model_server


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


@pytest.fixture
async def client(server: ModelServer) -> AsyncIterator[ollama.AsyncClient]:
    client = ollama.AsyncClient(host=server.url)
    yield client
    await client.close()  # type: ignore[no-untyped-call]  # not annotated in ollama 0.6.3
