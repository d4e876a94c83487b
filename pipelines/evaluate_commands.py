"""`ragline eval`: measures retrieval over any folder of documents, and compares two such measurements."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipelines.command_settings import read_settings
from pipelines.errors import SetupFailed
from pipelines.evaluate_answers_command import app as answers_app
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.evaluate.results import Results

app = typer.Typer(no_args_is_help=True, help="Measure retrieval on documents and questions of your own.")
app.add_typer(answers_app)
# Five measures with their intervals need 100 columns, also where there is no terminal.
console = Console(markup=False, emoji=False, highlight=False, width=None if sys.stdout.isatty() else 100)

Half = Literal["develop", "report", "all"]
NEEDED = ("ir_measures", "scipy", "matplotlib")


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="A folder of documents")],
    questions: Annotated[Path, typer.Option(help="Questions with their right pages: .json, .jsonl or .csv")],
    out: Annotated[Path | None, typer.Option(help="Where results.json and results.svg go")] = None,
    half: Annotated[Half, typer.Option(help="A fixed half of the questions: one to tune with, one to report")] = "all",
    ablations: Annotated[
        str,
        typer.Option(help="Of bm25, dense, hybrid, understand and rerank, with commas; none: all that are configured"),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=50, help="Passages a question")] = 20,
    anew: Annotated[bool, typer.Option(help="Build the index again, although it was kept")] = False,
    fail_below: Annotated[
        list[str] | None, typer.Option(help="Exit code 1 when a measure is lower, as in page_hit@5=0.95")
    ] = None,
) -> None:
    """Ask every question, and show how often retrieval finds the right page, part by part."""
    _require_extra()
    from pipelines.evaluate.gate import read_floor, too_low

    floors = [read_floor(text) for text in fail_below or []]
    results = _evaluate(folder, questions, half, ablations, limit, anew=anew)
    _write(results, out)
    problems = list(too_low(results, floors))
    for problem in problems:
        console.print(problem, style="red", soft_wrap=True)
    if problems:
        raise typer.Exit(1)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="results.json of one run")],
    b: Annotated[Path, typer.Argument(help="results.json of another")],
    ablation: Annotated[str | None, typer.Option(help="Which of each; else the fullest")] = None,
) -> None:
    """Say whether run B differs from run A, by a paired bootstrap over the questions that both asked."""
    _require_extra()
    from pipelines.evaluate.compare import compare as compare_runs
    from pipelines.evaluate.report import report_comparison
    from pipelines.evaluate.results import read_results

    console.print(report_comparison(compare_runs(read_results(a), read_results(b), ablation)))


def _evaluate(folder: Path, file: Path, half: Half, ablations: str, limit: int, *, anew: bool) -> Results:
    from pipelines.answer.retrieve import Retriever
    from pipelines.bootstrap import configured_reranker
    from pipelines.bootstrap_documents import ingest_path, load_configured_embedding, recipe
    from pipelines.evaluate.ablations import chosen
    from pipelines.evaluate.build_index import open_folder_index
    from pipelines.evaluate.read_questions import read_questions
    from pipelines.evaluate.run import Evaluation, evaluate

    settings = read_settings(Settings)
    evaluation = Evaluation(folder, file, half, chosen(ablations, reranked=bool(settings.rerank_model)), limit)
    read = read_questions(file)
    embedding = load_configured_embedding(settings)
    count = settings.ingest_workers or os.cpu_count() or 1
    with _bars() as bars:
        bar = bars.add_task("reading", total=None)

        def show(done: int, total: int, name: str) -> None:
            bars.update(bar, total=total, completed=done, description=name[:60])

        with open_folder_index(
            folder,
            kept_in=settings.state_dir / "eval",
            embedding=embedding,
            recipe=recipe(embedding),
            path=lambda: ingest_path(settings, count),
            anew=anew,
            report=show,
        ) as index:
            reranker = configured_reranker(settings) if "rerank" in evaluation.ablations else None
            retriever = Retriever(index, limit=settings.retrieve_limit, reranker=reranker)
            return asyncio.run(evaluate(evaluation, read, index, retriever, report=show))


def _write(results: Results, out: Path | None) -> None:
    from pipelines.evaluate.report import report
    from pipelines.evaluate.results import write_results

    console.print(report(results))
    if out is not None:
        from pipelines.evaluate.plot import plot

        write_results(results, out / "results.json")
        plot(results, out / "results.svg")
        plot(results, out / "results.png")
        console.print(f"\nwrote results.json, results.svg and results.png in {out}", soft_wrap=True)


def _require_extra() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupFailed(f"`ragline eval` needs {missing[0]}: install this package with its extra `eval`.")


def _bars() -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
