"""Merges tokens that arrive close together: deltas go in, fewer deltas with the same text come out.

Each piece the router sends is one event that n8n parses at about 0.5 ms of its single thread. Fifty models writing 50
tokens a second would need more than that thread has, and every reader would wait. So pieces are merged, only under
load, and never the first one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from pipelines.providers.base import ChatDelta, Finish, TextDelta

FREE_STREAMS = 4
"""Up to here nothing is merged: 4 streams of 50 tokens a second take a tenth of n8n's thread."""
WINDOW_PER_STREAM_S = 0.0025
"""The window grows with each further stream, so that n8n gets at most about 400 pieces a second, a fifth of it."""
MAX_WINDOW_S = 0.1
"""Pieces 100 ms apart still read as flowing text."""


def window_s(active: int) -> float:
    """How long pieces are held back when `active` streams are running, in seconds."""
    return min(MAX_WINDOW_S, max(0, active - FREE_STREAMS) * WINDOW_PER_STREAM_S)


async def coalesce(
    deltas: AsyncGenerator[ChatDelta, None], window: Callable[[], float]
) -> AsyncGenerator[ChatDelta, None]:
    """Yield the first text at once, then at most one text per `window()` seconds, then what ended the deltas.

    Closes `deltas` when it is closed; what `deltas` raises is raised after the text that came before it.
    """
    inbox = _Inbox()
    pump = asyncio.create_task(_pump(deltas, inbox))
    pump.add_done_callback(lambda _: inbox.filled.set())
    loop = asyncio.get_running_loop()
    not_before = 0.0
    try:
        while True:
            await inbox.filled.wait()
            delay = not_before - loop.time()
            if delay > 0 and not pump.done():
                await asyncio.wait((pump,), timeout=delay)
            text, finish = inbox.take()
            if text:
                yield TextDelta(text)
                not_before = loop.time() + window()
            if finish:
                yield finish
            if pump.done() and not inbox.pieces:
                pump.result()
                return
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


class _Inbox:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.filled = asyncio.Event()
        self.finish: Finish | None = None

    def take(self) -> tuple[str, Finish | None]:
        text, finish = "".join(self.pieces), self.finish
        self.pieces.clear()
        self.finish = None
        self.filled.clear()
        return text, finish


async def _pump(deltas: AsyncGenerator[ChatDelta, None], inbox: _Inbox) -> None:
    try:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                inbox.pieces.append(delta.text)
            else:
                inbox.finish = delta
            inbox.filled.set()
    finally:
        await deltas.aclose()
