"""Runs boto3's blocking calls on threads: a call goes in, its events come out of an async generator as they arrive."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from queue import Empty, Queue
from typing import Any, Generic, Protocol, TypeVar

from botocore.eventstream import ParserError
from urllib3.exceptions import HTTPError

from pipelines.providers.aws_sockets import Line
from pipelines.stores.aws import AWS_ERRORS

STREAM_ERRORS = (
    *(*AWS_ERRORS, ParserError, HTTPError, OSError),
    *(struct.error, LookupError, ValueError, TypeError, AttributeError),
)
"""Everything that reading a stream may raise: botocore 1.44 does not translate urllib3's errors there, and the last
five are frames and events that are none."""

AHEAD = 1024
"""How many events a thread may be ahead of who reads them."""

SPARE = 2
"""Threads beside those for answers, so that a check need not wait until an answer has ended."""

Event = TypeVar("Event")
Event_co = TypeVar("Event_co", covariant=True)
Answer = TypeVar("Answer")


class Events(Protocol[Event_co]):
    """What boto3 returns for a stream."""

    def __iter__(self) -> Iterator[Event_co]: ...
    def close(self) -> None: ...


class AwsThreads:
    """The threads of one provider. They are made as they are needed, up to `parallel` and a few."""

    def __init__(self, parallel: int, *, name: str) -> None:
        self._threads = ThreadPoolExecutor(parallel + SPARE, thread_name_prefix=name)
        self._calls: set[_Call[Any]] = set()

    async def events(self, open_stream: Callable[[], Events[Event]]) -> AsyncGenerator[Event, None]:
        """Yield the events of the stream that `open_stream` opens; what it or the stream raises is raised here.

        Closing the generator ends the connection at once, also while the thread waits for an answer on it.
        """
        call: _Call[Event] = _Call(asyncio.get_running_loop())
        reading = self._threads.submit(call.read, open_stream)
        reading.add_done_callback(call.wake)
        self._calls.add(call)
        try:
            while True:
                ended = reading.done()  # asked first: whatever came before the end is then in what is taken
                for event in call.taken():
                    yield event
                if ended:
                    reading.result()
                    return
                await call.news()
        finally:
            self._calls.discard(call)
            if not reading.done():
                reading.cancel()
                call.stop()

    async def call(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` returns; cancelling ends its connection at once."""

        def once() -> Generator[Answer, None, None]:
            yield ask()

        async with aclosing(self.events(once)) as answers:
            [answer] = [answer async for answer in answers]
        return answer

    def close(self) -> None:
        """End every call."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for call in list(self._calls):
            call.stop()


class _Call(Generic[Event]):
    """One call: made on a thread, read and ended in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._line = Line()
        self._events: Queue[Event] = Queue(AHEAD)
        self._news = asyncio.Event()
        self._told = False

    def read(self, open_stream: Callable[[], Events[Event]]) -> None:
        """On the thread: make the call, and hand over its events."""
        with self._line, closing(open_stream()) as events:
            for event in events:
                self._events.put(event)
                self.wake()
                if self._line.cut:
                    return

    def wake(self, _: Future[None] | None = None) -> None:
        """On the thread: tell the loop, once for as many events as come until it looks."""
        if not self._told:
            self._told = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._news.set)

    async def news(self) -> None:
        """In the loop: wait until there are events or the end."""
        await self._news.wait()
        self._news.clear()
        self._told = False

    def taken(self) -> Iterator[Event]:
        """In the loop: the events that are there."""
        while True:
            try:
                yield self._events.get_nowait()
            except Empty:
                return

    def stop(self) -> None:
        """In the loop: end the call."""
        self._line.cut_off()
        for _ in self.taken():  # the thread may be waiting for room
            pass
