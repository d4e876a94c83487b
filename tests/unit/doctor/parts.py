"""Pipelines, n8n and Open WebUI as the doctor asks them, on one port; a test says what is wrong with them.

What n8n and Open WebUI answer is as n8n 2.40 and Open WebUI 0.10 do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from pipelines import __version__
from tests.fakes import n8n
from tests.unit.doctor.conftest import SECRETS


@dataclass(slots=True)
class Parts:
    """A stack that is well, until an attribute is changed."""

    url: str = ""
    version: str = __version__
    internal_key: str = SECRETS["internal_api_key"]
    webhook_key: str = SECRETS["webhook_api_key"]
    published: bool = True
    n8n_owner: str = SECRETS["n8n_owner_password"]
    n8n_key: str = "n8n-key"
    n8n_ready: bool = True
    admin: str = SECRETS["open_webui_admin_password"]
    shown: list[str] = field(default_factory=lambda: ["company-documents"])
    answer: bytes = n8n.answer("Ready.")
    circuits: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/llm/v1/models", self._router)
        app.router.add_get("/llm/v1/providers", self._providers)
        app.router.add_get("/healthz/readiness", self._readiness)
        app.router.add_post("/rest/login", self._login)
        app.router.add_get("/api/v1/workflows", self._workflows)
        app.router.add_post("/webhook/answer-question", self._webhook)
        app.router.add_get("/ready", self._ready)
        app.router.add_post("/api/v1/auths/signin", self._sign_in)
        app.router.add_get("/api/models", self._models)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": self.version, "chunks": 12})

    async def _router(self, request: web.Request) -> web.Response:
        known = request.headers.get("x-ragline-key") == self.internal_key
        return web.json_response({"object": "list", "data": []}, status=200 if known else 401)

    async def _providers(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": self.circuits})

    async def _readiness(self, _: web.Request) -> web.Response:
        ready = self.n8n_ready
        return web.json_response({"status": "ok" if ready else "error"}, status=200 if ready else 503)

    async def _login(self, request: web.Request) -> web.Response:
        given = await request.json()
        known = given["password"] == self.n8n_owner
        return web.json_response({"data": {}} if known else {"code": 401}, status=200 if known else 401)

    async def _workflows(self, request: web.Request) -> web.Response:
        known = request.headers.get("X-N8N-API-KEY") == self.n8n_key
        return web.json_response({"data": []}, status=200 if known else 401)

    async def _webhook(self, request: web.Request) -> web.StreamResponse:
        if not self.published:
            return web.json_response({"code": 404, "message": "The requested webhook is not registered."}, status=404)
        if request.headers.get("X-Ragline-Key") != self.webhook_key:
            return web.Response(text="Authorization data is wrong!", status=403)
        self.asked.append(await request.json())
        return await n8n.stream(request, self.answer)

    async def _ready(self, _: web.Request) -> web.Response:
        return web.json_response({"status": True})

    async def _sign_in(self, request: web.Request) -> web.Response:
        if (await request.json())["password"] != self.admin:
            return web.json_response({"detail": "The email or password provided is incorrect."}, status=400)
        return web.json_response({"id": "1", "token": "canary-token-of-a-session"})

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name} for name in self.shown]})


@asynccontextmanager
async def running_parts() -> AsyncIterator[Parts]:
    parts = Parts()
    runner = web.AppRunner(parts.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    parts.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield parts
    finally:
        await runner.cleanup()
