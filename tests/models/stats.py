"""What the model server saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Stats:
    """Counts since the last reset. `cancelled` are clients that went away while a model was producing for them.

    `loads` is how often a model was loaded, `most_at_once` the most requests that one model ran at the same time.
    """

    requests: int = 0
    tasks: int = 0
    completed: int = 0
    cancelled: int = 0
    active: int = 0
    max_active: int = 0
    loads: int = 0
    most_at_once: int = 0
    last_request: dict[str, Any] | None = None

    def reset(self) -> None:
        """Forget everything but the requests that are running."""
        self.requests = self.tasks = self.completed = self.cancelled = self.loads = self.most_at_once = 0
        self.max_active = self.active
        self.last_request = None

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count one answer as running."""
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        try:
            yield
        finally:
            self.active -= 1
