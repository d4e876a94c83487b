from __future__ import annotations

import pytest

from pipelines.domain import Block
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import csv_table


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_stand_under_their_header_whatever_parts_the_cells(delimiter: str) -> None:
    lines = (("City", "Limit", "Note"), ("Berlin", "180", '"new, since May"'), ("Paris", "200", "x"))
    data = "\r\n".join(delimiter.join(line) for line in lines).encode()
    assert csv_table.parse(data).blocks == (
        Block("Berlin | 180 | new, since May\nParis | 200 | x", "table", header="City | Limit | Note"),
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_the_encodings_of_spreadsheet_programs_are_read(encoding: str) -> None:
    (block,) = csv_table.parse("Größe;Ort\n5;Köln\n".encode(encoding)).blocks
    assert (block.header, block.text) == ("Größe | Ort", "5 | Köln")


def test_a_cell_may_hold_lines() -> None:
    (block,) = csv_table.parse(b'a,b\n"one\ntwo",3\n').blocks
    assert block.text == "one two | 3"


def test_an_unclosed_quote_does_not_cost_the_rows_behind_it() -> None:
    (block,) = csv_table.parse(b'a,b\n"x,1\n' + b"y,2\n" * 50_000).blocks
    assert block.text.endswith("\ny | 2")


def test_binary_data_is_unreadable() -> None:
    with pytest.raises(UnreadableDocument):
        csv_table.parse(b"a,b\0c")
