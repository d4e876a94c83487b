"""Where code stands in Markdown that is still being written."""

from __future__ import annotations

import pytest

from pipelines.answer.code_spans import CodePlaces


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("plain ", "[1]", False),
        ("`a", "[1]`", True),
        ("``a ` b", "[1]`` c", True),
        ("```py\na", "[1]\n", True),
        ("~~~\n```\n", "[1]", True),
        ("```\na\n```\n", "[1]", False),
        ("1. a\n   ```\n   b", "[1]", True),
        ("1. a\n   ```\n   b\n", "[1]", False),  # the item ended, and its fence with it
        ("`a` b", "[1]`", False),
        ("\\`a", "[1]`", False),
        ("| `a | ", "[1]` |", False),  # a cell of a table ends it
        ("`a\n`b", "[1]`", False),  # one reader sees code here, another does not
        ("`a\n\n`b", "[1]`", True),
    ],
)
def test_a_bracket_is_code_only_when_every_reader_of_markdown_takes_it_so(before: str, after: str, code: bool) -> None:
    places = CodePlaces()
    for character in before:
        places.follow(character)
    assert places.is_code("", after, whole=True, ended=True) is code


def test_a_span_that_is_not_closed_yet_is_not_judged_yet() -> None:
    places = CodePlaces()
    places.follow("`items")
    assert places.is_code("", "[1", whole=False, ended=False) is None
    assert places.is_code("", "[1]`", whole=False, ended=False) is None  # it may yet be two backticks
    assert places.is_code("", "[1]` ", whole=False, ended=False) is True
    assert places.is_code("", "[1]\n", whole=False, ended=False) is False
