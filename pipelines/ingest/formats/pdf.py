"""PDF in, its pages' running text out: lines joined to paragraphs, page furniture removed, page numbers kept.

Headings are not guessed: the font sizes that PDFs carry are too unlike each other to be relied on.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence

import pypdfium2

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import EncryptedDocument, UnreadableDocument
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.flow import full_width, join_lines

# PDFium is not thread-safe, not even over several documents (pypdfium2's README, "Incompatibility with Threading").
_PDFIUM = threading.Lock()
_WRONG_PASSWORD = 4
"""FPDF_ERR_PASSWORD."""

EDGE_LINES = 3
"""At the top and at the foot of a page, this many lines may be furniture."""

_NUMBERED_PAGE = re.compile(r"(?:page\s+)?\d{1,5}\s*(?:of|/)\s*\d{1,5}|page\s+\d{1,5}", re.IGNORECASE)


def parse(data: bytes) -> ParsedDocument:
    """Pages count from 1, as a viewer counts them.

    Raises:
        EncryptedDocument: it needs a password.
        UnreadableDocument: it is broken, or no page has a text layer.
    """
    title, pages = _read(data)
    if not any(pages):
        raise UnreadableDocument("The PDF holds no text: scanned pages need a vision model, and none is set up.")
    width = full_width([line for lines in pages for line in lines])
    blocks = [
        Block(paragraph, page=number)
        for number, lines in enumerate(_without_furniture(pages), start=1)
        for paragraph in join_lines(lines, width)
    ]
    return ParsedDocument(tuple(blocks), title=title, pages=len(pages))


def _read(data: bytes) -> tuple[str, list[list[str]]]:
    with _PDFIUM:
        try:
            with pypdfium2.PdfDocument(data) as document:
                title = clean_line(document.get_metadata_value("Title"))
                return title, [_lines(page) for page in document]
        except pypdfium2.PdfiumError as error:
            if getattr(error, "err_code", None) == _WRONG_PASSWORD:
                raise EncryptedDocument(
                    "The PDF is protected by a password: save it without one and add it again."
                ) from error
            raise UnreadableDocument("The PDF is broken and cannot be read.") from error


def _lines(page: pypdfium2.PdfPage) -> list[str]:
    text_page = page.get_textpage()
    try:
        # PDFium gives U+FFFE (older: U+0002) for a hyphen at the end of a line, and no line end behind it.
        text = text_page.get_text_range().replace("\ufffe", "-\n").replace("\x02", "-\n")
    finally:
        text_page.close()
        page.close()
    return [line for line in map(clean_line, text.splitlines()) if line]


def _without_furniture(pages: Sequence[Sequence[str]]) -> list[list[str]]:
    """Drop what stands at the top or foot of most pages, whatever its number, and bare page numbers."""
    edges = [_edges(len(lines)) for lines in pages]
    shapes = [
        {_shape(lines[position]) for position in positions} for lines, positions in zip(pages, edges, strict=True)
    ]
    seen = Counter(shape for page in shapes for shape in page)
    repeated = {shape for shape, count in seen.items() if count >= 2 and count > len(pages) / 2}
    kept: list[list[str]] = []
    for number, (lines, positions) in enumerate(zip(pages, edges, strict=True), start=1):
        furniture = {
            position
            for position in positions
            if _shape(lines[position]) in repeated or _is_page_number(lines[position], number)
        }
        kept.append([line for position, line in enumerate(lines) if position not in furniture])
    # Where every line looks like furniture, none is.
    return kept if any(kept) else [list(lines) for lines in pages]


def _edges(count: int) -> set[int]:
    return {*range(min(EDGE_LINES, count)), *range(max(count - EDGE_LINES, 0), count)}


def _shape(line: str) -> str:
    """A line without the number at either end, which is what differs between the headers of two pages."""
    return re.sub(r"\A\d{1,5}\b|\b\d{1,5}(?:\s*(?:of|/)\s*\d{1,5})?\Z", "#", line.casefold())


def _is_page_number(line: str, page: int) -> bool:
    return line.strip("-–— ") == str(page) or _NUMBERED_PAGE.fullmatch(line) is not None
