"""Excel's .xlsx, .xlsb and .xls in, the tables of every visible sheet out, each under the name of its sheet."""

from __future__ import annotations

import datetime as dt
import io

import python_calamine as calamine

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import EncryptedDocument
from pipelines.ingest.formats import ole, sheet_extent
from pipelines.ingest.formats.archive import Archive
from pipelines.ingest.formats.broken import refuse_broken
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.grid import grid_blocks, refuse_too_many
from pipelines.ingest.formats.xml_tree import core_title

WHAT = "Excel file"

Cell = int | float | str | bool | dt.time | dt.date | dt.datetime | dt.timedelta

_MIDNIGHT = dt.time()


def parse(data: bytes) -> ParsedDocument:
    """Formulas are read as the values that were last computed. Hidden sheets are not read.

    Raises:
        UnreadableDocument: the file is broken.
        EncryptedDocument: it needs a password.
        DocumentTooLarge: a sheet has more cells than are read, or the file unpacks to too much.
    """
    if data.startswith(ole.MAGIC):
        stream = ole.read_stream(data, "Workbook", "Book")
        refuse_too_many(sheet_extent.of_old(stream))
        return ParsedDocument(_read(ole.repacked("Workbook", sheet_extent.without_dimensions(stream))))
    archive = Archive(data, WHAT)
    for name in archive.names:
        if name.startswith("xl/worksheets/"):
            measure = sheet_extent.of_binary if name.endswith(".bin") else sheet_extent.of_xml
            refuse_too_many(measure(archive.read(name)))
    blocks = _read(archive.repacked((".xml", ".rels", ".bin")))
    return ParsedDocument(blocks, title=core_title(archive, WHAT))


def _read(data: bytes) -> tuple[Block, ...]:
    blocks: list[Block] = []
    with refuse_broken(WHAT, calamine.CalamineError), _open(data) as workbook:
        for sheet in workbook.sheets_metadata:
            if sheet.visible == calamine.SheetVisibleEnum.Visible and _has_cells(sheet):
                blocks += _sheet(sheet.name, workbook.get_sheet_by_name(sheet.name))
    return tuple(blocks)


def _open(data: bytes) -> calamine.CalamineWorkbook:
    try:
        return calamine.load_workbook(io.BytesIO(data))
    except calamine.PasswordError as error:
        raise EncryptedDocument(
            "The Excel file is protected by a password: save it without one and add it again."
        ) from error


def _has_cells(sheet: calamine.SheetMetadata) -> bool:
    return sheet.typ in (calamine.SheetTypeEnum.WorkSheet, calamine.SheetTypeEnum.MacroSheet)


def _sheet(name: str, sheet: calamine.CalamineSheet) -> list[Block]:
    section = (clean_line(name),)
    blocks = grid_blocks([[_text(cell) for cell in row] for row in sheet.to_python()], section=section)
    return [Block(section[0], kind="heading", section=section), *blocks] if blocks else []


def _text(cell: Cell) -> str:
    """A value as people read it: no decimals on whole numbers, no more digits than Excel itself shows."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else format(cell, ".15g")
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == _MIDNIGHT else cell.isoformat(" ", "seconds")
    if isinstance(cell, dt.date | dt.time):
        return cell.isoformat()
    return str(cell)
