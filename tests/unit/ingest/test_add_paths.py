"""`ragline add` as it watches: files go over a real port, and come back as progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from pipelines.client import DocumentsClient, ListedDocument
from pipelines.domain import Grant, user_scope
from pipelines.errors import SourceUnavailable, StoreUnavailable
from pipelines.ingest import add_paths as add_paths_module
from pipelines.ingest.add_paths import GONE, Progress, add_paths
from tests.fakes.served import served
from tests.unit.ingest.ingestion import Ingestion, once, running
from tests.unit.ingest.web import KEY, app_over


@pytest.fixture
async def url(ingestion: Ingestion) -> AsyncIterator[str]:
    async with served(app_over(ingestion)) as address:
        with running(ingestion.workers):
            yield address


@pytest.fixture
def client(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DocumentsClient]:
    monkeypatch.setattr(add_paths_module, "LOOK_EVERY_S", 0.02)
    with DocumentsClient(url, key=KEY) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mine = tmp_path / "mine"
    (mine / "travel").mkdir(parents=True)
    (mine / "travel" / "hotels.md").write_text("# Hotels\n\nA night costs 180 euros.")
    (mine / "trains.md").write_text("Trains are first class.")
    return mine


async def add(client: DocumentsClient, *paths: Path, grant: Grant | None = None) -> list[Progress]:
    return await asyncio.to_thread(lambda: list(add_paths(client, paths, grant=grant)))


def ended(steps: list[Progress]) -> dict[str, str]:
    return {step.name: step.problem for step in steps if step.name}


async def test_a_folder_is_sent_and_watched_until_all_is_ready(
    client: DocumentsClient, ingestion: Ingestion, folder: Path
) -> None:
    steps = await add(client, folder)
    assert ended(steps) == {"travel/hotels.md": "", "trains.md": ""}
    last = steps[-1]
    assert (last.total, last.done, last.chunks, last.unchanged) == (2, 2, 2, False)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert any(step.doing.startswith("sent ") for step in steps)
    assert ingestion.found("night")[0] == "A night costs 180 euros."
    (hotels,) = (each for each in ingestion.registry.list(limit=9) if each.name == "hotels.md")
    assert hotels.origin == f"upload://{folder}/travel/hotels.md"


async def test_what_is_unchanged_is_not_sent(client: DocumentsClient, ingestion: Ingestion, folder: Path) -> None:
    await add(client, folder)
    before = ingestion.registry.list(limit=9)
    steps = await add(client, folder)
    assert [step.unchanged for step in steps] == [True, True]
    assert ingestion.registry.list(limit=9) == before
    (folder / "trains.md").write_text("Trains are second class.")
    steps = await add(client, folder)
    assert sum(step.unchanged for step in steps) == 1
    assert ingestion.found("trains")[0] == "Trains are second class."


async def test_other_readers_are_a_change(client: DocumentsClient, ingestion: Ingestion, folder: Path) -> None:
    await add(client, folder)
    steps = await add(client, folder / "trains.md", grant=Grant(users=("anna",)))
    assert (steps[-1].total, steps[-1].unchanged) == (1, False)
    assert ingestion.found("trains", user_scope("anna"))[0] == "Trains are first class."
    steps = await add(client, folder, grant=None)
    assert sum(step.unchanged for step in steps) == 2, "nothing said: readers stay as they are"


async def test_each_problem_is_told_once_and_costs_nothing_but_its_document(
    client: DocumentsClient, ingestion: Ingestion, folder: Path
) -> None:
    (folder / "empty.md").touch()
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    (folder / "large.md").write_bytes(b"x" * (2**20 + 1))
    steps = await add(client, folder)
    problems = [step.name for step in steps if step.problem]
    assert sorted(problems) == ["broken.pdf", "empty.md", "large.md"]
    assert "MAX_DOCUMENT_MB" in ended(steps)["large.md"]
    assert (steps[-1].total, steps[-1].done, steps[-1].chunks) == (5, 5, 2)


async def test_a_file_that_is_named_twice_is_one_document(client: DocumentsClient, folder: Path) -> None:
    steps = await add(client, folder, folder / "trains.md", folder)
    assert (steps[-1].total, steps[-1].done) == (2, 2)


async def test_a_document_that_is_taken_out_meanwhile_comes_to_an_end(
    client: DocumentsClient, ingestion: Ingestion, folder: Path
) -> None:
    def take_out() -> None:
        for record in ingestion.registry.list(limit=9):
            ingestion.registry.begin_removing([record.id])

    ingestion.embedding.during = once(take_out)
    steps = await add(client, folder / "trains.md")
    assert ended(steps) == {"trains.md": GONE}


async def test_a_document_between_two_lists_has_not_ended(
    client: DocumentsClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may go from working to queued after the queued were listed, and before those at work are."""
    listed: Callable[..., Iterator[ListedDocument]] = client.list
    looks: list[str | None] = []

    def missing(*, state: str | None = None, source: str | None = None) -> Iterator[ListedDocument]:
        looks.append(state)
        return iter(()) if state and len(looks) < 6 else listed(state=state, source=source)

    monkeypatch.setattr(client, "list", missing)
    steps = await add(client, folder / "trains.md")
    assert (steps[-1].done, steps[-1].chunks) == (1, 1)


async def test_a_path_that_is_not_there_and_a_silent_stack_are_errors(client: DocumentsClient, folder: Path) -> None:
    with pytest.raises(SourceUnavailable):
        await add(client, folder / "gone")
    with (
        DocumentsClient("http://127.0.0.1:1", key=KEY) as nobody,
        pytest.raises(StoreUnavailable, match="start the stack"),
    ):
        await add(nobody, folder)
