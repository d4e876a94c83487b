"""Amazon Bedrock's chat models on the wire: `POST /model/{id}/converse` and `/converse-stream`.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from tests.fakes import bedrock_refusals
from tests.fakes.aws_catalog import Asked, find
from tests.fakes.aws_gate import Gate, Request
from tests.fakes.aws_scripts import DEFAULT, Performance, read_performance, texts_of, tokens_of
from tests.fakes.aws_wire import Refusal, Refused, json_response
from tests.fakes.bedrock_wire import ConverseWire
from tests.models.pages import text_on
from tests.models.perform import perform, whole

GUARDED = "Sorry, the model cannot answer this question."
GUARDRAIL = "gr4ragline01"
"""The guardrail that exists, by its id or ARN, as `DRAFT` and as version 1."""

LEAST_CACHED_TOKENS = 1024
"""A shorter prefix is not cached: https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html."""

_STOPS = {"filtered": "content_filtered", "window": "model_context_window_exceeded"}


@dataclass(slots=True)
class BedrockChat:
    """The chat models.

    `denied` and `closed` are ids that IAM or the account does not allow. `context_tokens` is the longest prompt they
    read where neither their name nor the catalog says it. `forbidden` is the word at which a guardrail intervenes.
    """

    gate: Gate
    context_tokens: int = 200_000
    denied: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    forbidden: str = "forbidden-topic"
    _cached: set[str] = field(default_factory=set)

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/model/{model}/converse", self.gate.route(self._converse))
        app.router.add_post("/model/{model}/converse-stream", self.gate.route(self._stream))

    async def _converse(self, request: Request) -> web.StreamResponse:
        performance, wire, cut = self._prepare(request, "bedrock:InvokeModel")
        await whole(request.http, performance.script, self.gate.stats)
        return json_response(wire.answer(performance.script, cut=cut))

    async def _stream(self, request: Request) -> web.StreamResponse:
        performance, wire, cut = self._prepare(request, "bedrock:InvokeModelWithResponseStream")
        return await perform(request.http, performance.script, wire, self.gate.stats, cut=cut)

    def _prepare(self, request: Request, action: str) -> tuple[Performance, ConverseWire, bool]:
        model_id, body = unquote(request.http.match_info["model"]), request.json()
        asked = find(model_id, request.region)
        performance = read_performance(asked.name) or Performance(DEFAULT)
        asked = replace(asked, exists=asked.exists and not _is_misspelt(asked))
        _refuse(
            bedrock_refusals.of_model(
                model_id, asked, self._with_access({model_id, asked.name}, performance), request.region, action
            )
        )
        _refuse(bedrock_refusals.of_body(body))
        limit = performance.context_tokens or (asked.model.context_tokens if asked.model else self.context_tokens)
        tokens = tokens_of([text for part in _prefix(body) for text in texts_of([part])])
        if tokens > limit:
            raise Refused(bedrock_refusals.too_long(asked.name, tokens, limit))
        usage = self._usage(body, asked, tokens)
        question = self.gate.stats.note(model_id, body)
        self.gate.serve(model_id, performance.script, bedrock_refusals.THROTTLED)
        _refuse(bedrock_refusals.of_script(performance))
        return self._play(performance, body, question, usage)

    def _play(
        self, performance: Performance, body: dict[str, Any], question: str, usage: dict[str, int]
    ) -> tuple[Performance, ConverseWire, bool]:
        trace = self._guard(body, question, performance)
        played = performance.for_messages(question, (body.get("inferenceConfig") or {}).get("maxTokens"))
        cut = len(played.script.tokens) < len(performance.for_messages(question, None).script.tokens)
        if pages := [text_on(image) for image in _images(body)]:
            played, cut = replace(played, script=replace(played.script, tokens=("\n\n".join(pages),))), False
        stop = next((_STOPS[own] for own in performance.own if own in _STOPS), "end_turn")
        if trace is not None:
            played, cut = replace(played, script=replace(played.script, tokens=(GUARDED,))), False
            stop = "guardrail_intervened"
        return played, ConverseWire(played, usage, stop, trace or {}), cut

    def _with_access(self, names: set[str], performance: Performance) -> Performance:
        own = {own for own, refused in (("denied", self.denied), ("closed", self.closed)) if names & refused}
        return replace(performance, own=performance.own | own)

    def _guard(self, body: dict[str, Any], question: str, performance: Performance) -> dict[str, Any] | None:
        """The trace of a guardrail that intervened, empty where none was asked for; None when none did."""
        guardrail = body.get("guardrailConfig")
        if guardrail is None:
            return None
        name, version = guardrail["guardrailIdentifier"], guardrail["guardrailVersion"]
        if name.rpartition("/")[2] != GUARDRAIL or version not in ("1", "DRAFT"):
            raise Refused(bedrock_refusals.NO_GUARDRAIL)
        if "guarded" not in performance.own and self.forbidden not in question:
            return None
        topic = {"name": "Forbidden", "type": "DENY", "action": "BLOCKED"}
        assessment = {name: {"topicPolicy": {"topics": [topic]}}}
        return {"guardrail": {"inputAssessment": assessment}} if guardrail.get("trace") == "enabled" else {}

    def _usage(self, body: dict[str, Any], asked: Asked, tokens: int) -> dict[str, int]:
        """What was read, apart by what came from the cache and what went there, as AWS counts it."""
        prefix, places = _prefix(body), []
        for place, part in enumerate(prefix):
            if "cachePoint" in part:
                places.append(place)
        if not places:
            return {"inputTokens": tokens}
        if asked.model is not None and not asked.model.caches:
            raise Refused(bedrock_refusals.NO_CACHING)
        head = prefix[: places[-1]]
        cached = tokens_of([text for part in head for text in texts_of([part])])
        if cached < LEAST_CACHED_TOKENS:
            cached = 0
        key = sha256(asked.name.encode() + orjson.dumps(head)).hexdigest()
        known = key in self._cached
        if cached:
            self._cached.add(key)
        return {
            "inputTokens": tokens - cached,
            "cacheReadInputTokens": cached if known else 0,
            "cacheWriteInputTokens": 0 if known else cached,
        }


def _is_misspelt(asked: Asked) -> bool:
    return "mock-" in asked.name and read_performance(asked.name) is None


def _refuse(refusal: Refusal | None) -> None:
    if refusal:
        raise Refused(refusal)


def _prefix(body: dict[str, Any]) -> list[dict[str, Any]]:
    """All blocks in the order in which the model reads them."""
    blocks = list(body.get("system") or ())
    for message in body.get("messages") or ():
        blocks.extend(message.get("content") or ())
    return blocks


def _images(body: dict[str, Any]) -> Iterator[bytes]:
    for block in _prefix(body):
        if "image" in block:
            yield b64decode(block["image"]["source"]["bytes"])
