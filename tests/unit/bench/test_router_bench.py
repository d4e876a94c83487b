"""The benchmark of the router: what it makes of its figures, and when it says that a bar is missed."""

from __future__ import annotations

from dataclasses import replace

import psutil
import pytest

from tests.bench.load import Measured
from tests.bench.router_bars import router_bars
from tests.bench.router_results import ALONE, OURS, THEIRS, Kind, Run, Runs, Taken
from tests.bench.router_tables import of_latency, of_load
from tests.bench.router_ways import Way


def run(kind: Kind, way: str, *, ttft: float, rate: float = 10, failures: int = 0, after: Taken | None = None) -> Run:
    """One run with these figures."""
    measured = Measured(way, 1, 50, failures, ttft_p50=ttft, ttft_p95=ttft + 1, rate=rate)
    return Run(kind, measured, Taken(1, 100, 20), after or Taken(2, 100, 20))


GOOD = [
    *(run("alone", way, ttft=ttft) for way, ttft in ((ALONE, 50), (OURS, 53), (THEIRS, 62))),
    *(run("busy", way, ttft=9, rate=rate) for way, rate in ((ALONE, 900), (OURS, 120), (THEIRS, 30))),
    *(run("crowd", way, ttft=1000) for way in (ALONE, OURS)),
    run("crowd", THEIRS, ttft=1000, after=Taken(2, 400, 20)),
]


def missed(runs: list[Run]) -> list[str]:
    return [bar.about for bar in router_bars(Runs(runs)) if not bar.met]


def test_a_router_that_is_ahead_meets_every_bar() -> None:
    assert missed(GOOD) == []


@pytest.mark.parametrize(
    ("place", "worse", "about"),
    [
        (1, run("alone", OURS, ttft=56), "added to the first token, one stream"),
        (1, run("alone", OURS, ttft=63), "the same, beside LiteLLM"),
        (4, run("busy", OURS, ttft=9, rate=29), "answers a second, beside LiteLLM"),
        (7, run("crowd", OURS, ttft=1000, after=Taken(2, 401, 20)), "memory, beside LiteLLM"),
        (7, run("crowd", OURS, ttft=1000, failures=1), "answers that failed of 500 streams at once"),
        (7, run("crowd", OURS, ttft=1000, after=Taken(2, 100, 80)), "descriptors left by 500 streams"),
    ],
)
def test_a_figure_that_is_worse_is_a_missed_bar(place: int, worse: Run, about: str) -> None:
    assert about in missed([*GOOD[:place], worse, *GOOD[place + 1 :]])


def test_memory_that_grows_from_round_to_round_is_a_missed_bar() -> None:
    later = [replace(each, after=Taken(2, 115, 20)) for each in GOOD]
    assert missed([*GOOD, *later]) == ["memory left by the last 500 streams beyond the first"]


def test_what_is_added_is_the_median_of_the_rounds_differences() -> None:
    rounds = [(50, 53), (60, 70), (40, 44)]
    runs = [run("alone", way, ttft=ttft) for pair in rounds for way, ttft in zip((ALONE, OURS), pair, strict=True)]
    assert Runs(runs).added_ms(OURS) == 4


def test_every_way_has_its_row() -> None:
    assert of_latency(Runs(GOOD), "one").row_count == 3
    assert of_load(Runs(GOOD), "crowd", "500 readers").row_count == 3


def test_what_a_process_has_taken_is_read_from_it() -> None:
    taken = Taken.by(psutil.Process())
    assert taken.rss_mb > 10
    assert taken.files > 0
    assert Taken.by(None) == Taken()


def test_every_way_is_asked_the_same() -> None:
    bodies = [
        Way(name, "http://here", None, prefix).target("m").body(1) for name, prefix in ((ALONE, ""), (OURS, "openai/"))
    ]
    assert [body.pop("model") for body in bodies] == ["m", "openai/m"]
    assert bodies[0] == bodies[1]
