"""The way of a document, over the real formats and the real embedded index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.domain import EVERYONE, Document, IndexedDocument
from pipelines.errors import (
    DocumentRejected,
    EmptyDocument,
    EncryptedDocument,
    UnreadableDocument,
    UnsupportedFormat,
)
from pipelines.ingest.fetch import Upload, document_id
from pipelines.ingest.run import ingest_document
from pipelines.stores.base import ChunkIndex, SearchRequest
from pipelines.stores.folder import FolderSource
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest import make_documents

EMBEDDING = WordEmbedding()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ChunkIndex]:
    opened = QdrantEdgeIndex(tmp_path / "index", EMBEDDING)
    yield opened
    opened.close()


def add(
    index: ChunkIndex, name: str, data: bytes, *, access: str = EVERYONE, max_bytes: int = 10**6
) -> IndexedDocument:
    upload = Upload(f"upload://anna/{name}", data)
    return ingest_document(upload.entry, upload, access=[access], embedding=EMBEDDING, index=index, max_bytes=max_bytes)


def search(index: ChunkIndex, question: str, scope: str = EVERYONE) -> list[tuple[str, str, int | None]]:
    vector = EMBEDDING.embed([question], input_type="question")[0]
    passages = index.search(SearchRequest(question, vector, [scope]))
    return [(passage.document.name, passage.chunk.text, passage.chunk.page) for passage in passages]


def test_a_document_is_searchable_when_it_has_been_ingested(index: ChunkIndex) -> None:
    added = add(index, "Rules.pdf", make_documents.pdf(["Trains."], ["Hotels cost 180 euros."], title="Travel rules"))
    assert (added.document.title, added.document.name, added.pages, added.chunks) == ("Travel rules", "Rules.pdf", 2, 2)
    assert search(index, "what do hotels cost")[0] == ("Rules.pdf", "Hotels cost 180 euros.", 2)
    assert index.documents() == [added]


def test_the_same_origin_is_the_same_document_whatever_its_bytes(index: ChunkIndex) -> None:
    first = add(index, "a.md", b"hotels cost 100")
    second = add(index, "a.md", b"hotels cost 200")
    assert first.document.id == second.document.id == document_id("upload://anna/a.md")
    assert first.document.content_hash != second.document.content_hash
    assert search(index, "hotels") == [("a.md", "hotels cost 200", None)]


def test_access_goes_with_the_document(index: ChunkIndex) -> None:
    add(index, "a.md", b"hotels cost 100", access="group:people")
    assert search(index, "hotels") == []
    assert search(index, "hotels", "group:people") == [("a.md", "hotels cost 100", None)]


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.md", b"", EmptyDocument),
        ("a.md", b" \n\t\n", EmptyDocument),
        ("a.html", b"<p hidden>x</p>", EmptyDocument),
        ("a.exe", b"MZ", UnsupportedFormat),
        ("a.pdf", b"%PDF-1.4 broken", UnreadableDocument),
        ("a.pdf", make_documents.pdf(["x"], password="p"), EncryptedDocument),
        ("a.docx", b"no zip", UnreadableDocument),
        ("a.txt", b"x" * 1_000_001, DocumentRejected),
    ],
)
def test_what_cannot_be_read_is_rejected_and_changes_nothing(
    index: ChunkIndex, name: str, data: bytes, error: type[DocumentRejected]
) -> None:
    add(index, "good.md", b"hotels cost 100")
    with pytest.raises(error) as raised:
        add(index, name, data)
    assert type(raised.value) is error
    assert index.count() == 1


def test_a_folder_is_ingested_entry_by_entry(index: ChunkIndex, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("# Hotels\n\nBerlin costs 180.", "utf-8")
    (folder / "sub" / "b.txt").write_text("Trains are first class.", "utf-8")
    source = FolderSource(folder)
    added = [
        ingest_document(entry, source, access=[EVERYONE], embedding=EMBEDDING, index=index, max_bytes=1000)
        for entry in source.list()
    ]
    assert [entry.document.title for entry in added] == ["Hotels", "b"]
    assert search(index, "trains")[0][0] == "b.txt"


def test_the_name_readers_see_says_nothing_of_the_folder() -> None:
    document = Document("i", "t", "file:///home/anna/private/Annual report.pdf", "application/pdf", "h", 1)
    assert document.name == "Annual report.pdf"
