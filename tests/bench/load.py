"""Puts load on one target: a number of readers at once, each asking again as soon as it has its answer.

A target is one way to the same model; what is measured is what a client sees. Light on purpose: the load generator
shares its machine with the stack.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import aiohttp
import orjson


@dataclass(frozen=True, slots=True)
class Target:
    """One way to ask. `first_token` tells from a line whether the text has begun, `last` whether it is whole.

    `body` is made for each question by its number: a question asked twice may be answered from a cache.
    """

    name: str
    url: str
    body: Callable[[int], dict[str, Any]]
    headers: Mapping[str, str]
    first_token: Callable[[bytes], bool]
    last: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of a target gave. Times in milliseconds, `rate` in whole answers per second."""

    target: str
    readers: int
    answers: int
    failures: int
    ttft_p50: float
    ttft_p95: float
    rate: float
    reasons: tuple[str, ...] = ()


async def load(target: Target, *, readers: int, answers: int) -> Measured:
    """Ask `answers` questions, `readers` at once."""
    todo = iter(range(answers))
    ttfts: list[float] = []
    reasons: list[str] = []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:

        async def reader() -> None:
            for number in todo:
                try:
                    ttfts.append(await _ask(session, target, number))
                except (aiohttp.ClientError, TimeoutError, _Broken) as error:
                    reasons.append(f"{type(error).__name__}: {error}"[:200])

        started = time.perf_counter()
        await asyncio.gather(*(reader() for _ in range(readers)))
        elapsed = time.perf_counter() - started
    cuts = quantiles(ttfts, n=100, method="inclusive") if len(ttfts) > 1 else [float("nan")] * 99
    return Measured(
        target=target.name,
        readers=readers,
        answers=len(ttfts),
        failures=len(reasons),
        ttft_p50=cuts[49] * 1000,
        ttft_p95=cuts[94] * 1000,
        rate=len(ttfts) / elapsed,
        reasons=tuple(sorted(set(reasons))[:3]),
    )


class _Broken(Exception):
    """An answer that did not come out whole."""


async def _ask(session: aiohttp.ClientSession, target: Target, number: int) -> float:
    started = time.perf_counter()
    first = 0.0
    whole = False
    data = orjson.dumps(target.body(number))
    headers = {"Content-Type": "application/json", **target.headers}
    async with session.post(target.url, data=data, headers=headers) as response:
        if response.status != 200:
            raise _Broken(f"status {response.status}: {(await response.read())[:120]!r}")
        async for line in response.content:
            if not first and target.first_token(line):
                first = time.perf_counter() - started
            whole = whole or target.last(line)
    if not (first and whole):
        raise _Broken("the answer was not whole")
    return first
