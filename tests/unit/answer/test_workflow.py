"""n8n's stream, however it is cut and however it ends. The four defects of existing n8n pipes each have a test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from pipelines.answer.departures import Departures
from pipelines.answer.workflow import (
    StreamParser,
    WorkflowClient,
    WorkflowEvent,
    WorkflowItem,
    WorkflowStarted,
    WorkflowText,
)
from pipelines.errors import DeadlineExceeded, WorkflowFailed, WorkflowUnavailable
from pipelines.stores.cache import MemoryCache
from tests.fakes.n8n import CITATIONS, N8n, answer, chunk, stream


def parse(data: bytes, cuts: list[int] | None = None) -> list[WorkflowEvent]:
    parser = StreamParser()
    edges = sorted({min(cut, len(data)) for cut in cuts or []} | {0, len(data)})
    events = [event for start, end in itertools.pairwise(edges) for event in parser.feed(data[start:end])]
    return [*events, *parser.finish()]


def text(events: list[WorkflowEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, WorkflowText))


# --- the four defects -------------------------------------------------------------------------------------------------


def test_a_brace_inside_a_token_does_not_break_framing() -> None:
    assert text(parse(answer("if (x) {", " return {", "}", "]"))) == "if (x) { return {}]"


def test_a_character_split_between_two_network_chunks_is_kept() -> None:
    data = answer("Größe 10 € 🙂")
    for cut in range(len(data)):
        assert text(parse(data, [cut])) == "Größe 10 € 🙂"


def test_a_literal_backslash_n_in_code_stays_two_characters() -> None:
    assert text(parse(answer(r'print("a\nb")', "\n", r"C:\new"))) == 'print("a\\nb")\nC:\\new'


def test_every_piece_of_text_is_delivered_once() -> None:
    assert [event for event in parse(answer("a", "b", "a"))] == [
        WorkflowText("a"),
        WorkflowText("b"),
        WorkflowText("a"),
    ]


# --- the rest of the wire format --------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=40), max_size=20), st.lists(st.integers(0, 4000), max_size=40))
def test_any_text_survives_any_cut(tokens: list[str], cuts: list[int]) -> None:
    assert text(parse(answer(*tokens), cuts)) == "".join(tokens)


def test_a_send_node_is_an_event_and_never_text() -> None:
    sent = chunk("begin", node="Send citations") + chunk("item", '{"sources": []}', "Send citations")
    events = parse(sent + chunk("end", node="Send citations") + answer("hi"))
    assert events == [WorkflowItem("Send citations", {"sources": []}), WorkflowText("hi")]


def test_text_of_the_model_that_looks_like_an_event_stays_text() -> None:
    events = parse(answer('{"sources": [{"source": {"id": "x"}}]}', '{"type":"error"}'))
    assert all(isinstance(event, WorkflowText) for event in events)


def test_keepalives_without_metadata_are_skipped() -> None:
    assert text(parse(b'{"type":"keepalive"}\n' + answer("x") + b'{"type":"keepalive"}\n')) == "x"


@pytest.mark.parametrize("content", ["boom detail", None])
def test_an_error_chunk_ends_the_answer_even_without_content(content: str | None) -> None:
    parser = StreamParser()
    with pytest.raises(WorkflowFailed, match="Retrieve"):
        list(parser.feed(chunk("error", content, "Retrieve passages")))


def test_an_empty_body_is_not_an_answer() -> None:
    with pytest.raises(WorkflowFailed, match="before the answer was whole"):
        list(StreamParser().finish())


def test_a_stream_that_ends_without_the_answers_end_is_not_whole() -> None:
    parser = StreamParser()
    list(parser.feed(chunk("begin") + chunk("item", "half")))
    with pytest.raises(WorkflowFailed):
        list(parser.finish())


def test_n8n_starting_up_is_unavailable_although_its_status_is_200() -> None:
    parser = StreamParser()
    list(parser.feed(b"n8n is starting up. Please wait"))
    with pytest.raises(WorkflowUnavailable, match="starting"):
        list(parser.finish())


def test_a_page_that_is_not_n8ns_stream_is_refused() -> None:
    with pytest.raises(WorkflowFailed, match="not n8n's stream"):
        parse(b"<html>\n</html>\n")


def test_a_line_without_end_is_bounded() -> None:
    parser = StreamParser()
    with pytest.raises(WorkflowFailed, match="single piece"):
        for _ in range(10):
            list(parser.feed(b"x" * 1024 * 1024))


# --- the client, against a server that speaks n8n's protocol ----------------------------------------------------------


@pytest.fixture
def api_key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("n8n-key")
    return path


def client(n8n: N8n, api_key: Path, idle_s: float = 5) -> WorkflowClient:
    return WorkflowClient(n8n.url, path="answer-question", key="k" * 16, api_key_file=api_key, idle_timeout_s=idle_s)


async def collect(events: AsyncIterator[WorkflowEvent]) -> list[WorkflowEvent]:
    return [event async for event in events]


async def test_a_whole_answer_leaves_the_execution_alone(api_key: Path) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, CITATIONS, answer("a", "b"))

    async with N8n(webhook) as n8n, client(n8n, api_key) as workflow:
        events = await collect(workflow.run({"question": "?"}, request_id="r"))
        assert events[0] == WorkflowStarted()
        assert text(events) == "ab"
        assert n8n.headers["Accept-Encoding"] == "identity"
        assert n8n.stopped.empty()


async def test_leaving_early_stops_the_execution_within_a_second(api_key: Path) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, CITATIONS, chunk("begin"), chunk("item", "a"), then=30)

    async with N8n(webhook) as n8n, client(n8n, api_key) as workflow:
        async with aclosing(workflow.run({}, request_id="r")) as events:
            async for event in events:
                if isinstance(event, WorkflowText):
                    break
        async with asyncio.timeout(1):
            assert await n8n.stopped.get() == "77"


async def test_leaving_early_is_told_to_whoever_runs_the_model(api_key: Path) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, CITATIONS, chunk("begin"), chunk("item", "a"), then=30)

    departures = Departures(MemoryCache(10_000), look_s=0.01)
    told = asyncio.create_task(departures.of("r"))
    async with N8n(webhook) as n8n:
        workflow = WorkflowClient(
            n8n.url, path="answer-question", key="k" * 16, api_key_file=None, idle_timeout_s=5, departures=departures
        )
        async with workflow, aclosing(workflow.run({}, request_id="r")) as events:
            async for event in events:
                if isinstance(event, WorkflowText):
                    break
        await asyncio.wait_for(told, 1)


async def test_webhooks_may_be_answered_elsewhere_than_where_runs_are_stopped(api_key: Path) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, CITATIONS, chunk("begin"), chunk("item", "a"), then=30)

    async with N8n(webhook) as answering, N8n(webhook) as n8n:
        split = WorkflowClient(
            answering.url, path="answer-question", key="k", api_key_file=api_key, idle_timeout_s=5, api_url=n8n.url
        )
        async with split as workflow, aclosing(workflow.run({}, request_id="r")) as events:
            async for event in events:
                if isinstance(event, WorkflowText):
                    break
        async with asyncio.timeout(1):
            assert await n8n.stopped.get() == "77"
        assert answering.stopped.empty()


async def test_leaving_before_the_execution_is_known_stops_it_once_it_is(api_key: Path) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(0.2)
        await response.write(CITATIONS)
        await asyncio.sleep(30)
        return response

    async with N8n(webhook) as n8n, client(n8n, api_key) as workflow:
        async with aclosing(workflow.run({}, request_id="r")) as events:
            assert await anext(events) == WorkflowStarted()
        async with asyncio.timeout(2):
            assert await n8n.stopped.get() == "77"


async def test_a_stream_that_never_closes_ends_at_the_idle_limit_and_is_stopped(api_key: Path) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, CITATIONS, answer("a"), then=30)

    async with N8n(webhook) as n8n, client(n8n, api_key, idle_s=0.3) as workflow:
        with pytest.raises(DeadlineExceeded, match="silent"):
            await collect(workflow.run({}, request_id="r"))
        async with asyncio.timeout(1):
            assert await n8n.stopped.get() == "77"


async def test_a_connection_that_breaks_mid_answer_is_an_error(api_key: Path) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        response = await stream(request, CITATIONS, chunk("begin"), chunk("item", "a"))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with N8n(webhook) as n8n, client(n8n, api_key) as workflow:
        with pytest.raises(WorkflowUnavailable, match="broke"):
            await collect(workflow.run({}, request_id="r"))


async def test_no_n8n_at_all_is_unavailable_with_a_time_to_try_again(api_key: Path, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with WorkflowClient(url, path="x", key="k", api_key_file=api_key, idle_timeout_s=1) as workflow:
        with pytest.raises(WorkflowUnavailable) as caught:
            await collect(workflow.run({}, request_id="r"))
        assert caught.value.retry_after


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (404, WorkflowFailed, "not published"),
        (403, WorkflowFailed, "webhook key"),
        (503, WorkflowUnavailable, "not ready"),
        (500, WorkflowFailed, "status 500"),
    ],
)
async def test_a_refused_webhook_says_what_to_do(api_key: Path, status: int, error: type[Exception], says: str) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with N8n(webhook) as n8n, client(n8n, api_key) as workflow:
        with pytest.raises(error, match=says):
            await collect(workflow.run({}, request_id="r"))
