"""What `make bench-compose` measures of one profile: arrivals, each service at rest and under load, disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.load import Measured
from tests.compose.cgroups import Counted


@dataclass(frozen=True, slots=True)
class Service:
    """One container that stays. CPU is in seconds of one processor."""

    name: str
    limit_mb: float
    rest: Counted
    rest_cpu_s: float
    """In `rest_s` of quiet."""
    load: Counted
    load_cpu_s: float
    load_most_mb: float
    """The most of what `docker stats` shows, looked at every second."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The stack with one set of overlays."""

    name: str
    model: str
    up_s: Sequence[float]
    answer_s: Sequence[float]
    """From `up` to the first cited answer, a run each."""
    rest_s: float
    load_s: float
    measured: Measured
    by_model: int
    """Answers of the model itself: quotes would cost less."""
    services: Sequence[Service]
    volumes_mb: Mapping[str, float]
    image_mb: float
    """Of pipelines; the stand-ins' sizes say nothing about the vendors'."""

    @property
    def first_answer_s(self) -> float:
        return median(self.answer_s)

    @property
    def limits_mb(self) -> float:
        return sum(service.limit_mb for service in self.services)

    @property
    def oom_kills(self) -> int:
        return sum(service.load.oom_kills for service in self.services)
