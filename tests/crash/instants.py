"""Counts the instants of each stage in a process that ingests, and kills it at the one it was told."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STAGES = ("fetch", "read", "embed", "stage", "publish")
"""Parsing and chunking are one call, in a process of its own: `read`."""


class Instants:
    """Every instrumented call is two instants of its stage: before it and after it."""

    def __init__(self, stage: str, number: int) -> None:
        self._stage = stage
        self._number = number
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def around(self, stage: str, owner: Any, name: str) -> None:
        """Count the calls of `owner.name` from now on."""
        original = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._pass(stage)
            result = original(*args, **kwargs)
            self._pass(stage)
            return result

        setattr(owner, name, counted)

    def each(self, stage: str, owner: Any, name: str) -> None:
        """Count what the generator function `owner.name` yields from now on."""
        original: Callable[..., Iterator[Any]] = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Iterator[Any]:
            self._pass(stage)
            for item in original(*args, **kwargs):
                self._pass(stage)
                yield item
            self._pass(stage)

        setattr(owner, name, counted)

    def inside(self, stage: str, owner: Any, name: str) -> None:
        """Count the beginning and the end of the block of the context manager `owner.name`."""
        original = getattr(owner, name)

        @contextmanager
        def counted(*args: Any, **kwargs: Any) -> Iterator[Any]:
            self._pass(stage)
            with original(*args, **kwargs) as value:
                self._pass(stage)
                yield value
                self._pass(stage)
            self._pass(stage)

        setattr(owner, name, counted)

    def _pass(self, stage: str) -> None:
        with self._lock:
            self._seen[stage] += 1
            if stage == self._stage and self._seen[stage] == self._number:
                os.kill(os.getpid(), signal.SIGKILL)
