"""What only the embedded index has: a folder that belongs to one process and to one embedding model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from pipelines.domain import EVERYONE, Chunk, Document
from pipelines.errors import SetupFailed
from pipelines.stores.base import SearchRequest
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from tests.fakes.word_embedding import WordEmbedding


def test_a_folder_in_use_is_refused_with_what_to_do(tmp_path: Path) -> None:
    index = QdrantEdgeIndex(tmp_path, WordEmbedding())
    with pytest.raises(SetupFailed, match="open in another process: stop that one first"):
        QdrantEdgeIndex(tmp_path, WordEmbedding())
    index.close()


@pytest.mark.parametrize("other", [WordEmbedding(name="another"), WordEmbedding(dimensions=32)])
def test_an_index_of_another_embedding_is_refused_with_what_to_do(tmp_path: Path, other: WordEmbedding) -> None:
    QdrantEdgeIndex(tmp_path, WordEmbedding()).close()
    with pytest.raises(SetupFailed, match=r"was built with words.*delete that folder"):
        QdrantEdgeIndex(tmp_path, other)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    QdrantEdgeIndex(tmp_path, WordEmbedding()).close()
    (tmp_path / "shard" / "edge_config.json").write_text("{")
    with pytest.raises(SetupFailed, match="cannot be opened"):
        QdrantEdgeIndex(tmp_path, WordEmbedding())


def test_a_damaged_record_of_the_embedding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "embedding.json").write_text("{")
    with pytest.raises(SetupFailed, match="is damaged"):
        QdrantEdgeIndex(tmp_path, WordEmbedding())


def test_a_creation_that_was_cut_off_is_taken_up_again(tmp_path: Path) -> None:
    (tmp_path / "shard").mkdir()
    index = QdrantEdgeIndex(tmp_path, WordEmbedding())
    assert index.count() == 0
    index.close()


WRITER = """
import sys, uuid
from pathlib import Path
from pipelines.domain import Chunk, Document
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from tests.fakes.word_embedding import WordEmbedding

embedding = WordEmbedding()
index = QdrantEdgeIndex(Path(sys.argv[1]), embedding)
for number in range(10_000):
    document = Document(str(uuid.uuid4()), "t", f"file:///{number}.md", "text/markdown", "r", 1)
    chunks = [Chunk(str(uuid.uuid4()), document.id, n, f"text {n}", "t") for n in range(20)]
    index.put(document, chunks, list(embedding.embed([c.text for c in chunks], input_type="document")), pages=None)
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
    index = QdrantEdgeIndex(tmp_path, WordEmbedding())
    documents = {entry.document.id for entry in index.documents()}
    # The last line may have been cut off by the kill.
    assert set(confirmed[:-1]) <= documents
    assert index.count() == 20 * len(documents)
    index.close()


def test_passages_do_not_hold_the_origin_in_what_readers_see(tmp_path: Path) -> None:
    embedding = WordEmbedding()
    index = QdrantEdgeIndex(tmp_path, embedding)
    document = Document(str(uuid.uuid4()), "Policy", "file:///secret/place/policy.md", "text/markdown", "r", 1)
    chunk = Chunk(str(uuid.uuid4()), document.id, 0, "hotels", "Policy")
    vectors = embedding.embed([chunk.context], input_type="document")
    index.put(document, [chunk], list(vectors), pages=None)
    (passage,) = index.search(SearchRequest("hotels", vectors[0], (EVERYONE,)))
    assert "secret" not in passage.chunk.context
    assert passage.document.name == "policy.md"
    index.close()
