"""Renders `AnswerEvent`s for who reads them: Open WebUI and other OpenAI clients, or a measuring client.

Two renderings of one stream. The event types written here are a closed set: no text of a document or of a model
can choose one, because text is only ever a JSON string inside a line made here.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from pipelines.answer.sources import to_source
from pipelines.domain import (
    AnswerEvent,
    Citation,
    CitationsEvent,
    DoneEvent,
    ErrorEvent,
    StatusEvent,
    TokenEvent,
)

END = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every event of one answer carries."""

    request_id: str
    model: str
    session_id: str = ""
    replica_id: str = ""


class Renderer(ABC):
    """Turns one answer's events into the bytes of one wire format."""

    @abstractmethod
    def begin(self) -> bytes:
        """What stands before the first event."""

    @abstractmethod
    def render(self, event: AnswerEvent) -> bytes:
        """One event; empty where this format leaves it out."""


async def rendered(events: AsyncGenerator[AnswerEvent, None], renderer: Renderer) -> AsyncGenerator[bytes, None]:
    """Yield an answer's bytes as its events come; nothing before the first, so that errors until then have a status."""
    head = renderer.begin()
    async with aclosing(events):
        async for event in events:
            if piece := head + renderer.render(event):
                yield piece
            head = b""


class OpenAIRenderer(Renderer):
    """OpenAI's chat completion chunks as server-sent events, with Open WebUI's `event` lines between them.

    A failed answer ends in an `error` line and no `[DONE]`, so that no client takes it for a whole one.
    """

    def __init__(self, envelope: Envelope) -> None:
        head = {
            "id": f"chatcmpl-{envelope.request_id}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": envelope.model,
        }
        # Most events are tokens: what surrounds their text is the same for all of them.
        self._head = b"data: " + _json(head)[:-1] + b","
        self._token_head = self._head + b'"choices":[{"index":0,"delta":{"content":'
        self._token_tail = b'},"finish_reason":null}]}\n\n'

    def begin(self) -> bytes:
        delta = b'{"role":"assistant","content":""}'
        return self._head + b'"choices":[{"index":0,"delta":' + delta + b',"finish_reason":null}]}\n\n'

    def render(self, event: AnswerEvent) -> bytes:
        match event:
            case TokenEvent(text):
                return self._token_head + _json(text) + self._token_tail
            case StatusEvent(description, done):
                return _status(description, done)
            case CitationsEvent(citations):
                events = ({"event": {"type": "source", "data": to_source(citation)}} for citation in citations)
                return b"".join(_line(event) for event in events)
            case DoneEvent():
                stop = self._head + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
                return stop + self._head + b'"choices":[],"usage":' + _json(usage_of(event)) + b"}\n\n" + END
            case ErrorEvent(message, code):
                error = {"error": {"message": message, "code": code, "type": "server_error"}}
                return _status("Stopped", done=True) + _line(error)


class MeasuredRenderer(Renderer):
    """The measurement form: `meta`, then `token` for each piece, then `done` or `error`."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._identity = {
            "session_id": envelope.session_id,
            "request_id": envelope.request_id,
            "replica_id": envelope.replica_id,
        }
        self._citations: tuple[Citation, ...] = ()
        self._pieces = 0

    def begin(self) -> bytes:
        return _event("meta", {**self._identity, "model_id": self._envelope.model})

    def render(self, event: AnswerEvent) -> bytes:
        match event:
            case TokenEvent(text):
                self._pieces += 1
                return _event("token", {"text": text})
            case CitationsEvent(citations):
                self._citations = tuple(citations)
                return b""
            case StatusEvent():
                return b""
            case DoneEvent():
                return _event("done", {**self._identity, **self._measures(event)})
            case ErrorEvent(message, code):
                return _event("error", {**self._identity, "error": {"message": message, "code": code}})

    def _measures(self, done: DoneEvent) -> dict[str, Any]:
        usage = usage_of(done)
        return {
            "model_id": done.model or self._envelope.model,
            "k": sum(len(citation.passages) for citation in self._citations),
            "documents": [_document(citation) for citation in self._citations],
            "timings": usage.pop("timings"),
            "token_count": done.usage.completion_tokens if done.usage else self._pieces,
            "tokens_per_sec": tokens_per_second(done),
            "usage": usage,
            "cost_usd": done.cost_usd,
        }


def completion(text: str, done: DoneEvent, citations: tuple[Citation, ...], envelope: Envelope) -> dict[str, Any]:
    """A whole answer as one OpenAI chat completion; `sources` beside it is Open WebUI's shape."""
    return {
        "id": f"chatcmpl-{envelope.request_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": envelope.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": usage_of(done),
        "sources": [to_source(citation) for citation in citations],
    }


def measure_headers(done: DoneEvent, envelope: Envelope) -> dict[str, str]:
    """The figures of an answer that was not streamed, as headers; those that are not known are left out."""
    figures = {
        "X-Request-Id": envelope.request_id,
        "X-TTFT-MS": done.timings.ttft_ms,
        "X-Tokens-Per-Second": tokens_per_second(done),
        "X-Cost-Per-1K-USD": cost_per_1k(done),
    }
    return {name: str(value) for name, value in figures.items() if value is not None}


def usage_of(done: DoneEvent) -> dict[str, Any]:
    """OpenAI's `usage`, with who answered, what it cost and where the time went."""
    usage: dict[str, Any] = {}
    if done.usage:
        usage = {
            "prompt_tokens": done.usage.prompt_tokens,
            "completion_tokens": done.usage.completion_tokens,
            "total_tokens": done.usage.total_tokens,
            "estimated": done.usage.estimated,
        }
    if done.cost_usd is not None:
        usage["cost_usd"] = done.cost_usd
    timings = {name: value for name, value in asdict(done.timings).items() if value is not None}
    return {**usage, "answered_by": done.model, "timings": timings}


def tokens_per_second(done: DoneEvent) -> float | None:
    """Completion tokens over the time the model wrote, first token to last."""
    total, ttft = done.timings.total_ms, done.timings.ttft_ms
    if not done.usage or total is None or ttft is None or total <= ttft:
        return None
    return round(done.usage.completion_tokens / (total - ttft) * 1000, 2)


def cost_per_1k(done: DoneEvent) -> float | None:
    """US dollars per 1,000 tokens of this answer."""
    if done.cost_usd is None or not done.usage or not done.usage.total_tokens:
        return None
    return round(done.cost_usd / done.usage.total_tokens * 1000, 8)


def _document(citation: Citation) -> dict[str, Any]:
    return {
        "number": citation.number,
        "document_id": citation.document_id,
        "page": citation.page,
        "name": citation.name,
    }


def _json(value: object) -> bytes:
    return orjson.dumps(value)


def _status(description: str, done: bool) -> bytes:
    return _line({"event": {"type": "status", "data": {"description": description, "done": done}}})


def _line(value: object) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _event(name: str, value: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _json(value) + b"\n\n"
