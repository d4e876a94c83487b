"""The way of one document through the stages, over the real formats, in a real process, into the real index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import qdrant_edge as qdrant

from pipelines.domain import Document, IndexedDocument
from pipelines.errors import (
    DocumentRejected,
    DocumentTooLarge,
    EmptyDocument,
    EncryptedDocument,
    StoreUnavailable,
    UnreadableDocument,
    UnsupportedFormat,
)
from pipelines.ingest.run import StagedDocument
from pipelines.stores.generations import Generation
from pipelines.stores.payload import STAGED
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from pipelines.stores.qdrant_edge_points import is_equal
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest import make_documents
from tests.unit.ingest.conftest import Make
from tests.unit.ingest.formats.make_pdfs import pages_with_images, scan
from tests.unit.ingest.ingestion import Ingestion
from tests.unit.ingest.test_work import Vision


def stage(ingestion: Ingestion, name: str, data: bytes, *generations: Generation) -> StagedDocument | None:
    ingestion.write(name, data)
    (entry,) = (each for each in ingestion.source.list() if each.key.name == name)
    wanted = generations or ingestion.generations.written()
    return ingestion.work.path.stage(entry, ingestion.source, lambda _: wanted)


def publish(staged: StagedDocument) -> None:
    document = replace(staged.document, access=("everyone",))
    for generation, chunks in zip(staged.generations, staged.chunks, strict=True):
        generation.index.publish(IndexedDocument(document, chunks, staged.pages, ""))


def test_what_is_staged_has_its_own_title_and_is_found_once_it_is_published(ingestion: Ingestion) -> None:
    data = make_documents.pdf(["Trains."], ["Hotels cost 180 euros."], title="Travel rules")
    staged = stage(ingestion, "Rules.pdf", data)
    assert staged is not None
    document = staged.document
    assert (document.title, document.name, document.media_type) == ("Travel rules", "Rules.pdf", "application/pdf")
    assert (staged.pages, staged.chunks, staged.unread, document.access) == (2, [2], (), ())
    assert ingestion.found("what do hotels cost") == []
    publish(staged)
    assert ingestion.found("what do hotels cost")[0] == "Hotels cost 180 euros."


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
        ("a.txt", b"x" * 1_000_001, DocumentTooLarge),
    ],
)
def test_what_cannot_be_read_is_rejected_and_leaves_nothing(
    ingestion: Ingestion, name: str, data: bytes, error: type[DocumentRejected]
) -> None:
    with pytest.raises(error) as raised:
        stage(ingestion, name, data)
    assert type(raised.value) is error
    assert list((ingestion.folder / "spool").iterdir()) == []


def test_a_document_that_no_generation_lacks_is_fetched_and_no_more(ingestion: Ingestion) -> None:
    ingestion.write("a.md", "Hotels cost 180.")
    (entry,) = ingestion.source.list()
    asked: list[str] = []
    told: list[str] = []

    def nothing(content_hash: str) -> list[Generation]:
        asked.append(content_hash)
        return []

    assert ingestion.work.path.stage(entry, ingestion.source, nothing, report=told.append) is None
    assert (len(asked), told) == (1, ["fetch"])


def test_each_generation_gets_its_own_chunks_and_vectors(ingestion: Ingestion) -> None:
    small = WordEmbedding("small", dimensions=8, max_tokens=40)
    building = ingestion.generations.begin(small, "small chunks-1")
    text = "\n\n".join(f"Paragraph {number} says that hotels cost {number} euros a night." for number in range(12))
    staged = stage(ingestion, "a.md", text.encode())
    assert staged is not None
    assert staged.generations == (ingestion.generations.live, building)
    one, many = staged.chunks
    assert 0 < one < many
    publish(staged)
    assert (ingestion.generations.live.index.count(), building.index.count()) == (one, many)


def test_pages_that_are_images_are_read_once_for_all_generations(make_ingestion: Make) -> None:
    vision = Vision()
    ingestion = make_ingestion(vision=vision)
    ingestion.generations.begin(WordEmbedding("other"), "other chunks-1")
    told: list[str] = []
    ingestion.write("scan.pdf", pages_with_images((None, "Hotels cost 180."), (scan(), ""), (scan(), "")))
    (entry,) = ingestion.source.list()
    wanted = ingestion.generations.written()
    staged = ingestion.work.path.stage(entry, ingestion.source, lambda _: wanted, report=told.append)
    assert staged is not None
    assert (staged.pages, staged.unread, staged.problem) == (3, (), "")
    assert told == ["fetch", "parse", "transcribe 0/2", "transcribe 1/2", "transcribe 2/2", "embed", "embed"]


def test_pages_that_nothing_here_can_read_are_named(ingestion: Ingestion) -> None:
    staged = stage(ingestion, "scan.pdf", pages_with_images((None, "Hotels cost 180."), (scan(), "")))
    assert staged is not None
    assert staged.unread == (2,)
    assert "VISION_MODEL" in staged.problem
    with pytest.raises(UnreadableDocument, match="VISION_MODEL"):
        stage(ingestion, "all.pdf", pages_with_images((scan(), "")))


def test_a_scan_with_nothing_on_it_is_empty(make_ingestion: Make) -> None:
    vision = Vision()
    vision.text = ""
    with pytest.raises(EmptyDocument, match=r"scan\.pdf holds no text"):
        stage(make_ingestion(vision=vision), "scan.pdf", pages_with_images((scan(), "")))


def test_what_was_staged_before_a_failure_is_discarded(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    building = ingestion.generations.begin(WordEmbedding("other"), "other chunks-1")
    with monkeypatch.context() as patched:
        patched.setattr(building.index, "stage", raising(StoreUnavailable("The disk is full.")))
        with pytest.raises(StoreUnavailable, match="disk"):
            stage(ingestion, "a.md", b"Hotels cost 180.")
    assert staged_in(ingestion.generations.live) == 0
    assert stage(ingestion, "a.md", b"Hotels cost 180.") is not None
    assert staged_in(ingestion.generations.live) == 1


def staged_in(generation: Generation) -> int:
    """How many chunks lie in the index that nobody sees."""
    return cast(QdrantEdgeIndex, generation.index)._count(qdrant.Filter(must=[is_equal("access", STAGED)]))


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_the_name_readers_see_says_nothing_of_the_folder() -> None:
    document = Document("i", "t", "file:///home/anna/private/Annual report.pdf", "application/pdf", "h", 1)
    assert document.name == "Annual report.pdf"
