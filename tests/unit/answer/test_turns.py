"""No more at once than gains by it."""

from __future__ import annotations

import asyncio
import threading
import time

from pipelines.answer.turns import Turns


class Work:
    """Counts how many of it run at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self.most = 0

    def do(self, result: int) -> int:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        time.sleep(0.02)
        with self._lock:
            self._running -= 1
        return result


async def test_work_waits_for_its_turn_and_all_of_it_is_done() -> None:
    turns, work = Turns(), Work()
    assert await asyncio.gather(*(turns.run(1, work.do, n) for n in range(5))) == [0, 1, 2, 3, 4]
    assert work.most == 1


async def test_without_a_limit_nothing_waits() -> None:
    turns, work = Turns(), Work()
    await asyncio.gather(*(turns.run(0, work.do, n) for n in range(4)))
    assert work.most > 1


async def test_whoever_leaves_while_waiting_gives_up_the_turn() -> None:
    turns, work = Turns(), Work()
    first, leaving, last = (asyncio.create_task(turns.run(1, work.do, n)) for n in range(3))
    await asyncio.sleep(0.005)
    leaving.cancel()
    assert await asyncio.gather(first, last) == [0, 2]


def test_it_can_be_used_by_one_event_loop_after_another() -> None:
    turns, work = Turns(), Work()
    assert [asyncio.run(turns.run(1, work.do, n)) for n in range(2)] == [0, 1]
