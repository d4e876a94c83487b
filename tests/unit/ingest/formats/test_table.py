from __future__ import annotations

from pipelines.ingest.formats.table import name_cells, table_block


def test_a_table_block_holds_one_row_a_line_under_its_header() -> None:
    block = table_block([["City", "Limit"], ["Berlin", "180 EUR"], ["", ""], ["Paris", "200 EUR"]], section=("S",))
    assert block is not None
    assert (block.kind, block.header, block.section) == ("table", "City | Limit", ("S",))
    assert block.text == "Berlin | 180 EUR\nParis | 200 EUR"


def test_a_row_alone_says_what_its_cells_are() -> None:
    assert name_cells("Berlin | 180 EUR", "City | Limit") == "City: Berlin | Limit: 180 EUR"


def test_empty_cells_are_left_out_and_columns_stay_in_line() -> None:
    assert name_cells("Revenue |  | 12", " | 2023 | 2024") == "Revenue | 2024: 12"


def test_a_row_longer_than_its_header_loses_nothing() -> None:
    assert name_cells("a | b | c", "X") == "X: a | b | c"


def test_a_separator_inside_a_cell_does_not_make_a_column() -> None:
    block = table_block([["a|b", "c"], ["1 | 2", "3"]], section=())
    assert block is not None
    assert name_cells(block.text, block.header) == "a/b: 1 / 2 | c: 3"


def test_a_single_row_is_content_and_no_text_is_no_table() -> None:
    block = table_block([["only", "row"]], section=())
    assert block is not None
    assert (block.text, block.header) == ("only | row", "")
    assert table_block([["", " "], []], section=()) is None
