"""The search graph is built by another process while everything goes on, and takes its place in one step."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.domain import EVERYONE, Chunk, Document, IndexedDocument
from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.stores import qdrant_edge as adapter
from pipelines.stores import qdrant_edge_optimise
from pipelines.stores import qdrant_edge_optimise_copy as copying
from pipelines.stores.base import SearchRequest
from pipelines.stores.generations import Generations
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from pipelines.stores.qdrant_edge_optimiser import Pace
from tests.fakes.word_embedding import WordEmbedding

EMBEDDING = WordEmbedding()
CHUNKS = 300
SOON = Pace(points=100, quiet_s=0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_index(tmp_path / "index")
    return tmp_path / "index"


def make_index(folder: Path) -> None:
    """An index without a graph, whose engine makes one of 10 kB of vectors instead of 10 MB."""
    index = QdrantEdgeIndex(folder, EMBEDDING)
    publish(index, "old", CHUNKS)
    index.close()
    config = folder / "shard" / "edge_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"optimizers": {"indexing_threshold": 10}}))


@pytest.fixture
def reopen(folder: Path) -> Iterator[Callable[..., QdrantEdgeIndex]]:
    opened: list[QdrantEdgeIndex] = []

    def open_again(pace: Pace = Pace()) -> QdrantEdgeIndex:  # noqa: B008  frozen
        close()
        opened.append(QdrantEdgeIndex(folder, EMBEDDING, pace=pace))
        return opened[-1]

    def close() -> None:
        if opened:
            opened.pop().close()

    yield open_again
    close()


Reopen = Callable[..., QdrantEdgeIndex]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """Holds every build between the copy and the process."""
    hold = Held()

    def build_held(copy: Path, *, timeout_s: int, given_up: Callable[[], bool]) -> bool:
        hold.begun.set()
        while not hold.release.wait(0.01) and not given_up():
            pass
        return copying.build_copy(copy, timeout_s=timeout_s, given_up=given_up)

    monkeypatch.setattr(adapter, "build_copy", build_held)
    yield hold
    hold.release.set()


class Held:
    def __init__(self) -> None:
        self.begun, self.release = threading.Event(), threading.Event()


def document(name: str, revision: str = "r1") -> Document:
    place = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    return Document(place, name, f"file:///{name}.md", "text/markdown", revision, 1)


def stage(index: QdrantEdgeIndex, name: str, chunks: int, revision: str = "r1") -> None:
    of = document(name, revision)
    texts = [f"hotel {name} {revision} number{n} of{n % 7}" for n in range(chunks)]
    made = [Chunk(str(uuid.uuid4()), of.id, n, text, name) for n, text in enumerate(texts)]
    index.stage(of, made, list(EMBEDDING.embed(texts, input_type="document")))


def publish(index: QdrantEdgeIndex, name: str, chunks: int, revision: str = "r1") -> None:
    stage(index, name, chunks, revision)
    index.publish(IndexedDocument(document(name, revision), chunks, None, "2026-11-21"))


def found(index: QdrantEdgeIndex, question: str) -> list[str]:
    vector = EMBEDDING.embed([question], input_type="question")[0]
    request = SearchRequest(question, vector, (EVERYONE,), limit=500, candidates=500)
    return [passage.chunk.text for passage in index.search(request)]


def built(index: QdrantEdgeIndex) -> bool:
    return int(index._shard.info().indexed_vectors_count) > int(index._shard.info().points_count)


def shards(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_same_is_found_after_a_build_and_after_a_restart(reopen: Reopen, folder: Path) -> None:
    index = reopen()
    questions = [f"number{n} of{n % 7}" for n in range(0, CHUNKS, 23)]
    before = [set(found(index, question)) for question in questions]
    assert index.optimise_now()
    for _ in range(2):
        assert built(index)
        assert len(shards(folder)) == 1
        assert [set(found(index, question)) for question in questions] == before
        index = reopen()


def test_a_small_index_is_left_as_it_is(reopen: Reopen, folder: Path) -> None:
    index = reopen()
    assert index.optimise_now()
    kept = shards(folder)
    publish(index, "new", 5)
    assert not index.optimise_now()
    assert shards(folder) == kept
    assert index.count() == CHUNKS + 5


def test_what_was_added_before_a_restart_is_built_soon_after_it(reopen: Reopen) -> None:
    index = reopen(SOON)
    wait_for(lambda: built(index))
    thread = index._optimiser._thread
    assert thread is not None
    assert not built_again(index)


def built_again(index: QdrantEdgeIndex) -> bool:
    """Whether another shard takes the place of this one within some rounds of the thread."""
    shard = index._shard
    time.sleep(0.3)
    return index._shard is not shard


def test_a_build_waits_for_enough_points_and_for_the_writing_to_pause(reopen: Reopen) -> None:
    index = reopen(Pace(points=CHUNKS + 100, quiet_s=0.3))
    publish(index, "few", 99)
    assert index._optimiser._thread is None
    publish(index, "more", 1)
    for number in range(5):
        time.sleep(0.1)
        publish(index, f"{number}", 1)
        assert not built(index)
    wait_for(lambda: built(index))


def test_a_build_does_not_wait_for_the_end_of_a_long_ingestion(reopen: Reopen) -> None:
    index = reopen(Pace(points=CHUNKS + 1, quiet_s=0.4, at_most_s=0.5))
    number = 0
    until = time.monotonic() + 20
    while not built(index) and time.monotonic() < until:
        number += 1
        publish(index, f"{number}", 1)
        time.sleep(0.02)
    assert built(index)
    assert index.count() == CHUNKS + number


def test_questions_are_answered_all_the_while(reopen: Reopen) -> None:
    index = reopen()
    waits, counts = [], set()
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            began = time.monotonic()
            counts.add((len(found(index, "hotel")), index.count(), len(index.documents())))
            waits.append(time.monotonic() - began)
            time.sleep(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    assert index.optimise_now()
    ended.set()
    asking.join()
    assert len(waits) > 5
    assert max(waits) < 1.5
    assert counts == {(CHUNKS, CHUNKS, 1)}


def test_what_is_written_during_a_build_and_after_it_is_kept(reopen: Reopen, held: Held) -> None:
    index = reopen()
    publish(index, "removed", 10)
    publish(index, "closed", 10)
    stage(index, "half", 4)
    build = threading.Thread(target=index.optimise_now)
    build.start()
    assert held.begun.wait(20)
    publish(index, "added", 20)
    publish(index, "old", CHUNKS - 50, revision="r2")
    index.set_access(document("closed").id, ["user:a"])
    assert index.remove(document("removed").id)
    stage(index, "begun", 5)
    during = sorted(found(index, "hotel"))
    held.release.set()
    build.join()
    assert built(index)
    assert sorted(found(index, "hotel")) == during
    index.publish(IndexedDocument(document("begun"), 5, None, "2026-11-21"))
    publish(index, "after", 6)
    texts = sorted(found(index, "hotel"))
    assert len(texts) == CHUNKS - 50 + 20 + 5 + 6
    assert index.count() == len(texts) + 10
    index = reopen()
    assert sorted(found(index, "hotel")) == texts
    assert index.count() == len(texts) + 10


def test_more_than_memory_should_hold_gives_the_build_up(
    reopen: Reopen, held: Held, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = reopen(Pace(points=100, quiet_s=0.05, missed=30))
    assert held.begun.wait(20)
    publish(index, "added", 31)
    wait_for(lambda: len(shards(folder)) == 1)
    wait_for(lambda: "build was given up. Questions are answered as before" in caplog.text)
    assert not built(index)
    assert index.count() == CHUNKS + 31


def test_a_build_that_fails_leaves_all_as_it_was_and_is_tried_again_after_as_many_points(
    reopen: Reopen, held: Held, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = reopen(SOON)
    assert held.begun.wait(20)
    (copy,) = (path for path in folder.iterdir() if path.is_dir() and path.name != "shard")
    (copy / "edge_config.json").write_text("{")
    held.release.set()
    wait_for(lambda: "is tried again later" in caplog.text)
    assert "the build ended with 1" in caplog.text
    assert shards(folder) == ["shard"]
    assert (built(index), index.count()) == (False, CHUNKS)
    publish(index, "few", 50)
    assert not built_again(index)
    publish(index, "more", 50)
    wait_for(lambda: built(index))
    assert index.count() == CHUNKS + 100


def test_a_build_that_takes_too_long_is_ended(reopen: Reopen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import signal, sys, time\nsignal.alarm(int(sys.argv[3]))\ntime.sleep(30)\n")
    monkeypatch.setattr(qdrant_edge_optimise, "__file__", str(slow))
    with pytest.raises(StoreUnavailable, match="the build ended with -14"):
        reopen(Pace(timeout_s=1)).optimise_now()


def test_without_room_on_the_disk_nothing_is_built(
    reopen: Reopen, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ROOM", 1e9)
    index = reopen()
    with pytest.raises(StoreUnavailable, match=r"needs .* GB of free disk"):
        index.optimise_now()
    assert shards(folder) == ["shard"]
    assert index.count() == CHUNKS


def test_closing_ends_a_build_at_once(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(30)\n")
    monkeypatch.setattr(qdrant_edge_optimise, "__file__", str(slow))
    caplog.set_level(logging.INFO)
    index = QdrantEdgeIndex(folder, EMBEDDING, pace=SOON)
    wait_for(lambda: len(shards(folder)) == 2)
    began = time.monotonic()
    index.close()
    assert time.monotonic() - began < 3
    assert shards(folder) == ["shard"]
    assert caplog.text == ""
    with pytest.raises(StoreUnavailable, match="is closed"):
        index.optimise_now()


def test_each_generation_has_its_own_graph(tmp_path: Path) -> None:
    generations = Generations(tmp_path / "index", embedding=EMBEDDING, recipe="1", load=lambda _: EMBEDDING)
    generations.begin(EMBEDDING, "2")
    generations.close()
    shutil.rmtree(tmp_path / "index" / "g2")
    make_index(tmp_path / "index" / "g2")
    generations = Generations(tmp_path / "index", embedding=EMBEDDING, recipe="1", load=lambda _: EMBEDDING)
    live, building = (generation.index for generation in generations.written())
    assert isinstance(live, QdrantEdgeIndex)
    assert isinstance(building, QdrantEdgeIndex)
    assert building.optimise_now()
    assert not live.optimise_now()
    assert shards(tmp_path / "index" / "g1") == ["shard"]
    assert (live.count(), building.count()) == (0, CHUNKS)
    generations.switch()
    generations.close()
    assert len(shards(tmp_path / "index" / "g2")) == 1


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"shard": "../g2"}', '{"shard": "shard-%s"}' % ("0" * 32)])
def test_a_record_that_names_no_shard_is_refused(folder: Path, content: str) -> None:
    (folder / "shard.json").write_text(content)
    with pytest.raises(SetupFailed, match=r"shard\.json is damaged: delete"):
        QdrantEdgeIndex(folder, EMBEDDING)
    assert shards(folder) == ["shard"]


def test_a_process_that_may_not_open_the_index_leaves_what_is_being_built(
    reopen: Reopen, held: Held, folder: Path
) -> None:
    index = reopen(SOON)
    assert held.begun.wait(20)
    with pytest.raises(SetupFailed, match="open in another process"):
        QdrantEdgeIndex(folder, EMBEDDING)
    assert len(shards(folder)) == 2
    held.release.set()
    wait_for(lambda: built(index))
