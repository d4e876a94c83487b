"""Servers for embedding models in an event loop of their own, for tests that block as the providers do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from threading import Thread
from typing import TypeVar

Server = TypeVar("Server")


@contextmanager
def in_a_thread(running: Callable[[], AbstractAsyncContextManager[Server]]) -> Iterator[Server]:
    """What `running()` runs, in another thread, for the length of the block."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    there = running()
    try:
        yield asyncio.run_coroutine_threadsafe(there.__aenter__(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(there.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
