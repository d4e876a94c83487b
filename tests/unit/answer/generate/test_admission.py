"""Who may use a provider now."""

from __future__ import annotations

import asyncio

import pytest

from pipelines.answer.generate.admission import Admission
from pipelines.errors import Busy


async def test_never_admits_more_than_are_served_at_once_and_keeps_the_order() -> None:
    admission = Admission("ollama", parallel=3, queue=100)
    order: list[int] = []
    most = 0

    async def call(number: int) -> None:
        nonlocal most
        async with admission.slot():
            order.append(number)
            most = max(most, admission.active)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(call(number) for number in range(30)))
    assert most == 3
    assert order == list(range(30))
    assert (admission.active, admission.waiting) == (0, 0)


async def test_refuses_at_once_when_the_queue_is_full_and_says_when_to_return() -> None:
    admission = Admission("ollama", parallel=1, queue=1)
    async with admission.slot():
        waiting = asyncio.create_task(_hold(admission))
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="ollama") as refused:
            await _hold(admission)
    await waiting
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 60


async def test_without_a_queue_the_free_slot_is_still_given() -> None:
    admission = Admission("ollama", parallel=1, queue=0)
    await _hold(admission)
    async with admission.slot():
        with pytest.raises(Busy):
            await _hold(admission)


async def test_whoever_gives_up_waiting_frees_the_place() -> None:
    admission = Admission("ollama", parallel=1, queue=1)
    async with admission.slot():
        impatient = asyncio.create_task(_hold(admission))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        next_one = asyncio.create_task(_hold(admission))
        await asyncio.sleep(0)
    await next_one
    assert (admission.active, admission.waiting) == (0, 0)


async def _hold(admission: Admission) -> None:
    async with admission.slot():
        pass
