"""What was measured of retrieval goes in, the bars that it has to meet come out, each with whether it does."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tests.bench.ingest_bars import Bar, at_most, exactly
from tests.bench.ingest_tables import percentiles
from tests.bench.retrieval_results import Footprint, Load, Round

ONE_MS, MANY_MS = 15.0, 60.0
OWN_MB = 2048.0


def latency(rounds: Sequence[Round], chunks: int) -> list[Bar]:
    """`POST /retrieve`: the median of the rounds' 95th percentiles."""
    one, many = [each.one for each in rounds], [each.many for each in rounds]
    return [
        at_most(f"/retrieve at {chunks:,} chunks, p95 at one client", _p95(one), ONE_MS, "ms"),
        at_most(f"/retrieve at {chunks:,} chunks, p95 at {many[0].clients} clients", _p95(many), MANY_MS, "ms"),
        exactly("questions not answered", sum(load.failed for load in (*one, *many)), 0),
        exactly("passages that their reader may not read", sum(each.foreign for each in rounds), 0),
    ]


def memory(footprints: Sequence[Footprint]) -> list[Bar]:
    """What the process holds of its own with the largest index open, after questions."""
    largest = max(footprints, key=lambda each: each.chunks)
    about = f"the process's own memory with {largest.chunks:,} chunks"
    return [at_most(about, largest.searched.anonymous, OWN_MB, "MB")]


def _p95(loads: Sequence[Load]) -> float:
    return median(percentiles(load.ms)[1] for load in loads)
