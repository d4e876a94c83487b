"""OpenDocument spreadsheets in, the tables of every visible sheet out, each under the name of its sheet.

calamine reads them too, but loses how numbers are shown: here 0.5 is the "50 %" that its reader sees.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from lxml import etree

from pipelines.domain import Block, ParsedDocument
from pipelines.ingest.formats.broken import refuse_broken
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.grid import MAX_CELLS, grid_blocks, refuse_too_many
from pipelines.ingest.formats.odf import STYLE, TABLE, WHAT, cells_of, number_of, open_package, title_of
from pipelines.ingest.formats.xml_tree import refuse_entities

_SHEET, _ROW, _STYLE = f"{TABLE}table", f"{TABLE}table-row", f"{STYLE}style"


def parse(data: bytes) -> ParsedDocument:
    """Formulas are read as the values that were last computed. Hidden sheets are not read.

    Raises:
        UnreadableDocument: the file is broken.
        EncryptedDocument: it needs a password.
        DocumentTooLarge: a sheet has more cells than are read, or the file unpacks to too much.
    """
    archive = open_package(data)
    blocks: list[Block] = []
    with refuse_broken(WHAT):
        for name, rows in _sheets(archive.read("content.xml")):
            section = (clean_line(name),)
            inside = grid_blocks(rows, section=section)
            blocks += [Block(section[0], kind="heading", section=section), *inside] if inside else []
    return ParsedDocument(tuple(blocks), title=title_of(archive))


def _sheets(content: bytes) -> Iterator[tuple[str, list[list[str]]]]:
    """The visible sheets, read row by row: a tree of all of them takes ten times the memory."""
    hidden: set[str] = set()
    rows: list[list[str]] = []
    events = etree.iterparse(
        io.BytesIO(content),
        events=("start", "end"),
        tag=(_SHEET, _ROW, _STYLE),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
    )
    for event, element in events:
        if event == "start":
            if element.tag == _SHEET:
                refuse_entities(element, WHAT)
                rows = []
        elif element.tag == _STYLE:
            if element.find(f"*[@{TABLE}display='false']") is not None:
                hidden.add(element.get(f"{STYLE}name", ""))
        elif element.tag == _ROW:
            rows += _repeated(element)
            element.clear()
        elif element.get(f"{TABLE}style-name") not in hidden:
            yield element.get(f"{TABLE}name", ""), rows


def _repeated(row: etree._Element) -> list[list[str]]:
    cells = cells_of(row)
    times = number_of(row, f"{TABLE}number-rows-repeated", most=MAX_CELLS) if cells else 1
    refuse_too_many(times * len(cells))
    return [cells] * times
