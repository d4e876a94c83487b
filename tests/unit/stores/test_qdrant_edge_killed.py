"""A process that writes to the embedded index is killed between the steps of the engine, and the index opened again.

The child changes one document over and over, and notes for each change what is found before it and after it. Another
document must stay as it is.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge

from pipelines.domain import EVERYONE, Chunk, Document, IndexedDocument
from pipelines.stores import qdrant_edge as adapter
from pipelines.stores.base import SearchRequest
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from pipelines.stores.qdrant_edge_change import Journal
from tests.fakes.word_embedding import WordEmbedding

EMBEDDING = WordEmbedding()
CHANGED, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))

OPERATIONS = 42
"""Writing calls to the engine and the journal in `change_again_and_again`."""
KILLS = sorted(random.Random(20261121).sample([(at, after) for at in range(1, OPERATIONS + 1) for after in (0, 1)], 32))

# A process of its own that has opened no index yet, so that its children may be forked: no thread is lost.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


@pytest.mark.parametrize(("at", "after"), KILLS)
def test_a_process_killed_at_any_step_leaves_the_old_or_the_new_revision_whole(
    tmp_path: Path, at: int, after: bool
) -> None:
    note = tmp_path / "note.json"
    child = FORKS.Process(target=run_until_killed, args=(tmp_path / "index", note, at, after))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    index = QdrantEdgeIndex(tmp_path / "index", EMBEDDING)
    kept, found = what_is_found(index, OTHER), what_is_found(index, CHANGED)
    assert kept == {"o everyone": 5}
    assert found in json.loads(note.read_text())
    assert index.count() == sum(found.values()) + 5
    assert {(each.document.content_hash, each.chunks) for each in index.documents()} == {
        (revision.split()[0], chunks) for revision, chunks in (found | kept).items()
    }
    assert not points_beyond_reach(index)
    index.close()


def test_the_kills_are_spread_over_all_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "STEP", 4)
    killing = Killing(at=0, after=False)
    index = watched_index(tmp_path / "index", killing)
    change_again_and_again(index, tmp_path / "note.json")
    index.close()
    assert killing.seen == OPERATIONS


def points_beyond_reach(index: QdrantEdgeIndex) -> int:
    """Points that no reader can find, whatever scopes they hold, because they are staged."""
    everything = int(index._shard.count(qdrant_edge.CountRequest(exact=True)))
    return everything - index.count()


def what_is_found(index: QdrantEdgeIndex, document_id: str) -> dict[str, int]:
    """How many chunks of a document are found, by revision and readers."""
    vector = EMBEDDING.embed(["hotel"], input_type="question")[0]
    passages = index.search(SearchRequest("hotel", vector, (EVERYONE, "user:a"), limit=100, candidates=100))
    return dict(
        Counter(
            f"{passage.document.content_hash} {','.join(passage.document.access)}"
            for passage in passages
            if passage.document.id == document_id
        )
    )


class Killing:
    """Counts operations; kills this process before the one it is told, or after it."""

    def __init__(self, at: int, *, after: bool) -> None:
        self._at, self._after, self.seen = at, after, 0

    def __call__(self, operate: Callable[..., Any], *arguments: Any) -> None:
        self.seen += 1
        if self.seen == self._at and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        operate(*arguments)
        if self.seen == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedShard:
    def __init__(self, shard: qdrant_edge.EdgeShard, killing: Killing) -> None:
        self._shard, self._killing = shard, killing

    def update(self, operation: qdrant_edge.UpdateOperation) -> None:
        self._killing(self._shard.update, operation)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shard, name)


class WatchedJournal(Journal):
    def __init__(self, path: Path, killing: Killing) -> None:
        super().__init__(path)
        self._killing = killing

    def write(self, *change: Any) -> None:
        self._killing(super().write, *change)

    def clear(self) -> None:
        self._killing(super().clear)


def watched_index(folder: Path, killing: Killing) -> QdrantEdgeIndex:
    index = QdrantEdgeIndex(folder, EMBEDDING)
    publish(index, OTHER, "o", 5)
    index._shard = WatchedShard(index._shard, killing)  # type: ignore[assignment]  # has what the index calls
    index._journal = WatchedJournal(folder / "change.json", killing)
    return index


def run_until_killed(folder: Path, note: Path, at: int, after: bool) -> None:
    adapter.STEP = 4
    change_again_and_again(watched_index(folder, Killing(at, after=after)), note)


def change_again_and_again(index: QdrantEdgeIndex, note: Path) -> None:
    changes: list[tuple[dict[str, int], Callable[[], Any]]] = [
        ({"r1 everyone": 9}, lambda: publish(index, CHANGED, "r1", 9)),
        ({"r2 everyone": 11}, lambda: publish(index, CHANGED, "r2", 11)),
        ({"r2 user:a": 11}, lambda: index.set_access(CHANGED, ["user:a"])),
        ({"r2 everyone": 3}, lambda: publish(index, CHANGED, "r2", 3)),
        ({}, lambda: index.remove(CHANGED)),
        ({"r3 user:a": 6}, lambda: publish(index, CHANGED, "r3", 6, "user:a")),
    ]
    before: dict[str, int] = {}
    for after, change in changes:
        note.write_text(json.dumps([before, after]))
        change()
        before = after


def publish(index: QdrantEdgeIndex, document_id: str, revision: str, chunks: int, reader: str = EVERYONE) -> None:
    document = Document(document_id, "t", f"file:///{document_id}.md", "text/markdown", revision, 1, (reader,))
    made = [Chunk(str(uuid.uuid4()), document_id, n, f"hotel {revision} {n}", "t") for n in range(chunks)]
    for part in (made[: chunks // 2], made[chunks // 2 :]):
        index.stage(document, part, list(EMBEDDING.embed([chunk.text for chunk in part], input_type="document")))
    index.publish(IndexedDocument(document, chunks, None, "2026-11-21"))
