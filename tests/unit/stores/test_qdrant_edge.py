"""What only the embedded index has: a folder that belongs to one process and to one embedding model, and a journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import qdrant_edge

from pipelines.domain import EVERYONE, Chunk, Document, IndexedDocument
from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.stores import qdrant_edge as adapter
from pipelines.stores.base import SearchRequest
from pipelines.stores.payload import published_payload
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from pipelines.stores.qdrant_edge_change import Change, Journal
from tests.fakes.word_embedding import WordEmbedding

EMBEDDING = WordEmbedding()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[QdrantEdgeIndex]:
    opened = QdrantEdgeIndex(tmp_path, EMBEDDING)
    yield opened
    opened.close()


def a_document(revision: str = "r1") -> Document:
    return Document(str(uuid.UUID(int=7)), "Policy", "file:///secret/place/policy.md", "text/markdown", revision, 1)


def stage(index: QdrantEdgeIndex, document: Document, chunks: int) -> None:
    texts = [f"hotel {document.content_hash} {number}" for number in range(chunks)]
    vectors = EMBEDDING.embed(texts, input_type="document")
    made = [Chunk(str(uuid.uuid4()), document.id, number, text, "Policy") for number, text in enumerate(texts)]
    index.stage(document, made, list(vectors))


def publish(index: QdrantEdgeIndex, document: Document, chunks: int) -> None:
    stage(index, document, chunks)
    index.publish(IndexedDocument(document, chunks, None, "2026-11-21"))


def revisions_found(index: QdrantEdgeIndex) -> list[str]:
    vector = EMBEDDING.embed(["hotel"], input_type="question")[0]
    passages = index.search(SearchRequest("hotel", vector, (EVERYONE,), limit=500, candidates=500))
    return sorted(passage.document.content_hash for passage in passages)


def test_a_folder_in_use_is_refused_with_what_to_do(tmp_path: Path, index: QdrantEdgeIndex) -> None:
    with pytest.raises(SetupFailed, match="open in another process: stop that one first"):
        QdrantEdgeIndex(tmp_path, EMBEDDING)


@pytest.mark.parametrize("other", [WordEmbedding(name="another"), WordEmbedding(dimensions=32)])
def test_an_index_of_another_embedding_is_refused_with_what_to_do(tmp_path: Path, other: WordEmbedding) -> None:
    QdrantEdgeIndex(tmp_path, EMBEDDING).close()
    with pytest.raises(SetupFailed, match=r"was built with words.*delete that folder"):
        QdrantEdgeIndex(tmp_path, other)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    QdrantEdgeIndex(tmp_path, EMBEDDING).close()
    (tmp_path / "shard" / "edge_config.json").write_text("{")
    with pytest.raises(SetupFailed, match="cannot be opened"):
        QdrantEdgeIndex(tmp_path, EMBEDDING)


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "publish"}'])
@pytest.mark.parametrize("name", ["embedding.json", "change.json"])
def test_a_damaged_record_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SetupFailed, match=r"is damaged|was built with"):
        QdrantEdgeIndex(tmp_path, EMBEDDING)


def test_a_creation_that_was_cut_off_is_taken_up_again(tmp_path: Path) -> None:
    (tmp_path / "shard").mkdir()
    index = QdrantEdgeIndex(tmp_path, EMBEDDING)
    assert index.count() == 0
    index.close()


def test_an_index_of_before_staging_is_opened_and_its_documents_replaced(tmp_path: Path) -> None:
    index = QdrantEdgeIndex(tmp_path, EMBEDDING)
    publish(index, a_document(), 3)
    update = qdrant_edge.UpdateOperation
    index._shard.update(update.delete_payload_by_filter(qdrant_edge.Filter(), ["staging"]))
    index._shard.update(update.delete_field_index("staging"))
    index.close()
    index = QdrantEdgeIndex(tmp_path, EMBEDDING)
    assert revisions_found(index) == ["r1"] * 3
    publish(index, a_document("r2"), 2)
    assert revisions_found(index) == ["r2"] * 2
    index.close()


def test_passages_do_not_hold_the_origin_in_what_readers_see(index: QdrantEdgeIndex) -> None:
    publish(index, a_document(), 1)
    vector = EMBEDDING.embed(["hotel"], input_type="question")[0]
    (passage,) = index.search(SearchRequest("hotel", vector, (EVERYONE,)))
    assert "secret" not in passage.chunk.context
    assert passage.document.name == "policy.md"


def test_a_document_of_many_steps_is_published_and_removed_whole(
    index: QdrantEdgeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "STEP", 3)
    publish(index, a_document("r1"), 10)
    publish(index, a_document("r2"), 11)
    assert revisions_found(index) == ["r2"] * 11
    index.set_access(a_document().id, ["group:x"])
    assert revisions_found(index) == []
    assert index.remove(a_document().id)
    assert index.count() == 0


def test_a_journal_that_outlived_its_points_leaves_the_earlier_revision(tmp_path: Path) -> None:
    index = QdrantEdgeIndex(tmp_path, EMBEDDING)
    publish(index, a_document("r1"), 3)
    index.close()
    lost = IndexedDocument(a_document("r2"), 5, None, "2026-11-21")
    Journal(tmp_path / "change.json").write(
        Change("publish", a_document().id, str(uuid.uuid4()), published_payload(lost))
    )
    index = QdrantEdgeIndex(tmp_path, EMBEDDING)
    assert revisions_found(index) == ["r1"] * 3
    index.close()


class FullDisk:
    """The engine, until it fails: at the nth writing call from now on and ever after, or until `room`."""

    def __init__(self, shard: qdrant_edge.EdgeShard, calls: int) -> None:
        self._shard, self._calls, self.room = shard, calls, False

    def update(self, operation: qdrant_edge.UpdateOperation) -> None:
        self._calls -= 1
        if self._calls < 0 and not self.room:
            raise Exception("No space left on device")
        self._shard.update(operation)

    def __getattr__(self, name: str) -> object:
        return getattr(self._shard, name)


@pytest.mark.parametrize("calls", range(8))
def test_a_failure_within_a_publication_shows_no_half_and_is_made_good(
    index: QdrantEdgeIndex, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    monkeypatch.setattr(adapter, "STEP", 3)
    publish(index, a_document("r1"), 10)
    stage(index, a_document("r2"), 11)
    disk = FullDisk(index._shard, calls)
    monkeypatch.setattr(index, "_shard", disk)
    with pytest.raises(StoreUnavailable, match="No space left"):
        index.publish(IndexedDocument(a_document("r2"), 11, None, "2026-11-21"))
    assert revisions_found(index) in (["r1"] * 10, ["r2"] * 11)
    assert index.count() == len(revisions_found(index))
    assert len(index.documents()) == 1
    disk.room = True
    publish(index, a_document("r3"), 5)
    assert revisions_found(index) == ["r3"] * 5
    assert index.count() == 5


@pytest.mark.parametrize("calls", range(3))
def test_a_failure_within_a_change_of_access_hides_the_document_until_it_is_made_good(
    index: QdrantEdgeIndex, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    monkeypatch.setattr(adapter, "STEP", 3)
    publish(index, a_document("r1"), 9)
    disk = FullDisk(index._shard, calls)
    monkeypatch.setattr(index, "_shard", disk)
    with pytest.raises(StoreUnavailable, match="No space left"):
        index.set_access(a_document().id, ["group:x"])
    assert revisions_found(index) == []
    disk.room = True
    index.set_access(a_document().id, [EVERYONE])
    assert revisions_found(index) == ["r1"] * 9


WRITER = """
import sys, uuid
from pathlib import Path
from pipelines.domain import Chunk, Document, IndexedDocument
from pipelines.stores.payload import published_payload
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from tests.fakes.word_embedding import WordEmbedding

embedding = WordEmbedding()
index = QdrantEdgeIndex(Path(sys.argv[1]), embedding)
for number in range(10_000):
    document = Document(str(uuid.uuid4()), "t", f"file:///{number}.md", "text/markdown", "r", 1)
    chunks = [Chunk(str(uuid.uuid4()), document.id, n, f"text {n}", "t") for n in range(20)]
    index.stage(document, chunks, list(embedding.embed([c.text for c in chunks], input_type="document")))
    index.publish(IndexedDocument(document, len(chunks), None, ""))
    print(document.id, flush=True)
"""


def test_a_killed_writer_loses_no_confirmed_document_and_leaves_none_by_halves(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as writer:
        assert writer.stdout is not None
        confirmed = [writer.stdout.readline().strip() for _ in range(30)]
        os.kill(writer.pid, signal.SIGKILL)
        confirmed += writer.stdout.read().split()
    index = QdrantEdgeIndex(tmp_path, EMBEDDING)
    documents = {entry.document.id for entry in index.documents()}
    # The last line may have been cut off by the kill.
    assert set(confirmed[:-1]) <= documents
    assert index.count() == 20 * len(documents)
    index.close()
