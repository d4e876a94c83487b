"""Which lines name a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.domain import Block
from pipelines.ingest.caption import captioned, fitting, is_unit
from pipelines.ingest.window import Window
from tests.fakes.word_embedding import count_words

TABLE = Block("Hotels | 5\nTrains | 7", "table", page=1, header="Kind | 2024")
PROSE = "Travel was cheaper than in the year before, because most of the sites were visited by train."


def caption(*above: str | Block, table: Block = TABLE) -> tuple[str, ...]:
    blocks = [Block(block, page=1) if isinstance(block, str) else block for block in above]
    return captioned([*blocks, table])[-1].caption


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        (["Costs of travel"], ("Costs of travel",)),
        (["Costs of travel\n(in EUR)\n(unaudited)"], ("Costs of travel", "(in EUR)", "(unaudited)")),
        (["amounts in thousands of euros", "Table 3: Costs"], ("amounts in thousands of euros", "Table 3: Costs")),
        (["Alle Angaben in Tsd. EUR", "Kosten je Standort"], ("Alle Angaben in Tsd. EUR", "Kosten je Standort")),
        (["Table 3: Prices in EUR per unit"], ("Table 3: Prices in EUR per unit",)),
        (["Chapter 2", "Costs of travel", "(in %)"], ("Costs of travel", "(in %)")),
        ([f"{PROSE} Costs were as follows:"], ("Costs were as follows:",)),
        ([f"{PROSE} The U.S. Dollar rates (in millions) were:"], ("The U.S. Dollar rates (in millions) were:",)),
        ([f"{PROSE} Costs of travel"], ("Costs of travel",)),
        (["Costs of travel", PROSE], ("Costs of travel",)),
        (["Costs of travel", PROSE, "All prices are in EUR."], ("Costs of travel", "All prices are in EUR.")),
        ([PROSE], ()),
        (["Costs of travel", PROSE, PROSE], ()),
        (["3 144 | 23,1 %"], ()),
        ([], ()),
    ],
)
def test_a_title_and_units_above_a_table_name_it(above: list[str], expected: tuple[str, ...]) -> None:
    assert caption(*above) == expected


def test_what_stands_elsewhere_does_not_name_it() -> None:
    assert caption(Block("Costs of travel", page=2)) == ()
    assert caption(Block("- Costs", "list", page=1)) == ()
    assert caption("Costs of travel", Block("Costs", "heading", page=1, section=("Costs",))) == ()


def test_with_headings_to_go_by_no_title_is_sought_behind_prose() -> None:
    table = replace(TABLE, section=("Costs",))
    blocks = (Block("A remark", page=1, section=("Costs",)), Block(PROSE, page=1, section=("Costs",)))
    assert caption(*blocks, table=table) == ()


@pytest.mark.parametrize(
    ("header", "corner", "kept"),
    [
        ("(In millions) | 2024", "(In millions)", " | 2024"),
        ("in Tsd. EUR | 2024", "in Tsd. EUR", " | 2024"),
        ("(in EUR) Part | 2024", "(in EUR)", "Part | 2024"),
        ("Kind | 2024", None, "Kind | 2024"),
        ("(In millions)", None, "(In millions)"),
    ],
)
def test_a_note_in_the_corner_of_the_header_is_of_the_whole_table(header: str, corner: str | None, kept: str) -> None:
    (found,) = captioned([replace(TABLE, header=header)])
    assert found.caption == ((corner,) if corner else ())
    assert found.block.header == kept


def test_a_unit_above_a_column_of_figures_is_the_name_of_that_column() -> None:
    weights = Block("5 | 7\n6 | 9", "table", header="Weight in kg | Price in EUR")
    assert captioned([weights])[0].block == weights


def test_a_table_right_under_another_shares_its_caption() -> None:
    blocks = [Block("Costs", page=1), Block("(in EUR)", page=1), TABLE, replace(TABLE, header="(in USD) | 2023")]
    assert [found.caption for found in captioned(blocks)[2:]] == [("Costs", "(in EUR)"), ("Costs", "(in USD)")]


def test_a_table_goes_on_at_the_top_of_the_next_page() -> None:
    more = Block("Ships | 9", "table", page=2)
    found = captioned([Block("Costs (in EUR)", page=1), TABLE, more])[-1]
    assert (found.caption, found.block.header) == (("Costs (in EUR)",), "Kind | 2024")


@pytest.mark.parametrize("other", [replace(TABLE, page=3, header=""), Block("a | b | c", "table", page=2)])
def test_another_table_does_not(other: Block) -> None:
    assert captioned([TABLE, other])[-1].block.header == ""


@pytest.mark.parametrize(
    "text",
    [
        *("(In millions, except per share amounts)", "amounts in thousands of euros", "dollars in thousands", "in %"),
        *("in USD", "in mm", "in T€", "Prices in EUR per unit", "Unit: kg", "(unaudited)", "[net]", "in m²"),
        *("in Tausend", "Beträge in Mio. EUR", "alle Maße in mm", "Werte in Prozent", "in kWh", "(ungeprüft)"),
    ],
)
def test_knows_how_units_are_said(text: str) -> None:
    assert is_unit(text)


@pytest.mark.parametrize("text", ["in May", "Costs of travel", "Hotels in Paris", "in the city", "What to do"])
def test_knows_what_is_none(text: str) -> None:
    assert not is_unit(text)


def test_a_long_caption_is_cut_and_keeps_its_unit() -> None:
    window = Window("Report", "", count_words, 60)
    long = ("The table shows the costs of all journeys of the year that were paid (EUR in thousands):",)
    assert fitting(long, "Report", window) == ("The table shows the costs of all", "(EUR in thousands)")


def test_what_the_section_says_is_not_said_again() -> None:
    assert fitting(("Costs", "(in EUR)"), "Report costs", Window("Report", "", count_words, 256)) == ("(in EUR)",)
