"""A turn that was left is known to every replica, and to none before."""

from __future__ import annotations

import asyncio

import pytest

from pipelines.answer.departures import Departures
from pipelines.stores.cache import MemoryCache


async def test_another_replica_hears_of_a_reader_who_has_left() -> None:
    shared = MemoryCache(10_000)
    gateway, router = (Departures(shared, look_s=0.01) for _ in range(2))
    waiting = asyncio.create_task(router.of("r1"))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    await gateway.note("r1")
    await asyncio.wait_for(waiting, 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(router.of("r2"), 0.05)
