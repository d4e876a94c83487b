"""Word's .docx in, its headings, paragraphs, lists and tables in document order out."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

import docx
from docx.document import Document as WordDocument
from docx.opc.exceptions import OpcError
from docx.oxml.ns import qn
from docx.oxml.table import CT_Row, CT_Tbl, CT_Tc
from docx.oxml.text.paragraph import CT_P
from lxml.etree import XMLSyntaxError

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats.clean import clean_line, clean_lines
from pipelines.ingest.formats.outline import Outline
from pipelines.ingest.formats.table import table_block

MAX_UNPACKED = 512 * 1024 * 1024
"""Bytes all parts may unpack to: what is beyond is an attack or not worth the memory."""

_HEADING = re.compile(r"Heading (\d)")
# Content controls are entered; text boxes are read with the paragraph they hang on, once and not in both their forms.
_OUTERMOST = "(.//w:p | .//w:tbl)[not(ancestor::w:tbl) and not(ancestor::w:p)]"
_SEEN_TEXT = ".//*[self::w:t or self::w:tab or self::w:br or self::w:cr][not(ancestor::*[local-name()='Fallback'])]"


def parse(data: bytes) -> ParsedDocument:
    """Tracked insertions are read and deletions are not, as if all changes were accepted.

    Raises:
        UnreadableDocument: the file is broken or unpacks to too much.
    """
    _refuse_bomb(data)
    try:
        document = docx.Document(io.BytesIO(data))
    except (OpcError, KeyError, ValueError, zipfile.BadZipFile, XMLSyntaxError) as error:
        raise UnreadableDocument("The Word file is broken and cannot be read.") from error
    reader = _Reader(document)
    reader.read()
    return ParsedDocument(tuple(reader.blocks), title=reader.title or clean_line(document.core_properties.title or ""))


class _Reader:
    def __init__(self, document: WordDocument) -> None:
        self.blocks: list[Block] = []
        self.title = ""
        self._document = document
        self._outline = Outline()
        self._items: list[str] = []
        self._style_names = {style.style_id: str(style.name or "") for style in document.styles}

    def read(self) -> None:
        for element in self._document.element.body.xpath(_OUTERMOST):
            if isinstance(element, CT_Tbl):
                self._flush_list()
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
            return
        self._flush_list()
        if level is None:
            self.blocks.append(Block(text, section=self._outline.path))
        else:
            self._heading(level, clean_line(text))

    def _heading(self, level: int, text: str) -> None:
        if level == 0:
            self.title = self.title or text
        self._outline.enter(level, text)
        self.blocks.append(Block(text, kind="heading", section=self._outline.path))

    def _flush_list(self) -> None:
        if self._items:
            self.blocks.append(Block("\n".join(self._items), kind="list", section=self._outline.path))
            self._items = []

    def _table(self, table: CT_Tbl) -> None:
        block = table_block([list(_cells(row)) for row in table.tr_lst], section=self._outline.path)
        if block:
            self.blocks.append(block)


def _heading_level(style: str) -> int | None:
    # Word stores the English names of its own styles whatever language it is set to.
    heading = _HEADING.fullmatch(style)
    return 0 if style == "Title" else int(heading[1]) if heading else None


def _cells(row: CT_Row) -> Iterator[str]:
    """The row's cells; one that spans columns is followed by empty ones, so that the columns stay in line."""
    for cell in row.tc_lst:
        yield _cell_text(cell)
        yield from [""] * (cell.grid_span - 1)


def _cell_text(cell: CT_Tc) -> str:
    return " ".join(
        _text_of(paragraph) for paragraph in cell.xpath(".//w:p[not(ancestor::*[local-name()='Fallback'])]")
    )


def _text_of(paragraph: CT_P) -> str:
    breaks = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n"}
    return "".join(breaks.get(element.tag, element.text or "") for element in paragraph.xpath(_SEEN_TEXT))


def _refuse_bomb(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # Reading a part stops at the size it declares, so the declared sizes bound the memory.
            unpacked = sum(part.file_size for part in archive.infolist())
    except zipfile.BadZipFile as error:
        raise UnreadableDocument("The Word file is broken and cannot be read.") from error
    if unpacked > MAX_UNPACKED:
        raise UnreadableDocument(f"The Word file unpacks to {unpacked // 2**20} MB, which is more than can be read.")
