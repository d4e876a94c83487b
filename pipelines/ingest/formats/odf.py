"""What the OpenDocument formats share: the package, the text of an element, the cells of a row."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from pipelines.errors import EncryptedDocument, UnreadableDocument
from pipelines.ingest.formats.archive import Archive
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.xml_tree import parse_xml

WHAT = "OpenDocument file"
MAX_COLUMNS = 16_384
"""Columns of a sheet, and so how often a cell can be repeated."""
MAX_SPACES = 100

_NS = "urn:oasis:names:tc:opendocument:xmlns:"
OFFICE, TABLE, TEXT, DRAW, STYLE, PRESENTATION = (
    f"{{{_NS}{name}:1.0}}" for name in ("office", "table", "text", "drawing", "style", "presentation")
)
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_APART = {f"{TEXT}note", f"{TEXT}ruby-text", f"{OFFICE}annotation", f"{OFFICE}annotation-end"}
"""Stands within a paragraph and is no part of its sentence."""


def open_package(data: bytes) -> Archive:
    """The package of an OpenDocument file.

    Raises:
        UnreadableDocument: it is broken.
        EncryptedDocument: it needs a password.
        DocumentTooLarge: it unpacks to too much.
    """
    archive = Archive(data, WHAT)
    if b"encryption-data" in archive.find("META-INF/manifest.xml"):
        raise EncryptedDocument(f"The {WHAT} is protected by a password: save it without one and add it again.")
    return archive


def title_of(archive: Archive) -> str:
    """The title among the document's properties, which may be anything."""
    properties = archive.find("meta.xml")
    try:
        return clean_line(parse_xml(properties, WHAT).findtext(f".//{_TITLE}") or "") if properties else ""
    except UnreadableDocument:
        return ""


def text_of(element: etree._Element) -> str:
    """The text of a paragraph or of all in an element, without notes and comments."""
    return "".join(_pieces(element))


def cells_of(row: etree._Element) -> list[str]:
    """The cells of a table's row; the empty ones at its end, often thousands, are left out."""
    cells: list[str] = []
    gap = 0
    for cell in row.iterchildren(f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
        text = text_of(cell).strip()
        times = number_of(cell, f"{TABLE}number-columns-repeated", most=MAX_COLUMNS)
        if text:
            cells += [""] * gap + [text] * times
            gap = 0
        else:
            gap += times
        if len(cells) + gap > MAX_COLUMNS:
            break
    return cells


def number_of(element: etree._Element, attribute: str, *, most: int) -> int:
    """A count of at least 1, which is what it is where it is not given or no number."""
    value = element.get(attribute, "1")
    return max(min(int(value[:9]), most), 1) if value.isdecimal() else 1


def _pieces(element: etree._Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag == f"{TEXT}s":
            yield " " * number_of(child, f"{TEXT}c", most=MAX_SPACES)
        elif child.tag == f"{TEXT}tab":
            yield "\t"
        elif child.tag == f"{TEXT}line-break":
            yield "\n"
        elif isinstance(child.tag, str) and child.tag not in _APART:
            yield from _pieces(child)
            # What is a paragraph of its own ends a line: in a cell, in a text box.
            yield "\n" if child.tag in (f"{TEXT}p", f"{TEXT}h") else ""
        yield child.tail or ""
