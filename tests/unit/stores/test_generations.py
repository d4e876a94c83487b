"""Generations of the index: built beside, switched to and rolled back in one step, whole after any crash."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.domain import EVERYONE, Chunk, Document, IndexedDocument
from pipelines.errors import InvalidRequest, SetupFailed
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores import generation_records, generation_store
from pipelines.stores.base import SearchRequest
from pipelines.stores.generations import Generation, Generations
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from tests.fakes.word_embedding import WordEmbedding

OLD, NEW = WordEmbedding("old"), WordEmbedding("new", dimensions=32)


def load(name: str) -> EmbeddingProvider:
    """The models that are there besides the configured one."""
    for model in (OLD, NEW):
        if model.name == name:
            return model
    raise SetupFailed(f"The index was built with {name}, which is gone.")


Open = Callable[..., Generations]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Open]:
    """Opens the folder as another start of the product would; what was open before is closed."""
    opened: list[Generations] = []

    def open_again(embedding: EmbeddingProvider = OLD, recipe: str = "cut 1") -> Generations:
        close()
        opened.append(Generations(tmp_path / "index", embedding=embedding, recipe=recipe, load=load))
        return opened[-1]

    def close() -> None:
        if opened:
            opened.pop().close()

    yield open_again
    close()


def put(generation: Generation, text: str) -> None:
    document = Document(str(uuid.uuid5(uuid.NAMESPACE_URL, text)), text, f"file:///{text}.md", "text/markdown", "r", 1)
    chunk = Chunk(str(uuid.uuid4()), document.id, 0, text, text)
    generation.index.stage(document, [chunk], list(generation.embedding.embed([text], input_type="document")))
    generation.index.publish(IndexedDocument(document, 1, None, "2026-11-21"))


def found(generation: Generation) -> list[str]:
    vector = generation.embedding.embed(["hotel"], input_type="question")[0]
    return [passage.chunk.text for passage in generation.index.search(SearchRequest("hotel", vector, (EVERYONE,)))]


def folders(tmp_path: Path) -> list[str]:
    return sorted(folder.name for folder in (tmp_path / "index").iterdir() if folder.is_dir())


def ids(opened: Generations) -> tuple[str, ...]:
    named = (opened.live, opened.building, opened.previous)
    return tuple(generation.id if generation else "" for generation in named)


def test_a_new_folder_has_one_live_generation_with_the_configured_model(reopen: Open) -> None:
    opened = reopen()
    assert (ids(opened), opened.live.embedding, opened.live.recipe) == (("g1", "", ""), OLD, "cut 1")
    assert opened.written() == opened.kept() == (opened.live,)
    assert not opened.outdated


def test_what_is_live_is_served_after_a_restart(reopen: Open) -> None:
    put(reopen().live, "hotel old")
    assert found(reopen().live) == ["hotel old"]


@pytest.mark.parametrize(("embedding", "recipe"), [(NEW, "cut 1"), (OLD, "cut 2")])
def test_another_setting_leaves_the_live_generation_as_it_was_and_calls_it_outdated(
    reopen: Open, embedding: EmbeddingProvider, recipe: str
) -> None:
    put(reopen().live, "hotel old")
    opened = reopen(embedding, recipe)
    assert (opened.outdated, opened.live.embedding, opened.live.recipe) == (True, OLD, "cut 1")
    assert found(opened.live) == ["hotel old"]


def test_a_generation_is_built_beside_and_switched_to_in_one_step(reopen: Open, tmp_path: Path) -> None:
    put(reopen().live, "hotel old")
    opened = reopen(NEW, "cut 2")
    building = opened.begin(NEW, "cut 2")
    put(building, "hotel new")
    assert ids(opened) == ("g1", "g2", "")
    assert opened.written() == opened.kept() == (opened.live, building)
    assert found(opened.live) == ["hotel old"]
    opened.switch()
    assert ids(opened) == ("g2", "", "g1")
    assert opened.written() == (building,)
    assert [generation.id for generation in opened.kept()] == ["g2", "g1"]
    assert (found(opened.live), opened.outdated) == (["hotel new"], False)
    assert folders(tmp_path) == ["g1", "g2"]


def test_building_goes_on_after_a_restart(reopen: Open) -> None:
    opened = reopen()
    put(opened.begin(NEW, "cut 2"), "hotel new")
    opened = reopen()
    assert ids(opened) == ("g1", "g2", "")
    assert opened.building is not None
    assert (opened.building.embedding, opened.building.recipe, found(opened.building)) == (NEW, "cut 2", ["hotel new"])


def test_rolls_back_and_forth_in_one_step_also_after_a_restart(reopen: Open) -> None:
    opened = reopen()
    put(opened.live, "hotel old")
    put(opened.begin(NEW, "cut 2"), "hotel new")
    opened.switch()
    opened = reopen(NEW, "cut 2")
    opened.roll_back()
    assert (ids(opened), found(opened.live), opened.outdated) == (("g1", "", "g2"), ["hotel old"], True)
    opened = reopen(NEW, "cut 2")
    opened.roll_back()
    assert (ids(opened), found(opened.live), opened.outdated) == (("g2", "", "g1"), ["hotel new"], False)


def test_rolling_back_leaves_what_is_being_built(reopen: Open) -> None:
    opened = reopen()
    opened.begin(NEW, "cut 2")
    opened.switch()
    opened.begin(NEW, "cut 3")
    opened.roll_back()
    assert ids(opened) == ("g1", "g3", "g2")


def test_a_second_switch_deletes_the_generation_before_the_previous(reopen: Open, tmp_path: Path) -> None:
    opened = reopen()
    for number in (2, 3):
        opened.begin(OLD, f"cut {number}")
        opened.switch()
    assert ids(opened) == ("g3", "", "g2")
    assert folders(tmp_path) == ["g2", "g3"]


def test_abandoning_deletes_what_was_built_and_its_id_is_not_given_again(reopen: Open, tmp_path: Path) -> None:
    opened = reopen()
    opened.abandon()
    opened.begin(NEW, "cut 2")
    opened.abandon()
    assert (ids(opened), folders(tmp_path)) == (("g1", "", ""), ["g1"])
    assert reopen().begin(NEW, "cut 2").id == "g3"


def test_what_cannot_be_done_is_refused_and_changes_nothing(reopen: Open) -> None:
    opened = reopen()
    with pytest.raises(InvalidRequest, match="begin one first"):
        opened.switch()
    with pytest.raises(InvalidRequest, match="no earlier index"):
        opened.roll_back()
    opened.begin(NEW, "cut 2")
    with pytest.raises(InvalidRequest, match="being rebuilt already"):
        opened.begin(NEW, "cut 2")
    assert ids(opened) == ("g1", "g2", "")


def test_a_folder_in_use_is_refused_and_left_as_it_is(reopen: Open, tmp_path: Path) -> None:
    opened = reopen()
    opened.begin(NEW, "cut 2")
    with pytest.raises(SetupFailed, match="open in another process: stop that one first"):
        Generations(tmp_path / "index", embedding=OLD, recipe="cut 1", load=load)
    assert folders(tmp_path) == ["g1", "g2"]


def test_a_live_generation_whose_model_is_gone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    gone = WordEmbedding("gone")
    Generations(tmp_path / "index", embedding=gone, recipe="cut 1", load=load).close()
    with pytest.raises(SetupFailed, match="built with gone"):
        Generations(tmp_path / "index", embedding=OLD, recipe="cut 1", load=load)
    assert folders(tmp_path) == ["g1"]


def test_a_model_that_is_gone_does_not_stop_readers_of_another(
    reopen: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = reopen()
    opened.begin(NEW, "cut 2")
    opened.switch()
    opened.begin(WordEmbedding("gone"), "cut 3")
    opened = reopen()
    assert (ids(opened), folders(tmp_path)) == (("g2", "", "g1"), ["g1", "g2"])
    assert "built with gone" in caplog.text


@pytest.mark.parametrize("content", ["{", "[]", '{"live": {"id": "g1"}}', '{"live": null}'])
def test_a_damaged_pointer_is_refused_with_what_to_do(tmp_path: Path, reopen: Open, content: str) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "generations.json").write_text(content)
    with pytest.raises(SetupFailed, match=r"damaged: delete .* indexed anew"):
        reopen()


def test_a_generation_that_was_never_named_is_deleted_at_the_next_start(reopen: Open, tmp_path: Path) -> None:
    reopen()
    QdrantEdgeIndex(tmp_path / "index" / "g2", NEW).close()
    (tmp_path / "index" / "generations.json.draft").write_text("{")
    assert (ids(reopen()), folders(tmp_path)) == (("g1", "", ""), ["g1"])


class Crash(BaseException):
    """The process stops here."""


STEPS = ["before the pointer", "after the pointer"]
MOVES: dict[str, tuple[Callable[[Generations], object], tuple[str, ...], tuple[str, ...]]] = {
    "begin": (lambda opened: opened.begin(NEW, "cut 3"), ("g2", "", "g1"), ("g2", "g3", "g1")),
    "switch": (lambda opened: opened.switch(), ("g2", "g3", "g1"), ("g3", "", "g2")),
    "roll_back": (lambda opened: opened.roll_back(), ("g2", "", "g1"), ("g1", "", "g2")),
    "abandon": (lambda opened: opened.abandon(), ("g2", "g3", "g1"), ("g2", "", "g1")),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("move", sorted(MOVES))
def test_a_crash_leaves_the_state_before_or_after(
    reopen: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: str, step: str
) -> None:
    make, before, after = MOVES[move]
    opened = reopen()
    opened.begin(NEW, "cut 2")
    opened.switch()
    if "g3" in before:
        opened.begin(NEW, "cut 3")
    assert ids(opened) == before

    def crash(folder: Path, pointer: generation_records.Pointer) -> None:
        if step == "after the pointer":
            generation_records.write_pointer(folder, pointer)
        raise Crash

    monkeypatch.setattr(generation_store, "write_pointer", crash)
    open_indexes = list(opened.kept())
    with pytest.raises(Crash):
        make(opened)
    monkeypatch.undo()
    for generation in open_indexes:
        generation.index.close()
    as_left = tmp_path / "index"
    moved = as_left.rename(tmp_path / "as left")
    reopened = Generations(moved, embedding=OLD, recipe="cut 1", load=load)
    expected = before if step == "before the pointer" else after
    assert ids(reopened) == expected
    assert sorted(folder.name for folder in moved.glob("g[0-9]")) == sorted(filter(None, expected))
    reopened.close()


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The index as it lay before there were generations."""
    folder = tmp_path / "index"
    index = QdrantEdgeIndex(folder, OLD)
    put(Generation("", index, OLD, ""), "hotel old")
    index.close()
    return folder


@pytest.mark.parametrize("cut_off_after", [0, 1, 2, 3])
def test_an_index_of_before_there_were_generations_becomes_the_first(
    former: Path, reopen: Open, cut_off_after: int
) -> None:
    g1 = {"id": "g1", "embedding": "old", "recipe": ""}
    if cut_off_after >= 1:
        pointer = {"live": g1, "building": None, "previous": None, "last": 1}
        (former / "generations.json").write_text(json.dumps(pointer))
    for name in ("shard", "embedding.json")[: max(0, cut_off_after - 1)]:
        (former / "g1").mkdir(exist_ok=True)
        shutil.move(former / name, former / "g1" / name)
    opened = reopen(NEW, "cut 1")
    assert (opened.live.id, opened.live.embedding, opened.live.recipe, opened.outdated) == ("g1", OLD, "", True)
    assert found(opened.live) == ["hotel old"]
    assert not (former / "shard").exists()
    assert found(reopen(OLD, "cut 1").live) == ["hotel old"]
