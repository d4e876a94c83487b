"""SageMaker's runtime on the wire: `/endpoints/{name}/invocations` and `-response-stream`, over a container with vLLM.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
https://docs.djl.ai/docs/serving/serving/docs/lmi/user_guides/chat_input_output_schema.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes import sagemaker_refusals
from tests.fakes.aws_frames import CONTENT_TYPE
from tests.fakes.aws_gate import Gate, Request
from tests.fakes.aws_scripts import DEFAULT, Performance, read_performance, texts_of, tokens_of
from tests.fakes.aws_wire import Refusal, Refused
from tests.fakes.sagemaker_wire import JsonLines, PartsWire, parts
from tests.models.openai_routes import OpenAIWire
from tests.models.perform import perform, whole

ENDPOINT = "ragline-llm"
"""The endpoint that is there besides those whose names spell what they do."""

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_HEADERS = {"x-Amzn-Invoked-Production-Variant": "AllTraffic"}


@dataclass(slots=True)
class Endpoints:
    """The endpoints of an account and what each is doing, and the longest prompt and answer that their model reads."""

    gate: Gate
    status: dict[str, str] = field(default_factory=lambda: {ENDPOINT: "InService"})
    denied: set[str] = field(default_factory=set)
    context_tokens: int = 8192

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/endpoints/{name}/invocations", self.gate.route(self._invoke, "sagemaker"))
        app.router.add_post("/endpoints/{name}/invocations-response-stream", self.gate.route(self._stream, "sagemaker"))

    def status_of(self, name: str) -> str | None:
        """`InService`, `Creating` or `Failed`; None when there is no such endpoint."""
        return self.status.get(name) or ("InService" if read_performance(name) else None)

    async def _invoke(self, request: Request) -> web.StreamResponse:
        performance, body, cut = self._prepare(request, "sagemaker:InvokeEndpoint")
        await whole(request.http, performance.script, self.gate.stats)
        wire = OpenAIWire(body.get("model", "lmi"), _messages(body), include_usage=True)
        answer = orjson.dumps(wire.completion(performance.script, cut=cut))
        return web.Response(body=answer, headers={"Content-Type": "application/json", **_HEADERS})

    async def _stream(self, request: Request) -> web.StreamResponse:
        performance, body, cut = self._prepare(request, "sagemaker:InvokeEndpointWithResponseStream")
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        events = OpenAIWire(body.get("model", "lmi"), _messages(body), usage)
        if not body.get("stream"):
            # The container then answers in one piece, which SageMaker sends in parts all the same.
            await whole(request.http, performance.script, self.gate.stats)
            answer = parts(orjson.dumps(events.completion(performance.script, cut=cut)))
            return web.Response(body=answer, headers={"Content-Type": CONTENT_TYPE, **_HEADERS})
        wire = PartsWire(JsonLines() if "lines" in performance.own else events, performance.own)
        return await perform(request.http, performance.script, wire, self.gate.stats, cut=cut)

    def _prepare(self, request: Request, action: str) -> tuple[Performance, dict[str, Any], bool]:
        name = request.http.match_info["name"]
        performance = read_performance(name) or Performance(DEFAULT)
        _refuse(self._check(name, performance, request.region, action))
        body = request.json()
        question = self.gate.stats.note(name, body)
        self.gate.serve(name, performance.script, sagemaker_refusals.THROTTLED)
        refusal = sagemaker_refusals.of_script(name, performance, request.region)
        _refuse(refusal or self._of_body(name, body, performance, request.region))
        wanted = body.get("max_completion_tokens") or body.get("max_tokens")
        played = performance.for_messages(question, wanted)
        return played, body, len(played.script.tokens) < len(performance.for_messages(question, None).script.tokens)

    def _check(self, name: str, performance: Performance, region: str, action: str) -> Refusal | None:
        if name in self.denied or "denied" in performance.own:
            return sagemaker_refusals.denied(action, name, region)
        if not _NAME.fullmatch(name) or self.status_of(name) != "InService":
            return sagemaker_refusals.not_found(name)
        return None

    def _of_body(self, name: str, body: dict[str, Any], performance: Performance, region: str) -> Refusal | None:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            return sagemaker_refusals.of_container(name, 400, "Field required: messages", region)
        limit = performance.context_tokens or self.context_tokens
        read = tokens_of([text for message in messages for text in texts_of(message.get("content"))])
        wanted = body.get("max_completion_tokens") or body.get("max_tokens") or 0
        if read + wanted <= limit:
            return None
        return sagemaker_refusals.of_container(
            name,
            400,
            f"This model's maximum context length is {limit} tokens. However, you requested {read + wanted} tokens "
            f"({read} in the messages, {wanted} in the completion). Please reduce the length of the messages or "
            "completion.",
            region,
        )


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = body["messages"]
    return messages


def _refuse(refusal: Refusal | None) -> None:
    if refusal:
        raise Refused(refusal)
