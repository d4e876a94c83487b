"""Hostile documents that are archives (Office, OpenDocument, EPUB), old Office files, mails, RTF and tables."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from email.message import EmailMessage

import docx
import openpyxl
import pptx

from tests.hostile.hostile_document import HostileDocument, cut_short, noise
from tests.hostile.texts import MB, laughs, quadratic

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
TEXT = "Twenty days of annual leave."
MAIN_PARTS = {
    "docx": ("word/document.xml", "w:document"),
    "pptx": ("ppt/slides/slide1.xml", "p:sld"),
    "xlsx": ("xl/worksheets/sheet1.xml", "worksheet"),
    "odt": ("content.xml", "office:document-content"),
    "ods": ("content.xml", "office:document-content"),
    "epub": ("chapter.xhtml", "html"),
}
"""The member that holds the text, and its root, by suffix."""


def archives() -> Iterator[HostileDocument]:
    for suffix, make in GOOD.items():
        yield from cut_short(f"good.{suffix}", make)
        yield HostileDocument(f"noise behind a signature.{suffix}", lambda: b"PK\x03\x04" + noise(100_000))
        yield HostileDocument(f"another archive.{suffix}", lambda: archive({"a.txt": TEXT.encode()}))
    for suffix, (member, root) in MAIN_PARTS.items():
        yield from _poisoned(suffix, member, root, GOOD[suffix])
    yield HostileDocument("really a picture.docx", lambda: b"\x89PNG\r\n\x1a\n" + noise(10_000))
    yield HostileDocument("really a PDF.xlsx", lambda: b"%PDF-1.4\n" + noise(10_000))
    for suffix in ("docx", "xlsx", "pptx"):
        yield HostileDocument(f"protected.{suffix}", lambda: OLE + noise(2000) + "EncryptedPackage".encode("utf-16-le"))
    for suffix in ("xls", "doc", "ppt", "msg"):
        yield HostileDocument(f"noise.{suffix}", lambda: OLE + noise(50_000))
        yield HostileDocument(f"zeros.{suffix}", lambda: OLE + bytes(50_000))
    yield from _mails()
    yield from _tables()
    yield HostileDocument("a sheet of one far cell.xlsx", _far_cell)
    yield HostileDocument("nested groups.rtf", lambda: b"{\\rtf1 " + b"{" * 200_000 + b"deep" + b"}" * 200_000)
    yield HostileDocument("groups without end.rtf", lambda: b"{\\rtf1 " + b"{\\b deep" * 50_000)
    yield HostileDocument("a megabyte of hex.rtf", lambda: b"{\\rtf1 " + b"\\'e4" * (MB // 4) + b"}")
    yield HostileDocument("a binary without end.rtf", lambda: b"{\\rtf1 \\bin2147483647 " + noise(1000))


def archive(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _poisoned(suffix: str, member: str, root: str, good: Callable[[], bytes]) -> Iterator[HostileDocument]:
    def swap(name: str, data: Callable[[], bytes], into: str = member) -> HostileDocument:
        return HostileDocument(f"{name}.{suffix}", lambda: _with(good(), {into: data()}))

    yield swap("a billion laughs", lambda: laughs(root).encode())
    yield swap("one entity many times", lambda: quadratic(root).encode())
    yield swap("an outside entity", lambda: _outside(root))
    yield swap("nested elements", lambda: _nested(root, 100_000))
    yield swap("not XML", lambda: noise(10_000))
    yield swap("an empty member", lambda: b"")
    yield swap("a bomb", lambda: f"<{root}>".encode() + b" " * (400 * MB))
    yield swap("a bomb in a bomb", lambda: _bomb_in_bomb(), into="media/inner.zip")
    for name, path in {"a path that climbs": "../../../../owned", "an absolute path": "/owned"}.items():
        yield HostileDocument(f"{name}.{suffix}", lambda path=path: _with(good(), {path: b"owned"}), holds=TEXT)
    yield HostileDocument(f"a size that lies.{suffix}", lambda: _lying(good(), member))


def _with(data: bytes, members: Mapping[str, bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        good = {name: packed.read(name) for name in packed.namelist()}
    return archive({**good, **members})


def _lying(data: bytes, member: str) -> bytes:
    """The archive with 100 MB in `member`, which says in both its headers that it holds ten bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        names = packed.namelist()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            packed.writestr(zipfile.ZipInfo(name), b"<a>" + b" " * (100 * MB if name == member else 0))
            packed.filelist[-1].compress_type = zipfile.ZIP_DEFLATED
    honest = (100 * MB + 3).to_bytes(4, "little")
    return buffer.getvalue().replace(honest, (10).to_bytes(4, "little"))


def _bomb_in_bomb() -> bytes:
    inner = archive({"zeros": bytes(100 * MB)})
    return archive({f"{number}.zip": inner for number in range(100)})


def _outside(root: str) -> bytes:
    return f'<!DOCTYPE {root} [<!ENTITY o SYSTEM "file:///etc/passwd">]><{root}>&o;</{root}>'.encode()


def _nested(root: str, depth: int) -> bytes:
    return f"<{root}>{'<a>' * depth}{TEXT}{'</a>' * depth}</{root}>".encode()


def _mails() -> Iterator[HostileDocument]:
    yield from cut_short("good.eml", _mail)
    parts = b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (level, level) for level in range(2000))
    yield HostileDocument("parts within parts.eml", lambda: b"From: a@b.example\nSubject: deep\n" + parts)
    yield HostileDocument(
        "a boundary without end.eml", lambda: b"Content-Type: multipart/mixed; boundary=x\n\n--x\n" * 99
    )
    yield HostileDocument("a long header.eml", lambda: b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\n\nText.")
    yield HostileDocument("many recipients.eml", lambda: b"To: " + b"<a@b.example>, " * 5_000 + b"\n\nText.")
    yield HostileDocument("wrong base64.eml", lambda: b"Content-Transfer-Encoding: base64\n\n" + noise(10_000))
    yield HostileDocument("an unknown charset.eml", lambda: b"Content-Type: text/plain; charset=klingon\n\nText \xff.")


def _tables() -> Iterator[HostileDocument]:
    yield HostileDocument("an open quote.csv", lambda: b'a,b\n"' + b"leave,days\n" * 100_000)
    yield HostileDocument("only separators.csv", lambda: b"," * MB)
    yield HostileDocument("50,000 lines.csv", lambda: b"name,days\n" + b"Erika,20\n" * 50_000)
    yield HostileDocument("100,000 columns.csv", lambda: (b"a," * 100_000 + b"\n") * 5)
    yield HostileDocument("NUL bytes.csv", lambda: b"a,b\0\n" * 1000)


def _word() -> bytes:
    document = docx.Document()
    document.add_heading("Leave", 1)
    for _ in range(200):
        document.add_paragraph(TEXT)
    return _saved(document.save)


def _slides() -> bytes:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Leave"
    slide.placeholders[1].text = TEXT
    return _saved(presentation.save)


def _sheet() -> bytes:
    book = openpyxl.Workbook()
    for row in [("Name", "Leave"), *[("Erika", TEXT)] * 200]:
        book.active.append(row)
    return _saved(book.save)


def _far_cell() -> bytes:
    book = openpyxl.Workbook()
    book.active["A1"] = TEXT
    book.active["XFD1048576"] = TEXT
    return _saved(book.save)


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


_ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table")
)


def _opendocument(kind: str, body: str) -> bytes:
    content = f"<office:document-content {_ODF}><office:body>{body}</office:body></office:document-content>"
    media_type = f"application/vnd.oasis.opendocument.{kind}"
    return archive({"mimetype": media_type.encode(), "content.xml": content.encode(), "meta.xml": b"<a/>"})


def _odt() -> bytes:
    return _opendocument("text", f"<office:text>{f'<text:p>{TEXT}</text:p>' * 200}</office:text>")


def _ods() -> bytes:
    row = f"<table:table-row><table:table-cell><text:p>{TEXT}</text:p></table:table-cell></table:table-row>"
    return _opendocument(
        "spreadsheet", f'<office:spreadsheet><table:table table:name="a">{row * 200}</table:table></office:spreadsheet>'
    )


def _book() -> bytes:
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
        '<item id="c" href="chapter.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="c"/></spine></package>'
    )
    chapter = f'<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>Leave</h1>{f"<p>{TEXT}</p>" * 200}</body></html>'
    return archive(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": container.encode(),
            "a.opf": package.encode(),
            "chapter.xhtml": chapter.encode(),
        }
    )


def _mail() -> bytes:
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Leave", "erika@example.org"
    mail.set_content(f"{TEXT}\n" * 200)
    mail.add_alternative(f"<p>{TEXT}" * 200, subtype="html")
    return mail.as_bytes()


GOOD = {"docx": _word, "pptx": _slides, "xlsx": _sheet, "odt": _odt, "ods": _ods, "epub": _book}
