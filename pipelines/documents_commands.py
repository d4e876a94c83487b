"""The commands about documents: what was asked goes to the documents API, and what came of it is printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBars
from rich.table import Column, Table
from rich.text import Text

from pipelines.client import DocumentsClient
from pipelines.command_settings import read_settings
from pipelines.domain import Grant
from pipelines.errors import SetupFailed
from pipelines.provision.run import open_webui_admin
from pipelines.settings import Settings, StackSettings

if TYPE_CHECKING:
    from pipelines.ingest.add_paths import Progress

app = typer.Typer()
# Names and titles are shown as they are: [brackets] and :colons: in them mean nothing.
console = Console(markup=False, emoji=False, highlight=False)

Everyone = Annotated[bool, typer.Option(help="Everyone who may chat may read")]
Nobody = Annotated[bool, typer.Option(help="Nobody may read, for now")]
Group = Annotated[list[str] | None, typer.Option(help="Members of this Open WebUI group may read")]
User = Annotated[list[str] | None, typer.Option(help="The user with this id in Open WebUI may read")]
Engine = Literal["in-process", "ray"]
IN_PROCESS: Engine = "in-process"
Ids = Annotated[list[str], typer.Argument(help="Ids as `ragline list` shows them")]


@app.command()
def add(
    paths: Annotated[list[str], typer.Argument(help="Files or folders; with --engine ray also s3://bucket/prefix")],
    everyone: Everyone = False,
    nobody: Nobody = False,
    group: Group = None,
    user: User = None,
    engine: Annotated[
        Engine, typer.Option(help="Who reads them: pipelines itself, or the workers of Ray")
    ] = IN_PROCESS,
    address: Annotated[str, typer.Option(help="The Ray cluster this machine is part of, as in head:6379")] = "",
) -> None:
    """Put documents in: every file of the given folders, each replacing its earlier version.

    Without a word about who may read, the rules of access.yaml and DEFAULT_ACCESS decide. `--engine ray` is for very
    many at once: it reads on all cores of this machine, or of a cluster, and leaves out what is in the index already.
    """
    with _documents() as documents, _bars() as bars:
        grant = _grant(documents, everyone=everyone, nobody=nobody, groups=group, users=user)
        bar = bars.add_task("reading", pages=0, rate=0.0)
        refused = unchanged = done = 0
        for step in _adding(documents, paths, grant, engine=engine, address=address):
            done = step.done
            elapsed = bars.tasks[bar].elapsed or 0
            bars.update(
                bar,
                total=step.total,
                completed=step.done,
                description=(step.doing or step.name)[:60],
                pages=step.pages,
                rate=step.chunks / elapsed if elapsed else 0,
            )
            unchanged += step.unchanged
            if step.problem:
                refused += 1
                _print_problem(step.name, step.problem)
    console.print(f"{done - refused - unchanged} added, {unchanged} unchanged, {refused} with a problem")
    if refused:
        raise typer.Exit(2)


@app.command()
def sync(
    sources: Annotated[list[str] | None, typer.Argument(help="Addresses of DOCUMENT_SOURCES; none: all")] = None,
    may_empty: Annotated[bool, typer.Option(help="A source that lists nothing was emptied on purpose")] = False,
) -> None:
    """Compare the sources with what is known, and queue what is new, changed or gone."""
    table = Table("source", "added", "changed", "removed", "other readers", "unchanged", box=None)
    with _documents() as documents:
        reports = documents.sync(sources or [], may_empty=may_empty)
    if not reports:
        raise SetupFailed("There is no source to compare with: name folders or s3://bucket/prefix in DOCUMENT_SOURCES.")
    for report in reports:
        counts = (report.added, report.changed, report.removed, report.reopened, report.unchanged)
        table.add_row(report.source, *map(str, counts))
    console.print(table)
    for report in reports:
        if report.problem:
            _print_problem(report.source, report.problem)
    if any(report.problem for report in reports):
        raise typer.Exit(2)


@app.command("list")
def list_documents(
    state: Annotated[str | None, typer.Option(help="queued, working, ready or failed")] = None,
) -> None:
    """List the documents: where each stands, and who may read it."""
    columns = (Column("id", no_wrap=True), "title", "state", "pages", "passages", "who may read", "problem")
    table = Table(*columns, box=None)
    with _documents() as documents:
        for entry in documents.list(state=state):
            table.add_row(
                entry.id,
                entry.title,
                entry.stage or entry.state,
                str(entry.pages or "-"),
                str(entry.chunks or "-"),
                _readers(entry.grant),
                entry.problem,
            )
    console.print(table)


@app.command()
def show(document_id: Annotated[str, typer.Argument(help="An id as `ragline list` shows it")]) -> None:
    """Show everything that is known of one document."""
    with _documents() as documents:
        values = documents.get(document_id).values
    table = Table(box=None, show_header=False)
    for name, value in values.items():
        if value not in (None, "", []):
            table.add_row(name.replace("_", " "), _text(value))
    console.print(table)


@app.command()
def retry(
    document_ids: Annotated[list[str] | None, typer.Argument(help="Ids; none: all documents that have failed")] = None,
) -> None:
    """Read documents again, whether or not they have changed."""
    with _documents() as documents:
        console.print(f"{documents.retry(document_ids or None)} queued")


@app.command()
def share(
    document_ids: Ids, everyone: Everyone = False, nobody: Nobody = False, group: Group = None, user: User = None
) -> None:
    """Let other people read documents, at once and without reading them again."""
    with _documents() as documents:
        grant = _grant(documents, everyone=everyone, nobody=nobody, groups=group, users=user)
        if grant is None:
            raise SetupFailed("Say who may read: --everyone, --nobody, --group or --user.")
        for document_id in document_ids:
            shared = documents.set_access(document_id, grant)
            console.print(f"{shared.title}: {_readers(shared.grant)}")


@app.command()
def remove(document_ids: Ids) -> None:
    """Take documents out, with all their passages."""
    with _documents() as documents:
        for document_id in document_ids:
            documents.remove(document_id)
            console.print(f"removed {document_id}")


@app.command()
def reindex(
    rollback: Annotated[bool, typer.Option(help="Search the earlier index again, at once")] = False,
    abandon: Annotated[bool, typer.Option(help="Give up the rebuild that is under way")] = False,
    status: Annotated[bool, typer.Option(help="Only say how the index stands")] = False,
) -> None:
    """Build the index anew beside the one that is searched, and switch when it is whole.

    Needed after a change of EMBEDDING_MODEL; questions are answered from the old index meanwhile.
    """
    with _documents() as documents:
        if status:
            state = documents.index()
        elif rollback:
            state = documents.index("POST", "/rollback")
        elif abandon:
            state = documents.index("DELETE", "/rebuild")
        else:
            state = _rebuild(documents)
    recipe = state["recipe"] or "made by an earlier version"
    console.print(f"Questions are answered from {state['live']}: {recipe}", soft_wrap=True)
    if state["building"]:
        console.print(f"{state['building']} is being built: {state['waiting']} documents to go")
    if state["previous"]:
        console.print(f"{state['previous']} is kept: `ragline reindex --rollback` goes back to it")


def _adding(
    documents: DocumentsClient, paths: list[str], grant: Grant | None, *, engine: Engine, address: str
) -> Iterator[Progress]:
    if engine == "ray":
        from pipelines.documents_bulk import add_with_ray

        return add_with_ray(read_settings(Settings), paths, grant=grant, address=address)
    from pipelines.ingest.add_paths import add_paths

    if address:
        raise typer.BadParameter("--address is that of a Ray cluster: it goes with --engine ray.")
    if missing := [path for path in paths if not Path(path).exists()]:
        raise typer.BadParameter(f"Path '{missing[0]}' does not exist.")
    return add_paths(documents, [Path(path) for path in paths], grant=grant)


def _print_problem(name: str, problem: str) -> None:
    console.print(Text.assemble((f"{name}:", "yellow"), f" {problem}"), soft_wrap=True)


def _rebuild(documents: DocumentsClient) -> dict[str, Any]:
    import time

    state = documents.index("POST", "/rebuild")
    with _bars() as bars:
        total = state["waiting"]
        bar = bars.add_task("rebuilding", total=total, pages=0, rate=0.0)
        while state["building"]:
            bars.update(bar, completed=total - state["waiting"])
            time.sleep(0.5)
            state = documents.index()
    return state


def _grant(
    documents: DocumentsClient, *, everyone: bool, nobody: bool, groups: list[str] | None, users: list[str] | None
) -> Grant | None:
    if nobody and (everyone or groups or users):
        raise SetupFailed("--nobody cannot be said together with --everyone, --group or --user.")
    if groups:
        _know_groups(documents, groups)
    grant = Grant(everyone=everyone, groups=tuple(groups or ()), users=tuple(users or ()))
    return grant if nobody or grant != Grant() else None


def _know_groups(documents: DocumentsClient, names: list[str]) -> None:
    """Check that Open WebUI has these groups, and tell pipelines all it has."""
    with open_webui_admin(read_settings(StackSettings)) as open_webui:
        groups = open_webui.group_ids()
    for name in names:
        if name not in groups:
            known = ", ".join(sorted(groups)) or "none yet"
            raise SetupFailed(f"Open WebUI has no group '{name}' (there are: {known}); create it in its admin panel.")
    documents.set_groups(groups)


def _readers(grant: Grant) -> str:
    if grant.everyone:
        return "everyone"
    return ", ".join((*grant.groups, *(f"user {user}" for user in grant.users))) or "nobody"


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(inner)}" for name, inner in value.items() if inner) or "nobody"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@contextmanager
def _documents() -> Iterator[DocumentsClient]:
    settings = read_settings(Settings)
    with DocumentsClient(settings.pipelines_url, key=settings.internal_api_key.get_secret_value()) as client:
        yield client


def _bars() -> ProgressBars:
    return ProgressBars(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("documents, {task.fields[pages]} pages, {task.fields[rate]:.0f} passages/s"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
