"""Decides when the graph of an embedded index is built anew: how much was written in, builds out, one at a time."""

from __future__ import annotations

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.errors import StoreUnavailable

log = logging.getLogger(__name__)

_INDEXING_THRESHOLD = 10_000 * 1024
"""Bytes of vectors below which the engine builds no graph (qdrant-edge-py 0.9.0)."""
_LEAST = 5_000
"""Fewer points are searched exactly in a millisecond or two."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When to build: after `points` were written (None: as many as are worth it for the engine), and either nothing
    more came for `quiet_s`, or the first of them is `at_most_s` old. A build that failed is tried again after
    `retry_s`, or when as many points came again; one that takes `timeout_s` is ended. While more than `missed` points
    are written during one build, it is given up: they are kept in memory, some 5 kB each.
    """

    points: int | None = None
    quiet_s: float = 20.0
    at_most_s: float = 600.0
    retry_s: float = 3600.0
    timeout_s: int = 4 * 3600
    missed: int = 30_000


class Optimiser:
    """Calls the method `build` in a thread of its own whenever it is due. Thread-safe.

    It does not keep the method's object: an index that nobody closed is released with its lock on the folder all the
    same. `build` returns False where there was nothing to build; it raises `StoreUnavailable` when it failed, or when
    `closing` was set meanwhile.
    """

    def __init__(self, build: Callable[[], bool], *, pace: Pace, dimensions: int) -> None:
        self.closing = threading.Event()
        self._build = weakref.WeakMethod(build)
        self._pace = pace
        self._points = pace.points or max(_LEAST, math.ceil(_INDEXING_THRESHOLD / (4 * dimensions)))
        self._building = threading.Lock()
        self._state = threading.Lock()
        self._thread: threading.Thread | None = None
        self._written, self._wanted = 0, self._points
        self._first = self._last = 0.0
        self._retry_at = math.inf

    def wrote(self, points: int) -> None:
        """Note that so many points were added or removed; costs nothing until they are enough."""
        now = time.monotonic()
        with self._state:
            if not self._written:
                self._first = now
            self._written += points
            self._last = now
            if self._written >= self._points and self._thread is None and not self.closing.is_set():
                self._thread = threading.Thread(target=self._run, name="optimiser", daemon=True)
                self._thread.start()

    def now(self) -> bool:
        """Build at once and wait for it; False where there is nothing to build.

        Raises `StoreUnavailable`: it failed, or the index is closed; what is searched is as it was.
        """
        with self._building:
            build = self._build()
            if build is None or self.closing.is_set():
                raise StoreUnavailable("The search graph is not built anew: the index is closed.")
            written = self._written
            try:
                built = build()
            except StoreUnavailable:
                with self._state:
                    self._wanted, self._retry_at = self._written + self._points, time.monotonic() + self._pace.retry_s
                raise
            with self._state:
                self._written -= written
                self._first = time.monotonic()
                self._wanted, self._retry_at = self._points, math.inf
            return built

    def close(self) -> None:
        """End a build that is going on, and wait until it is ended."""
        with self._state:
            self.closing.set()
        if self._thread:
            self._thread.join()
        with self._building:
            """So that one that somebody else waits for is ended, too."""

    def _run(self) -> None:
        while not self.closing.wait(min(1.0, self._pace.quiet_s)) and self._build():
            if not self._is_due():
                continue
            began = time.monotonic()
            try:
                built = self.now()
            except StoreUnavailable as error:
                if not self.closing.is_set():
                    log.warning("%s Questions are answered as before, and it is tried again later.", error.message)
                continue
            if built:
                log.info("The search graph was built anew within %.0f s.", time.monotonic() - began)

    def _is_due(self) -> bool:
        now = time.monotonic()
        with self._state:
            enough = self._written >= self._wanted or (self._written >= self._points and now >= self._retry_at)
            settled = now >= self._last + self._pace.quiet_s or now >= self._first + self._pace.at_most_s
            return enough and settled
