"""The vision models of the model server: what they read, when they are loaded, and how many pages they read at once."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import ollama
import openai
import pytest

from tests.models import ModelServer, running_model_server
from tests.models.pages import page_png, text_on
from tests.models.runners import keep_alive_s


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server(parallel=2) as running:
        yield running


@pytest.fixture
async def client(server: ModelServer) -> AsyncIterator[ollama.AsyncClient]:
    client = ollama.AsyncClient(host=server.url)
    yield client
    await client.close()  # type: ignore[no-untyped-call]  # not annotated in ollama 0.6.3


async def _read(client: ollama.AsyncClient, image: bytes, model: str = "mock-vision-page10", **more: Any) -> str:
    message = ollama.Message(role="user", content="Transcribe.", images=[ollama.Image(value=image)])
    return (await client.chat(model, [message], **more)).message.content or ""


async def test_reads_the_text_that_an_image_hides(client: ollama.AsyncClient) -> None:
    assert await _read(client, page_png("# Ferien\n\nSchöne Tage: 30")) == "# Ferien\n\nSchöne Tage: 30"


async def test_any_other_image_has_a_text_of_its_own(client: ollama.AsyncClient) -> None:
    assert await _read(client, b"\xff\xd8 a photograph") == text_on(b"\xff\xd8 a photograph")
    assert text_on(b"\xff\xd8 a photograph") != text_on(b"\xff\xd8 another")


async def test_reads_the_image_of_an_openai_client_too(server: ModelServer) -> None:
    image = "data:image/png;base64," + b64encode(page_png("Scope")).decode()
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        answer = await client.chat.completions.create(
            model="mock-vision-page10",
            messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}]}],
        )
    assert answer.choices[0].message.content == "Scope"


async def test_says_that_it_sees_images(client: ollama.AsyncClient) -> None:
    assert (await client.show("mock-vision-page10")).capabilities == ["completion", "vision"]


async def test_more_pages_than_run_at_once_wait_in_line(client: ollama.AsyncClient, server: ModelServer) -> None:
    started = time.perf_counter()
    await asyncio.gather(*(_read(client, page_png(f"{page}"), "mock-vision-page50") for page in range(6)))
    assert time.perf_counter() - started >= 3 * 0.05
    assert (server.stats.most_at_once, server.stats.loads, server.stats.completed) == (2, 1, 6)


@pytest.mark.parametrize(
    ("first", "second", "loads"),
    [
        ({"options": {"num_ctx": 8192}}, {"options": {"num_ctx": 8192, "temperature": 0.5}}, 1),
        ({"options": {"num_ctx": 8192}}, {"options": {"num_ctx": 4096}}, 2),
        ({"options": {"num_ctx": 8192}}, {}, 2),
        ({"keep_alive": 0}, {}, 2),
        ({"keep_alive": "1ms"}, {}, 2),
        ({"keep_alive": "-1m"}, {}, 1),
        ({}, {"model": "mock-vision-page1"}, 2),
    ],
)
async def test_a_model_is_loaded_when_ollama_would_load_it(
    client: ollama.AsyncClient, server: ModelServer, first: dict[str, Any], second: dict[str, Any], loads: int
) -> None:
    await _read(client, page_png(""), **first)
    await asyncio.sleep(0.01)
    await _read(client, page_png(""), **second)
    assert server.stats.loads == loads


async def test_a_loaded_model_is_listed_with_its_context(client: ollama.AsyncClient) -> None:
    await _read(client, page_png(""), options={"num_ctx": 8192}, keep_alive="10m")
    listed = (await client.ps()).models
    assert [(model.model, model.context_length) for model in listed] == [("mock-vision-page10", 8192)]
    await _read(client, page_png(""), options={"num_ctx": 8192}, keep_alive=0)
    assert (await client.ps()).models == []


@pytest.mark.parametrize(("fault", "status"), [("busy", 503), ("err", 500)])
async def test_refuses_pages_as_ollama_does(client: ollama.AsyncClient, fault: str, status: int) -> None:
    with pytest.raises(ollama.ResponseError) as refused:
        await _read(client, page_png(""), f"mock-vision-page10-{fault}")
    assert refused.value.status_code == status


async def test_breaks_off_after_reading(client: ollama.AsyncClient) -> None:
    with pytest.raises(httpx.HTTPError):
        await _read(client, page_png(""), "mock-vision-page10-fail")


@pytest.mark.parametrize(("value", "seconds"), [(None, 300), (0, 0), ("0", 0), (90, 90), ("10m", 600), ("1h30m", 5400)])
def test_reads_keep_alive_as_ollama_does(value: object, seconds: float) -> None:
    assert keep_alive_s(value) == seconds
