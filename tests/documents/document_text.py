"""The text of a sample document, read without the product's parsers: a path and a page go in, one line comes out."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import docx
import pypdfium2


def text_of(path: Path, page: int | None = None) -> str:
    """All words of a document, or of one page of a PDF, with single spaces between them."""
    match path.suffix:
        case ".pdf":
            text = _pdf_text(path, page)
        case ".docx":
            document = docx.Document(str(path))
            cells = (cell.text for table in document.tables for row in table.rows for cell in row.cells)
            text = " ".join([*(paragraph.text for paragraph in document.paragraphs), *cells])
        case ".html":
            text = _HtmlText.of(path.read_text(encoding="utf-8"))
        case ".csv":
            text = re.sub("[,;]", " | ", path.read_text(encoding="utf-8"))
        case _:
            text = path.read_text(encoding="utf-8")
    return " ".join(text.split())


def stands(fact: str, text: str) -> bool:
    """Whether the text has the fact as whole words: "30" does not stand in "1,300"."""
    return re.search(rf"(?<![\w.,]){re.escape(fact)}(?!\w|[.,]\d)", text) is not None


def _pdf_text(path: Path, page: int | None) -> str:
    with pypdfium2.PdfDocument(path) as document:
        pages = range(len(document)) if page is None else [page - 1]
        return " ".join(document[number].get_textpage().get_text_range() for number in pages)


class _HtmlText(HTMLParser):
    @classmethod
    def of(cls, html: str) -> str:
        parser = cls()
        parser.parts = []
        parser.feed(html)
        return " ".join(parser.parts)

    parts: list[str]

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
