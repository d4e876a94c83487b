"""What was measured of the router goes in, the bars that it has to meet come out, each with whether it does."""

from __future__ import annotations

from tests.bench.ingest_bars import Bar, at_most, exactly
from tests.bench.router_results import OURS, THEIRS, Run, Runs

ADDED_MS = 5.0
SPARE_FILES = 40
"""32 connections to the model are kept for the next answers."""
GROWN_MB = 10.0
"""A heap has holes after 500 streams; it must not have more after 500 others."""


def router_bars(runs: Runs) -> list[Bar]:
    """The router alone and beside LiteLLM's proxy."""
    crowds = runs.of("crowd", OURS)
    first, last = crowds[0], crowds[-1]
    bars = [
        at_most("added to the first token, one stream", runs.added_ms(OURS), ADDED_MS, "ms"),
        _less("the same, beside LiteLLM", runs.added_ms(OURS), runs.added_ms(THEIRS), "ms"),
        _more("answers a second, beside LiteLLM", _rate(runs, OURS), _rate(runs, THEIRS)),
        _less("memory, beside LiteLLM", runs.peak_mb(OURS), runs.peak_mb(THEIRS), "MB"),
        exactly("answers that failed of 500 streams at once", sum(run.measured.failures for run in crowds), 0),
        at_most("descriptors left by 500 streams", last.after.files - first.before.files, SPARE_FILES, ""),
    ]
    if len(crowds) > 1:
        grown = last.after.rss_mb - first.after.rss_mb
        bars.append(at_most("memory left by the last 500 streams beyond the first", grown, GROWN_MB, "MB"))
    return bars


def _rate(runs: Runs, way: str) -> float:
    def rate(run: Run) -> float:
        return run.measured.rate

    return runs.median("busy", way, rate)


def _less(about: str, ours: float, theirs: float, unit: str) -> Bar:
    return Bar(about, f"{ours:.1f} {unit}", f"below {theirs:.1f} {unit}", ours < theirs)


def _more(about: str, ours: float, theirs: float) -> Bar:
    return Bar(about, f"{ours:.1f}", f"above {theirs:.1f}", ours > theirs)
