"""`make bench-ingest`: what ingestion costs, stage by stage, and whether it keeps what is promised of it.

Every figure comes from the product's own path (`bootstrap_documents`) with the real embedding model, index, reading
processes and PostgreSQL. Each scenario has a process, a folder and a database of its own. What is compared is measured
in turns, so that a noisy moment of the machine meets all of it; medians are shown with the least and the most.

Memory is the resident memory of the process and all below it, sampled every 10 ms and summed; PostgreSQL and the
servers that stand in for a model or for S3 are not part of it.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from rich.console import Console

from pipelines.providers.sentence_transformers import prepare_model
from tests.bench import ingest_bars as bars
from tests.bench import ingest_tables as tables
from tests.bench.child import CHECKOUT
from tests.bench.figures import write_figures
from tests.bench.ingest_bars import Bar
from tests.bench.ingest_children import Bench, fill_bucket, fill_folder, model_server
from tests.bench.ingest_results import EmbedderAlone, Line, Look, Many, OneDocument, ParserAlone, Plan
from tests.bench.ingest_scenarios import VISION_PARALLEL
from tests.bench.make_pdfs import born_digital_pdf, pages_with_text, scanned_pdf, small_documents
from tests.database import running_server
from tests.fakes.aws import aws_server

REPORTS = CHECKOUT.parent / "shared" / "eval" / "sec-10-q" / "docs"
PAGES = 50
SMALL = 1000
CHECK_EVERY = 50

console = Console(width=130)


@dataclass(slots=True)
class Run:
    """One run of the benchmark: what it measures with, and the bars so far."""

    bench: Bench
    rounds: int
    sizes: tuple[int, ...]
    reports: Path
    bars: list[Bar] = field(default_factory=list)

    def born_digital(self) -> None:
        """Table 1: one document, and the limits measured in turns with it."""
        file = self._pdf(PAGES)
        runs, parsers, embedders = [], [], []
        for _ in range(self.rounds):
            runs.append(self._one(str(file.parent)))
            alone = Plan("parser", models=str(self.bench.models), source=str(file))
            parsers.append(ParserAlone(**self.bench.run(alone)))
            embedders.append(EmbedderAlone(**self.bench.run(replace(alone, scenario="embedder"))))
        title = f"{PAGES} born-digital pages, {runs[0].chunks} chunks, from bytes to found; {self.rounds} rounds"
        console.print(tables.of_stages(title, runs), tables.of_limits(runs, parsers, embedders), sep="\n")
        self.bars += bars.born_digital(runs)

    def growth(self) -> None:
        """Table 2: more and more pages, with readers."""
        console.print(tables.of_growth([self._one(str(self._pdf(pages).parent), ask=True) for pages in self.sizes]))

    def scanned(self) -> None:
        """Table 3: pages that are images."""
        file = self.bench.folder / "scanned" / "scan.pdf"
        file.parent.mkdir()
        scanned_pdf(file, PAGES)
        with model_server(VISION_PARALLEL) as server:
            run = self._one(str(file.parent), vision_url=server.url)
            stats = server.stats
        title = f"{PAGES} scanned pages, a model of 5 s a page and {VISION_PARALLEL} at once"
        console.print(tables.of_stages(title, [run]))
        console.print(
            f"The model was loaded {stats.loads} times, read {stats.requests} pages, {stats.most_at_once} at once."
        )
        self.bars += bars.scanned([run], [stats.loads], [stats.most_at_once], VISION_PARALLEL)

    def quarterly_reports(self) -> None:
        """Table 4: real documents, as many at a time as the product takes."""
        files = sorted(self.reports.glob("*.pdf"))
        if not files:
            console.print(f"No reports in {self.reports}: left out.")
            return
        many = self._many(self.bench.fresh("many", source=str(self.reports)))
        console.print(tables.of_reports(many), tables.of_work([("reports", many)]), sep="\n")
        self.bars += bars.reports(many, {file.name: pages_with_text(file) for file in files})

    def unchanged(self) -> None:
        """Tables 5 and 6: a thousand documents, again, and after the index was deleted."""
        documents = list(small_documents(SMALL))
        checks = [[question, f"/{path}"] for path, _, question in documents[::CHECK_EVERY]]
        with aws_server() as aws:
            bucket = self.bench.fresh("many", source=fill_bucket(aws, documents), s3_url=aws.url, checks=checks)
            from_bucket = self._twice("bucket", bucket)
        source = fill_folder(self.bench.folder / "small", documents)
        folder = self.bench.fresh("many", source=source, checks=checks)
        from_folder = self._twice("folder", folder)
        rmtree(Path(folder.folder) / "data" / "qdrant")
        again = self._many(folder)
        self.bars += bars.rebuilt(again, SMALL)
        every = [("folder", from_folder[1]), ("bucket", from_bucket[1]), ("rebuilt", again)]
        console.print(tables.of_unchanged([from_folder, from_bucket]), tables.of_work(every), sep="\n")
        console.print(
            f"Rebuilt after the index was deleted: {len(again.lines):,} documents in {again.seconds:.1f} s; "
            f"{again.found} of {again.checked} questions find their document."
        )

    def _twice(self, kind: str, plan: Plan) -> tuple[str, Many, int, Look, int]:
        many = self._many(plan)
        first = self.bench.registry_writes(plan)
        look = Look(**self.bench.run(replace(plan, scenario="look")))
        writes = self.bench.registry_writes(plan) - first
        self.bars += bars.unchanged(kind, look, writes, SMALL)
        return kind, many, first, look, writes

    def _one(self, source: str, **more: Any) -> OneDocument:
        run = OneDocument(**self.bench.run(self.bench.fresh("one", source=source, **more)))
        if run.problem:
            console.print(f"[red]{source}: {run.problem}[/red]")
        return run

    def _many(self, plan: Plan) -> Many:
        said = self.bench.run(plan)
        return Many(**{**said, "lines": [Line(**line) for line in said["lines"]]})

    def _pdf(self, pages: int) -> Path:
        file = self.bench.folder / f"born-digital-{pages}" / "report.pdf"
        if not file.exists():
            file.parent.mkdir()
            born_digital_pdf(file, pages)
        return file


TABLES: dict[str, Callable[[Run], None]] = {
    "born-digital": Run.born_digital,
    "growth": Run.growth,
    "scanned": Run.scanned,
    "reports": Run.quarterly_reports,
    "unchanged": Run.unchanged,
}


def main() -> None:
    """Measure, print, write the figures down; exit 1 when a bar is missed."""
    arguments = _arguments()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # the server of S3 tells every request
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    models = arguments.state_dir.resolve() / "models"
    prepare_model("all-MiniLM-L6-v2", "onnx", models)
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL may run as another user
        with running_server(folder / "postgres") as server:
            sizes = (50, 500) if arguments.quick else (50, 500, 5000)
            run = Run(Bench(folder, models, server), arguments.rounds, sizes, arguments.reports)
            began = time.perf_counter()
            for table in arguments.only or TABLES:
                TABLES[table](run)
                console.print()
    console.print(tables.of_bars(run.bars))
    file = models.parent / "bench" / "ingest.json"
    console.print(write_figures(file, time.perf_counter() - began, run.bars, run.bench.results))
    sys.exit(0 if all(bar.met for bar in run.bars) else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ingest", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of the 50 born-digital pages and their limits")
    parser.add_argument("--quick", action="store_true", help="without the document of 5,000 pages")
    parser.add_argument("--only", nargs="+", choices=TABLES, help="these tables alone")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="a folder of PDFs")
    parser.add_argument("--state-dir", type=Path, default=Path(".ragline"), help="holds the exported embedding model")
    return parser.parse_args()


if __name__ == "__main__":
    main()
