"""`make bench-router`: what the model router adds to a model, beside LiteLLM's proxy on the same mock in the same run.

Three kinds of load: one reader, for what is added to the first token; as many as keep it busy, for whole answers a
second; and 500 at once, for what that leaves behind in memory and descriptors. The ways take turns in several rounds,
so that a noisy moment of the machine meets all of them; medians are shown. The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.bench.figures import write_figures
from tests.bench.ingest_tables import of_bars
from tests.bench.load import load
from tests.bench.router_bars import router_bars
from tests.bench.router_results import Kind, Run, Runs, Taken
from tests.bench.router_tables import of_latency, of_load
from tests.bench.router_ways import Way, running_ways

SETTLE_S = 3.0
WARM_UP = 200

console = Console(width=120)


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of load: which model is asked, by how many readers at once, how often together."""

    kind: Kind
    model: str
    readers: int
    answers: int


LOADS = (
    Load("alone", "mock-ttft50-itl10-len20", readers=1, answers=60),
    Load("busy", "mock-ttft0-itl0-len50", readers=32, answers=400),
    # 2,500 tokens a second for ten seconds
    Load("crowd", "mock-ttft1000-itl200-len50", readers=500, answers=500),
)


def main() -> None:
    """Start the ways, measure, print, stop."""
    arguments = _arguments()
    started = time.perf_counter()
    with running_ways(arguments.state_dir, [each.model for each in LOADS]) as ways:
        asyncio.run(_warm_up(ways))
        runs = Runs([run for number in range(arguments.rounds) for run in _round(ways, number)])
    alone, busy, crowd = LOADS
    console.print(of_latency(runs, f"{alone.answers} answers of {alone.model}, one after another"))
    console.print(of_load(runs, "busy", f"{busy.readers} readers, {busy.model}"))
    console.print(of_load(runs, "crowd", f"{crowd.readers} readers, {crowd.model}"))
    bars = router_bars(runs)
    console.print(of_bars(bars))
    rows = [run.as_row() for run in runs.runs]
    file = arguments.state_dir / "bench" / "router.json"
    console.print(write_figures(file, time.perf_counter() - started, bars, {"runs": rows}))
    sys.exit(0 if all(bar.met for bar in bars) else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.router", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--state-dir", type=Path, default=Path(".ragline"))
    return parser.parse_args()


async def _warm_up(ways: Sequence[Way]) -> None:
    for way in ways:
        await load(way.target(LOADS[1].model), readers=16, answers=WARM_UP)


def _round(ways: Sequence[Way], number: int) -> list[Run]:
    # who goes first changes from round to round
    turns = (*ways[number % len(ways) :], *ways[: number % len(ways)])
    return [_run(way, each) for each in LOADS for way in turns]


def _run(way: Way, each: Load) -> Run:
    before = Taken.by(way.process)
    measured = asyncio.run(load(way.target(each.model), readers=each.readers, answers=each.answers))
    if each.kind == "crowd":
        time.sleep(SETTLE_S)
    return Run(each.kind, measured, before, Taken.by(way.process))


if __name__ == "__main__":
    main()
