"""Runs the pipelines part: settings go in, an HTTP server runs until it is told to stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
        with _outliving_signals():
            await uvicorn.Server(config).serve()


@contextmanager
def _outliving_signals() -> Iterator[None]:
    """Be told to stop by uvicorn's return alone.

    Once it has stopped, uvicorn 0.54 sends the process the same signal again, which would end it here: with the
    ledger's last second unwritten and nothing released.
    """
    former = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
