"""n8n's webhook and stop call, doing what a test says. The wire format is that of n8n 2.40.7 (recorded from a run)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class N8n:
    """A server on a free port whose webhook does what the test says, and which notes executions that are stopped."""

    def __init__(self, webhook: Handler) -> None:
        self.stopped: asyncio.Queue[str] = asyncio.Queue()
        self.headers: dict[str, str] = {}
        self._webhook = webhook
        app = web.Application()
        app.router.add_post("/webhook/answer-question", self._on_webhook)
        app.router.add_post("/api/v1/executions/{id}/stop", self._on_stop)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def __aenter__(self) -> N8n:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _on_webhook(self, request: web.Request) -> web.StreamResponse:
        self.headers = dict(request.headers)
        return await self._webhook(request)

    async def _on_stop(self, request: web.Request) -> web.Response:
        self.stopped.put_nowait(request.match_info["id"])
        return web.json_response({})


def chunk(kind: str, content: str | None = None, node: str = "Answer") -> bytes:
    body: dict[str, Any] = {"type": kind, "metadata": {"nodeName": node}}
    if content is not None:
        body["content"] = content
    return json.dumps(body, ensure_ascii=False).encode() + b"\n"


def answer(*tokens: str) -> bytes:
    return chunk("begin") + b"".join(chunk("item", token) for token in tokens) + chunk("end")


async def stream(request: web.Request, *pieces: bytes, then: float = 0) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    await asyncio.sleep(then)
    return response


CITATIONS = chunk("item", '{"execution_id": "77", "sources": []}', "Send citations")
