from __future__ import annotations

import pytest

from pipelines.errors import EncryptedDocument, UnsupportedFormat
from pipelines.ingest.formats import DOCX, FORMATS, HTML, MARKDOWN, OLE, PDF, TEXT, Format, by_media_type, recognise
from tests.unit.ingest import make_documents

A_PDF = make_documents.pdf(["text"])
A_DOCX = make_documents.word(make_documents.new_word())


@pytest.mark.parametrize(
    ("name", "data", "media_type", "expected"),
    [
        ("a.pdf", A_PDF, "", PDF),
        ("wrong.txt", A_PDF, "text/plain", PDF),
        ("late.pdf", b"\n" * 100 + A_PDF, "", PDF),
        ("wrong.md", A_DOCX, "", DOCX),
        ("a.docx", b"broken", "", DOCX),
        ("A.HTM", b"<p>x", "", HTML),
        ("a.b.md", b"# x", "", MARKDOWN),
        ("a.txt", b"x", "", TEXT),
        ("upload", b"x", "text/html; charset=utf-8", HTML),
        ("notes", b"x", "TEXT/PLAIN", TEXT),
    ],
)
def test_the_bytes_decide_then_the_name_then_the_declared_type(
    name: str, data: bytes, media_type: str, expected: Format
) -> None:
    assert recognise(name, data, media_type=media_type) is expected


@pytest.mark.parametrize(("name", "data"), [("a.xyz", b"x"), ("noname", b"x"), ("a.zip", b"PK\x03\x04"), ("", b"")])
def test_another_format_is_refused_with_the_supported_ones(name: str, data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match=r"PDF, Word \(\.docx\), HTML, Markdown, text"):
        recognise(name, data)


def test_old_office_files_are_refused_with_what_to_do() -> None:
    with pytest.raises(UnsupportedFormat, match=r"save it as \.docx or PDF"):
        recognise("a.doc", OLE + b"\x00" * 100)


def test_a_password_protected_office_file_says_so() -> None:
    with pytest.raises(EncryptedDocument, match="password"):
        recognise("a.docx", OLE + b"\x00" * 100 + "EncryptedPackage".encode("utf-16-le"))


def test_every_format_is_found_again_by_its_media_type() -> None:
    assert [by_media_type(candidate.media_type) for candidate in FORMATS] == list(FORMATS)
    with pytest.raises(UnsupportedFormat):
        by_media_type("application/zip")
