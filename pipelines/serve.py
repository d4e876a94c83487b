"""Runs the pipelines part: settings go in, an HTTP server runs until it is told to stop."""

from __future__ import annotations

import uvicorn

from pipelines.app import create_app
from pipelines.bootstrap import build
from pipelines.settings import Settings

GRACE_S = 5
"""How long answers under way may go on when the part is stopped."""


async def serve(settings: Settings) -> None:
    """Build the services, serve them, and release them; raises `SetupFailed` with what to do."""
    async with build(settings) as services:
        config = uvicorn.Config(
            create_app(services),
            host=settings.bind_host,
            port=settings.pipelines_port,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE_S,
        )
        await uvicorn.Server(config).serve()
