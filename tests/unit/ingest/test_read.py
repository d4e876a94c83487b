from __future__ import annotations

import pickle
import uuid
from pathlib import Path

import pytest

from pipelines.domain import Document, ParsedDocument
from pipelines.errors import EmptyDocument, UnsupportedFormat
from pipelines.ingest import parse
from pipelines.ingest.formats import by_media_type
from pipelines.ingest.read import ReadDocument, read_document
from tests.unit.ingest.make_documents import pdf

WIDTH = 256


def count_words(text: str) -> int:
    return len(text.split()) + 2


def read_bytes(tmp_path: Path, name: str, data: bytes, media_type: str = "", **transcripts: str) -> ReadDocument:
    file = tmp_path / "spooled"
    file.write_bytes(data)
    document = Document(str(uuid.uuid4()), "", f"upload://someone/{name}", media_type, "hash", len(data))
    pages = {int(page.removeprefix("page")): text for page, text in transcripts.items()}
    return read_document(file, document, count_words, WIDTH, pages)


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every PDF a document of four pages, of which the second and the fourth are images of text."""
    whole = by_media_type("application/pdf").parse(pdf(["First page."], ["Second page."], ["Third page."], ["Fourth."]))
    kept = tuple(block for block in whole.blocks if block.page in (1, 3))
    parsed = ParsedDocument(kept, title="", pages=4, unread=(2, 4))
    monkeypatch.setattr(parse, "by_media_type", lambda _: type("Scan", (), {"parse": staticmethod(lambda _: parsed)}))


def texts(result: ReadDocument) -> list[tuple[int | None, str]]:
    return [(chunk.page, chunk.text) for chunk in result.chunks]


def test_a_document_comes_back_with_its_title_its_media_type_and_its_chunks(tmp_path: Path) -> None:
    result = read_bytes(tmp_path, "leave.md", b"# Annual leave\n\nTwenty days.\n")
    assert (result.document.title, result.document.media_type) == ("Annual leave", "text/markdown")
    assert texts(result) == [(None, "Twenty days.")]
    assert (result.pages, result.unread) == (None, ())


def test_the_bytes_decide_before_the_name_and_the_name_before_the_declared_type(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, "a.txt", pdf(["Twenty days."])).document.media_type == "application/pdf"
    assert read_bytes(tmp_path, "a.md", b"Twenty days.", "text/plain").document.media_type == "text/markdown"
    assert read_bytes(tmp_path, "leave", b"Twenty days.", "text/plain").document.media_type == "text/plain"
    with pytest.raises(UnsupportedFormat):
        read_bytes(tmp_path, "leave", b"Twenty days.")


def test_pages_without_text_are_reported_as_unread(tmp_path: Path, scanned: None) -> None:
    result = read_bytes(tmp_path, "scan.pdf", pdf([]))
    assert texts(result) == [(1, "First page."), (3, "Third page.")]
    assert (result.pages, result.unread) == (4, (2, 4))


def test_transcripts_stand_where_their_pages_do(tmp_path: Path, scanned: None) -> None:
    result = read_bytes(
        tmp_path, "scan.pdf", pdf([]), page4="Fourth *page*.", page2="## Leave\n\n| a | b |\n|-|-|\n| 1 | 2 |"
    )
    assert texts(result) == [(1, "First page."), (2, "a: 1 | b: 2"), (3, "Third page."), (4, "Fourth page.")]
    assert result.chunks[1].section == ("Leave",)
    assert result.unread == ()


def test_a_page_with_nothing_on_it_is_read(tmp_path: Path, scanned: None) -> None:
    assert read_bytes(tmp_path, "scan.pdf", pdf([]), page2="").unread == (4,)


def test_a_transcript_that_begins_with_a_rule_or_holds_odd_characters_loses_nothing(
    tmp_path: Path, scanned: None
) -> None:
    result = read_bytes(tmp_path, "scan.pdf", pdf([]), page2="---\ntitle: no\n---\nText\x00 \ud800.", page4="")
    assert result.chunks[1].section == ("title: no",)
    assert texts(result)[1] == (2, "Text ?.")


def test_a_document_of_unread_pages_alone_has_no_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = ParsedDocument((), pages=2, unread=(1, 2))
    monkeypatch.setattr(parse, "by_media_type", lambda _: type("Scan", (), {"parse": staticmethod(lambda _: parsed)}))
    result = read_bytes(tmp_path, "scan.pdf", pdf([]))
    assert (result.chunks, result.pages, result.unread) == ((), 2, (1, 2))
    named = read_bytes(tmp_path, "scan.pdf", pdf([]), page1="# Annual leave\n\nTwenty days.", page2="")
    assert named.document.title == "Annual leave"
    with pytest.raises(EmptyDocument, match=r"scan\.pdf holds no text"):
        read_bytes(tmp_path, "scan.pdf", pdf([]), page1="", page2="")


def test_a_document_without_text_is_empty(tmp_path: Path) -> None:
    with pytest.raises(EmptyDocument, match="is empty"):
        read_bytes(tmp_path, "leave.pdf", b"")
    with pytest.raises(EmptyDocument, match="holds no text"):
        read_bytes(tmp_path, "leave.txt", b" \n ")


def test_what_is_read_can_be_pickled(tmp_path: Path) -> None:
    result = read_bytes(tmp_path, "leave.md", b"# Annual leave\n\nTwenty days.\n")
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301
