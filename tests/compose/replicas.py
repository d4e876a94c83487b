"""Several containers of one service: what each has said, and one of them that dies and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.errors import SetupFailed
from tests.compose import containers
from tests.compose.containers import Container
from tests.compose.deployment import Deployment
from tests.compose.docker import docker


def said(container: Container) -> str:
    """What one container has printed, over its restarts."""
    return docker("logs", container.id, both=True)


@dataclass(frozen=True)
class Tally:
    """How often each replica of a service has printed some words since a moment."""

    stack: Deployment
    service: str
    words: str
    before: dict[str, int]

    @classmethod
    def begun(cls, stack: Deployment, service: str, words: str) -> Tally:
        return cls(stack, service, words, counted(stack, service, words))

    def now(self) -> dict[str, int]:
        """By the container's name."""
        found = counted(self.stack, self.service, self.words)
        return {name: number - self.before.get(name, 0) for name, number in found.items()}


def counted(stack: Deployment, service: str, words: str) -> dict[str, int]:
    """How often each replica has printed some words in all, by its name."""
    return {one.name: said(one).count(words) for one in stack.containers(service)}


def until(happened: Callable[[], bool], *, within_s: float, why: Callable[[], object] = str) -> float:
    """Wait until something has happened, and return the seconds; raises AssertionError."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < within_s, why()
        time.sleep(0.25)
    return time.monotonic() - began


def kill(container: Container) -> float:
    """End its process as a crash would, and return the moment."""
    containers.kill(container)
    return time.monotonic()


def back(stack: Deployment, was: Container, *, within_s: float) -> float:
    """Wait until a container that was killed is ready again, and return the moment.

    Raises:
        SetupFailed: it was not ready in time.
    """
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        now = next(one for one in stack.containers(was.service) if one.id == was.id)
        if now.restarts > was.restarts and now.health == "healthy":
            return time.monotonic()
        time.sleep(0.25)
    raise SetupFailed(f"{was.name} was not back within {within_s:.0f} s: {stack.health()}")
