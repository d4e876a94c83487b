from __future__ import annotations

import pytest

from pipelines.domain import Block
from pipelines.errors import DocumentTooLarge
from pipelines.ingest.formats import grid
from pipelines.ingest.formats.grid import grid_blocks


def rows(text: str) -> list[list[str]]:
    """One row a line; `.` is an empty cell."""
    return [["" if cell == "." else cell for cell in line.split()] for line in text.strip().splitlines()]


def test_the_lines_above_a_table_are_its_titles() -> None:
    assert grid_blocks(rows("Rates\nIn-EUR\nCity Limit\nBerlin 180"), section=("S",)) == [
        Block("Rates", section=("S",)),
        Block("In-EUR", section=("S",)),
        Block("Berlin | 180", "table", section=("S",), header="City | Limit"),
    ]


def test_empty_rows_and_columns_part_tables() -> None:
    sheet = rows("""
        City Limit . Name Grade
        Berlin 180 . Ada 3
        . . . . .
        Year Cost . . .
        2024 12 . . .
    """)
    assert [(block.header, block.text) for block in grid_blocks(sheet)] == [
        ("City | Limit", "Berlin | 180"),
        ("Name | Grade", "Ada | 3"),
        ("Year | Cost", "2024 | 12"),
    ]


def test_a_table_goes_on_under_its_header_behind_an_empty_row() -> None:
    blocks = grid_blocks(rows("City Limit\nBerlin 180\n. .\nParis 200\nRome 190"))
    assert [block.header for block in blocks] == ["City | Limit"] * 2


def test_an_empty_column_within_a_table_does_not_part_it() -> None:
    (block,) = grid_blocks(rows("City . Limit\nBerlin . 180\nParis . 200"))
    assert (block.header, block.text) == ("City |  | Limit", "Berlin |  | 180\nParis |  | 200")


def test_years_name_columns_and_values_do_not() -> None:
    (years,) = grid_blocks(rows(". 2023 2024\nRevenue 1.5 2,5\nCost 1 2"))
    assert years.header == " | 2023 | 2024"
    (values,) = grid_blocks(rows("1 2,5 30%\n2 (3) -4"))
    assert (values.header, values.text) == ("", "1 | 2,5 | 30%\n2 | (3) | -4")


def test_a_single_column_is_text() -> None:
    assert grid_blocks(rows("One\nTwo")) == [Block("One"), Block("Two")]


def test_a_sheet_without_cells_holds_nothing() -> None:
    assert grid_blocks([]) == grid_blocks([[], ["", " "]]) == []


def test_a_sheet_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "MAX_CELLS", 5)
    with pytest.raises(DocumentTooLarge, match="6 cells and 5 can be read"):
        grid_blocks(rows("a b\nc d\ne f"))
