"""OpenDocument text and presentations in, their headings, paragraphs, lists, tables and notes out.

A footnote stands behind the paragraph that refers to it. Indexes, comments and headers and footers are not read.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from pipelines.domain import Block, BlockKind, ParsedDocument
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats.clean import clean_line, clean_lines
from pipelines.ingest.formats.odf import (
    DRAW,
    OFFICE,
    PRESENTATION,
    STYLE,
    TABLE,
    TEXT,
    WHAT,
    cells_of,
    number_of,
    open_package,
    text_of,
    title_of,
)
from pipelines.ingest.formats.outline import Outline
from pipelines.ingest.formats.table import table_block
from pipelines.ingest.formats.xml_tree import local_name, parse_xml

NOTES = "Notes"
DEEPEST = 10
"""The lowest level of a heading there is."""

_SKIPPED = {"annotation", "forms", "sequence-decls", "tracked-changes", "variable-decls", "user-field-decls"}
_FURNITURE = {"date-time", "footer", "header", "page-number"}


def parse(data: bytes) -> ParsedDocument:
    """The title is the paragraph of that style, or the first slide's; else the one among the properties.

    Raises:
        UnreadableDocument: the file is broken.
        EncryptedDocument: it needs a password.
        DocumentTooLarge: it unpacks to too much.
    """
    archive = open_package(data)
    root = parse_xml(archive.read("content.xml"), WHAT)
    slides = root.findall(f"{OFFICE}body/{OFFICE}presentation/{DRAW}page")
    text = root.find(f"{OFFICE}body/{OFFICE}text")
    if text is None and not slides:
        raise UnreadableDocument(f"The {WHAT} holds neither a text nor slides.")
    readers = [_Reader(root, number) for number in range(1, len(slides) + 1)] or [_Reader(root, None)]
    for reader, part in zip(readers, slides or [text], strict=True):
        reader.read(part)
    unread = tuple(
        number
        for number, (reader, slide) in enumerate(zip(readers, slides, strict=False), start=1)
        if not reader.blocks and slide.find(f".//{DRAW}image") is not None
    )
    blocks = tuple(block for reader in readers for block in reader.blocks)
    return ParsedDocument(blocks, readers[0].title or title_of(archive), len(slides) or None, unread)


class _Reader:
    """Walks a text, or one slide, in document order."""

    def __init__(self, root: etree._Element, page: int | None) -> None:
        self.blocks: list[Block] = []
        self.title = ""
        self._page = page
        self._outline = Outline()
        self._parents = {
            style.get(f"{STYLE}name"): style.get(f"{STYLE}parent-style-name")
            for style in root.iterfind(f"{OFFICE}automatic-styles/{STYLE}style")
        }

    def read(self, part: etree._Element) -> None:
        for frame in part.iterchildren(f"{DRAW}frame"):
            if frame.get(f"{PRESENTATION}class") == "title":
                self._heading(0, text_of(frame))
        self._walk(part)

    def _walk(self, element: etree._Element) -> None:
        for child in element:
            name = local_name(child)
            if name == "h":
                level = number_of(child, f"{TEXT}outline-level", most=DEEPEST)
                self._heading(level, text_of(child), child)
            elif name == "p":
                self._paragraph(child)
            elif name == "list" and child.find(f".//{TEXT}h") is None:
                self._add("\n".join(_list_lines(child)), "list", notes_in=child)
            elif name == "table":
                self._table(child)
            elif name == "notes":
                self._outline.enter(DEEPEST + 1, NOTES)
                self._walk(child)
            elif not self._is_skipped(child, name):
                self._walk(child)

    def _is_skipped(self, element: etree._Element, name: str) -> bool:
        # A title was read first; with the notes comes a small picture of the slide.
        role = element.get(f"{PRESENTATION}class", "")
        is_index = name.endswith("-index") or name in ("table-of-content", "bibliography")
        return not name or name in _SKIPPED or is_index or role == "title" or role in _FURNITURE

    def _paragraph(self, paragraph: etree._Element) -> None:
        style = paragraph.get(f"{TEXT}style-name")
        if "Title" in (style, self._parents.get(style)):
            self._heading(0, text_of(paragraph), paragraph)
        else:
            self._add(text_of(paragraph), notes_in=paragraph)

    def _heading(self, level: int, text: str, element: etree._Element | None = None) -> None:
        heading = clean_line(text)
        if not heading:
            return
        if level == 0:
            self.title = self.title or heading
        self._outline.enter(level, heading)
        self._add(heading, "heading", notes_in=element)

    def _table(self, table: etree._Element) -> None:
        rows = [cells_of(row) for row in table.iter(f"{TABLE}table-row")]
        block = table_block(rows, section=self._outline.path)
        if block:
            self._add(block.text, "table", header=block.header, notes_in=table)

    def _add(
        self, text: str, kind: BlockKind = "paragraph", *, header: str = "", notes_in: etree._Element | None = None
    ) -> None:
        notes = [] if notes_in is None else [text_of(note) for note in notes_in.iter(f"{TEXT}note-body")]
        for body, its_kind in ((text, kind), *((f"Note: {note}", "paragraph") for note in notes)):
            cleaned = clean_lines(body)
            if cleaned:
                shown = header if its_kind == "table" else ""
                self.blocks.append(Block(cleaned, its_kind, self._page, self._outline.path, shown))


def _list_lines(element: etree._Element) -> Iterator[str]:
    """One line an item; the items of a list within a list follow the item they are in."""
    for item in element.iterchildren(f"{TEXT}list-item", f"{TEXT}list-header"):
        paragraphs = [clean_line(text_of(paragraph)) for paragraph in item.iterchildren(f"{TEXT}p")]
        text = " ".join(filter(None, paragraphs))
        if text:
            yield f"- {text}"
        for inner in item.iterchildren(f"{TEXT}list"):
            yield from _list_lines(inner)
