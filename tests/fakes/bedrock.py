"""Amazon Bedrock's Converse on the wire: `POST /model/{id}/converse`, signed as AWS wants it, answered as AWS does.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from aiohttp import web

from tests.models.pages import text_on

REGION = "eu-central-1"

_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/bedrock/aws4_request, "
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_SIGNED = {"host", "x-amz-date"}
_MODEL = re.compile(r"arn:[^ ]+|[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as AWS sends it: its status, its code in `x-amzn-errortype`, and what it says."""

    status: int
    code: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)


UNKNOWN_MODEL = Refusal(400, "ValidationException", "The provided model identifier is invalid.")
THROTTLED = Refusal(429, "ThrottlingException", "Too many requests, please wait before trying again.")
DENIED = Refusal(
    403,
    "AccessDeniedException",
    "User: arn:aws:sts::123456789012:assumed-role/ragline/task is not authorized to perform: bedrock:InvokeModel "
    "because no identity-based policy allows the bedrock:InvokeModel action",
)
EXPIRED = Refusal(403, "ExpiredTokenException", "The security token included in the request is expired")
MODEL_TIMEOUT = Refusal(408, "ModelTimeoutException", "Model has timed out in processing the request.")
MODEL_ERROR = Refusal(424, "ModelErrorException", "The system encountered an unexpected error during processing.")


@dataclass(slots=True)
class BedrockServer:
    """A Bedrock endpoint. Every request is refused with `refusal` if it is set; `answer` turns an image into text."""

    url: str = ""
    refusal: Refusal | None = None
    answer: Callable[[bytes], str] = text_on
    stop_reason: str = "end_turn"
    page_s: float = 0.0
    requests: int = 0
    active: int = 0
    most_at_once: int = 0
    last_model: str = ""
    last_request: dict[str, Any] | None = None

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/model/{model}/converse", self._converse)
        return app

    async def _converse(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.requests += 1
        self.last_model, self.last_request = request.match_info["model"], body
        refusal = check_signature(request) or self.refusal or _check(self.last_model, body)
        if refusal:
            return json_response({"message": refusal.message}, refusal.status, error_headers(refusal))
        self.active += 1
        self.most_at_once = max(self.most_at_once, self.active)
        try:
            await asyncio.sleep(self.page_s)
        finally:
            self.active -= 1
        return json_response(self._answer(body))

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        images = [part["image"] for message in body["messages"] for part in message["content"] if "image" in part]
        text = "\n\n".join(self.answer(b64decode(image["source"]["bytes"])) for image in images)
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": text}] if text else []}},
            "stopReason": self.stop_reason,
            "usage": {"inputTokens": 1600 * len(images), "outputTokens": len(text) // 4, "totalTokens": 1600},
            "metrics": {"latencyMs": int(self.page_s * 1000)},
        }


class Endpoint(Protocol):
    """What a fake of one service of Bedrock is."""

    url: str

    def app(self) -> web.Application: ...


@asynccontextmanager
async def running_bedrock() -> AsyncIterator[BedrockServer]:
    """Run a Bedrock endpoint in this event loop, on a free port."""
    server = BedrockServer()
    async with running(server):
        yield server


@asynccontextmanager
async def running(server: Endpoint) -> AsyncIterator[None]:
    """Run an endpoint in this event loop, on a free port, which its `url` then says."""
    runner = web.AppRunner(server.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()


def check_signature(request: web.Request) -> Refusal | None:
    header = request.headers.get("Authorization")
    if header is None:
        return Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    signature = _SIGNATURE.fullmatch(header)
    if signature is None or not set(signature["headers"].split(";")) >= _SIGNED:
        return Refusal(403, "IncompleteSignature", "Authorization header is not a signature for bedrock.")
    if not request.headers.get("X-Amz-Date", "").startswith(signature["date"]):
        return Refusal(403, "InvalidSignatureException", "Signature expired or not of the date it says.")
    return None


def _check(model: str, body: dict[str, Any]) -> Refusal | None:
    if not _MODEL.fullmatch(model):
        return UNKNOWN_MODEL
    for message in body.get("messages") or [{}]:
        if message.get("role") not in ("user", "assistant") or not isinstance(message.get("content"), list):
            return Refusal(400, "ValidationException", "A conversation must start with a user message.")
    return None


def error_headers(refusal: Refusal) -> dict[str, str]:
    return {
        "x-amzn-errortype": f"{refusal.code}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    } | refusal.headers


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers={"Content-Type": "application/json", **(headers or {})}
    )
