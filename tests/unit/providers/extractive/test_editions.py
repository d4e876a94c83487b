"""Which of two editions is quoted first, and what is said of the other."""

from __future__ import annotations

import pytest

from pipelines.answer.prompt import PromptPassage
from pipelines.providers.extractive.editions import newest_first
from pipelines.providers.extractive.quotes import Quote, quotes_of


def given(passages: list[PromptPassage]) -> list[tuple[str, bool]]:
    """What is given of the passages' quotes when all were chosen."""
    quotes = quotes_of(passages)
    return [(cited.quote.text, cited.older) for cited in newest_first(quotes, [], passages)]


OLD, NEW = "Ladders are checked once a year.", "Ladders are checked twice a year."


@pytest.mark.parametrize(
    ("old_name", "old_text", "new_name", "new_text"),
    [
        ("ladders-2021.md", OLD, "ladders-2024.md", NEW),
        (
            "ladder rule v1.pdf p.2",
            f"Valid from 3 May 2021.\n\n{OLD}",
            "ladder rule v2.pdf p.3",
            f"{NEW} Since May 2024.",
        ),
    ],
)
def test_the_newer_edition_comes_first_and_the_older_is_called_so(
    old_name: str, old_text: str, new_name: str, new_text: str
) -> None:
    passages = [PromptPassage(1, old_name, None, old_text), PromptPassage(2, new_name, None, new_text)]
    cited = given(passages)
    assert cited.index((NEW, False)) < cited.index((OLD, True))


def test_a_newer_edition_that_was_not_chosen_is_found() -> None:
    passages = [PromptPassage(1, "ladders-2021.md", None, OLD), PromptPassage(2, "ladders-2024.md", None, NEW)]
    old, new = quotes_of(passages)
    assert [(cited.quote, cited.older) for cited in newest_first([old], [old, new], passages)] == [
        (new, False),
        (old, True),
    ]


def test_a_row_is_replaced_by_the_row_of_the_same_name_only() -> None:
    passages = [
        PromptPassage(1, "travel-2023.md", None, "City | Limit\nParis | 100\nLisbon | 110"),
        PromptPassage(2, "travel-2025.md", None, "City | Limit\nParis | 120"),
    ]
    assert given(passages) == [
        ("City: Paris; Limit: 120", False),
        ("City: Paris; Limit: 100", True),
        ("City: Lisbon; Limit: 110", False),
    ]


@pytest.mark.parametrize(
    ("other_name", "other_text"),
    [
        ("cranes-2024.md", NEW),  # another document
        ("ladders.md", NEW),  # nobody knows when
        ("ladders-2021.md p.2", NEW),  # the same one
    ],
)
def test_nothing_is_claimed_where_no_newer_edition_is_known(other_name: str, other_text: str) -> None:
    passages = [PromptPassage(1, "ladders-2021.md", None, OLD), PromptPassage(2, other_name, None, other_text)]
    assert given(passages) == [(OLD, False), (NEW, False)]


def test_what_two_editions_say_alike_is_not_called_different() -> None:
    passages = [
        PromptPassage(1, "ladders-2021.md", None, "Ladders have a label and are checked once a year."),
        PromptPassage(2, "ladders-2024.md", None, "Ladders have a yellow label and are checked once a year."),
    ]
    assert [older for _, older in given(passages)] == [False, False]


def test_no_passages_give_no_quotes() -> None:
    assert newest_first(list[Quote](), [], []) == []
