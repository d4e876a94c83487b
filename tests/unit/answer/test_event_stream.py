"""Server-sent events over a real server: beginning, silence, errors, and readers that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from pipelines.answer.event_stream import EventStream, while_connected
from pipelines.error_responses import add_error_handlers
from pipelines.errors import Busy, ModelFailed, RaglineError
from tests.fakes.served import served

NO_EVENTS: tuple[bytes, ...] = ()

Events = Callable[[], AsyncGenerator[bytes, None]]


def _render(error: RaglineError) -> bytes:
    return f"data: error {error.code}\n\n".encode()


@asynccontextmanager
async def streaming(events: Events, *, keepalive_s: float = 15) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/")
    async def stream() -> Response:
        return EventStream(events(), render_error=_render, headers={"X-Request-Id": "r1"}, keepalive_s=keepalive_s)

    async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=5) as client:
        yield client


async def test_sends_each_event_as_it_comes() -> None:
    said = asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        yield b"data: one\n\n"
        await said.wait()
        yield b"data: two\n\n"

    async with streaming(events) as client, client.stream("GET", "/") as response:
        chunks = response.aiter_bytes()
        assert await anext(chunks) == b"data: one\n\n"
        said.set()
        assert await anext(chunks) == b"data: two\n\n"
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["x-request-id"] == "r1"


async def test_a_silent_line_is_kept_alive_and_begins_the_response() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0.25)
        yield b"data: late\n\n"

    async with streaming(events, keepalive_s=0.1) as client:
        assert (await client.get("/")).content == b": keepalive\n\n: keepalive\n\ndata: late\n\n"


async def test_an_error_before_the_first_event_is_answered_with_its_status() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        for event in NO_EVENTS:
            yield event
        raise Busy("Too many questions are waiting.", retry_after=3)

    async with streaming(events) as client:
        response = await client.get("/")
    assert (response.status_code, response.headers["retry-after"]) == (429, "3")
    assert response.json()["error"]["code"] == "busy"


@pytest.mark.parametrize("keepalive_s", [15, 0.05])
async def test_an_error_after_the_response_began_is_the_last_event(keepalive_s: float) -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        if keepalive_s > 1:
            yield b"data: one\n\n"
        await asyncio.sleep(0.08)
        raise ModelFailed("It broke off.")

    async with streaming(events, keepalive_s=keepalive_s) as client:
        response = await client.get("/")
    assert response.status_code == 200
    assert response.text.endswith("\n\ndata: error model_failed\n\n")


async def test_an_unforeseen_error_ends_the_stream_with_an_error_and_a_trace_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        yield b"data: one\n\n"
        raise ZeroDivisionError

    async with streaming(events) as client:
        response = await client.get("/")
    assert response.text.endswith("data: error internal_error\n\n")
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("speaks_first", [True, False])
async def test_a_reader_that_leaves_a_silent_stream_closes_it_at_once(speaks_first: bool) -> None:
    closed = asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            if speaks_first:
                yield b"data: one\n\n"
            await asyncio.sleep(60)
        finally:
            closed.set()

    async with streaming(events) as client:
        reading = asyncio.create_task(client.get("/"))
        await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.wait_for(closed.wait(), timeout=0.3)


async def test_no_events_are_an_empty_response() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        for event in NO_EVENTS:
            yield event

    async with streaming(events) as client:
        response = await client.get("/")
    assert (response.status_code, response.content) == (200, b"")


async def test_work_for_a_reader_that_leaves_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def work() -> dict[str, str]:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return {}

    app = FastAPI()
    add_error_handlers(app)

    @app.get("/")
    async def route(request: Request) -> Response:
        return JSONResponse(await while_connected(request.receive, work()))

    async with served(app) as url, httpx.AsyncClient(base_url=url) as client:
        reading = asyncio.create_task(client.get("/"))
        await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.wait_for(cancelled.wait(), timeout=0.3)
