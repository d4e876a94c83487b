"""Ollama's protocol (0.12): what `/api/...` answers, byte for byte as its clients expect it.

https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from tests.models.embeddings import Embeddings, embedding_size
from tests.models.pages import reading
from tests.models.perform import perform, whole
from tests.models.pull import Library, pulled
from tests.models.runners import Runners
from tests.models.script import Script, is_vision, read_script, task_script
from tests.models.stats import Stats

VERSION = "0.12.0"
BUSY = "server busy, please try again.  maximum pending requests exceeded"
NO_EMBEDDING = "this model does not support embeddings"
CRASHED = "llama runner process has terminated: exit status 2"
_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "1.2B",
    "quantization_level": "Q8_0",
}


def not_found(model: str) -> str:
    """What Ollama says of a model it does not have."""
    return f'model "{model}" not found, try pulling it first'


@dataclass(slots=True)
class OllamaRoutes:
    """Ollama's routes over one set of statistics."""

    stats: Stats
    runners: Runners
    embeddings: Embeddings
    library: Library

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/api/version", self._version)
        app.router.add_get("/api/tags", self._tags)
        app.router.add_get("/api/ps", self._running)
        app.router.add_post("/api/show", self._show)
        app.router.add_post("/api/chat", self._chat)
        app.router.add_post("/api/embed", self._embed)
        app.router.add_post("/api/pull", self._pull)

    async def _version(self, _request: web.Request) -> web.Response:
        return _json({"version": VERSION})

    async def _tags(self, _request: web.Request) -> web.Response:
        return _json({"models": [_listing(name) for name in self.library.installed()]})

    async def _running(self, _request: web.Request) -> web.Response:
        models = [
            {**_listing(name), "expires_at": runner.expires_at, "size_vram": 0, "context_length": runner.num_ctx}
            for name, runner in self.runners.loaded().items()
        ]
        return _json({"models": models})

    async def _show(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        model = body.get("model", "")
        if not self.library.has(model):
            return _error(404, f"model '{model}' not found")
        if size := embedding_size(model):
            return _json(_shown_embedding(model, size, self.embeddings))
        if read_script(model) is None:
            return _error(404, f"model '{model}' not found")
        return _json(
            {
                "license": "",
                "modelfile": f"FROM {model}",
                "template": "{{ .Prompt }}",
                "details": _DETAILS,
                "model_info": {"general.architecture": "llama", "llama.context_length": 131072},
                "capabilities": ["completion", "vision"] if is_vision(model) else ["completion"],
                "modified_at": _now(),
            }
        )

    async def _embed(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        model, texts, faults = body.get("model", ""), body["input"], self.embeddings
        if not self.library.has(model):
            return _error(404, f"model '{model}' not found")
        if not (size := embedding_size(model)):
            chats = read_script(model) is not None
            return _error(501, NO_EMBEDDING) if chats else _error(404, f"model '{model}' not found")
        self.stats.last_request = body
        if faults.refused():
            return _error(503, BUSY)
        if faults.fault == "garbage":
            return web.Response(body=b"<html>", content_type="text/html")
        if faults.fault == "fail" and request.transport is not None:
            request.transport.abort()
        if faults.fault == "chat":
            return _error(501, NO_EMBEDDING)
        if faults.fault == "long":
            return _error(400, "the input length exceeds the context length")
        if faults.fails(texts):
            return _error(500, CRASHED)
        vectors = await faults.vectors(texts, size)
        measures = {"total_duration": 1_000_000, "load_duration": 500_000, "prompt_eval_count": 8 * len(texts)}
        return _json({"model": model, "embeddings": vectors, **measures})

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        return await pulled(request, self.library, body.get("model", ""), streamed=body.get("stream", True))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        model, messages = body.get("model", ""), body.get("messages") or []
        script = read_script(model)
        if script is None or not self.library.has(model):
            return _error(404, not_found(model))
        wire = OllamaWire(model, messages)
        if not messages:
            self.runners.load(model, body)
            return _json(wire.head("") | {"done_reason": "load", "done": True})
        if script.fault == "busy" and self.stats.refuses(model, script.fault_after):
            return _error(503, BUSY)
        self.stats.serves(body)
        if task := task_script(str(messages[-1].get("content", ""))):
            self.stats.tasks += 1
            script = task
        if script.fault == "err" and script.fault_after == 0:
            return _error(500, CRASHED)
        script = reading(script, messages)
        wanted = script.cut((body.get("options") or {}).get("num_predict"))
        cut = wanted is not script
        async with self.runners.running(model, body):
            if body.get("stream", True):
                return await perform(request, wanted, wire, self.stats, cut=cut)
            await whole(request, wanted, self.stats)
        return _json(wire.head("".join(wanted.tokens)) | wire.measures(wanted, cut=cut))


class OllamaWire:
    """The lines of one answer."""

    content_type = "application/x-ndjson"

    def __init__(self, model: str, messages: Sequence[dict[str, Any]]) -> None:
        self._model = model
        self._prompt_tokens = sum(len(str(message.get("content", "")).split()) for message in messages)
        self._started = time.monotonic_ns()
        self._first_ns = 0
        before, after = orjson.dumps({**self.head("\0"), "done": False}).split(b'"\\u0000"')
        self._before, self._after = before, after + b"\n"

    def head(self, text: str) -> dict[str, Any]:
        """What every line begins with."""
        return {"model": self._model, "created_at": _now(), "message": {"role": "assistant", "content": text}}

    def token(self, text: str) -> bytes:
        if not self._first_ns:
            self._first_ns = time.monotonic_ns()
        return self._before + orjson.dumps(text) + self._after

    def ending(self, script: Script, *, cut: bool) -> Sequence[bytes]:
        return (orjson.dumps(self.head("") | self.measures(script, cut=cut)) + b"\n",)

    def failure(self, message: str) -> bytes:
        return orjson.dumps({"error": message}) + b"\n"

    def measures(self, script: Script, *, cut: bool) -> dict[str, Any]:
        """The end of an answer: why it ended, nanoseconds and tokens."""
        now = time.monotonic_ns()
        first = self._first_ns or now
        return {
            "done_reason": "length" if cut else "stop",
            "done": True,
            "total_duration": now - self._started,
            "load_duration": 1_000_000,
            "prompt_eval_count": self._prompt_tokens,
            "prompt_eval_duration": first - self._started,
            "eval_count": len(script.tokens),
            "eval_duration": now - first,
        }


def _shown_embedding(model: str, size: int, embeddings: Embeddings) -> dict[str, Any]:
    weights = f"/usr/share/ollama/.ollama/models/blobs/sha256-{embeddings.weights}"
    return {
        "license": "",
        "modelfile": f'# Modelfile generated by "ollama show"\n# FROM {model}\n\nFROM {weights}\nTEMPLATE none\n',
        "parameters": f"num_ctx                        {embeddings.num_ctx}" if embeddings.num_ctx else "",
        "template": "{{ .Prompt }}",
        "details": _DETAILS | {"family": "nomic-bert", "families": ["nomic-bert"]},
        "model_info": {
            "general.architecture": "nomic-bert",
            "nomic-bert.context_length": 2048,
            "nomic-bert.embedding_length": size,
            "nomic-bert.pooling_type": 1,
        },
        "capabilities": ["embedding"],
        "modified_at": _now(),
    }


def _listing(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "modified_at": _now(),
        "size": 1_321_098_329,
        "digest": "baf6a787fdffd633537aa2eb51cfd54cb93ff08e28040095462bb63daf552878",
        "details": _DETAILS,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers={"Content-Type": "application/json; charset=utf-8"}
    )


def _error(status: int, message: str) -> web.Response:
    return _json({"error": message}, status)
