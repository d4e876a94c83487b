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


def test_rows_under_a_name_with_a_colon_carry_it_up_to_their_total() -> None:
    rows = [
        ["", "2024"],
        *(["Net sales:", ""], ["Products", "60"], ["Services", "40"], ["Total net sales", "100"]),
        *(["Margin", "30"], ["Kosten:"], ["Material", "5"], ["Summe", "5"], ["Rest", "1"]),
    ]
    block = table_block(rows, section=())
    assert block is not None
    assert block.text.split("\n") == [
        *("Net sales: Products | 60", "Net sales: Services | 40", "Total net sales | 100"),
        *("Margin | 30", "Kosten: Material | 5", "Kosten: Summe | 5", "Rest | 1"),
    ]


def test_a_form_and_a_name_with_nothing_under_it_stay_as_they_are() -> None:
    rows = [["Telephone:", ""], ["Fax:", "123"], ["Room", "4"], ["Remarks:", ""]]
    block = table_block(rows, section=(), has_header=False)
    assert block is not None
    assert block.text.split("\n") == ["Telephone:", "Fax: | 123", "Room | 4", "Remarks:"]


def test_rows_that_are_grouped_already_are_left_alone() -> None:
    block = table_block([["Net sales:", ""], ["Products", "60"]], section=(), has_header=False, is_grouped=True)
    assert block is not None
    assert block.text == "Net sales: | \nProducts | 60"
