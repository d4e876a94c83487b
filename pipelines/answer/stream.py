"""Renders `AnswerEvent`s for who reads them: Open WebUI and other OpenAI clients, or a measuring client.

Two renderings of one stream. The event types written here are a closed set: no text of a document or of a model
can choose one, because text is only ever a JSON string inside a line made here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from pipelines.answer.openai_format import (
    DONE,
    ChunkLines,
    completion_body,
    error_body,
    error_line,
    usage_body,
)
from pipelines.answer.sources import to_source
from pipelines.domain import (
    AnswerEvent,
    Citation,
    CitationsEvent,
    DoneEvent,
    StatusEvent,
    TokenEvent,
)
from pipelines.errors import RaglineError


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

    @abstractmethod
    def render_error(self, error: RaglineError) -> bytes:
        """What ends an answer that did not come out whole."""


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
        self._lines = ChunkLines(f"chatcmpl-{envelope.request_id}", envelope.model)

    def begin(self) -> bytes:
        return self._lines.role()

    def render(self, event: AnswerEvent) -> bytes:
        match event:
            case TokenEvent(text):
                return self._lines.text(text)
            case StatusEvent(description, done):
                return _status(description, done)
            case CitationsEvent(citations):
                return b"".join(_line({"event": {"type": "source", "data": to_source(each)}}) for each in citations)
            case DoneEvent():
                return self._lines.finish("stop") + self._lines.usage(usage_of(event)) + DONE

    def render_error(self, error: RaglineError) -> bytes:
        return _status("Stopped", done=True) + error_line(error)


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

    def render_error(self, error: RaglineError) -> bytes:
        return _event("error", {**self._identity, **error_body(error)})

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
    body = completion_body(f"chatcmpl-{envelope.request_id}", envelope.model, text, "stop", usage_of(done))
    return {**body, "sources": [to_source(citation) for citation in citations]}


def measure_headers(done: DoneEvent, envelope: Envelope) -> dict[str, str]:
    """The figures of an answer that was not streamed, as headers; those that are not known are left out."""
    figures = {
        "X-Request-Id": envelope.request_id,
        "X-TTFT-MS": done.timings.ttft_ms,
        "X-Tokens-Per-Second": tokens_per_second(done),
        "X-Cost-Per-1K-USD": _plain(cost_per_1k(done)),
    }
    return {name: str(value) for name, value in figures.items() if value is not None}


def usage_of(done: DoneEvent) -> dict[str, Any]:
    """OpenAI's `usage`, with who answered, what it cost and where the time went."""
    usage: dict[str, Any] = {}
    if done.usage:
        usage = {**usage_body(done.usage), "estimated": done.usage.estimated}
    if done.cost_usd is not None:
        usage["cost_usd"] = done.cost_usd
    if done.cached:
        usage["cached"] = True
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


def _plain(dollars: float | None) -> str | None:
    """Without an exponent, which a small amount would have and not every client reads."""
    return None if dollars is None else f"{dollars:.8f}".rstrip("0").rstrip(".")


def _document(citation: Citation) -> dict[str, Any]:
    return {
        "number": citation.number,
        "document_id": citation.document_id,
        "page": citation.page,
        "name": citation.name,
    }


def _status(description: str, done: bool) -> bytes:
    return _line({"event": {"type": "status", "data": {"description": description, "done": done}}})


def _line(value: object) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _event(name: str, value: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(value) + b"\n\n"
