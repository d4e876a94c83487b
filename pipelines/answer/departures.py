"""Turns that nobody waits for any more: the gateway writes them down, whoever runs the model looks.

n8n 2.40 in queue mode says that it has stopped a run, and does not stop it where a webhook process has begun it: the
model would write to its end for nobody. So the call of the model ends here, and the run ends with it.
"""

from __future__ import annotations

import asyncio

from pipelines.stores.cache import Cache

TTL_S = 900.0
"""Longer than an answer may take."""
LOOK_S = 0.5
"""How often it is looked whether the reader of an answer under way has left."""


class Departures:
    """The turns that were left, in a cache that all replicas share."""

    def __init__(self, cache: Cache, *, look_s: float = LOOK_S) -> None:
        self._cache = cache
        self._look_s = look_s

    async def note(self, request_id: str) -> None:
        """Write down that the reader of this turn has left."""
        await self._cache.put(_key(request_id), b"1", ttl_s=TTL_S)

    async def of(self, request_id: str) -> None:
        """Return when the reader of this turn has left, and not before."""
        while True:
            if await self._cache.get(_key(request_id)):
                return
            await asyncio.sleep(self._look_s)


def _key(request_id: str) -> str:
    return f"left:{request_id}"
