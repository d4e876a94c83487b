"""How Ollama is asked for the text of a page, and what its errors mean."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.ollama_vision import NUM_CTX, OllamaVision
from pipelines.providers.page_prompt import MAX_TOKENS, PROMPT
from tests.models import ModelServer, running_model_server
from tests.models.pages import page_png

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


async def _read(
    url: str, model: str, image: bytes = b"any", timeout_s: float = 10, connect_timeout_s: float = 5
) -> str:
    vision = OllamaVision(url, model, parallel=2, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)
    try:
        return await asyncio.to_thread(vision.read_page, image)
    finally:
        vision.close()


async def test_asks_the_same_way_every_time_so_that_the_model_stays_loaded(server: ModelServer) -> None:
    requests = []
    for text in ("one", "two"):
        image = page_png(text)
        assert await _read(server.url, "mock-vision-page0", image) == text
        request: dict[str, Any] = server.stats.last_request or {}
        (message,) = request.pop("messages")
        assert b64decode(message.pop("images")[0]) == image
        assert message == {"role": "user", "content": PROMPT}
        requests.append(request)
    assert requests[0] == requests[1]
    assert requests[0]["options"] == {"temperature": 0, "num_ctx": NUM_CTX, "num_predict": MAX_TOKENS}
    assert (requests[0]["think"], requests[0]["stream"], requests[0]["keep_alive"]) == (False, False, "10m")
    assert server.stats.loads == 1


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        ("qwen2.5vl", UnknownModel, "ollama pull qwen2.5vl"),
        ("mock-vision-page0-busy", Busy, "busy"),
        ("mock-vision-page0-err", ModelFailed, "llama runner process has terminated"),
        ("mock-vision-page0-fail", ModelFailed, "broke"),
    ],
)
async def test_translates_what_ollama_says(
    server: ModelServer, model: str, error: type[RaglineError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        await _read(server.url, model)
    assert raised.value.__cause__ is not None


async def test_a_page_that_takes_too_long_is_let_go(server: ModelServer) -> None:
    with pytest.raises(DeadlineExceeded, match=r"mock-vision-page5000 took more than 0\.1 s"):
        await _read(server.url, "mock-vision-page5000", timeout_s=0.1)
    await asyncio.sleep(0.1)
    assert (server.stats.cancelled, server.stats.active) == (1, 0)


async def test_says_where_it_looked_when_nothing_answers() -> None:
    with pytest.raises(ModelUnavailable, match=r"http://127\.0\.0\.1:9.*OLLAMA_BASE_URL"):
        await _read("http://127.0.0.1:9", "qwen2.5vl", connect_timeout_s=1)


async def test_an_answer_without_an_end_is_not_taken_for_the_page() -> None:
    async def chat(_: web.Request) -> web.Response:
        message = {"role": "assistant", "content": "the the the the"}
        return web.json_response({"model": "m", "message": message, "done": True, "done_reason": "length"})

    async with _serving(chat) as url:
        with pytest.raises(ModelFailed, match="did not come to the end"):
            await _read(url, "qwen2.5vl")


@pytest.mark.parametrize("body", [b"not json", b"null", b'{"message": 3}'])
async def test_a_server_that_is_not_ollama_fails_in_words(body: bytes) -> None:
    async def chat(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with _serving(chat) as url:
        with pytest.raises(ModelFailed, match="not its protocol"):
            await _read(url, "qwen2.5vl")


@asynccontextmanager
async def _serving(handler: Handler) -> AsyncIterator[str]:
    """The address of a server that answers every path with `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
