"""One answer for several who asked the same at once: a model's deltas go in, each follower gets all of them.

Every follower reads at his own pace: a slow one holds up neither the model nor the others.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from pipelines.errors import Cancelled, ModelFailed, RaglineError
from pipelines.providers.base import ChatDelta, Finish, TextDelta


class SharedAnswer:
    """Reads `deltas` in a task of its own, until it ends or the last follower has left.

    `request_id` is whose call it is. `over` is called when nobody may join any more: it has ended, or was given up.
    """

    def __init__(
        self, request_id: str, deltas: AsyncGenerator[ChatDelta, None], over: Callable[[SharedAnswer], None]
    ) -> None:
        self.request_id = request_id
        self._over = over
        self._texts: list[str] = []
        self._finish: Finish | None = None
        self._followers = 0
        self._ended = False
        self._grown = asyncio.Event()
        self._task = asyncio.create_task(self._read(deltas))
        self._task.add_done_callback(self._end)

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[AsyncGenerator[ChatDelta, None]]:
        """All deltas from the first on, as they come; those that are there already come as one text.

        Who leaves the block last ends the model's call, if it has not ended, and waits until it is closed.

        Raises, from the deltas, what ended the model's; to each follower an error of his own.
        """
        self._followers += 1
        try:
            async with aclosing(self._deltas()) as deltas:
                yield deltas
        finally:
            self._followers -= 1
            if not self._followers and not self._ended:
                if not self._finish:
                    self._over(self)
                    self._task.cancel()
                await asyncio.wait((self._task,))

    async def _read(self, deltas: AsyncGenerator[ChatDelta, None]) -> None:
        async with aclosing(deltas):
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    self._texts.append(delta.text)
                else:
                    self._finish = delta
                    self._over(self)  # what is asked from now on is another question: this answer is kept, or is not
                self._wake()
                if len(self._texts) == 1:
                    await asyncio.sleep(0)  # the first text goes out before what came with it is read

    def _wake(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # looked at, even when every follower has left
        self._over(self)  # before anybody learns of the end: who asks again then must not find this one
        self._ended = True
        self._wake()

    async def _deltas(self) -> AsyncGenerator[ChatDelta, None]:
        seen = 0
        while True:
            grown = self._grown
            if seen < len(self._texts):
                text = "".join(self._texts[seen:])
                seen = len(self._texts)
                yield TextDelta(text)
            elif self._finish:
                yield self._finish
                return
            elif self._ended:
                self._raise()
            else:
                await grown.wait()

    def _raise(self) -> None:
        if self._task.cancelled():
            raise Cancelled("The answer was stopped.")
        error = self._task.exception() or ModelFailed("The model broke off without an end to its answer.")
        if isinstance(error, RaglineError):
            # Of its own for each: a raised error collects the traces of all who raise it.
            raise copy.copy(error) from error
        raise error
