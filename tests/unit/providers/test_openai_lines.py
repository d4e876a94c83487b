"""OpenAI's stream as bytes that are cut anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from pipelines.domain import Usage
from pipelines.errors import ContextTooLong, ModelFailed
from pipelines.providers.base import Finish
from pipelines.providers.openai_lines import MAX_LINE_BYTES, ChatLines


def _chunk(text: str = "", reason: str | None = None) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": reason}]}, ensure_ascii=False)


USAGE = '{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}'
EVENTS = (_chunk("größe "), _chunk("€𝄞"), _chunk(reason="stop"), USAGE)
SSE = "".join(f"data: {event}\n\n" for event in (*EVENTS, "[DONE]"))
SSE_WITH_MORE = "".join(f": ping\r\nevent: chunk\r\nid: 1\r\ndata:{event}\r\n\r\n" for event in EVENTS)
JSON_LINES = "\n".join(EVENTS)


def _read(parts: Sequence[bytes]) -> tuple[str, Finish]:
    lines = ChatLines("SageMaker", "llama")
    texts = [delta.text for part in parts for delta in lines.text(part)]
    texts.extend(delta.text for delta in lines.end())
    return "".join(texts), lines.finish()


@pytest.mark.parametrize("stream", [SSE, SSE_WITH_MORE, JSON_LINES], ids=["events", "events with more", "lines"])
@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
def test_reads_events_and_lines_however_they_are_cut(stream: str, size: int) -> None:
    data = stream.encode()
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    assert _read(parts) == ("größe €𝄞", Finish("stop", Usage(9, 2, cache_read_tokens=4)))


@pytest.mark.parametrize(
    ("reason", "means"), [("length", "length"), ("content_filter", "filtered"), ("eos_token", "stop"), (None, "stop")]
)
def test_says_why_the_text_ended(reason: str | None, means: str) -> None:
    assert _read([f"data: {_chunk('x', reason)}\n\ndata: [DONE]\n\n".encode()])[1].reason == means


def test_a_stream_that_just_stops_is_not_an_answer() -> None:
    with pytest.raises(ModelFailed, match="broke off before the end of the answer of llama"):
        _read([f"data: {_chunk('x')}\n\n".encode()])


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "out of memory", "type": "Error", "code": 500}},
        {"object": "error", "message": "out of memory", "code": 500},
        {"error": "out of memory", "code": 424},
    ],
)
def test_an_error_in_the_stream_is_one_in_words(error: dict[str, object]) -> None:
    with pytest.raises(ModelFailed, match="out of memory"):
        _read([f"data: {json.dumps(error)}\n\n".encode()])


def test_an_error_that_says_the_prompt_is_too_long_is_one() -> None:
    said = {"error": {"message": "This model's maximum context length is 4096 tokens. However, you requested 9000."}}
    with pytest.raises(ContextTooLong) as raised:
        _read([json.dumps(said).encode()])
    assert raised.value.limit_tokens == 4096


@pytest.mark.parametrize(
    "line", [b"<html>", b"data: {", b"data: null", b"data: 3", b'data: {"choices": 3}', b"data: {}", b"\xff\xfe"]
)
def test_what_is_no_event_is_not_taken_for_one(line: bytes) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        _read([line + b"\n"])


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    with pytest.raises(ValueError, match="without an end"):
        _read([b"x" * (MAX_LINE_BYTES + 1)])
