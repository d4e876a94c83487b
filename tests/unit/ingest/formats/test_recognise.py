from __future__ import annotations

import pytest

from pipelines.errors import EncryptedDocument, UnsupportedFormat
from pipelines.ingest import formats
from pipelines.ingest.formats import DOCX, FORMATS, HTML, MARKDOWN, PDF, TEXT, Format, by_media_type, recognise
from pipelines.ingest.formats.ole import MAGIC
from tests.unit.ingest import make_documents
from tests.unit.ingest.formats import make_ole, samples

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
        ("page", b"\xef\xbb\xbf <!DOCTYPE html><p>x", "", HTML),
        ("rates.tsv", b"a\tb", "", formats.TSV),
        ("trip", b"Subject: x", "message/rfc822", formats.EML),
    ],
)
def test_the_bytes_decide_then_the_name_then_the_declared_type(
    name: str, data: bytes, media_type: str, expected: Format
) -> None:
    assert recognise(name, data, media_type=media_type) is expected


@pytest.mark.parametrize(("name", "data"), [("a.xyz", b"x"), ("noname", b"x"), ("a.zip", b"PK\x03\x04"), ("", b"")])
def test_another_format_is_refused_with_the_supported_ones(name: str, data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match=r"PDF, Word \(\.docx\), .*HTML, Markdown, text"):
        recognise(name, data)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.docx", formats.DOCX),
        ("a.pptx", formats.PPTX),
        ("a.xlsx", formats.XLSX),
        ("a.xlsb", formats.XLSB),
        ("a.xls", formats.XLS),
        ("a.odt", formats.ODT),
        ("a.odp", formats.ODP),
        ("a.ods", formats.ODS),
        ("a.rtf", formats.RTF),
        ("a.epub", formats.EPUB),
        ("a.msg", formats.MSG),
    ],
)
def test_a_wrong_name_and_type_do_not_hide_what_the_bytes_show(name: str, expected: Format) -> None:
    data = samples.all_samples()[name]
    assert recognise("wrong.txt", data, media_type="text/plain") is expected
    assert recognise("wrong.zip", data) is expected


@pytest.mark.parametrize(
    ("name", "data", "better"),
    [
        ("a.doc", make_ole.compound({"WordDocument": b"x" * 5000, "Workbook": b"x"}), ".docx"),
        ("a.ppt", make_ole.compound({"PowerPoint Document": b"x"}), ".pptx"),
        ("a.doc", MAGIC + bytes(100), ".docx"),
    ],
)
def test_old_office_files_are_refused_with_what_to_do(name: str, data: bytes, better: str) -> None:
    with pytest.raises(UnsupportedFormat, match=rf"save it as \{better} or PDF"):
        recognise(name, data)


def test_a_password_protected_office_file_says_so() -> None:
    with pytest.raises(EncryptedDocument, match="password"):
        recognise("a.docx", make_ole.compound({"EncryptedPackage": b"x" * 5000, "EncryptionInfo": b"x"}))


def test_every_format_is_found_again_by_its_media_type() -> None:
    assert [by_media_type(candidate.media_type) for candidate in FORMATS] == list(FORMATS)
    with pytest.raises(UnsupportedFormat):
        by_media_type("application/zip")
