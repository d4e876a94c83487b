"""`ragline eval answers`: checks what a model, or a running stack, answers to golden questions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipelines.command_settings import read_settings
from pipelines.errors import InvalidRequest, SetupFailed
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.evaluate.answer_sources import Answers
    from pipelines.evaluate.check_answers import AnswerCheck
    from pipelines.evaluate.questions import Questions
    from pipelines.providers.base import ChatProvider, EmbeddingProvider

app = typer.Typer(add_completion=False)
console = Console(markup=False, emoji=False, highlight=False)

EXTRACTIVE = "extractive/quotes"


@app.command()
def answers(
    folder: Annotated[Path, typer.Argument(help="A folder of documents")],
    questions: Annotated[Path, typer.Option(help="Questions with their facts and right pages: .json, .jsonl or .csv")],
    model: Annotated[
        str,
        typer.Option(help="<provider>/<model>: extractive/quotes, ollama/…, openai/…; with --url one that it offers"),
    ] = "",
    url: Annotated[str, typer.Option(help="A running gateway instead, which holds the folder's documents")] = "",
    half: Annotated[Literal["develop", "report", "all"], typer.Option(help="A fixed half of the questions")] = "all",
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Questions asked at the same time")] = 1,
    out: Annotated[Path | None, typer.Option(help="Where answers.json goes")] = None,
    fail_below: Annotated[
        list[str] | None, typer.Option(help="Exit code 1 when a share is lower, as in declined=1.0")
    ] = None,
) -> None:
    """Ask every question, and check the fact, the citations, and that what has no answer is declined."""
    from pipelines.evaluate.answer_report import answer_report
    from pipelines.evaluate.check_answers import write_check
    from pipelines.evaluate.read_questions import read_questions

    gates = [_gate(text) for text in fail_below or ()]
    asking = _Asking(folder, questions, read_questions(questions), model, url, half, at_once)
    check = asyncio.run(_check(asking))
    console.print(answer_report(check))
    if out is not None:
        write_check(check, out / "answers.json")
        console.print(f"\nwrote {out / 'answers.json'}", soft_wrap=True)
    _hold(check, gates)


@dataclass(frozen=True, slots=True)
class _Asking:
    """What one call asks, and whom."""

    folder: Path
    file: Path
    read: Questions
    model: str
    url: str
    half: Literal["develop", "report", "all"]
    at_once: int


async def _check(asking: _Asking) -> AnswerCheck:
    from pipelines.evaluate.check_answers import check_answers

    settings = read_settings(Settings)
    with Progress(
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), console=console, transient=True
    ) as bars:
        bar = bars.add_task("reading", total=None)

        def show(done: int, total: int, name: str) -> None:
            bars.update(bar, total=total, completed=done, description=name[:60])

        asked = _gateway(asking, settings) if asking.url else _here(asking, settings, show)
        async with asked as (answering, name):
            return await check_answers(
                asking.read.of(asking.half),
                answering,
                names=(asking.folder.name, asking.file.name, name),
                at_once=asking.at_once,
                report=show,
            )


@asynccontextmanager
async def _gateway(asking: _Asking, settings: Settings) -> AsyncIterator[tuple[Answers, str]]:
    from pipelines.answer.offer import DEFAULT_ID
    from pipelines.evaluate.answer_sources import GatewayAnswers

    if settings.client_api_key is None:
        raise SetupFailed("CLIENT_API_KEY is not set: it is what the gateway lets other clients in with.")
    model = f"{DEFAULT_ID}:{asking.model}" if asking.model else DEFAULT_ID
    gateway = GatewayAnswers(asking.url, key=settings.client_api_key.get_secret_value(), model=model)
    try:
        yield gateway, f"{model} at {asking.url}"
    finally:
        await gateway.close()


@asynccontextmanager
async def _here(
    asking: _Asking, settings: Settings, show: Callable[[int, int, str], None]
) -> AsyncIterator[tuple[Answers, str]]:
    from pipelines.answer.retrieve import Retriever
    from pipelines.bootstrap_documents import ingest_path, load_configured_embedding, recipe
    from pipelines.evaluate.answer_sources import ModelAnswers
    from pipelines.evaluate.build_index import open_folder_index
    from pipelines.evaluate.resolve import resolve, restricted

    name = asking.model or EXTRACTIVE
    embedding = load_configured_embedding(settings)
    provider, model = _provider(name, settings, embedding)
    count = settings.ingest_workers or os.cpu_count() or 1
    try:
        await provider.check()
        with open_folder_index(
            asking.folder,
            kept_in=settings.state_dir / "eval",
            embedding=embedding,
            recipe=recipe(embedding),
            path=lambda: ingest_path(settings, count),
            report=show,
        ) as index:
            resolve(asking.read.questions, index.documents)  # raises when a right document is not there
            index.open_to(restricted(asking.read, index.documents))
            retriever = Retriever(index, limit=settings.retrieve_limit)
            keys = {document.id: document.key for document in index.documents}
            yield ModelAnswers(retriever, provider, model, keys), name
    finally:
        await provider.close()


def _provider(name: str, settings: Settings, embedding: EmbeddingProvider) -> tuple[ChatProvider, str]:
    from pipelines.answer.generate.model_names import TITLES
    from pipelines.bootstrap_models import open_provider
    from pipelines.providers.extractive import ExtractiveProvider

    vendor, _, model = name.partition("/")
    if vendor not in TITLES or not model:
        raise InvalidRequest(f"{name} is no model: say extractive/quotes, ollama/<model>, bedrock/<model> and so on.")
    if vendor == "extractive":
        return ExtractiveProvider(embedding), model
    return open_provider(settings, vendor).provider, model


def _gate(text: str) -> tuple[str, float]:
    from pipelines.evaluate.check_answers import MEASURES

    measure, _, least = text.partition("=")
    try:
        if measure in MEASURES:
            return measure, float(least)
    except ValueError:
        pass
    raise InvalidRequest(f"{text} is no limit: say {', '.join(MEASURES)}, an equals sign and a share of 1.")


def _hold(check: AnswerCheck, gates: Sequence[tuple[str, float]]) -> None:
    missed = [(name, check.share(name).share, least) for name, least in gates if check.share(name).share < least]
    for name, share, least in missed:
        console.print(f"{name} is {share:.3f}, and should be at least {least:.3f}")
    if missed:
        raise typer.Exit(1)
