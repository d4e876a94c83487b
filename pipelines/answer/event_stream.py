"""Answers a request with server-sent events: an iterator of whole events goes in, a response comes out.

Starlette's StreamingResponse (1.10) notices a reader that left only when there is something to send, or pays for an
anyio task group and a cancel scope per response; a model can be silent for a minute. This one listens for the
disconnect all the while, keeps a silent line alive, and can still answer with a status when the events never begin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipelines.errors import Cancelled, RaglineError

T = TypeVar("T")

KEEPALIVE = b": keepalive\n\n"
KEEPALIVE_S = 15.0
"""Under the shortest idle limit on the way (n8n's keepalive is 30 s, an AWS load balancer's limit 60 s)."""

logger = logging.getLogger(__name__)


async def while_connected(
    receive: Receive, work: Coroutine[Any, Any, T], *, left: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> T:
    """Return what `work` returns; when the reader leaves first, cancel it and raise `Cancelled`.

    `left` returns when the reader has left who is behind the one that is connected here.
    """
    working = asyncio.ensure_future(work)
    watching = [asyncio.ensure_future(_disconnected(receive)), *([asyncio.ensure_future(left())] if left else [])]
    try:
        await asyncio.wait((working, *watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Cancelled("The reader went away.")
    finally:
        for each in (working, *watching):
            each.cancel()
        await asyncio.gather(working, *watching, return_exceptions=True)


class EventStream(Response):
    """Sends `events` as they come; each item is one or more whole events, blank line included.

    The response begins with the first event, or with a keepalive comment after `keepalive_s` of silence. An error
    before that is raised, so that the application answers it with its status; after that `render_error` makes the
    event that ends the stream. When the reader leaves, or `left` returns because somebody behind has, `events` is
    closed at once.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        render_error: Callable[[RaglineError], bytes],
        headers: Mapping[str, str] | None = None,
        keepalive_s: float = KEEPALIVE_S,
        left: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self._render_error = render_error
        self._keepalive_s = keepalive_s
        self._left = left
        # nginx buffers a proxied response unless it is told not to.
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = _Line(send, self.raw_headers)
        try:
            await while_connected(receive, self._run(line), left=self._left)
        except Cancelled as error:
            logger.info("The reader left before the answer was whole.")
            if self._left:  # whoever is connected may still be there
                await line.write(self._render_error(error))
                await line.end()

    async def _run(self, line: _Line) -> None:
        keeping_alive = asyncio.create_task(line.keep_alive(self._keepalive_s))
        try:
            async with aclosing(self._events):
                async for event in self._events:
                    await line.write(event)
        except RaglineError as error:
            if not line.started:
                raise
            logger.warning("an answer ended early: %s: %s", error.code, error.message)
            await line.write(self._render_error(error))
        except Exception:  # the request's boundary: the log gets the trace, the reader an event
            if not line.started:
                raise
            logger.exception("an answer failed")
            await line.write(self._render_error(RaglineError("Something went wrong here; the log has the details.")))
        finally:
            keeping_alive.cancel()
        await line.end()


class _Line:
    """The connection to one reader."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self._time = asyncio.get_running_loop().time
        self._last_sent = self._time()
        self.started = False

    async def write(self, data: bytes) -> None:
        if not self.started:
            self.started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
        self._last_sent = self._time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        if not self.started:
            await self.write(b"")
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def keep_alive(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(self._last_sent + every_s - self._time())
            if self._time() - self._last_sent >= every_s:
                await self.write(KEEPALIVE)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
