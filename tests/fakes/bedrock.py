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
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.aws_signature import EXPIRED, Keys, check_signature
from tests.fakes.aws_wire import Refusal, application, json_response, running
from tests.fakes.bedrock_refusals import MODEL_ERROR, THROTTLED, UNKNOWN_MODEL
from tests.models.pages import text_on

__all__ = [
    "DENIED",
    "EXPIRED",
    "MODEL_ERROR",
    "MODEL_TIMEOUT",
    "REGION",
    "THROTTLED",
    "UNKNOWN_MODEL",
    "BedrockServer",
    "Refusal",
    "running_bedrock",
]

REGION = "eu-central-1"

_MODEL = re.compile(r"arn:[^ ]+|[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?")

DENIED = Refusal(
    403,
    "AccessDeniedException",
    "User: arn:aws:sts::123456789012:assumed-role/ragline/task is not authorized to perform: bedrock:InvokeModel "
    "because no identity-based policy allows the bedrock:InvokeModel action",
)
MODEL_TIMEOUT = Refusal(408, "ModelTimeoutException", "Model has timed out in processing the request.")


@dataclass(slots=True)
class BedrockServer:
    """A Bedrock endpoint. Every request is refused with `refusal` if it is set; `answer` turns an image into text."""

    url: str = ""
    keys: Keys = field(default_factory=Keys)
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
        app = application()
        app.router.add_post("/model/{model}/converse", self._converse)
        return app

    async def _converse(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = orjson.loads(raw)
        self.requests += 1
        self.last_model, self.last_request = request.match_info["model"], body
        refusal = check_signature(request, raw, self.keys) or self.refusal or _check(self.last_model, body)
        if refusal:
            return refusal.response()
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


@asynccontextmanager
async def running_bedrock() -> AsyncIterator[BedrockServer]:
    """Run a Bedrock endpoint in this event loop, on a free port."""
    server = BedrockServer()
    async with running(server):
        yield server


def _check(model: str, body: dict[str, Any]) -> Refusal | None:
    if not _MODEL.fullmatch(model):
        return UNKNOWN_MODEL
    for message in body.get("messages") or [{}]:
        if message.get("role") not in ("user", "assistant") or not isinstance(message.get("content"), list):
            return Refusal(400, "ValidationException", "A conversation must start with a user message.")
    return None
