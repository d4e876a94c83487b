"""`/api/pull`, driven by Ollama's own client."""

from __future__ import annotations

from pathlib import Path

import httpx
import ollama
import pytest

from tests.models import ModelServer
from tests.models.pull import UNKNOWN, Library
from tests.models.script import LISTED

MODEL = "mock-ttft0-itl0-len5"
ASK = [{"role": "user", "content": "How much leave do I have?"}]


async def said_of(client: ollama.AsyncClient, model: str) -> list[ollama.ProgressResponse]:
    return [part async for part in await client.pull(model, stream=True)]


async def test_says_how_far_it_is_and_has_the_model_then(client: ollama.AsyncClient, server: ModelServer) -> None:
    said = await said_of(client, MODEL)

    assert [part.status for part in (said[0], *said[-3:])] == [
        "pulling manifest",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    layer = [part for part in said if part.digest]
    assert layer[0].completed is None
    assert [part.completed for part in layer[1:]] == sorted(part.completed or 0 for part in layer[1:])
    assert layer[-1].completed == layer[-1].total == server.library.size
    assert [model.model for model in (await client.list()).models] == [*LISTED, f"{MODEL}:latest"]


async def test_an_empty_one_answers_with_what_was_fetched_alone(
    client: ollama.AsyncClient, server: ModelServer
) -> None:
    server.library.empty = True
    with pytest.raises(ollama.ResponseError, match="try pulling it first"):
        await client.chat(MODEL, ASK)
    assert (await client.list()).models == []

    assert (await client.pull(MODEL)).status == "success"

    assert (await client.chat(MODEL, ASK)).message.content == "According to the documents [1]"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("offline", "dial tcp: lookup registry.ollama.ai"),
        ("full", "no space left on device"),
        ("broken", "max retries exceeded"),
        ("old", "requires a newer version of Ollama"),
    ],
)
async def test_fails_as_ollama_does(client: ollama.AsyncClient, server: ModelServer, fault: str, message: str) -> None:
    server.library.fault = fault  # type: ignore[assignment]

    with pytest.raises(ollama.ResponseError, match=message):
        await said_of(client, MODEL)

    assert [model.model for model in (await client.list()).models] == list(LISTED)


async def test_a_name_that_spells_no_model_is_unknown(client: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError) as refused:
        await said_of(client, "llama9:900b")
    assert refused.value.error == UNKNOWN


async def test_goes_on_where_it_was_cut(client: ollama.AsyncClient, server: ModelServer) -> None:
    server.library.fault, server.library.faults = "cut", 1
    with pytest.raises(httpx.HTTPError):
        await said_of(client, MODEL)

    again = [part.completed for part in await said_of(client, MODEL) if part.digest]

    assert again[0] == server.library.size // 2


async def test_what_was_fetched_is_there_after_a_restart(tmp_path: Path) -> None:
    for library in (Library(empty=True, file=tmp_path / "models"), Library(empty=True, file=tmp_path / "models")):
        server = ModelServer(library=library)
        if not server.library.installed():
            library.add(MODEL)
    assert library.has(MODEL)
