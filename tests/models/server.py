"""The model server as one object: its routes, its statistics, and how to run it inside a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field

import orjson
from aiohttp import web

from tests.models.embeddings import Embeddings
from tests.models.ollama_routes import OllamaRoutes
from tests.models.openai_routes import OpenAIRoutes
from tests.models.pull import Library
from tests.models.runners import Runners
from tests.models.stats import Stats


@dataclass(slots=True)
class ModelServer:
    """A model server; `url` is set while it runs. Beyond `parallel` requests to one model the next ones wait."""

    parallel: int | None = None
    stats: Stats = field(default_factory=Stats)
    embeddings: Embeddings = field(default_factory=Embeddings)
    library: Library = field(default_factory=Library)
    url: str = ""

    def app(self) -> web.Application:
        """Ollama's routes, OpenAI's, and the server's own under `/mock`."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        runners = Runners(self.stats, self.parallel)
        OllamaRoutes(self.stats, runners, self.embeddings, self.library).add_to(app)
        OpenAIRoutes(self.stats, runners, self.embeddings).add_to(app)
        app.router.add_get("/mock/stats", self._stats)
        app.router.add_post("/mock/reset", self._reset)
        return app

    async def _stats(self, _request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(asdict(self.stats)), content_type="application/json")

    async def _reset(self, _request: web.Request) -> web.Response:
        self.stats.reset()
        return web.Response(status=204)


@asynccontextmanager
async def running_model_server(port: int = 0, *, parallel: int | None = None) -> AsyncIterator[ModelServer]:
    """Run a model server in this event loop, on a free port unless one is given."""
    server = ModelServer(parallel)
    runner = web.AppRunner(server.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
