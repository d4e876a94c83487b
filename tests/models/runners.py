"""Which models are loaded, how often they had to be, and how many requests each runs at once, by Ollama's rules.

https://github.com/ollama/ollama/blob/main/server/sched.go (needsReload)
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

from tests.models.stats import Stats

LOADED_WITH = ("num_batch", "num_ctx", "num_gpu", "main_gpu", "num_thread", "use_mmap")
"""The options a runner is started with; with other values for them the model is loaded anew."""

DEFAULT_NUM_CTX = 4096
DEFAULT_KEEP_ALIVE_S = 300.0

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")


@dataclass(slots=True)
class Runner:
    """A loaded model. `expires` is a moment of `time.monotonic`, counted from when its last request ended."""

    options: tuple[object, ...]
    num_ctx: int
    slots: asyncio.Semaphore | None
    expires: float = inf
    active: int = 0

    @property
    def is_loaded(self) -> bool:
        return self.active > 0 or time.monotonic() < self.expires

    @property
    def expires_at(self) -> str:
        """As `/api/ps` says it."""
        # Ollama's "for ever" is the longest duration of Go, 292 years.
        left = timedelta(days=292 * 365) if self.expires == inf else timedelta(seconds=self.expires - time.monotonic())
        return (datetime.now(UTC) + left).isoformat().replace("+00:00", "Z")


class Runners:
    """The models of one server. Beyond `parallel` requests to one of them the next ones wait; None: none waits."""

    def __init__(self, stats: Stats, parallel: int | None = None) -> None:
        self._stats = stats
        self._parallel = parallel
        self._runners: dict[str, Runner] = {}

    def loaded(self) -> dict[str, Runner]:
        """What is loaded now, by the model's name."""
        return {model: runner for model, runner in self._runners.items() if runner.is_loaded}

    def load(self, model: str, body: Mapping[str, Any]) -> Runner:
        """Load a model as a request's `options` want it, unless it is; `keep_alive` counts from now."""
        options = body.get("options") or {}
        wanted = tuple(options.get(name) for name in LOADED_WITH)
        runner = self._runners.get(model)
        if runner is None or not runner.is_loaded or runner.options != wanted:
            self._stats.loads += 1
            slots = asyncio.Semaphore(self._parallel) if self._parallel else None
            runner = self._runners[model] = Runner(wanted, options.get("num_ctx") or DEFAULT_NUM_CTX, slots)
        runner.expires = time.monotonic() + keep_alive_s(body.get("keep_alive"))
        return runner

    @asynccontextmanager
    async def running(self, model: str, body: Mapping[str, Any]) -> AsyncIterator[None]:
        """Hold one of the model's places for a request, waiting for one if there is none."""
        runner = self.load(model, body)
        async with AsyncExitStack() as held:
            if runner.slots:
                await held.enter_async_context(runner.slots)
            held.enter_context(self._counted(runner, body))
            yield

    @contextmanager
    def _counted(self, runner: Runner, body: Mapping[str, Any]) -> Iterator[None]:
        runner.active += 1
        self._stats.most_at_once = max(self._stats.most_at_once, runner.active)
        try:
            yield
        finally:
            runner.active -= 1
            runner.expires = time.monotonic() + keep_alive_s(body.get("keep_alive"))


def keep_alive_s(value: object) -> float:
    """Seconds that a request's `keep_alive` asks for: a number, or a duration of Go such as 10m or 1h30m."""
    if value is None:
        return DEFAULT_KEEP_ALIVE_S
    text = str(value)
    if text.startswith("-"):
        return inf
    parts = _DURATION.findall(text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else float(text)
