"""The `ragline` command. It reads what was asked, calls the part that does it, and prints what came of it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from pipelines.client import DocumentsClient
from pipelines.domain import EVERYONE, group_scope
from pipelines.errors import RaglineError, SetupFailed
from pipelines.provision.n8n import fetch_workflow
from pipelines.provision.normalise import as_text, normalise
from pipelines.provision.run import n8n_target, open_webui_admin
from pipelines.provision.run import provision as provision_stack
from pipelines.settings import Settings, StackSettings

S = TypeVar("S", bound=Settings)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console()
error_console = Console(stderr=True)


def main() -> None:
    """Run the command; an error of ours is one sentence and exit code 1."""
    try:
        app()
    except RaglineError as error:
        error_console.print(f"[bold red]ragline:[/bold red] {error.message}", highlight=False)
        sys.exit(1)


@app.command()
def serve() -> None:
    """Serve gateway, retrieval, model router and documents (the pipelines part)."""
    from pipelines.serve import serve as run

    settings = read_settings(Settings)
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for ours in ("pipelines", "uvicorn.error"):
        logging.getLogger(ours).setLevel(settings.log_level)
    uvloop.run(run(settings))


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders", exists=True)],
    group: Annotated[list[str] | None, typer.Option(help="Only members of this Open WebUI group may read")] = None,
) -> None:
    """Put documents in: every file of the given folders, each replacing its earlier version."""
    from pipelines.ingest.add_paths import add_paths

    settings = read_settings(Settings)
    access = [group_scope(_group_id(name)) for name in group or []] or [EVERYONE]
    with _documents(settings) as documents, _progress() as progress:
        bar = progress.add_task("reading")
        refused = 0
        for step in add_paths(documents, paths, access=access):
            progress.update(bar, total=step.total, completed=step.done, description=step.name)
            if step.problem:
                refused += 1
                progress.console.print(f"[yellow]not added[/yellow] {step.name}: {step.problem}", highlight=False)
    console.print(f"{step.done - refused} added, {refused} not added", highlight=False)
    if refused:
        raise typer.Exit(2)


@app.command("list")
def list_documents() -> None:
    """List the documents, with who may read them."""
    table = Table(Column("id", no_wrap=True), "title", "pages", "chunks", "who may read", box=None)
    with _documents(read_settings(Settings)) as documents:
        for entry in documents.list():
            table.add_row(entry.id, entry.title, str(entry.pages or "-"), str(entry.chunks), ", ".join(entry.access))
    console.print(table)


@app.command()
def remove(document_ids: Annotated[list[str], typer.Argument(help="Ids as `ragline list` shows them")]) -> None:
    """Take documents out, with all their passages."""
    with _documents(read_settings(Settings)) as documents:
        for document_id in document_ids:
            documents.remove(document_id)
            console.print(f"removed {document_id}", highlight=False)


@app.command()
def up() -> None:
    """Install what is missing, start every part, and print where they are."""
    _bring_up()


@app.command()
def down() -> None:
    """Stop every part; documents, chats and workflows stay."""
    from pipelines.native.down import down as stop

    stop(_state_dir(), console)


@app.command()
def status() -> None:
    """Show what runs, and how much memory it takes; exit code 3 when a part is not healthy."""
    from pipelines.native.status import show_status

    if not show_status(read_settings(StackSettings), console):
        raise typer.Exit(3)


@app.command()
def logs(
    part: Annotated[str | None, typer.Argument(help="pipelines, n8n, open-webui or postgres")] = None,
    follow: Annotated[bool, typer.Option(help="Go on until interrupted")] = True,
) -> None:
    """Show the logs."""
    from pipelines.native.logs import logs as show

    show(_state_dir(), part, follow=follow)


@app.command()
def provision() -> None:
    """Set up n8n and Open WebUI, which must be running: credentials, workflows, functions."""
    for name, outcome in provision_stack(read_settings(StackSettings)).items():
        console.print(f"{name}: {outcome}", highlight=False)


@app.command()
def export_workflow(
    name: Annotated[str, typer.Argument(help="The workflow's name in n8n")] = "answer-question",
) -> None:
    """Write a workflow edited in n8n back to its file, in the one form in which it is kept."""
    settings = read_settings(StackSettings)
    path = settings.workflows_dir / f"{name}.json"
    path.write_text(
        as_text(normalise(fetch_workflow(n8n_target(settings), name), pipelines_url=settings.pipelines_url))
    )
    console.print(f"wrote {path}", highlight=False)


@app.command()
def demo() -> None:
    """Bring the stack up, add the sample handbook, ask as a reader, and show where the time went."""
    from pipelines.demo import prepare_demo, run_demo

    settings = _bring_up()
    with prepare_demo(settings, console) as reader:
        run_demo(reader, console)


def read_settings(kind: type[S]) -> S:
    """Read the settings, or say in one sentence which one is wrong."""
    try:
        return kind.model_validate({})  # the fields come from the environment and .env
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(step) for step in first["loc"]).upper()
        if first["type"] == "missing":
            raise SetupFailed(f"{name} is not set; `make up` writes .env with everything that is needed.") from error
        raise SetupFailed(f"{name} {first['msg'].removeprefix('Value error, ')}".strip() + ".") from error


def _bring_up() -> StackSettings:
    from pipelines.native.dotenv import ensure_dotenv
    from pipelines.native.up import up as start

    if ensure_dotenv(Path(".env")):
        console.print("Wrote the settings and fresh secrets to .env", highlight=False)
    settings = read_settings(StackSettings)

    def provision() -> None:
        provision_stack(settings)

    start(settings, console, provision=provision)
    return settings


def _state_dir() -> Path:
    # Stopping and logs must work with a broken .env too.
    try:
        return read_settings(Settings).state_dir
    except SetupFailed:
        return Path(".ragline")


def _group_id(name: str) -> str:
    with open_webui_admin(read_settings(StackSettings)) as open_webui:
        groups = open_webui.group_ids()
    if name not in groups:
        known = ", ".join(sorted(groups)) or "none yet"
        raise SetupFailed(f"Open WebUI has no group '{name}' (there are: {known}); create it in its admin panel.")
    return groups[name]


@contextmanager
def _documents(settings: Settings) -> Iterator[DocumentsClient]:
    with DocumentsClient(settings.pipelines_url, key=settings.internal_api_key.get_secret_value()) as client:
        yield client


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
