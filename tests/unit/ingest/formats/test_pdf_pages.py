"""Which pages are unread: they show something that their text layer does not say."""

from __future__ import annotations

import io

import pytest
from reportlab.pdfgen.canvas import Canvas

from pipelines.ingest.formats import pdf
from tests.unit.ingest.formats.make_pdfs import pages_with_images, scan

TEXT = "Employees have twenty days of annual leave, and twenty-five from their third year with the company on."


def test_a_pdf_of_scanned_pages_is_not_rejected() -> None:
    parsed = pdf.parse(pages_with_images((scan(), ""), (scan(), "")))
    assert (parsed.blocks, parsed.pages, parsed.unread) == ((), 2, (1, 2))


def test_a_page_with_text_over_an_image_is_read() -> None:
    parsed = pdf.parse(pages_with_images((scan(), TEXT), (None, TEXT)))
    assert parsed.unread == ()
    assert [block.page for block in parsed.blocks] == [1, 2]


def test_a_stamp_over_a_scan_is_not_its_text() -> None:
    parsed = pdf.parse(pages_with_images((scan(), "Received 3 May 2025"), (None, TEXT), (scan(), "3")))
    assert parsed.unread == (1, 3)
    assert [block.page for block in parsed.blocks] == [2]


def test_a_short_text_without_an_image_is_read() -> None:
    assert pdf.parse(pages_with_images((None, "Annex A"))).unread == ()


def test_a_scan_of_an_empty_sheet_is_empty() -> None:
    parsed = pdf.parse(pages_with_images((scan(""), ""), (None, "")))
    assert (parsed.blocks, parsed.unread) == ((), ())


def test_a_page_of_outlines_is_unread() -> None:
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    for line in range(20):
        for letter in range(40):
            canvas.circle(60 + 10 * letter, 700 - 20 * line, 3)
    canvas.save()
    assert pdf.parse(buffer.getvalue()).unread == (1,)


@pytest.mark.parametrize("codes", [(0xE000, 0xE0FF), (0xFFFD, 0xFFFD), (0x3, 0x3), (0x2610, 0x2610)])
def test_a_text_layer_that_means_nothing_is_no_text(codes: tuple[int, int]) -> None:
    data = pages_with_images((None, TEXT), (None, TEXT))
    assert pdf.parse(data).unread == ()
    assert pdf.parse(_with_codes(*codes)).unread == (1,)


def _with_codes(first: int, last: int) -> bytes:
    """A page in a font whose letters are said to mean the characters from `first` to `last`."""
    cmap = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
        b"1 begincodespacerange <00> <FF> endcodespacerange 95 beginbfchar "
        + b" ".join(b"<%02X> <%04X>" % (code, min(first + code, last)) for code in range(32, 127))
        + b" endbfchar endcmap end end"
    )
    content = b"".join(b"BT /F 12 Tf 60 %d Td (%s) Tj ET " % (760 - 20 * n, TEXT.encode()) for n in range(20))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count 1 /Kids [5 0 R] >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >>",
        b"<< /Length %d >> stream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 3 0 R >> >> >>",
        b"<< /Length %d >> stream\n%s\nendstream" % (len(cmap), cmap),
    ]
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, text) for number, text in enumerate(objects, start=1))
    return b"%PDF-1.7\n" + body + b"trailer << /Root 1 0 R >>\n%%EOF"
