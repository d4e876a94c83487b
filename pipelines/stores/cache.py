"""What is kept for a while: bytes go in under a key, the same bytes come out until their time is over.

A cache only ever saves work: one that fails is one that has nothing, so nothing here raises but `check`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict

ENTRY_BYTES = 200
"""What an entry of `MemoryCache` takes beside its key and its value: a tuple, a float and a place in a dictionary."""


class Cache(ABC):
    """Keeps bytes. For the tasks of one event loop."""

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """What is kept under `key`; None when there is nothing, or nobody can say in time."""

    @abstractmethod
    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep `value` for at most `ttl_s` seconds, in place of what was there; it may be forgotten earlier."""

    @property
    def answers(self) -> bool:
        """Whether there is nothing where `get` just said so, as far as is known; False while nobody can say."""
        return True

    async def check(self) -> None:
        """Return when the cache answers; raises `StoreUnavailable` with what to do."""
        return

    async def close(self) -> None:
        """Release connections."""
        return


class MemoryCache(Cache):
    """The cache of one process: at most `max_bytes`, and what was not asked for longest goes first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self.bytes = 0

    async def get(self, key: str) -> bytes | None:
        ends, value = self._entries.get(key, (0.0, None))
        if value is None:
            return None
        if ends < time.monotonic():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        self._forget(key)
        if _size(key, value) > self._max_bytes:
            return
        self._entries[key] = (time.monotonic() + ttl_s, value)
        self.bytes += _size(key, value)
        while self.bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry:
            self.bytes -= _size(key, entry[1])


class LayeredCache(Cache):
    """A near cache over a far one that other processes share: for what is written by one and mostly read by it too.

    What the near one has is taken from there, even where another process has written since.
    """

    def __init__(self, near: Cache, far: Cache) -> None:
        self._near = near
        self._far = far

    async def get(self, key: str) -> bytes | None:
        near = await self._near.get(key)
        return await self._far.get(key) if near is None else near

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        await self._near.put(key, value, ttl_s=ttl_s)
        await self._far.put(key, value, ttl_s=ttl_s)

    @property
    def answers(self) -> bool:
        return self._near.answers and self._far.answers

    async def check(self) -> None:
        await self._near.check()
        await self._far.check()

    async def close(self) -> None:
        await self._near.close()
        await self._far.close()


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_BYTES
