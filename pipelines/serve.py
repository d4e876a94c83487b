"""Runs the pipelines part: settings go in, an HTTP server runs until it is told to stop."""

from __future__ import annotations

import sys

import uvicorn

from pipelines.app import create_app
from pipelines.bootstrap import build
from pipelines.settings import Settings

GRACE_S = 5
"""How long answers under way may go on when the part is stopped."""

SWITCH_S = 0.0005
"""How long a thread that computes may keep the others waiting; Python's own 5 ms are the time of a whole search."""


async def serve(settings: Settings) -> None:
    """Build the services, serve them, and release them; raises `SetupFailed` with what to do."""
    sys.setswitchinterval(SWITCH_S)
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
