"""Word's .docx in, its headings, paragraphs, lists, tables and notes in document order out.

A footnote stands behind the paragraph that refers to it, where it is found with the words it explains. Headers and
footers, which repeat on every page, and comments are not read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import docx
from docx.document import Document as WordDocument
from docx.exceptions import PythonDocxError
from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
from docx.opc.exceptions import OpcError
from docx.opc.part import XmlPart
from docx.oxml.ns import qn
from docx.oxml.table import CT_Row, CT_Tbl, CT_Tc
from docx.oxml.text.paragraph import CT_P
from lxml import etree

from pipelines.domain import Block, ParsedDocument
from pipelines.ingest.formats.archive import Archive
from pipelines.ingest.formats.broken import refuse_broken
from pipelines.ingest.formats.clean import clean_line, clean_lines
from pipelines.ingest.formats.outline import Outline
from pipelines.ingest.formats.table import table_block
from pipelines.ingest.formats.xml_tree import parse_xml, refuse_entities

WHAT = "Word file"
MAX_SPAN = 63
"""Columns of a table in Word, and so columns that a cell can span."""

CONTENT_TYPES = "[Content_Types].xml"

_MAIN_TYPE = re.compile(rb"""application/[^"'<>]*(?:wordprocessingml|ms-word)\.[\w.]+\.main\+xml""", re.IGNORECASE)
_HEADING = re.compile(r"Heading (\d)")
# Content controls are entered; text boxes are read with the paragraph they hang on, once and not in both their forms.
_OUTERMOST = "(.//w:p | .//w:tbl)[not(ancestor::w:tbl) and not(ancestor::w:p)]"
_NOTE_REFERENCE = ".//w:footnoteReference | .//w:endnoteReference"
_SEEN_TEXT = ".//*[self::w:t or self::w:tab or self::w:br or self::w:cr][not(ancestor::*[local-name()='Fallback'])]"


def parse(data: bytes) -> ParsedDocument:
    """Tracked insertions are read and deletions are not, as if all changes were accepted.

    Raises:
        UnreadableDocument: the file is broken.
        DocumentTooLarge: it unpacks to too much.
    """
    archive = Archive(data, WHAT)
    # python-docx 1.2 refuses templates and files with macros, which differ from documents in nothing it reads.
    types = _MAIN_TYPE.sub(CONTENT_TYPE.WML_DOCUMENT_MAIN.encode(), archive.read(CONTENT_TYPES))
    packed = archive.repacked(instead={CONTENT_TYPES: types})
    with refuse_broken(WHAT, OpcError, PythonDocxError):
        document = docx.Document(io.BytesIO(packed))
        for part in document.part.package.iter_parts():
            if isinstance(part, XmlPart):
                refuse_entities(part.element, WHAT)
        reader = _Reader(document)
        reader.read()
        title = reader.title or clean_line(document.core_properties.title or "")
    return ParsedDocument(tuple(reader.blocks), title=title)


class _Reader:
    def __init__(self, document: WordDocument) -> None:
        self.blocks: list[Block] = []
        self.title = ""
        self._document = document
        self._outline = Outline()
        self._items: list[str] = []
        self._notes = _notes(document)
        self._pending: list[str] = []
        self._style_names = {style.style_id: str(style.name or "") for style in document.styles}

    def read(self) -> None:
        for element in self._document.element.body.xpath(_OUTERMOST):
            if isinstance(element, CT_Tbl):
                self._flush_list()
                self._refer(element)
                self._table(element)
            else:
                self._paragraph(element)
        self._flush_list()

    def _paragraph(self, paragraph: CT_P) -> None:
        text = clean_lines(_text_of(paragraph))
        if not text:
            return
        style = self._style_names.get(paragraph.style or "", "")
        level = _heading_level(style)
        if level is None and (style.startswith("List") or paragraph.xpath("./w:pPr/w:numPr")):
            self._items.append(f"- {text}")
            self._refer(paragraph)
            return
        self._flush_list()
        self._refer(paragraph)
        if level is None:
            self._add(Block(text, section=self._outline.path))
        else:
            self._heading(level, clean_line(text))

    def _refer(self, element: CT_P | CT_Tbl) -> None:
        self._pending += [self._notes.get(_note_key(mark), "") for mark in element.xpath(_NOTE_REFERENCE)]

    def _heading(self, level: int, text: str) -> None:
        if level == 0:
            self.title = self.title or text
        self._outline.enter(level, text)
        self._add(Block(text, kind="heading", section=self._outline.path))

    def _flush_list(self) -> None:
        if self._items:
            items, self._items = self._items, []
            self._add(Block("\n".join(items), kind="list", section=self._outline.path))

    def _table(self, table: CT_Tbl) -> None:
        block = table_block([list(_cells(row)) for row in table.tr_lst], section=self._outline.path)
        if block:
            self._add(block)

    def _add(self, block: Block) -> None:
        self.blocks.append(block)
        notes, self._pending = self._pending, []
        self.blocks += [Block(f"Note: {note}", section=block.section) for note in notes if note]


def _heading_level(style: str) -> int | None:
    # Word stores the English names of its own styles whatever language it is set to.
    heading = _HEADING.fullmatch(style)
    return 0 if style == "Title" else int(heading[1]) if heading else None


def _cells(row: CT_Row) -> Iterator[str]:
    """The row's cells; one that spans columns is followed by empty ones, so that the columns stay in line."""
    for cell in row.tc_lst:
        yield _cell_text(cell)
        yield from [""] * (min(cell.grid_span, MAX_SPAN) - 1)


def _cell_text(cell: CT_Tc) -> str:
    return " ".join(
        _text_of(paragraph) for paragraph in cell.xpath(".//w:p[not(ancestor::*[local-name()='Fallback'])]")
    )


def _text_of(paragraph: CT_P) -> str:
    breaks = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n"}
    return "".join(breaks.get(element.tag, element.text or "") for element in paragraph.xpath(_SEEN_TEXT))


def _notes(document: WordDocument) -> dict[tuple[str, str], str]:
    """The text of each footnote and endnote under its kind and id."""
    notes: dict[tuple[str, str], str] = {}
    for relation in document.part.rels.values():
        if relation.reltype in (RELATIONSHIP_TYPE.FOOTNOTES, RELATIONSHIP_TYPE.ENDNOTES):
            # Not parsed by python-docx 1.2, which hands the part on as bytes.
            root = parse_xml(relation.target_part.blob, WHAT)
            for note in root.iter(qn("w:footnote"), qn("w:endnote")):
                texts = "".join(element.text or "" for element in note.iter(qn("w:t")))
                notes[_note_key(note)] = clean_line(texts)
    return notes


def _note_key(element: etree._Element) -> tuple[str, str]:
    kind = "endnote" if "endnote" in element.tag else "footnote"
    return kind, element.get(qn("w:id"), "")
