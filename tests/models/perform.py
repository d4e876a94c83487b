"""Plays a script onto a connection in either wire format, on time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

from tests.models.script import Script
from tests.models.stats import Stats


class Wire(Protocol):
    """The lines of one streamed answer."""

    content_type: str

    def token(self, text: str) -> bytes:
        """One piece of the answer."""

    def ending(self, script: Script, *, cut: bool) -> Sequence[bytes]:
        """What follows the last piece."""

    def failure(self, message: str) -> bytes:
        """An error in the middle."""


async def perform(request: web.Request, script: Script, wire: Wire, stats: Stats, *, cut: bool) -> web.StreamResponse:
    """Send the script's tokens when they are due, then its ending, or its fault in their place."""
    response = web.StreamResponse(headers={"Content-Type": wire.content_type})
    started = asyncio.get_running_loop().time()
    try:
        with stats.answering():
            await _wait_until(started + script.ttft_s)
            await response.prepare(request)
            await _tokens(request, response, script, wire, started)
            if script.fault not in ("fail", "hang", "err"):
                for line in wire.ending(script, cut=cut):
                    await response.write(line)
                await response.write_eof()
                stats.completed += 1
    except (asyncio.CancelledError, ConnectionResetError):
        stats.cancelled += 1
        raise
    return response


async def whole(request: web.Request, script: Script, stats: Stats) -> None:
    """Take as long as the script's answer takes, for a client that asked for it in one piece; break off if it fails."""
    try:
        with stats.answering():
            await asyncio.sleep(script.due_s(max(0, len(script.tokens) - 1)))
    except asyncio.CancelledError:
        stats.cancelled += 1
        raise
    if script.fault == "fail" and request.transport is not None:
        request.transport.abort()
        return
    stats.completed += 1


async def _tokens(
    request: web.Request, response: web.StreamResponse, script: Script, wire: Wire, started: float
) -> None:
    for index, token in enumerate(script.tokens):
        if script.fault in ("fail", "hang", "err") and index == script.fault_after:
            await _break(request, response, script, wire)
            return
        await _wait_until(started + script.due_s(index))
        line = wire.token(token)
        if script.fault == "drip":
            for place in range(len(line)):
                await response.write(line[place : place + 1])
                await asyncio.sleep(script.itl_s)
        else:
            await response.write(line)


async def _break(request: web.Request, response: web.StreamResponse, script: Script, wire: Wire) -> None:
    if script.fault == "hang":
        await asyncio.Event().wait()
    elif script.fault == "err":
        await response.write(wire.failure("an error was encountered while running the model"))
        await response.write_eof()
    elif request.transport is not None:
        request.transport.abort()


async def _wait_until(moment: float) -> None:
    delay = moment - asyncio.get_running_loop().time()
    if delay > 0:
        await asyncio.sleep(delay)
