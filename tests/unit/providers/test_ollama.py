"""The Ollama provider against a server that speaks Ollama's protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import ollama
import pytest
from aiohttp import web

from pipelines.domain import Message, Usage
from pipelines.errors import Busy, ContextTooLong, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import ChatDelta, Finish, GenerateOptions, TextDelta
from pipelines.providers.ollama import VENDOR_ERRORS, OllamaProvider, translated
from tests.models import ModelServer, running_model_server

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ASK = [Message("user", "How much leave do I have?")]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


@pytest.fixture
async def provider(server: ModelServer) -> AsyncIterator[OllamaProvider]:
    provider = OllamaProvider(server.url)
    yield provider
    await provider.close()


async def _all(provider: OllamaProvider, model: str, **options: Any) -> list[ChatDelta]:
    return [delta async for delta in provider.stream(model, ASK, options=GenerateOptions(**options))]


async def test_reports_what_ollama_counted(provider: OllamaProvider) -> None:
    *texts, finish = await _all(provider, "mock-ttft0-itl0-len5")
    assert texts == [TextDelta(text) for text in ("According", " to", " the", " documents", " [1]")]
    assert finish == Finish("stop", Usage(prompt_tokens=6, completion_tokens=5))


async def test_passes_options_on_and_asks_for_no_reasoning(provider: OllamaProvider, server: ModelServer) -> None:
    finish = (await _all(provider, "mock-ttft0-itl0-len50", temperature=0.2, max_tokens=3))[-1]
    assert finish == Finish("length", Usage(prompt_tokens=6, completion_tokens=3))
    request = server.stats.last_request
    assert request is not None
    assert request["options"] == {"temperature": 0.2, "num_predict": 3}
    assert request["think"] is False


async def test_asks_for_as_much_room_as_it_is_set_to(server: ModelServer) -> None:
    provider = OllamaProvider(server.url, context_tokens=8192)
    await _all(provider, "mock-ttft0-itl0-len5")
    assert (server.stats.last_request or {})["options"] == {"num_ctx": 8192}
    assert await provider.context_tokens("mock-ttft0-itl0-len5") == 8192
    await provider.close()


@pytest.mark.parametrize("model", ["mock-ttft0-itl10-len500", "mock-ttft0-itl0-len9-hang1"])
async def test_closing_stops_the_model_at_once(provider: OllamaProvider, server: ModelServer, model: str) -> None:
    async with aclosing(provider.stream(model, ASK, options=GenerateOptions())) as deltas:
        await anext(deltas)
    await asyncio.sleep(0.15)
    assert (server.stats.cancelled, server.stats.active) == (1, 0)


async def test_cancelling_a_silent_call_stops_the_model_at_once(provider: OllamaProvider, server: ModelServer) -> None:
    waiting = asyncio.create_task(_all(provider, "mock-ttft5000-itl0-len5"))
    async with asyncio.timeout(5):
        while not server.stats.active:  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(0.005)
    waiting.cancel()
    await asyncio.sleep(0.15)
    assert (server.stats.cancelled, server.stats.active) == (1, 0)


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        ("llama3.2", UnknownModel, "ollama pull llama3.2"),
        ("mock-ttft0-itl0-len5-busy", Busy, "busy"),
        ("mock-ttft0-itl0-len5-err", ModelFailed, "llama runner process has terminated"),
        ("mock-ttft0-itl0-len9-err5", ModelFailed, "an error was encountered"),
        ("mock-ttft0-itl1-len9-fail5", ModelFailed, "broke"),
        ("mock-ttft0-itl1-len9-fail0", ModelFailed, "broke"),
    ],
)
async def test_translates_what_ollama_says(
    provider: OllamaProvider, model: str, error: type[RaglineError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        await _all(provider, model)
    assert isinstance(raised.value.__cause__, VENDOR_ERRORS)
    if error is Busy:
        assert raised.value.retry_after


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (ollama.ResponseError("gone", 404), UnknownModel),
        (ollama.ResponseError("slow down", 429), Busy),
        (ollama.ResponseError("server busy", 503), Busy),
        (ollama.ResponseError("unauthorized", 401), ModelUnavailable),
        (ollama.ResponseError("the input length exceeds the context length", 400), ContextTooLong),
        (
            ollama.ResponseError("request (9000 tokens) exceeds the available context size (8192 tokens)"),
            ContextTooLong,
        ),
        (ollama.ResponseError("in the middle of the stream"), ModelFailed),
        (ConnectionError("the client's own"), ModelUnavailable),
        (httpx.ConnectError("refused"), ModelUnavailable),
        (httpx.ConnectTimeout("no route"), ModelUnavailable),
        (httpx.ReadError("reset"), ModelFailed),
        (httpx.RemoteProtocolError("incomplete chunked read"), ModelFailed),
        (json.JSONDecodeError("not JSON", "", 0), ModelFailed),
        (AttributeError("a line that is not an object"), ModelFailed),
    ],
)
def test_maps_every_vendor_error_it_claims_to(raised: Exception, error: type[RaglineError]) -> None:
    assert isinstance(raised, VENDOR_ERRORS)
    assert type(translated(raised, "llama3.2", "http://127.0.0.1:1")) is error


async def test_says_where_it_looked_when_nothing_answers() -> None:
    provider = OllamaProvider("http://127.0.0.1:9", connect_timeout_s=1)
    for call in (provider.check(), provider.models(), _all(provider, "llama3.2")):
        with pytest.raises(ModelUnavailable, match=r"http://127\.0\.0\.1:9.*OLLAMA_BASE_URL"):
            await call


@pytest.mark.parametrize(
    "body",
    [
        b"not json\n",
        b"null\n",
        b'"text"\n',
        b'{"message": 3}\n',
        b'{"message":{"role":"a","content":"x"}}\n',
        b"\xff\n",
    ],
)
async def test_a_server_that_is_not_ollama_fails_in_words(body: bytes) -> None:
    async def chat(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with _asking(chat) as provider:
        with pytest.raises(ModelFailed):
            await _all(provider, "llama3.2")


async def test_does_not_offer_models_that_only_embed() -> None:
    async def tags(_: web.Request) -> web.Response:
        details = {"family": "nomic-bert", "families": ["nomic-bert"]}
        models = [
            {"model": "nomic-embed-text", "details": details},
            {"model": "llama3.2", "details": {"family": "llama"}},
        ]
        return web.json_response({"models": models})

    async with _asking(tags) as provider:
        assert await provider.models() == ["llama3.2"]


async def test_a_check_of_a_server_that_never_answers_ends() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with _asking(silent, connect_timeout_s=0.1) as provider:
        with pytest.raises(ModelUnavailable):
            await provider.check()


@asynccontextmanager
async def _asking(handler: Handler, **settings: Any) -> AsyncIterator[OllamaProvider]:
    """A provider whose server answers every path with `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider = OllamaProvider(f"http://127.0.0.1:{runner.addresses[0][1]}", **settings)
    try:
        yield provider
    finally:
        await provider.close()
        await runner.cleanup()
