"""The bulk engine on a real Ray of this machine: the same chunks, ids and vectors as here, whatever a worker meets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipelines.domain import Chunk, Vector
from pipelines.errors import EncryptedDocument
from pipelines.ingest.engine_ray import CollectedChunks, Open, Preparation, PreparedDocument, prepare_with_ray
from pipelines.settings import quiet_ray
from pipelines.stores.folder import FolderSource
from tests.scale.deployment import STATE
from tests.scale.ray_preparers import BREAKS, KILLS_ONCE, open_with_model
from tests.stack import HANDBOOK
from tests.unit.ingest.make_documents import pdf

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # 2.60 uses what it deprecates itself

SAME = "00.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents some of which bring trouble."""
    made = tmp_path_factory.mktemp("folder")
    for number in range(12):
        (made / f"{number:02}.md").write_text(f"# Number {number}\n\nSome words.")
    (made / KILLS_ONCE).write_text("It is read by the next process.")
    (made / BREAKS).write_text("Nobody reads this.")
    (made / "locked.pdf").write_bytes(pdf(["secret"], password="x"))
    return made


@pytest.fixture(scope="module")
def open_preparer(tmp_path_factory: pytest.TempPathFactory) -> Open:
    return partial(open_with_model, tmp_path_factory.mktemp("spool"), STATE / "models")


@pytest.fixture(scope="module")
def over_ray(
    folder: Path, open_preparer: Open, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[PreparedDocument]]:
    """What one run over the handbook and the troubled folder yields: a start of Ray takes long."""
    held = hashlib.sha256((folder / SAME).read_bytes()).hexdigest()
    troubled = [replace(each, held=held if each.entry.key.name == SAME else "") for each in wanted(folder)]
    with pytest.MonkeyPatch.context() as environment:
        # Ray keeps a token in the home of whoever starts it.
        environment.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        quiet_ray()
        yield list(prepare_with_ray([*wanted(HANDBOOK), *troubled], open_preparer, workers=2))


def test_ray_makes_the_same_chunks_ids_and_vectors_as_this_process(
    over_ray: list[PreparedDocument], open_preparer: Open
) -> None:
    here = prepared_here(wanted(HANDBOOK), open_preparer)
    found = {each.entry.origin: each for each in over_ray if each.entry.origin in here}

    assert found.keys() == here.keys()
    for origin, expected in here.items():
        assert found[origin].staged == expected.staged
        ours, theirs = list(embedded(expected)), list(embedded(found[origin]))
        assert [chunk for chunk, _ in theirs] == [chunk for chunk, _ in ours]
        assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(ours, theirs, strict=True))


def test_each_document_comes_back_once_whatever_happens_to_the_others(
    over_ray: list[PreparedDocument], folder: Path
) -> None:
    done = [each for each in over_ray if each.entry.origin.startswith(f"file://{folder.resolve()}/")]
    by_name = {each.entry.key.name: each for each in done}

    assert len(by_name) == len(done)
    assert by_name.keys() == {each.name for each in folder.iterdir()} - {BREAKS}
    assert type(by_name["locked.pdf"].error) is EncryptedDocument
    assert by_name[SAME] == PreparedDocument(by_name[SAME].entry), "the same bytes are not read again"
    for name in by_name.keys() - {SAME, "locked.pdf"}:
        assert len(list(embedded(by_name[name]))) == 1


def test_a_process_that_is_killed_is_replaced(over_ray: list[PreparedDocument], open_preparer: Open) -> None:
    assert isinstance(open_preparer, partial)
    assert (open_preparer.args[0] / "killed").exists()
    assert KILLS_ONCE in {each.entry.key.name for each in over_ray}


def wanted(folder: Path) -> list[Preparation]:
    source = FolderSource(folder)
    return [Preparation(entry, source.url) for entry in source.list()]


def prepared_here(preparations: Sequence[Preparation], open_preparer: Open) -> dict[str, PreparedDocument]:
    """What this process makes of the same entries, by origin."""
    preparer = open_preparer()
    done: dict[str, PreparedDocument] = {}
    for each in preparations:
        collected = CollectedChunks()
        generations = [replace(preparer.generation, index=collected)]
        staged = preparer.path.stage(each.entry, FolderSource(HANDBOOK), lambda _, generations=generations: generations)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        assert staged is not None
        staged = replace(staged, generations=())
        done[each.entry.origin] = PreparedDocument(each.entry, staged, tuple(collected.batches))
    preparer.path.close()
    return done


def embedded(prepared: PreparedDocument) -> Iterator[tuple[Chunk, Vector]]:
    for chunks, vectors in prepared.batches:
        yield from zip(chunks, vectors, strict=True)
