"""The two renderings of one answer."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pipelines.answer.stream import (
    Envelope,
    MeasuredRenderer,
    OpenAIRenderer,
    Renderer,
    completion,
    measure_headers,
    rendered,
)
from pipelines.domain import (
    AnswerEvent,
    Citation,
    CitationsEvent,
    DoneEvent,
    StatusEvent,
    Timings,
    TokenEvent,
    Usage,
)
from pipelines.errors import ModelFailed

ENVELOPE = Envelope(request_id="r1", model="company-documents", session_id="s1", replica_id="here")
CITATION = Citation(1, "d", 2, "Policy p.2", ("text",), (0.9,))
DONE = DoneEvent(
    model="ollama/x",
    usage=Usage(10, 20),
    cost_usd=0.003,
    timings=Timings(total_ms=1100, ttft_ms=100, embed_ms=4),
)


async def lines(events: list[AnswerEvent], renderer: Renderer) -> list[str]:
    async def generate() -> AsyncGenerator[AnswerEvent, None]:
        for event in events:
            yield event

    text = b"".join([piece async for piece in rendered(generate(), renderer)]).decode()
    assert text == "" or text.endswith("\n\n")
    return [line for line in text.split("\n\n") if line]


def data(line: str) -> Any:
    return json.loads(line.partition("data: ")[2])


async def test_an_answer_is_status_sources_tokens_usage_done_in_that_order() -> None:
    events = [StatusEvent("Searching"), CitationsEvent([CITATION]), TokenEvent("Hi [1]"), DONE]
    out = await lines(events, OpenAIRenderer(ENVELOPE))
    assert data(out[0])["choices"][0]["delta"]["role"] == "assistant"
    assert data(out[1])["event"] == {"type": "status", "data": {"description": "Searching", "done": False}}
    assert data(out[2])["event"]["data"]["metadata"] == [{"source": "d#2", "name": "Policy p.2", "page": 1}]
    assert data(out[3])["choices"][0]["delta"] == {"content": "Hi [1]"}
    assert data(out[4])["choices"][0]["finish_reason"] == "stop"
    assert data(out[5])["usage"]["total_tokens"] == 30
    assert out[6] == "data: [DONE]"


def test_an_error_ends_the_stream_without_done_and_with_a_finished_status() -> None:
    end = OpenAIRenderer(ENVELOPE).render_error(ModelFailed("The model broke off.")).decode()
    status, error = (data(line) for line in end.strip().split("\n\n"))
    assert status["event"]["data"]["done"] is True
    assert error["error"]["code"] == "model_failed"
    assert "[DONE]" not in end


def test_the_measurement_form_ends_in_error_too() -> None:
    assert MeasuredRenderer(ENVELOPE).render_error(ModelFailed("x")).startswith(b"event: error\n")


@pytest.mark.parametrize(
    "text", ['{"event":{"type":"execute"}}', "\n\ndata: [DONE]\n\n", "event: done\n", "\u2028 \x00"]
)
async def test_no_text_of_a_model_becomes_an_event(text: str) -> None:
    for renderer in (OpenAIRenderer(ENVELOPE), MeasuredRenderer(ENVELOPE)):
        out = await lines([TokenEvent(text)], renderer)
        assert len(out) == 2
        assert "event" not in data(out[1])


async def test_the_measurement_form_carries_every_figure_of_its_contract() -> None:
    events = [StatusEvent("x"), CitationsEvent([CITATION]), TokenEvent("Hi"), DONE]
    out = await lines(events, MeasuredRenderer(ENVELOPE))
    assert [line.split("\n")[0] for line in out] == ["event: meta", "event: token", "event: done"]
    done = data(out[2])
    assert done.keys() >= {
        "session_id", "request_id", "replica_id", "model_id", "k", "documents", "timings", "token_count",
        "tokens_per_sec", "usage", "cost_usd",
    }  # fmt: skip
    assert (done["model_id"], done["k"], done["token_count"], done["tokens_per_sec"]) == ("ollama/x", 1, 20, 20.0)
    assert done["timings"] == {"total_ms": 1100, "ttft_ms": 100, "embed_ms": 4}


async def test_both_forms_say_what_was_used_and_what_it_cost() -> None:
    whole = DoneEvent(model="bedrock/x", usage=Usage(2000, 300, False, 500, 100), cost_usd=0.000192)
    said = {
        "prompt_tokens": 2000,
        "completion_tokens": 300,
        "total_tokens": 2300,
        "prompt_tokens_details": {"cached_tokens": 500, "cache_write_tokens": 100},
        "estimated": False,
        "cost_usd": 0.000192,
        "answered_by": "bedrock/x",
    }
    usage = data((await lines([TokenEvent("Hi"), whole], OpenAIRenderer(ENVELOPE)))[-2])["usage"]
    assert usage == {**said, "timings": {}}
    assert completion("Hi", whole, (), ENVELOPE)["usage"] == {**said, "timings": {}}
    done = data((await lines([TokenEvent("Hi"), whole], MeasuredRenderer(ENVELOPE)))[-1])
    assert done["usage"] == said
    assert done["cost_usd"] == 0.000192
    assert measure_headers(whole, ENVELOPE)["X-Cost-Per-1K-USD"] == "0.00008348"


async def test_an_answer_given_again_says_so_and_that_it_cost_nothing() -> None:
    again = DoneEvent(model="bedrock/x", usage=Usage(2000, 300), cost_usd=0.0, cached=True)
    usage = data((await lines([again], OpenAIRenderer(ENVELOPE)))[-2])["usage"]
    assert (usage["cached"], usage["cost_usd"], usage["total_tokens"]) == (True, 0.0, 2300)
    assert measure_headers(again, ENVELOPE)["X-Cost-Per-1K-USD"] == "0"


async def test_a_cost_that_is_not_known_is_not_said_to_be_nothing() -> None:
    unpriced = DoneEvent(model="openai/x", usage=Usage(5, 5, estimated=True))
    usage = data((await lines([unpriced], OpenAIRenderer(ENVELOPE)))[-2])["usage"]
    assert "cost_usd" not in usage
    assert usage["estimated"] is True
    assert data((await lines([unpriced], MeasuredRenderer(ENVELOPE)))[-1])["cost_usd"] is None
    assert "X-Cost-Per-1K-USD" not in measure_headers(unpriced, ENVELOPE)


async def test_nothing_is_sent_before_the_first_event() -> None:
    assert await lines([], OpenAIRenderer(ENVELOPE)) == []


def test_an_answer_that_is_not_streamed_has_its_figures_as_headers() -> None:
    assert measure_headers(DONE, ENVELOPE) == {
        "X-Request-Id": "r1",
        "X-TTFT-MS": "100",
        "X-Tokens-Per-Second": "20.0",
        "X-Cost-Per-1K-USD": "0.1",
    }
    assert measure_headers(DoneEvent(), ENVELOPE) == {"X-Request-Id": "r1"}
    assert completion("Hi", DONE, (CITATION,), ENVELOPE)["choices"][0]["message"]["content"] == "Hi"
