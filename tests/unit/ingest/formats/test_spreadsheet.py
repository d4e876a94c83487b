from __future__ import annotations

import datetime as dt
import io
import struct

import openpyxl
import pytest

from pipelines.domain import Block
from pipelines.errors import DocumentTooLarge, UnreadableDocument
from pipelines.ingest.formats import grid, sheet_extent, spreadsheet
from tests.unit.ingest.formats import make_ole, make_xlsb, samples


@pytest.fixture
def book() -> openpyxl.Workbook:
    return openpyxl.Workbook()


def saved(book: openpyxl.Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_every_sheet_is_a_section_with_its_tables(book: openpyxl.Workbook) -> None:
    book.active.title = "Rates"
    for row in (["City", "Limit"], ["Berlin", 180]):
        book.active.append(row)
    book.create_sheet("Empty")
    book.create_sheet("Notes")["C3"] = "A note"
    book.properties.title = "Travel rates"
    parsed = spreadsheet.parse(saved(book))
    assert (parsed.title, parsed.pages) == ("Travel rates", None)
    assert parsed.blocks == (
        Block("Rates", "heading", section=("Rates",)),
        Block("Berlin | 180", "table", section=("Rates",), header="City | Limit"),
        Block("Notes", "heading", section=("Notes",)),
        Block("A note", section=("Notes",)),
    )


def test_hidden_sheets_are_not_read(book: openpyxl.Workbook) -> None:
    for name, state in (("Hidden", "hidden"), ("Very", "veryHidden")):
        sheet = book.create_sheet(name)
        sheet["A1"], sheet.sheet_state = "secret", state
    assert spreadsheet.parse(saved(book)).blocks == ()


def test_values_are_read_as_people_see_them(book: openpyxl.Workbook) -> None:
    moment = dt.datetime(2024, 5, 17, 9, 30)
    values = [1.0, 0.1 + 0.2, 1e20, True, dt.date(2024, 5, 17), moment, dt.time(9, 30), "two\nlines | x"]
    for row in ([f"name {number}" for number in range(len(values))], values):
        book.active.append(row)
    (_, block) = spreadsheet.parse(saved(book)).blocks
    assert block.text == "1 | 0.3 | 1e+20 | TRUE | 2024-05-17 | 2024-05-17 09:30:00 | 09:30:00 | two lines / x"


@pytest.mark.parametrize("name", ["a.xlsx", "a.xlsb", "a.xls"])
def test_a_sheet_beyond_the_limit_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "MAX_CELLS", 3)
    with pytest.raises(DocumentTooLarge, match="4 cells"):
        spreadsheet.parse(samples.all_samples()[name])


def test_cells_that_are_only_formatted_do_not_count() -> None:
    assert sheet_extent.of_xml(b'<row r="9"><c r="XFD9" s="1"/><c r="B9" t="n"><v>1</v></c></row>') == 18


def test_a_far_cell_of_a_binary_sheet_is_refused_before_it_is_laid_out() -> None:
    far = make_xlsb.binary_workbook("S", [["x", "y", "z"]], first_row=1_000_000)
    with pytest.raises(DocumentTooLarge, match="3,000,003 cells"):
        spreadsheet.parse(far)


def test_the_sheets_of_an_old_workbook_count_together() -> None:
    stream = make_ole.old_workbook({"One": [["a", "b"]], "Two": [["c"], ["d"]]})
    assert spreadsheet.parse(stream).blocks[0].text == "One"
    assert sheet_extent.of_old(spreadsheet.ole.read_stream(stream, "Workbook")) == 4


def test_what_an_old_workbook_declares_of_itself_is_not_believed() -> None:
    strings = struct.pack("<HHII", 0x00FC, 8, 2**31, 2**31)
    assert sheet_extent.of_old(strings) == 2**31
    size = struct.pack("<HHIIHH", 0x0200, 12, 0, 2**31, 0, 2**15)
    assert sheet_extent.without_dimensions(strings + size) == strings + b"\xff\x0f" + size[2:]


def test_broken_files_are_unreadable() -> None:
    for data in (b"", b"PK\x03\x04", samples.workbook()[:-300], spreadsheet.ole.MAGIC + bytes(600)):
        with pytest.raises(UnreadableDocument, match="broken"):
            spreadsheet.parse(data)
