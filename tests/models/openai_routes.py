"""OpenAI's protocol for the same scripts: `/v1/models` and `/v1/chat/completions`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from tests.models.embeddings import Embeddings, embedding_size
from tests.models.ollama_routes import BUSY, CRASHED, not_found
from tests.models.pages import reading
from tests.models.perform import perform, whole
from tests.models.runners import Runners
from tests.models.script import LISTED, Script, read_script, task_script
from tests.models.stats import Stats


@dataclass(slots=True)
class OpenAIRoutes:
    """OpenAI's routes over one set of statistics."""

    stats: Stats
    runners: Runners
    embeddings: Embeddings

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embed)

    async def _models(self, _request: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "library"} for name in LISTED]
        return _json({"object": "list", "data": data})

    async def _embed(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        model, texts, faults = body.get("model", ""), body["input"], self.embeddings
        if request.headers.get("Authorization") == "Bearer wrong":
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        if not (size := embedding_size(model)):
            if read_script(model) is None:
                return _error(404, not_found(model), "model_not_found")
            return _error(400, "The model does not support Embeddings API", "BadRequestError")
        self.stats.last_request = body
        if refusal := _refusal(texts, faults):
            return refusal
        if faults.fault == "fail" and request.transport is not None:
            request.transport.abort()
        vectors = await faults.vectors(texts, size)
        data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
        usage = {"prompt_tokens": 8 * len(texts), "total_tokens": 8 * len(texts)}
        # Each vector says which text it is of; nothing promises their order.
        return _json({"object": "list", "data": data[::-1], "model": model, "usage": usage})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        model, messages = body.get("model", ""), body.get("messages") or []
        if request.headers.get("Authorization") == "Bearer wrong":
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        script = read_script(model)
        if script is None:
            return _error(404, not_found(model), "model_not_found")
        if script.fault == "busy" and self.stats.refuses(model, script.fault_after):
            return _error(429, BUSY, "rate_limit_exceeded", {"Retry-After": "7"})
        self.stats.serves(body)
        if messages and (task := task_script(str(messages[-1].get("content", "")))):
            self.stats.tasks += 1
            script = task
        if script.fault == "err" and script.fault_after == 0:
            return _error(500, CRASHED, "internal_error")
        script = reading(script, messages)
        wanted = script.cut(body.get("max_completion_tokens") or body.get("max_tokens"))
        cut = wanted is not script
        wire = OpenAIWire(model, messages, bool((body.get("stream_options") or {}).get("include_usage")))
        async with self.runners.running(model, {}):
            if body.get("stream"):
                return await perform(request, wanted, wire, self.stats, cut=cut)
            await whole(request, wanted, self.stats)
        return _json(wire.completion(wanted, cut=cut))


def _refusal(texts: Sequence[str], faults: Embeddings) -> web.Response | None:
    if faults.refused():
        return _error(429, BUSY, "rate_limit_exceeded", {"Retry-After": "0"})
    if faults.fault == "garbage":
        return web.Response(body=b"<html>", content_type="text/html")
    if faults.fault == "chat":
        return _error(403, "You are not allowed to generate embeddings from this model", "model_not_allowed")
    if faults.fault == "long" or not all(texts):
        return _error(400, "This model's maximum context length is 512 tokens, '$.input' is invalid.", "invalid_input")
    return _error(500, CRASHED, "internal_error") if faults.fails(texts) else None


class OpenAIWire:
    """The lines of one answer."""

    content_type = "text/event-stream"

    def __init__(self, model: str, messages: Sequence[dict[str, Any]], include_usage: bool) -> None:
        self._head = {"id": f"chatcmpl-{time.monotonic_ns()}", "created": int(time.time()), "model": model}
        self._prompt_tokens = sum(len(str(message.get("content", "")).split()) for message in messages)
        self._include_usage = include_usage
        before, after = _line(self._chunk({"role": "assistant", "content": "\0"}, None)).split(b'"\\u0000"')
        self._before, self._after = before, after

    def token(self, text: str) -> bytes:
        return self._before + orjson.dumps(text) + self._after

    def ending(self, script: Script, *, cut: bool) -> Sequence[bytes]:
        lines = [_line(self._chunk({}, "length" if cut else "stop"))]
        if self._include_usage:
            lines.append(_line(self._object("chat.completion.chunk") | {"choices": [], "usage": self._usage(script)}))
        return (*lines, b"data: [DONE]\n\n")

    def failure(self, message: str) -> bytes:
        return _line({"error": {"message": message, "type": "api_error", "param": None, "code": None}})

    def completion(self, script: Script, *, cut: bool) -> dict[str, Any]:
        """The answer in one piece."""
        message = {"role": "assistant", "content": "".join(script.tokens)}
        choice = {"index": 0, "message": message, "finish_reason": "length" if cut else "stop"}
        return self._object("chat.completion") | {"choices": [choice], "usage": self._usage(script)}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._object("chat.completion.chunk") | {"choices": [choice]}

    def _object(self, kind: str) -> dict[str, Any]:
        return self._head | {"object": kind}

    def _usage(self, script: Script) -> dict[str, int]:
        spent, written = self._prompt_tokens, len(script.tokens)
        return {"prompt_tokens": spent, "completion_tokens": written, "total_tokens": spent + written}


def _line(value: object) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers={"Content-Type": "application/json", **(headers or {})}
    )


def _error(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> web.Response:
    return _json({"error": {"message": message, "type": "api_error", "param": None, "code": code}}, status, headers)
