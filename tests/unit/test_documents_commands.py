"""The commands about documents, run against the real routes on a real port: what they print and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipelines.documents_commands import app as commands
from pipelines.domain import user_scope
from pipelines.errors import SetupFailed
from pipelines.ingest import reindex as reindex_module
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.reindex import Reindex
from pipelines.stores.registry import Registry
from tests.fakes.served import served
from tests.unit.ingest.ingestion import CountingEmbedding, Ingestion, quick_folder, running
from tests.unit.ingest.web import KEY, app_over

Run = Callable[..., Awaitable[Result]]


@pytest.fixture(scope="module")
def isolation() -> Iterator[Isolation]:
    opened = Isolation(workers=2, memory_mb=1024, timeout_s=60)
    yield opened
    opened.close()


@pytest.fixture
def ingestion(tmp_path: Path, registry: Registry, isolation: Isolation) -> Iterator[Ingestion]:
    with quick_folder(tmp_path) as folder:
        made = Ingestion(folder, registry, isolation)
        yield made
        made.close()


@pytest.fixture
async def url(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(reindex_module, "LOOK_EVERY_S", 0.02)
    ingestion.reindex = Reindex(
        ingestion.generations,
        ingestion.registry,
        ingestion.workers,
        configured=lambda: (CountingEmbedding("new"), "new chunks-2"),
    )
    async with served(app_over(ingestion)) as address:
        with running(ingestion.workers):
            ingestion.reindex.start()
            yield address
            ingestion.reindex.stop()


@pytest.fixture
def run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command as the shell would, with settings that lead to the served routes."""
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWAY_API_KEY", "WEBHOOK_API_KEY", "IDENTITY_SECRET"):
        monkeypatch.setenv(name, "x" * 32)
    monkeypatch.setenv("INTERNAL_API_KEY", KEY)
    monkeypatch.setenv("PIPELINES_URL", url)
    monkeypatch.setenv("DEFAULT_ACCESS", "everyone")
    monkeypatch.setenv("COLUMNS", "250")

    async def invoke(*args: object) -> Result:
        return await asyncio.to_thread(lambda: CliRunner().invoke(commands, [str(arg) for arg in args]))

    return invoke


async def test_add_prints_what_came_of_it(run: Run, ingestion: Ingestion, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "[").mkdir(parents=True)
    (folder / "[" / "bold]a :smile:.md").write_text("Hotels cost 180.")
    result = await run("add", folder)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 added, 0 unchanged, 0 with a problem")
    (folder / "[" / "red] b.md").touch()
    result = await run("add", folder, "--user", "anna")
    assert result.exit_code == 2
    assert [line for line in result.stdout.splitlines() if "b.md" in line] == ["[/red] b.md: red] b.md is empty."]
    assert result.stdout.splitlines()[-1] == "1 added, 0 unchanged, 1 with a problem"
    assert ingestion.found("hotels", user_scope("anna")) == ["Hotels cost 180."]
    assert (await run("add", folder / "gone")).exit_code == 2


async def test_list_and_show_say_how_documents_stand(run: Run, ingestion: Ingestion) -> None:
    ingestion.bring_in(a="# The [draft] policy\n\nHotels cost 180.", b=" ")
    listed = (await run("list")).stdout.splitlines()
    assert listed[0].split() == ["id", "title", "state", "pages", "passages", "who", "may", "read", "problem"]
    assert listed[1].split() == [
        ingestion.id("b.md"),
        "b",
        "failed",
        "-",
        "-",
        "everyone",
        "b.md",
        "holds",
        "no",
        "text.",
    ]
    assert "The [draft] policy" in listed[2]
    assert len((await run("list", "--state", "failed")).stdout.splitlines()) == 2
    shown = (await run("show", ingestion.id("a.md"))).stdout
    assert "The [draft] policy" in shown
    assert "indexed with" in shown and "words chunks-1" in shown


async def test_share_retry_and_remove_do_what_they_say(run: Run, ingestion: Ingestion) -> None:
    record = await ingestion.upload("a.md", b"Hotels cost 180.")
    assert (await run("share", record.id, "--user", "anna")).stdout == "a: user anna\n"
    assert ingestion.found("hotels") == []
    assert (await run("share", record.id, "--nobody")).stdout == "a: nobody\n"
    assert (await run("share", record.id, "--everyone")).stdout == "a: everyone\n"
    said = await run("share", record.id)
    assert isinstance(said.exception, SetupFailed)
    both = await run("share", record.id, "--nobody", "--everyone")
    assert isinstance(both.exception, SetupFailed)
    assert (await run("retry", record.id)).stdout == "1 queued\n"
    assert (await run("retry")).stdout == "0 queued\n"
    assert (await run("remove", record.id)).stdout == f"removed {record.id}\n"
    unknown = await run("remove", record.id)
    assert "ragline list" in str(unknown.exception)


async def test_sync_prints_a_line_for_each_source_and_its_problem(run: Run, ingestion: Ingestion) -> None:
    ingestion.write("a.md", "Hotels cost 180.")
    result = await run("sync")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split() == [ingestion.source.url, "1", "0", "0", "0", "0"]
    ingestion.share.rename(ingestion.folder / "elsewhere")
    result = await run("sync", ingestion.source.url)
    assert result.exit_code == 2
    assert result.stdout.splitlines()[-1].startswith(f"{ingestion.source.url}: ")


async def test_reindex_waits_for_the_switch_and_says_how_to_go_back(run: Run, ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    assert (await run("reindex", "--status")).stdout == "Questions are answered from g1: words chunks-1\n"
    done = (await run("reindex")).stdout.splitlines()[-2:]
    assert done[0] == "Questions are answered from g2: new chunks-2"
    assert done[1] == "g1 is kept: `ragline reindex --rollback` goes back to it"
    rolled_back = (await run("reindex", "--rollback")).stdout
    assert rolled_back.startswith("Questions are answered from g1: words chunks-1\n")
    assert (await run("reindex", "--abandon")).exit_code == 0
    assert ingestion.found("hotels") == ["Hotels cost 180."]


async def test_a_stack_that_does_not_run_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINES_URL", "http://127.0.0.1:1")
    result = await run("list")
    assert str(result.exception) == (
        "pipelines does not answer at http://127.0.0.1:1: start the stack, or set PIPELINES_URL."
    )
    monkeypatch.delenv("INTERNAL_API_KEY")
    result = await run("list")
    assert "INTERNAL_API_KEY is not set" in str(result.exception)
