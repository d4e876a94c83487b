"""Lets no more work run side by side than gains by it: blocking functions go in, their results come out in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Turns:
    """Runs functions in worker threads, at most so many at once. For the tasks of one event loop.

    Threads that compute under the interpreter's lock only hinder one another: sixteen searches of the embedded index
    came out a sixth sooner one by one.
    """

    def __init__(self) -> None:
        self._turn: asyncio.Semaphore | None = None
        self._of: tuple[asyncio.AbstractEventLoop, int] | None = None

    async def run(self, parallel: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `function` returns, once fewer than `parallel` others run; 0: at once."""
        if not parallel:
            return await asyncio.to_thread(function, *args, **kwargs)
        async with self._turns(parallel):
            return await asyncio.to_thread(function, *args, **kwargs)

    def _turns(self, parallel: int) -> asyncio.Semaphore:
        wanted = (asyncio.get_running_loop(), parallel)
        if self._turn is None or self._of != wanted:
            self._turn, self._of = asyncio.Semaphore(parallel), wanted
        return self._turn
