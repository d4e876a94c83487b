"""SageMaker's runtime on the wire: `/endpoints/{name}/invocations` and `-response-stream`, over a container with vLLM.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
https://docs.djl.ai/docs/serving/serving/docs/lmi/user_guides/chat_input_output_schema.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes import aws_frames, sagemaker_refusals
from tests.fakes.aws_gate import Gate, Request
from tests.fakes.aws_scripts import DEFAULT, Performance, read_performance, texts_of, tokens_of
from tests.fakes.aws_wire import Refusal, Refused
from tests.models.openai_routes import OpenAIWire
from tests.models.perform import perform, whole
from tests.models.script import Script

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
        lines = OpenAIWire(body.get("model", "lmi"), _messages(body), usage)
        if not body.get("stream"):
            # The container then answers in one piece, which SageMaker sends in parts all the same.
            await whole(request.http, performance.script, self.gate.stats)
            answer = orjson.dumps(lines.completion(performance.script, cut=cut))
            return web.Response(body=PartsWire.parts(answer), headers={"Content-Type": aws_frames.CONTENT_TYPE})
        wire = PartsWire(lines, performance)
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


class PartsWire:
    """The container's lines as SageMaker sends them: in parts that end wherever they end, in a line or a character."""

    content_type = aws_frames.CONTENT_TYPE

    def __init__(self, lines: OpenAIWire, performance: Performance) -> None:
        self._lines = lines
        self._own = performance.own

    def token(self, text: str) -> bytes:
        return self.parts(self._lines.token(text))

    def ending(self, script: Script, *, cut: bool) -> Sequence[bytes]:
        return (self.parts(b"".join(self._lines.ending(script, cut=cut))),)

    def failure(self, message: str) -> bytes:
        """The error in the middle that the endpoint's name spells."""
        if "short" in self._own:
            return b""
        broken = self.token("broken")
        if "crc" in self._own:
            return broken[:-1] + bytes((broken[-1] ^ 1,))
        if "junk" in self._own:
            return self.parts(b'data: {"choices": [{"delta"\n\n')
        if "utf8" in self._own:
            return self.parts(b'data: {"choices":[{"index":0,"delta":{"content":"\xc3\x28"}}]}\n\n')
        if "invalid" in self._own:
            return self.parts(self._lines.failure(message))
        if "internal" in self._own:
            body = {"Message": "The system encountered an internal error."}
            return aws_frames.failure("InternalStreamFailure", orjson.dumps(body))
        body = {"Message": message, "ErrorCode": "StreamBroken"}
        return aws_frames.failure("ModelStreamError", orjson.dumps(body))

    @staticmethod
    def parts(data: bytes) -> bytes:
        """Three frames of `data`, the second of which begins inside a character of several bytes, if there is one."""
        first = next((place + 1 for place, byte in enumerate(data) if byte >= 0xC0), len(data) // 3)
        second = first + (len(data) - first) // 2
        cut = (data[:first], data[first:second], data[second:])
        return b"".join(aws_frames.event("PayloadPart", part, "application/octet-stream") for part in cut)


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = body["messages"]
    return messages


def _refuse(refusal: Refusal | None) -> None:
    if refusal:
        raise Refused(refusal)
