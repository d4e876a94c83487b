"""How long a stream may be waited for."""

from __future__ import annotations

import asyncio

import pytest

from pipelines.answer.generate.watchdog import Watchdog
from pipelines.errors import DeadlineExceeded

LONG_S = 30.0


def watching(*, idle_s: float = LONG_S, total_s: float = LONG_S) -> Watchdog:
    """A watchdog that counts from now."""
    return Watchdog("ollama/m", idle_s=idle_s, ends=asyncio.get_running_loop().time() + total_s)


async def test_a_wait_that_is_too_long_is_ended() -> None:
    with pytest.raises(DeadlineExceeded, match=r"ollama/m said nothing for 0.02 seconds"), watching(idle_s=0.02) as dog:
        dog.waits()
        await asyncio.sleep(LONG_S)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_many_waits_that_are_short_enough_are_not() -> None:
    with watching(idle_s=0.05) as dog:
        for _ in range(10):
            dog.waits()
            await asyncio.sleep(0.01)
            dog.rests()


async def test_they_are_in_all_no_longer_than_the_whole_may_be() -> None:
    with pytest.raises(DeadlineExceeded, match="was still writing"), watching(idle_s=0.05, total_s=0.1) as dog:
        for _ in range(100):
            dog.waits()
            await asyncio.sleep(0.01)
            dog.rests()


async def test_the_readers_time_does_not_count_as_silence() -> None:
    with watching(idle_s=0.02) as dog:
        dog.waits()
        dog.rests()
        await asyncio.sleep(0.06)
        dog.waits()
        await asyncio.sleep(0)
        dog.rests()


async def test_a_task_that_is_cancelled_by_others_stays_cancelled() -> None:
    async def wait() -> None:
        with watching(idle_s=0.02) as dog:
            dog.waits()
            await asyncio.sleep(LONG_S)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_leaves_no_timer_behind() -> None:
    with watching() as dog:
        dog.waits()
        dog.rests()
    assert dog._timer is not None
    assert dog._timer.cancelled()
