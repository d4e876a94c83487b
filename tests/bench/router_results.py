"""What `make bench-router` measures: one run of one way, and what the process between had taken before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

import psutil

from tests.bench.load import Measured

Kind = Literal["alone", "busy", "crowd"]
ALONE, OURS, THEIRS = "model alone", "Ragline", "LiteLLM"
WAYS = (ALONE, OURS, THEIRS)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process has taken by now: seconds of processor, resident megabytes, open descriptors."""

    cpu_s: float = 0.0
    rss_mb: float = 0.0
    files: int = 0

    @classmethod
    def by(cls, process: psutil.Process | None) -> Taken:
        """Of a process with its children; nothing where nothing stands between."""
        if process is None:
            return cls()
        family = [process, *process.children(recursive=True)]
        times = [each.cpu_times() for each in family]
        return cls(
            cpu_s=sum(each.user + each.system for each in times),
            rss_mb=sum(each.memory_info().rss for each in family) / 2**20,
            files=sum(each.num_fds() for each in family),
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One way under one kind of load."""

    kind: Kind
    measured: Measured
    before: Taken
    after: Taken

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor an answer took of the process between."""
        return 1000 * (self.after.cpu_s - self.before.cpu_s) / max(1, self.measured.answers)

    def as_row(self) -> dict[str, Any]:
        """All of it, for the file of figures."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Runs:
    """Every run of the benchmark."""

    runs: Sequence[Run]

    def of(self, kind: Kind, way: str) -> list[Run]:
        """Those of one kind of load and one way, in the order they were made."""
        return [run for run in self.runs if run.kind == kind and run.measured.target == way]

    def median(self, kind: Kind, way: str, of: Callable[[Run], float]) -> float:
        """The median of a figure over the rounds."""
        return median(of(run) for run in self.of(kind, way))

    def added_ms(self, way: str) -> float:
        """What a way adds to the model's first token at one stream: the median of the rounds' differences."""
        pairs = zip(self.of("alone", way), self.of("alone", ALONE), strict=True)
        return median(run.measured.ttft_p50 - alone.measured.ttft_p50 for run, alone in pairs)

    def peak_mb(self, way: str) -> float:
        """The most memory that was seen after a run."""
        return max(run.after.rss_mb for run in self.runs if run.measured.target == way)
