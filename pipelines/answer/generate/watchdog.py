"""Limits how long a stream may be waited for: its waits go in, `DeadlineExceeded` comes out of one that took too long.

`asyncio.timeout` around every wait makes and cancels a timer for each piece of text: 3 µs, more than all else that the
router does with it. Here a stream has one timer, which looks when it fires whether anything came meanwhile.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from pipelines.errors import DeadlineExceeded


class Watchdog:
    """Guards one stream as a context manager: no wait between `waits` and `rests` is longer than `idle_s`.

    Nor does one go on past `ends`, a moment of the event loop's clock. The wait is cancelled, and what the block then
    raises is `DeadlineExceeded`. `name` is whose stream it is.
    """

    def __init__(self, name: str, *, idle_s: float, ends: float) -> None:
        self._name = name
        self._idle_s = idle_s
        self._ends = ends
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._since = 0.0
        self._waiting = False
        self._expired = ""

    def waits(self) -> None:
        """Say that this task now waits for the stream."""
        task = asyncio.current_task()
        if task is not self._task:
            self._task, self._cancelling = task, task.cancelling() if task else 0
        self._since = self._time()
        self._waiting = True
        if self._timer is None:
            self._timer = self._loop.call_at(self._due(), self._look)

    def rests(self) -> None:
        """Say that the stream has something: until the next wait the time is the reader's."""
        self._waiting = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer:
            self._timer.cancel()
        if not self._expired or self._task is None:
            return
        # As asyncio.timeout does (3.11): a task that somebody else has cancelled too stays cancelled.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise DeadlineExceeded(self._expired) from error

    def _due(self) -> float:
        return min(self._since + self._idle_s, self._ends)

    def _look(self) -> None:
        self._timer = None
        if not self._waiting or self._task is None:
            return  # the next wait sets the timer
        due = self._due()
        if self._time() < due:
            self._timer = self._loop.call_at(due, self._look)
            return
        over = due == self._ends
        self._expired = (
            f"{self._name} was still writing when the time for its answer was over."
            if over
            else f"{self._name} said nothing for {self._idle_s:g} seconds."
        )
        self._task.cancel()
