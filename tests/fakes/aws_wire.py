"""What all fakes of AWS share: a refusal as AWS sends it, and how to run one of them inside a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

import orjson
from aiohttp import web

ACCOUNT = "123456789012"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as AWS sends it: its status, its code in `x-amzn-errortype`, and what it says.

    `more` are further members of the body; `message_name` is what the service calls the message there.
    """

    status: int
    code: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    message_name: str = "message"
    namespace: str = "com.amazon.bedrock"

    def response(self) -> web.Response:
        body = {self.message_name: self.message, **self.more}
        return json_response(body, self.status, error_headers(self))


class Refused(Exception):
    """Raised anywhere in a route of `application`; becomes the refusal's response."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Endpoint(Protocol):
    """What a fake of one service of AWS is."""

    url: str

    def app(self) -> web.Application: ...


def application() -> web.Application:
    """An application whose routes may raise `Refused`."""
    return web.Application(client_max_size=64 * 1024 * 1024, middlewares=[_refuse])


@asynccontextmanager
async def running(server: Endpoint, port: int = 0) -> AsyncIterator[None]:
    """Run an endpoint in this event loop, on a free port unless one is given; its `url` then says where."""
    runner = web.AppRunner(server.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()


def error_headers(refusal: Refusal) -> dict[str, str]:
    """The headers from which a client reads what kind of error it is."""
    kind = f"{refusal.code}:http://internal.amazon.com/coral/{refusal.namespace}/"
    return {"x-amzn-errortype": kind} | refusal.headers


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A response as AWS's JSON services send it."""
    own = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid4())}
    return web.Response(body=orjson.dumps(body), status=status, headers=own | (headers or {}))


@web.middleware
async def _refuse(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return refused.refusal.response()
