"""What every request to the fake AWS passes before a route reads it, and what was seen of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.aws_scripts import texts_of
from tests.fakes.aws_signature import Keys, check_signature, signing_region
from tests.fakes.aws_wire import Refusal, Refused
from tests.models.script import Script
from tests.models.stats import Stats


@dataclass(slots=True)
class AwsStats(Stats):
    """What the model server counts, and all requests in the order in which they came: each its model and question."""

    arrivals: list[dict[str, str]] = field(default_factory=list)
    last_model: str = ""

    def reset(self) -> None:
        Stats.reset(self)
        self.arrivals.clear()
        self.last_model = ""

    def note(self, model: str, body: dict[str, Any]) -> str:
        """Note that a request came, served or not; returns its question, the text of its last message."""
        messages = body.get("messages") or [{}]
        question = "\n".join(texts_of(messages[-1].get("content")))
        self.last_model, self.last_request = model, body
        self.arrivals.append({"model": model, "question": question[-200:]})
        return question


@dataclass(slots=True)
class Request:
    """A request that was let in: its body as it was sent, and the region for which it was signed."""

    http: web.Request
    raw: bytes
    region: str

    def json(self) -> dict[str, Any]:
        try:
            body = orjson.loads(self.raw or b"{}")
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise Refused(Refusal(400, "SerializationException", "The request body is not valid JSON."))
        return body


@dataclass(slots=True)
class Gate:
    """Lets in what is signed with one of `keys`. Everything else, or everything while `refusal` is set, is refused."""

    keys: Keys = field(default_factory=Keys)
    stats: AwsStats = field(default_factory=AwsStats)
    refusal: Refusal | None = None

    def serve(self, model: str, script: Script, throttled: Refusal) -> None:
        """Count a request to a model, unless that is busy: `-busy2` is for the first two requests."""
        if script.fault == "busy" and self.stats.refuses(model, script.fault_after):
            raise Refused(throttled)
        self.stats.requests += 1

    def route(
        self, handler: Callable[[Request], Awaitable[web.StreamResponse]], service: str = "bedrock"
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A route of one service that a request reaches only when it was let in."""

        async def checked(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            refusal = check_signature(request, raw, self.keys, service) or self.refusal
            if refusal:
                raise Refused(refusal)
            return await handler(Request(request, raw, signing_region(request)))

        return checked
