"""Runs a worker beside pipelines: settings go in, it works until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading

from pipelines.bootstrap_documents import open_worker
from pipelines.settings import Settings

log = logging.getLogger(__name__)


def work(settings: Settings) -> None:
    """Take documents that wait in the registry, and notifications of the queue, until SIGTERM or SIGINT.

    Raises:
        SetupFailed: a setting is missing or wrong, or the registry does not answer; says what to do.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with open_worker(settings) as (workers, listener):
        workers.start()
        if listener:
            listener.start()
        log.info("Working")
        stopping.wait()
        if listener:
            listener.stop()
