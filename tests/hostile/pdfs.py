"""Hostile PDFs, most of them written object by object."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from tests.hostile.hostile_document import HostileDocument, cut_short, noise
from tests.unit.ingest.make_documents import pdf

_TEXT = b"BT /F 12 Tf 60 700 Td (Twenty days of annual leave.) Tj ET"
_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def pdfs() -> Iterator[HostileDocument]:
    yield from cut_short("good.pdf", lambda: pdf(*[["Twenty days of annual leave."] * 40] * 5))
    yield HostileDocument("only a head.pdf", lambda: b"%PDF-1.7\n")
    yield HostileDocument("noise behind a head.pdf", lambda: b"%PDF-1.7\n" + noise(200_000))
    yield HostileDocument("a page, really.pdf", lambda: b"<html><p>Twenty days of leave.")
    yield HostileDocument("protected.pdf", lambda: pdf(["Secret"], password="12345"))
    yield HostileDocument("images only.pdf", lambda: pdf([], []))
    yield HostileDocument("no pages.pdf", lambda: _file([b"<< /Type /Catalog /Pages 2 0 R >>", _tree([])]))
    yield HostileDocument("10,000 pages.pdf", lambda: _pages(10_000, _TEXT))
    yield HostileDocument("20,000 pages of one.pdf", lambda: _same_page(20_000))
    yield HostileDocument("pages in a circle.pdf", lambda: _file([b"<< /Type /Catalog /Pages 2 0 R >>", _tree([2])]))
    yield HostileDocument("a tree of pages, deep.pdf", lambda: _deep_tree(5_000))
    yield HostileDocument(
        "nested arrays.pdf",
        lambda: _pages(1, _TEXT, extra=b"/X " + b"[" * 100_000 + b"]" * 100_000),
        holds="Twenty days",
    )
    yield HostileDocument(
        "nested dictionaries.pdf", lambda: _pages(1, _TEXT, extra=b"/X " + b"<</X " * 100_000), holds="Twenty days"
    )
    yield HostileDocument("nested content.pdf", lambda: _pages(1, b"q " * 500_000 + _TEXT), holds="Twenty days")
    yield HostileDocument("a bomb of a page.pdf", lambda: _bomb(_TEXT, times=1, layers=1))
    yield HostileDocument("a bomb in a bomb.pdf", lambda: _bomb(b" " * 2**20, times=300, layers=2))
    yield HostileDocument("a page of a million texts.pdf", lambda: _bomb(_TEXT, times=200_000, layers=1))
    yield HostileDocument(
        "a page as large as a country.pdf", lambda: _pages(1, _TEXT, box=b"[0 0 1e9 1e9]"), holds="Twenty days"
    )


def _pages(count: int, content: bytes, *, extra: bytes = b"", box: bytes = b"[0 0 595 842]") -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 3 0 R >> >> /MediaBox " + box
    numbers = range(5, 5 + count)
    head = [b"<< /Type /Catalog /Pages 2 0 R >>", _tree(numbers), _FONT, _stream(content)]
    return _file([*head, *[page + extra + b" >>"] * count])


def _same_page(count: int) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 3 0 R >> >> >>"
    return _file([b"<< /Type /Catalog /Pages 2 0 R >>", _tree([5] * count), _FONT, _stream(_TEXT), page])


def _deep_tree(depth: int) -> bytes:
    nodes = [b"<< /Type /Pages /Count 1 /Kids [%d 0 R] >>" % (number + 3) for number in range(depth)]
    return _file([b"<< /Type /Catalog /Pages 2 0 R >>", *nodes, b"<< /Type /Page >>"])


def _bomb(content: bytes, *, times: int, layers: int) -> bytes:
    packed = content * times
    for _ in range(layers):
        packed = zlib.compress(packed)
    body = _stream(packed, b"/Filter [" + b"/FlateDecode " * layers + b"] ")
    page = b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 3 0 R >> >> >>"
    return _file([b"<< /Type /Catalog /Pages 2 0 R >>", _tree([5]), _FONT, body, page])


def _tree(numbers: Sequence[int]) -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    return b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(numbers), kids)


def _stream(content: bytes, filters: bytes = b"") -> bytes:
    return b"<< /Length %d %s>>\nstream\n%s\nendstream" % (len(content), filters, content)


def _file(objects: Sequence[bytes]) -> bytes:
    """A whole PDF of these objects, numbered from 1; the first is the catalogue."""
    parts, offsets, size = [b"%PDF-1.7\n"], [], 9
    for number, body in enumerate(objects, start=1):
        offsets.append(size)
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        size += len(parts[-1])
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, size)
    return b"".join([*parts, b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1), table, end])
