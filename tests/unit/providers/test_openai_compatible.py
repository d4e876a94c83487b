"""The OpenAI-compatible provider against a server that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx2
import openai
import psutil
import pytest
from aiohttp import web

from pipelines.domain import Message, Usage
from pipelines.errors import Busy, ContextTooLong, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import ChatDelta, Finish, GenerateOptions, TextDelta
from pipelines.providers.openai_compatible import VENDOR_ERRORS, OpenAICompatibleProvider, translated
from tests.models import ModelServer, running_model_server

ASK = [Message("user", "How much leave do I have?")]
REQUEST = httpx2.Request("POST", "http://127.0.0.1:1/v1/chat/completions")


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


@pytest.fixture
async def provider(server: ModelServer) -> AsyncIterator[OpenAICompatibleProvider]:
    provider = OpenAICompatibleProvider(f"{server.url}/v1")
    yield provider
    await provider.close()


async def _all(provider: OpenAICompatibleProvider, model: str, **options: Any) -> list[ChatDelta]:
    return [delta async for delta in provider.stream(model, ASK, options=GenerateOptions(**options))]


async def test_reports_what_the_server_counted(provider: OpenAICompatibleProvider) -> None:
    *texts, finish = await _all(provider, "mock-ttft0-itl0-len5")
    assert texts == [TextDelta(text) for text in ("According", " to", " the", " documents", " [1]")]
    assert finish == Finish("stop", Usage(prompt_tokens=6, completion_tokens=5))


async def test_passes_options_on_and_sends_none_of_its_own(
    provider: OpenAICompatibleProvider, server: ModelServer
) -> None:
    finish = (await _all(provider, "mock-ttft0-itl0-len50", max_tokens=3))[-1]
    assert finish == Finish("length", Usage(prompt_tokens=6, completion_tokens=3))
    request = server.stats.last_request
    assert request is not None
    assert request["max_tokens"] == 3
    assert "temperature" not in request


@pytest.mark.parametrize("model", ["mock-ttft0-itl10-len500", "mock-ttft0-itl0-len9-hang1"])
async def test_closing_stops_the_model_at_once(
    provider: OpenAICompatibleProvider, server: ModelServer, model: str
) -> None:
    async with aclosing(provider.stream(model, ASK, options=GenerateOptions())) as deltas:
        await anext(deltas)
    await asyncio.sleep(0.15)
    assert (server.stats.cancelled, server.stats.active) == (1, 0)


async def test_cancelling_a_silent_call_stops_the_model_at_once(
    provider: OpenAICompatibleProvider, server: ModelServer
) -> None:
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
        ("gpt", UnknownModel, "does not have the model gpt"),
        ("mock-ttft0-itl0-len5-busy", Busy, "busy"),
        ("mock-ttft0-itl0-len5-err", ModelFailed, "llama runner process has terminated"),
        ("mock-ttft0-itl1-len9-fail5", ModelFailed, "broke"),
    ],
)
async def test_translates_what_the_server_says(
    provider: OpenAICompatibleProvider, model: str, error: type[RaglineError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        await _all(provider, model)
    assert isinstance(raised.value.__cause__, VENDOR_ERRORS)


async def test_an_error_in_the_middle_is_said_as_the_server_says_it(provider: OpenAICompatibleProvider) -> None:
    with pytest.raises(ModelFailed, match="an error was encountered"):
        await _all(provider, "mock-ttft0-itl0-len9-err5")


async def test_a_line_separator_in_the_text_does_not_end_a_line(provider: OpenAICompatibleProvider) -> None:
    *texts, _ = await _all(provider, "mock-say0-One\u2028two\x85three")
    assert texts == [TextDelta("One\u2028two\x85three")]


async def test_the_connection_is_used_again_for_the_next_answer(
    provider: OpenAICompatibleProvider, server: ModelServer
) -> None:
    port = httpx2.URL(server.url).port
    used: set[int] = set()
    for _ in range(3):
        await _all(provider, "mock-ttft0-itl0-len5")
        found = psutil.Process().net_connections("tcp")
        used |= {line.laddr.port for line in found if line.raddr and line.raddr.port == port}
    assert len(used) == 1


async def test_passes_on_when_to_come_back(provider: OpenAICompatibleProvider) -> None:
    with pytest.raises(Busy) as raised:
        await _all(provider, "mock-ttft0-itl0-len5-busy")
    assert raised.value.retry_after == 7


async def test_names_the_setting_when_the_key_is_refused(server: ModelServer) -> None:
    provider = OpenAICompatibleProvider(f"{server.url}/v1", api_key="wrong")
    with pytest.raises(ModelUnavailable, match="OPENAI_API_KEY"):
        await _all(provider, "mock-ttft0-itl0-len5")
    await provider.close()


async def test_says_where_it_looked_when_nothing_answers() -> None:
    provider = OpenAICompatibleProvider("http://127.0.0.1:9/v1", connect_timeout_s=1)
    for call in (provider.check(), provider.models(), _all(provider, "any")):
        with pytest.raises(ModelUnavailable, match=r"http://127\.0\.0\.1:9/v1.*OPENAI_BASE_URL"):
            await call
    await provider.close()


@asynccontextmanager
async def _answering(chat: Sequence[object], listed: object = None) -> AsyncIterator[OpenAICompatibleProvider]:
    """A provider whose server sends these chunks to every chat, or the first of them as an error if it is one."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/v1/models":
            return (
                web.json_response({"object": "list", "data": listed}) if len(asked) == 1 else web.Response(status=500)
            )
        if isinstance(chat[0], dict) and "error" in chat[0]:
            return web.json_response(chat[0], status=400)
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chat)
        return web.Response(text=body + "data: [DONE]\n\n", content_type="text/event-stream")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider = OpenAICompatibleProvider(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    try:
        yield provider
    finally:
        await provider.close()
        await runner.cleanup()


async def test_says_what_was_withheld_and_what_came_from_the_cache() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    chunks: list[object] = [
        {"choices": [{"index": 0, "delta": {"content": "No."}, "finish_reason": "content_filter"}]},
        {"choices": [], "usage": usage | {"prompt_tokens_details": {"cached_tokens": 8}}},
    ]
    async with _answering(chunks) as provider:
        assert await _all(provider, "any") == [
            TextDelta("No."),
            Finish("filtered", Usage(9, 1, cache_read_tokens=8)),
        ]


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        ({"message": "Please shorten it.", "code": "context_length_exceeded", "type": "invalid_request_error"}, None),
        ({"message": "This model's maximum context length is 4096 tokens.", "code": 400}, 4096),
    ],
)
async def test_says_how_much_the_model_reads_when_the_prompt_is_too_long(error: object, limit: int | None) -> None:
    async with _answering([{"error": error}]) as provider:
        with pytest.raises(ContextTooLong) as raised:
            await _all(provider, "any")
        assert raised.value.limit_tokens == limit


async def test_knows_how_much_a_model_reads_where_the_server_says_it_and_asks_once() -> None:
    async with _answering([], [{"id": "llama", "max_model_len": 8192}, {"id": "other"}]) as provider:
        assert await provider.context_tokens("llama") == 8192
        assert await provider.context_tokens("other") is None
        assert await provider.context_tokens("llama") == 8192
    silent = OpenAICompatibleProvider("http://127.0.0.1:9/v1", connect_timeout_s=1)
    assert await silent.context_tokens("llama") is None
    await silent.close()


def _refusal(kind: type[openai.APIStatusError], status: int) -> openai.APIStatusError:
    return kind("refused", response=httpx2.Response(status, request=REQUEST), body=None)


@pytest.mark.parametrize(
    ("raised", "answering", "error"),
    [
        (_refusal(openai.NotFoundError, 404), False, UnknownModel),
        (_refusal(openai.RateLimitError, 429), False, Busy),
        (_refusal(openai.AuthenticationError, 401), False, ModelUnavailable),
        (_refusal(openai.PermissionDeniedError, 403), False, ModelUnavailable),
        (_refusal(openai.InternalServerError, 503), False, ModelUnavailable),
        (_refusal(openai.InternalServerError, 500), False, ModelFailed),
        (_refusal(openai.BadRequestError, 400), False, ModelFailed),
        (openai.APIConnectionError(request=REQUEST), False, ModelUnavailable),
        (openai.APITimeoutError(REQUEST), False, ModelUnavailable),
        (openai.APIConnectionError(request=REQUEST), True, ModelFailed),
        (openai.APIError("an error event", REQUEST, body=None), True, ModelFailed),
        (json.JSONDecodeError("not JSON", "", 0), True, ModelFailed),
    ],
)
def test_maps_every_vendor_error_it_claims_to(raised: Exception, answering: bool, error: type[RaglineError]) -> None:
    assert isinstance(raised, VENDOR_ERRORS)
    assert type(translated(raised, "any", "http://127.0.0.1:1/v1", answering=answering)) is error
