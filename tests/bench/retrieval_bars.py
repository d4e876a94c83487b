"""What was measured of retrieval goes in, the bars that it has to meet come out, each with whether it does."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median

from tests.bench.ingest_bars import Bar, at_most, exactly
from tests.bench.ingest_tables import percentiles
from tests.bench.retrieval_results import Asked, Footprint, Load, Round

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


def systems(asked: Sequence[Asked]) -> list[Bar]:
    """This product, which comes first, against each other system: more right pages, sooner."""
    ours, *others = asked
    found = []
    for other in others:
        for measure in ("page_hit@10", "document_hit@5"):
            values = [100 * mean(each.values(measure)) for each in (ours, other)]
            about = f"{measure.replace('_', ' ')}, beside {other.name}"
            found.append(Bar(about, f"{values[0]:.1f} %", f"above {values[1]:.1f} %", values[0] > values[1]))
        theirs = round(_p95([other.load]), 1)
        found.append(at_most(f"p95 at one client, beside {other.name}", _p95([ours.load]), theirs, "ms"))
    return [*found, exactly("questions that a system did not answer", sum(each.load.failed for each in asked), 0)]


def memory(footprints: Sequence[Footprint]) -> list[Bar]:
    """What the process holds of its own with the largest index open, after questions."""
    largest = max(footprints, key=lambda each: each.chunks)
    about = f"the process's own memory with {largest.chunks:,} chunks"
    return [at_most(about, largest.searched.anonymous, OWN_MB, "MB")]


def _p95(loads: Sequence[Load]) -> float:
    return median(percentiles(load.ms)[1] for load in loads)
