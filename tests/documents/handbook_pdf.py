"""Sets a source document as PDF: running header, footer with page numbers, tables that repeat their header row.

The letters fi and fl are set as ligatures, as a typesetter would: a parser that does not undo them finds no "office".
"""

from __future__ import annotations

import io
from collections.abc import Callable
from html import escape

from handbook_source import Bullets, Heading, Line, PageBreak, Paragraph, Source, SourceBlock, Table, plain
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    ListFlowable,
    PageTemplate,
    TableStyle,
)
from reportlab.platypus import PageBreak as PdfPageBreak
from reportlab.platypus import Paragraph as PdfParagraph
from reportlab.platypus import Table as PdfTable

COMPANY = "Halmsund Instruments AB"
INK = colors.HexColor("#12324a")
MARGIN = 22 * mm
WIDTH = A4[0] - 2 * MARGIN

BODY = ParagraphStyle("body", fontName="Vera", fontSize=10, leading=15, spaceAfter=7)
CELL = ParagraphStyle("cell", BODY, fontSize=9.2, leading=12.4, spaceAfter=0)
HEAD_CELL = ParagraphStyle("head-cell", CELL, fontName="Vera-Bold", textColor=colors.white)
REFERENCE = ParagraphStyle("reference", BODY, fontSize=8.4, textColor=colors.HexColor("#5a6b78"), spaceAfter=12)
HEADINGS = {
    1: ParagraphStyle("h1", BODY, fontName="Vera-Bold", fontSize=18, leading=23, textColor=INK, spaceAfter=3),
    2: ParagraphStyle(
        "h2", BODY, fontName="Vera-Bold", fontSize=13, leading=18, textColor=INK, spaceBefore=9, keepWithNext=1
    ),
    3: ParagraphStyle(
        "h3", BODY, fontName="Vera-Bold", fontSize=10.5, leading=15, textColor=INK, spaceBefore=5, keepWithNext=1
    ),
}


def set_pdf(source: Source, *, publisher: str = COMPANY, password: str | None = None) -> bytes:
    """Return the document as PDF, the same bytes every time; with a password it opens with that only."""
    _register_fonts()
    pages = 0

    def count(canvas: Canvas, _document: BaseDocTemplate) -> None:
        nonlocal pages
        pages = canvas.getPageNumber()

    _build(source, publisher, on_page=count, password=None)
    return _build(
        source, publisher, on_page=lambda canvas, _: _frame_page(canvas, source, publisher, pages), password=password
    )


def _register_fonts() -> None:
    for name, file in (("Vera", "Vera.ttf"), ("Vera-Bold", "VeraBd.ttf"), ("Vera-Italic", "VeraIt.ttf")):
        pdfmetrics.registerFont(TTFont(name, file))
    pdfmetrics.registerFontFamily("Vera", normal="Vera", bold="Vera-Bold", italic="Vera-Italic")


def _build(
    source: Source, publisher: str, *, on_page: Callable[[Canvas, BaseDocTemplate], None], password: str | None
) -> bytes:
    buffer = io.BytesIO()
    encryption = StandardEncryption(password, ownerPassword=f"{password}-owner", strength=128) if password else None
    document = BaseDocTemplate(
        buffer,
        pagesize=A4,
        title=source.title,
        author=publisher,
        subject=source.reference,
        invariant=1,
        encrypt=encryption,
    )
    frame = Frame(MARGIN, 20 * mm, WIDTH, A4[1] - 44 * mm, leftPadding=0, rightPadding=0)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=on_page))
    story = [PdfParagraph(_ligated(escape(source.title)), HEADINGS[1])]
    story.append(PdfParagraph(_ligated(escape(source.reference)), REFERENCE))
    document.build([*story, *(_flowable(block) for block in source.blocks)])
    return buffer.getvalue()


def _frame_page(canvas: Canvas, source: Source, publisher: str, pages: int) -> None:
    top, bottom, right = A4[1] - 15 * mm, 12 * mm, A4[0] - MARGIN
    canvas.saveState()
    canvas.setFont("Vera", 7.6)
    canvas.setFillColor(colors.HexColor("#5a6b78"))
    canvas.setStrokeColor(colors.HexColor("#b9c6cf"))
    canvas.drawString(MARGIN, top, publisher)
    canvas.drawRightString(right, top, _ligated(source.title))
    canvas.line(MARGIN, top - 2 * mm, right, top - 2 * mm)
    canvas.drawString(MARGIN, bottom, _ligated(source.reference))
    canvas.drawRightString(right, bottom, f"Page {canvas.getPageNumber()} of {pages}")
    canvas.restoreState()


def _flowable(block: SourceBlock) -> Flowable:
    match block:
        case Heading(level, line):
            return PdfParagraph(_markup(line), HEADINGS[level])
        case Paragraph(line):
            return PdfParagraph(_markup(line), BODY)
        case Bullets(items):
            return ListFlowable(
                [PdfParagraph(_markup(item), BODY) for item in items], bulletType="bullet", start="•", leftIndent=12
            )
        case Table(rows):
            return _table(rows)
        case PageBreak():
            return PdfPageBreak()


def _table(rows: tuple[tuple[Line, ...], ...]) -> PdfTable:
    cells = [
        [PdfParagraph(_markup(cell), HEAD_CELL if number == 0 else CELL) for cell in row]
        for number, row in enumerate(rows)
    ]
    longest = [min(max(max(len(plain(cell)) for cell in column), 12), 36) for column in zip(*rows, strict=True)]
    widths = [WIDTH * length / sum(longest) for length in longest]
    style = TableStyle(
        [
            ("BACKGROUND", (0, 0), (-1, 0), INK),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), [colors.white, colors.HexColor("#f1f5f8")]),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor("#b9c6cf")),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("TOPPADDING", (0, 0), (-1, -1), 3.2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3.2),
        ]
    )
    return PdfTable(cells, colWidths=widths, repeatRows=1, style=style, spaceBefore=3, spaceAfter=9)


def _markup(line: Line) -> str:
    parts: list[str] = []
    for run in line:
        text = _ligated(escape(run.text))
        if run.bold:
            text = f"<b>{text}</b>"
        if run.italic:
            text = f"<i>{text}</i>"
        parts.append(text)
    return "".join(parts)


def _ligated(text: str) -> str:
    return text.replace("fi", "ﬁ").replace("fl", "ﬂ")
