"""Who may use a provider now: as many as it serves at once, the next in the order they came, the rest come back."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipelines.errors import Busy

_SMOOTHING = 0.2
"""How much one finished call moves the mean that `retry_after` is worked out from."""
_MAX_RETRY_S = 60


class QueueFull(Busy):
    """Our own queue is full; the provider was not asked."""


class Admission:
    """`parallel` slots and a queue of at most `queue` callers, served first come, first served."""

    def __init__(self, name: str, *, parallel: int, queue: int) -> None:
        self._name = name
        self.parallel = parallel
        self._queue = queue
        # asyncio's semaphore wakes its waiters in order and, since 3.11, lets nobody overtake them.
        self._slots = asyncio.Semaphore(parallel)
        self._mean_s = 1.0
        self.waiting = 0
        self.active = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one slot, waiting for it in turn; raises `QueueFull` at once when the queue is full.

        Whoever is cancelled while waiting leaves the queue; a slot that was just handed over goes to the next in it.
        """
        if self._slots.locked() and self.waiting >= self._queue:
            raise QueueFull(
                f"Too many questions are waiting for {self._name}; try again.", retry_after=self._retry_after()
            )
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.active += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self.active -= 1
            self._mean_s += _SMOOTHING * (time.monotonic() - started - self._mean_s)
            self._slots.release()

    @property
    def has_room(self) -> bool:
        """Whether a call that can be done without may be made: nobody waits, and it does not take the last slot.

        The only slot of an idle provider may be taken.
        """
        return self.waiting == 0 and (self.active == 0 or self.parallel - self.active > 1)

    def _retry_after(self) -> float:
        return min(_MAX_RETRY_S, math.ceil(self._mean_s * (self.waiting + 1) / self.parallel))
