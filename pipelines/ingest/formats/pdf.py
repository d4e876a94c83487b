"""PDF in, its pages' text out: lines joined to paragraphs, tables as rows, page furniture removed, page numbers kept.

Headings are not guessed: the font sizes that PDFs carry are too unlike each other to be relied on.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby

import pypdfium2

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import DocumentTooLarge, EncryptedDocument, UnreadableDocument
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.flow import full_width, join_lines
from pipelines.ingest.formats.image import LONGEST_SIDE, as_png
from pipelines.ingest.formats.pdf_furniture import furniture
from pipelines.ingest.formats.pdf_lines import PageText, Styles, page_text
from pipelines.ingest.formats.pdf_pages import is_unread
from pipelines.ingest.formats.pdf_rules import page_rules
from pipelines.ingest.formats.pdf_tables import Table, divide
from pipelines.ingest.formats.table import table_block

MAX_PAGES = 5000
RENDER_DPI = 180

# PDFium is not thread-safe, not even over several documents (pypdfium2's README, "Incompatibility with Threading").
_PDFIUM = threading.Lock()
_WRONG_PASSWORD = 4
"""FPDF_ERR_PASSWORD."""
_POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class _Page:
    """What was read of a page; `rules` as `page_rules` tells them."""

    text: PageText
    rules: array[float]
    unread: bool = False


_NOTHING = PageText((), array("f"), array("L"))


def parse(data: bytes) -> ParsedDocument:
    """Pages count from 1, as a viewer counts them. A page that is broken, or has no usable text, is unread.

    Raises:
        DocumentTooLarge: it has more pages than are read.
        EncryptedDocument: it needs a password.
        UnreadableDocument: it is broken.
    """
    title, pages = _read(data)
    texts = [[clean_line(text) for text in page.text.texts] for page in pages]
    width = full_width([line for lines in texts for line in lines if line])
    blocks: list[Block] = []
    for number, (page, dropped) in enumerate(zip(pages, furniture(texts), strict=True), start=1):
        lines = [line for position, line in enumerate(page.text.lines()) if position not in dropped]
        blocks.extend(replace(block, page=number) for block in _blocks(divide(lines, page.rules), width))
    unread = tuple(number for number, page in enumerate(pages, start=1) if page.unread)
    return ParsedDocument(tuple(blocks), title=title, pages=len(pages), unread=unread)


def render(data: bytes, page: int) -> bytes:
    """The page as grey PNG of `RENDER_DPI`, or fewer where its longest side would exceed `LONGEST_SIDE` pixels.

    Raises:
        EncryptedDocument: it needs a password.
        UnreadableDocument: the document or the page is broken, or there is no such page.
    """
    with _opened(data) as document:
        if not 1 <= page <= len(document):
            raise UnreadableDocument(f"The PDF has no page {page}.")
        shown = document[page - 1]
        longest = max(*shown.get_size(), 1)
        bitmap = shown.render(scale=min(RENDER_DPI / _POINTS_PER_INCH, LONGEST_SIDE / longest), grayscale=True)
        try:
            return as_png(bitmap.to_pil())
        finally:
            bitmap.close()


def _blocks(items: Sequence[str | Table], width: int) -> Iterator[Block]:
    for is_text, run in groupby(items, key=lambda item: isinstance(item, str)):
        if is_text:
            yield from map(Block, join_lines([item for item in run if isinstance(item, str)], width))
        else:
            for table in run:
                if isinstance(table, Table):
                    rows = (table.header, *table.rows) if table.header else table.rows
                    block = table_block(rows, section=(), has_header=bool(table.header), is_grouped=True)
                    if block:
                        yield block


def _read(data: bytes) -> tuple[str, list[_Page]]:
    with _opened(data) as document:
        if len(document) > MAX_PAGES:
            raise DocumentTooLarge(
                f"The PDF has {len(document)} pages, and at most {MAX_PAGES} are read: divide it and add the parts."
            )
        styles = Styles()
        return clean_line(document.get_metadata_value("Title")), [
            _read_page(document, index, styles) for index in range(len(document))
        ]


@contextmanager
def _opened(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    with _PDFIUM:
        try:
            with pypdfium2.PdfDocument(data) as document:
                yield document
        except pypdfium2.PdfiumError as error:
            if getattr(error, "err_code", None) == _WRONG_PASSWORD:
                raise EncryptedDocument(
                    "The PDF is protected by a password: save it without one and add it again."
                ) from error
            raise UnreadableDocument("The PDF is broken and cannot be read.") from error


def _read_page(document: pypdfium2.PdfDocument, index: int, styles: Styles) -> _Page:
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return _Page(_NOTHING, array("f"), unread=True)
    try:
        text_page = page.get_textpage()
        try:
            text = page_text(page, text_page, styles)
        finally:
            text_page.close()
        if is_unread(page, text.texts):
            return _Page(_NOTHING, array("f"), unread=True)
        return _Page(text, page_rules(page) if text.gaps > 1 else array("f"))
    except pypdfium2.PdfiumError:
        return _Page(_NOTHING, array("f"), unread=True)
    finally:
        page.close()
