"""Runs a worker beside pipelines: settings go in, it works until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from tempfile import gettempdir

from pipelines.bootstrap_documents import Worker, open_worker
from pipelines.errors import RaglineError, StoreUnavailable
from pipelines.settings import Settings

log = logging.getLogger(__name__)

HEARTBEAT = Path(gettempdir()) / "ragline-worker"
"""Its time says when the worker was last seen to live; what watches the process looks at it."""
BEAT_S = 5.0


def work(settings: Settings, *, heartbeat: Path = HEARTBEAT, beat_s: float = BEAT_S) -> None:
    """Take documents that wait in the registry, and notifications of the queue, until SIGTERM or SIGINT.

    Raises:
        SetupFailed: a setting is missing or wrong, or the registry does not answer at the start; says what to do.
        StoreUnavailable: the index does not answer at the start.
        RaglineError: a thread ended that must not. Whatever started this process starts it again.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    heartbeat.unlink(missing_ok=True)
    with open_worker(settings) as worker:
        worker.workers.start()
        if worker.listener:
            worker.listener.start()
        log.info("Working")
        while True:
            _beat(worker, heartbeat)
            if stopping.wait(beat_s):
                break
        if worker.listener:
            worker.listener.stop()


def _beat(worker: Worker, heartbeat: Path) -> None:
    """Show that the worker lives: all its threads, and the registry that it works from."""
    if not worker.workers.live() or (worker.listener and not worker.listener.lives()):
        raise RaglineError("A thread of the worker has ended, so the worker ends too; its log says why.")
    try:
        worker.registry.answer()
    except StoreUnavailable as error:
        log.warning("The worker waits: %s", error.message)
    else:
        heartbeat.touch()
