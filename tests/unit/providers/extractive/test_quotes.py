"""What of a passage can be quoted."""

from __future__ import annotations

import pytest

from pipelines.answer.prompt import PromptPassage
from pipelines.providers.extractive.quotes import quotes_of


def texts(passage: str) -> list[str]:
    return [quote.text for quote in quotes_of([PromptPassage(1, "Travel", None, passage)])]


def test_prose_is_cut_into_sentences_across_wrapped_lines() -> None:
    assert texts("Trains come first. First class may\nbe booked for e.g. Paris, up to 2.5 hours. Ask!") == [
        "Trains come first.",
        "First class may be booked for e.g. Paris, up to 2.5 hours.",
        "Ask!",
    ]


def test_a_sentence_that_leans_on_the_one_before_it_is_quoted_with_it() -> None:
    assert texts("Logs are kept for 180 days. They are read by two persons. Nobody else may.") == [
        "Logs are kept for 180 days.",
        "Logs are kept for 180 days. They are read by two persons.",
        "Nobody else may.",
    ]


def test_a_section_is_the_prose_under_one_heading_however_long_the_passage_is() -> None:
    passage = "# Hotels\nLimits are per night.\nCity | Limit\nParis | 195 EUR\n\n# Taxis\nTaxis are paid."
    quotes = quotes_of([PromptPassage(1, "Travel", 3, passage)])
    assert [(quote.text, quote.section) for quote in quotes] == [
        ("Limits are per night.", "Limits are per night."),
        ("City: Paris; Limit: 195 EUR", "Limits are per night."),
        ("Taxis are paid.", "Taxis are paid."),
    ]


def test_a_heading_is_not_quoted_but_stands_above_what_is() -> None:
    quotes = quotes_of([PromptPassage(1, "Travel", 3, "Hotels › Paris\nThe limit is 195 EUR.")])
    assert [(quote.text, quote.context) for quote in quotes] == [("The limit is 195 EUR.", "Travel › Hotels › Paris")]


def test_list_items_are_quoted_one_by_one_without_their_marks() -> None:
    assert texts("- A desk, up to 450 EUR\n- A chair\n2) A lamp") == ["A desk, up to 450 EUR", "A chair", "A lamp"]


@pytest.mark.parametrize(
    "table",
    [
        "| City | Limit |\n| --- | --- |\n| Paris | 195 EUR |\n| Lisbon | 155 EUR |",
        "City | Limit\nParis | 195 EUR\nLisbon | 155 EUR",
        "City\tLimit\nParis\t195 EUR\nLisbon\t155 EUR",
    ],
)
def test_a_row_is_quoted_with_its_header(table: str) -> None:
    assert texts(table) == ["City: Paris; Limit: 195 EUR", "City: Lisbon; Limit: 155 EUR"]


def test_a_row_whose_cells_name_their_columns_is_quoted_as_it_is() -> None:
    assert texts("City: Paris | Limit: 195 EUR\nCity: Lisbon | Limit: 155 EUR") == [
        "City: Paris; Limit: 195 EUR",
        "City: Lisbon; Limit: 155 EUR",
    ]


def test_a_line_in_capitals_is_a_heading_even_when_it_is_numbered() -> None:
    quotes = quotes_of([PromptPassage(1, "Safety", None, "2. ASSEMBLY POINTS\nMeet at bollard 17.")])
    assert [(quote.text, quote.heading) for quote in quotes] == [("Meet at bollard 17.", "2. ASSEMBLY POINTS")]


def test_a_table_that_lost_its_lines_is_not_quoted_whole() -> None:
    assert texts("Sweden 26 EUR Germany 28 EUR " * 20) == []


def test_rows_without_cell_borders_are_quoted_with_the_line_above_the_table() -> None:
    passage = "The limits are per night.\nCity Hotel limit per night\nParis 195 EUR\nLisbon 155 EUR\nTips are not paid."
    assert texts(passage) == [
        "The limits are per night.",
        "Paris 195 EUR (City Hotel limit per night)",
        "Lisbon 155 EUR (City Hotel limit per night)",
        "Tips are not paid.",
    ]


def test_a_table_after_another_has_its_own_header() -> None:
    passage = "A | B\n1 | 2\n\nBetween them.\n\nC | D\n3 | 4\nE | F | G\n5 | 6 | 7"
    assert texts(passage) == ["A: 1; B: 2", "Between them.", "C: 3; D: 4", "E: 5; F: 6; G: 7"]


def test_the_same_sentence_in_two_passages_is_quoted_once() -> None:
    passages = [PromptPassage(number, "Travel", number, "Tips are not paid.") for number in (1, 2)]
    assert [quote.number for quote in quotes_of(passages)] == [1]


def test_a_row_is_quoted_with_the_unit_that_stands_above_its_table() -> None:
    caption = "Statements of income · (In millions, unaudited)"
    passage = f"{caption}\nNet sales: Products | 2023: 60 | 2022: 64\nCosts | 2023: 5"
    quotes = quotes_of([PromptPassage(1, "Report", 4, passage)])
    assert [quote.text for quote in quotes] == [
        "Net sales: Products; 2023: 60; 2022: 64 (In millions, unaudited)",
        "Costs; 2023: 5 (In millions, unaudited)",
    ]
    assert quotes[0].context == "Report › Statements of income · (In millions, unaudited)"
