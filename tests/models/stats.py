"""What the model server saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

KEPT_QUESTIONS = 1000


@dataclass(slots=True)
class Stats:
    """Counts since the last reset. `cancelled` are clients that went away while a model was producing for them.

    `loads` is how often a model was loaded, `most_at_once` the most requests that one model ran at the same time.
    `asked` are the questions of the first requests, in the order in which they came; `refused` counts, by model, the
    requests that were told to come back.
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
    asked: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget everything but the requests that are running."""
        self.requests = self.tasks = self.completed = self.cancelled = self.loads = self.most_at_once = 0
        self.max_active = self.active
        self.last_request = None
        self.asked.clear()
        self.refused.clear()

    def serves(self, body: dict[str, Any]) -> None:
        """Count a request that is served."""
        self.requests += 1
        self.last_request = body
        if len(self.asked) < KEPT_QUESTIONS:
            self.asked.append(str((body.get("messages") or [{}])[-1].get("content", ""))[-200:])

    def refuses(self, model: str, times: int) -> bool:
        """Whether a request to a busy model is refused: the first `times` of them, or with 0 all."""
        if times and self.refused.get(model, 0) >= times:
            return False
        self.refused[model] = self.refused.get(model, 0) + 1
        return True

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count one answer as running."""
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        try:
            yield
        finally:
            self.active -= 1
