"""The `ragline` command. It reads what was asked, calls the part that does it, and prints what came of it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from pipelines.command_settings import read_settings
from pipelines.doctor_commands import app as doctor_app
from pipelines.documents_commands import app as documents_app
from pipelines.errors import RaglineError, SetupFailed
from pipelines.evaluate_commands import app as evaluate_app
from pipelines.provision.n8n import fetch_workflow
from pipelines.provision.normalise import as_text, normalise
from pipelines.provision.run import compare_sources, fingerprint, n8n_target
from pipelines.provision.run import provision as provision_stack
from pipelines.settings import Settings, StackSettings
from pipelines.stack_commands import app as stack_app
from pipelines.usage_commands import app as usage_app

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(documents_app)
app.add_typer(doctor_app)
app.add_typer(usage_app)
app.add_typer(stack_app)
app.add_typer(evaluate_app, name="eval")
console = Console()
error_console = Console(stderr=True)


def main() -> None:
    """Run the command; an error of ours is one sentence and exit code 1."""
    try:
        app()
    except RaglineError as error:
        error_console.print("[bold red]ragline:[/bold red]", end=" ")
        # In a log, one line for one error.
        error_console.print(error.message, highlight=False, markup=False, soft_wrap=not error_console.is_terminal)
        sys.exit(1)


@app.command()
def serve() -> None:
    """Serve gateway, retrieval, model router and documents (the pipelines part)."""
    from pipelines.serve import serve as run

    settings = read_settings(Settings)
    _log_ours(settings)
    uvloop.run(run(settings))


@app.command()
def worker() -> None:
    """Read documents beside a running pipelines, as many processes as there is work for: listens to the queue too."""
    from pipelines.worker import work

    settings = read_settings(Settings)
    _log_ours(settings)
    work(settings)


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
    settings = read_settings(StackSettings)
    for name, outcome in provision_stack(settings).items():
        console.print(f"{name}: {outcome}", highlight=False)
    for line in compare_sources(settings):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


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


def _bring_up() -> StackSettings:
    from pipelines.native.up import up as start

    settings = read_settings(StackSettings)

    def provision() -> None:
        provision_stack(settings)

    start(settings, console, provision=provision, fingerprint=fingerprint(settings))
    return settings


def _log_ours(settings: Settings) -> None:
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for ours in ("pipelines", "uvicorn.error"):
        logging.getLogger(ours).setLevel(settings.log_level)


def _state_dir() -> Path:
    # Stopping and logs must work with a broken .env too.
    try:
        return read_settings(Settings).state_dir
    except SetupFailed:
        return Path(".ragline")
