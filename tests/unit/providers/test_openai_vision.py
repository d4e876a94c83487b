"""How a server of OpenAI's protocol is asked for the text of a page, and what its errors mean."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.openai_vision import OpenAICompatibleVision
from pipelines.providers.page_prompt import MAX_TOKENS, PROMPT
from tests.models import ModelServer, running_model_server
from tests.models.pages import page_png


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


async def _read(url: str, model: str = "m", image: bytes = b"any", timeout_s: float = 10, api_key: str = "") -> str:
    vision = OpenAICompatibleVision(f"{url}/v1", model, parallel=2, timeout_s=timeout_s, api_key=api_key)
    try:
        return await asyncio.to_thread(vision.read_page, image)
    finally:
        vision.close()


async def test_sends_the_page_as_a_data_address_beside_the_prompt(server: ModelServer) -> None:
    image = page_png("# Scope")
    assert await _read(server.url, "mock-vision-page0", image) == "# Scope"
    request = server.stats.last_request or {}
    assert (request["temperature"], request["max_tokens"]) == (0, MAX_TOKENS)
    (message,) = request["messages"]
    assert message["content"] == [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64encode(image).decode()}"}},
    ]


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        ("qwen2.5vl", UnknownModel, "does not have the model qwen2.5vl"),
        ("mock-vision-page0-busy", Busy, "busy"),
        ("mock-vision-page0-err", ModelFailed, "llama runner process has terminated"),
        ("mock-vision-page0-fail", ModelFailed, "broke"),
    ],
)
async def test_translates_what_the_server_says(
    server: ModelServer, model: str, error: type[RaglineError], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        await _read(server.url, model)
    if error is Busy:
        assert raised.value.retry_after == 7


async def test_names_the_setting_when_the_key_is_refused(server: ModelServer) -> None:
    with pytest.raises(ModelUnavailable, match="OPENAI_API_KEY"):
        await _read(server.url, "mock-vision-page0", api_key="wrong")


async def test_a_page_that_takes_too_long_is_let_go(server: ModelServer) -> None:
    with pytest.raises(DeadlineExceeded, match=r"took more than 0\.1 s"):
        await _read(server.url, "mock-vision-page5000", timeout_s=0.1)


async def test_says_where_it_looked_when_nothing_answers() -> None:
    with pytest.raises(ModelUnavailable, match=r"http://127\.0\.0\.1:9/v1.*OPENAI_BASE_URL"):
        await _read("http://127.0.0.1:9")


def _answer(finish_reason: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "the the"}, "finish_reason": finish_reason}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (_answer("length"), "did not come to the end"),
        (_answer("content_filter"), "withheld"),
        (_answer("stop") | {"choices": []}, "not OpenAI's protocol"),
        ({}, "not OpenAI's protocol"),
        ("text", "not OpenAI's protocol"),
    ],
)
async def test_an_answer_that_is_not_a_whole_page_is_not_taken_for_one(body: object, says: str) -> None:
    async with _serving(body) as url:
        with pytest.raises(ModelFailed, match=says):
            await _read(url)


@asynccontextmanager
async def _serving(body: object) -> AsyncIterator[str]:
    """The address of a server that answers everything with `body`."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
