"""`make bench-retrieval`: how fast passages are found, and whether it keeps what is promised of it.

`latency` asks `POST /retrieve` over HTTP of an index of 50,000 chunks of which each reader may read a part. `memory`
opens indexes of more and more chunks, each in a process of its own. `systems` asks this product and Open WebUI's own
retrieval the same questions about the same PDFs, with the same embedding model.

Every index is the product's own, kept below the state folder and built anew when the engine's configuration, the
corpus or the embedding model has changed. The questions over HTTP, HTTP alone and the parts alone are measured in
turns, so that a noisy moment of the machine meets all of it; medians are shown with the least and the most.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.evaluate.intervals import paired_difference
from pipelines.providers.sentence_transformers import prepare_model
from tests.bench import retrieval_bars as bars
from tests.bench import retrieval_tables as tables
from tests.bench.child import CHECKOUT, run_child
from tests.bench.figures import write_figures
from tests.bench.ingest_bars import Bar
from tests.bench.ingest_tables import of_bars
from tests.bench.retrieval_compare import measure_systems, read_data_set
from tests.bench.retrieval_latency import CHILD, measure_latency
from tests.bench.retrieval_results import Built, Footprint, Plan, Resident

DATA_SET = CHECKOUT.parent / "shared" / "eval" / "sec-10-q"
QUICK_EVERY = 5
"""Questions of the data set, of which a quick run asks one."""
CHUNKS = 50_000
GROWTH, QUICK_GROWTH = (50_000, 100_000, 200_000, 500_000), (20_000, 50_000)

console = Console(width=130)


@dataclass(slots=True)
class Run:
    """One run of the benchmark: what it measures with, and what it has found so far."""

    state: Path
    rounds: int
    quick: bool
    chunks: tuple[int, ...]
    data_set: Path
    installed: Path
    bars: list[Bar] = field(default_factory=list)
    results: dict[str, list[Any]] = field(default_factory=dict)

    def latency(self) -> None:
        """`POST /retrieve` over HTTP, with access filters."""
        for chunks in self.chunks or (CHUNKS,):
            self._built(chunks)
            rounds = measure_latency(Plan("serve", str(self.state), chunks), self.rounds)
            self._note("latency", *({"chunks": chunks, **asdict(each)} for each in rounds))
            console.print(tables.of_latency(rounds, chunks), tables.of_overhead(rounds), sep="\n")
            self.bars += bars.latency(rounds, chunks)

    def memory(self) -> None:
        """How an index grows."""
        sizes = self.chunks or (QUICK_GROWTH if self.quick else GROWTH)
        built = [self._built(chunks) for chunks in sizes]
        footprints = [self._footprint(chunks) for chunks in sizes]
        self._note("memory", *map(asdict, footprints))
        console.print(tables.of_memory(built, footprints))
        self.bars += bars.memory(footprints)

    def systems(self) -> None:
        """This product beside Open WebUI's own retrieval, over the same documents."""
        if not list((self.data_set / "docs").glob("*.pdf")) or not (self.installed / "bin/python").exists():
            console.print(f"Open WebUI is left out: it needs PDFs in {self.data_set / 'docs'} and {self.installed}.")
            return
        console.print("Asking both systems; the first time each has to read the documents, which takes minutes.")
        data = read_data_set(self.data_set, every=QUICK_EVERY if self.quick else 1)
        compared = measure_systems(data, self.state, self.installed)
        asked = compared.asked
        page = [each.values("page_hit@10") for each in asked]
        differences = [paired_difference(theirs, page[0]) for theirs in page[1:]]
        self._note("systems", asdict(compared))
        console.print(tables.of_systems(asked))
        console.print(tables.of_differences(asked, differences))
        for name, problem in compared.refused.items():
            console.print(f"Open WebUI could not read {name}: {problem}")
        console.print(f"Left out are {compared.left_out} questions about what it could not read.")
        self.bars += bars.systems(asked)

    def _built(self, chunks: int) -> Built:
        """An index of that size, built where it was not there."""
        plan = Plan("build", str(self.state), chunks)
        built = Built(**run_child(CHILD, asdict(plan), f"building the index of {chunks:,} chunks"))
        console.print(tables.of_build(built), soft_wrap=True)
        self._note("build", asdict(built))
        return built

    def _footprint(self, chunks: int) -> Footprint:
        plan = Plan("memory", str(self.state), chunks)
        said = run_child(CHILD, asdict(plan), f"opening the index of {chunks:,} chunks")
        memory = {name: Resident(**said[name]) for name in ("before", "opened", "searched")}
        return Footprint(**{**said, **memory})

    def _note(self, name: str, *results: Any) -> None:
        self.results.setdefault(name, []).extend(results)


SCENARIOS: dict[str, Callable[[Run], None]] = {"latency": Run.latency, "memory": Run.memory, "systems": Run.systems}


def main() -> None:
    """Measure, print, write the figures down; exit 1 when a bar is missed."""
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    state = arguments.state_dir.resolve()
    prepare_model("all-MiniLM-L6-v2", "onnx", state / "models")
    rounds = 1 if arguments.quick else arguments.rounds
    installed = Path(sys.prefix).parent / "open-webui"
    run = Run(state, rounds, arguments.quick, tuple(arguments.chunks), arguments.data_set, installed)
    began = time.perf_counter()
    for scenario in arguments.only or SCENARIOS:
        SCENARIOS[scenario](run)
        console.print()
    console.print(of_bars(run.bars))
    file = state / "bench" / "retrieval.json"
    console.print(write_figures(file, time.perf_counter() - began, run.bars, run.results))
    sys.exit(0 if all(bar.met for bar in run.bars) else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.retrieval", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of the questions over HTTP")
    parser.add_argument("--quick", action="store_true", help="one round, small indexes, a fifth of the questions")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, help="these scenarios alone")
    parser.add_argument("--chunks", type=int, nargs="+", default=[], help="other sizes of the index")
    parser.add_argument("--data-set", type=Path, default=DATA_SET, help="sec-10-q: PDFs in docs, and qna_data.csv")
    parser.add_argument("--state-dir", type=Path, default=Path(".ragline"), help="holds the exported embedding model")
    return parser.parse_args()


if __name__ == "__main__":
    main()
