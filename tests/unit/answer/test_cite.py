"""The citations of a streamed answer: right ones pass, whatever their form, and no other number reaches the reader."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.answer.cite import WINDOW, CitationFilter

NUMBERS = {1, 2, 3}
OPEN_WEBUI_CITATION = re.compile(r"\[(\d+(?:#[^,\]\s]+)?(?:,\s*\d+(?:#[^,\]\s]+)?)*)\]", re.ASCII)
"""As its frontend (0.12.4) finds them."""


def checked(text: str, numbers: set[int] | None = None) -> str:
    citations = CitationFilter(NUMBERS if numbers is None else numbers)
    return citations.feed(text) + citations.end()


@pytest.mark.parametrize(
    "written",
    [
        "[1]", "[[1]]", "\\[1\\]", "【1】", "［1］", "〔1〕", "[^1]", "[#1]", "[ 1 ]", "[\u200b1]", "[１]", "[1#a]",
        "[Source 1]", "[source: 1]", "[passage 1]", "[doc1]", "[ref_1]", "[citation:1]", "[Quelle 1]", "[Document #1]",
        "【1†source】", "【1:0†source】", "【1†L10-L20】", "[1†L3]",
        "[Passage 1, p. 3]", "[1, p. 4]", "[1, pp. 4-5]", "[1 p.4]", "[1, S. 4]", "[1, Travel p.2]", "[1, leave.md]",
        "[1, 99]", "[1; 99]", "[98-99, 1]", "[1 and 99]", "[0-1]", "[1, 1]", "[1,\n99]",
    ],
)  # fmt: skip
def test_every_form_of_a_right_mark_becomes_the_one_that_open_webui_renders(written: str) -> None:
    assert checked(f"It is 28 days {written}.") == "It is 28 days [1]."


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("[3, 9]", "[3]"),
        ("[2-4]", "[2][3]"),
        ("[2–9999999]", "[2][3]"),
        ("[3-1]", "[1][2][3]"),
        ("[3, 1]", "[3][1]"),
        ("[1][99][2]", "[1][2]"),
        ("[1], [99] or [2]", "[1] or [2]"),
        ("[Source 1, Source 2, Source 9]", "[1][2]"),
        ("[" + ", ".join(map(str, range(1, 40))) + "] x", "[1][2][3] x"),
    ],
)
def test_of_several_numbers_the_right_ones_are_left(written: str, read: str) -> None:
    assert checked(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("28 days [99].", "28 days."),
        ("28 days [99] a year", "28 days a year"),
        ("28 days[99] a year", "28 days a year"),
        ("28 days [99]a year", "28 days a year"),
        ("28 days ([99]).", "28 days."),
        ("28 days (see [99]).", "28 days (see)."),
        ("28 days ([98], [99]) a year", "28 days a year"),
        ("28 days ([99], [1]) or", "28 days ([1]) or"),
        ("28 days **[99]**, or", "28 days, or"),
        ("[99] 28 days", "28 days"),
        ("- [99] 28 days\n- [1] 30", "- 28 days\n- [1] 30"),
        ("28 days【99†source】.\n\n[99]\n", "28 days.\n\n\n"),
        ("In [2023] and [0]", "In and"),
        ("[[99]98]", "[\\98]"),
        ("[9,[99]1]", "[9,\\1]"),
        ("`[99]`[99]`", "`[99]` `"),
    ],
)
def test_a_number_that_no_passage_has_leaves_no_hole(written: str, read: str) -> None:
    assert checked(written) == read


@pytest.mark.parametrize(
    "text",
    [
        "- [ ] open\n- [x] done",
        "[the policy](http://host/a[1]b)".replace("[1]", ""),
        "a [link][ref], ![image](x.png) and [Annual report 2023]",
        "[5 million in fiscal 2023, see p. 4] [2023-09-30] [a, b] [1.5] [n]",
        "an unfinished [",
        "an unfinished [12",
        "an unfinished 【1†sour",
        "`items[99]` and ``a ` [99]`` there",
        "```python\nitems[99]\n[7]\n```\nafter",
        "~~~\n[99]\n```\n[98]\n~~~~\n",
        "1. First:\n\n    ```sql\n    select a[99]\n    ```\n2. Second",
        "- ```\n  a[99]\n  ```\n- b",
        "2 * 3 (a, b) ** c , d ; e \\ f \\* g",
        "  spaced   out                               text \t\n\n  ",
        "```\nnever closed [99]",
    ],
)
def test_what_is_no_citation_stays_as_it_is(text: str) -> None:
    assert checked(text) == text


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a stray ` and [99] b", "a stray ` and b"),
        ("``a ` [99] ` b", "``a ` ` b"),
        ("`a\n[99]`", "`a\n`"),
        ("`\n`[99]`", "`\n` `"),
        ("| a ` | [99] ` |", "| a ` | ` |"),
        ("\\`[99]`", "\\` `"),
        ("- ```\n  code\n  ```\n  then [99]", "- ```\n  code\n  ```\n  then"),
        ("- ```\n  code\n[99] after", "- ```\n  code\nafter"),
        ("text\n    ```\n    [99]", "text\n    ```\n"),
        ("```\ncode\n```\n[99] after", "```\ncode\n```\nafter"),
        ("``` not a fence ` [99]\n[99]", "``` not a fence `\n"),
        ("`" + "x" * 5 + "[99]" + "y" * WINDOW + "`", "`" + "x" * 5 + "y" * WINDOW + "`"),
    ],
)
def test_what_only_looks_like_code_is_checked(written: str, read: str) -> None:
    assert checked(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("[1](http://foreign.example)", "[1] (http://foreign.example)"),
        ("[^1]: http://foreign.example", "[1] : http://foreign.example"),
        ("[1][foreign]", "[1] [foreign]"),
        ("as follows [1]: a, b", "as follows [1]: a, b"),
        ("[99](http://foreign.example)", "(http://foreign.example)"),
    ],
)
def test_a_citation_is_never_the_text_of_a_link(written: str, read: str) -> None:
    assert checked(written) == read


def test_without_citations_no_mark_is_left() -> None:
    assert checked("I could not find this [1]【2†source】 (see [3]).", set()) == "I could not find this (see)."


def test_text_without_a_bracket_passes_at_once() -> None:
    citations = CitationFilter(NUMBERS)
    pieces = ["Full-time", " employees", " have", " 28", " days.", "\n\n- **Leave", ": `code`", " 10,5"]
    assert [citations.feed(piece) for piece in pieces] == pieces


@pytest.mark.parametrize(
    "text", ["[" + "1" * 500, "[1," + " " * 500, "【1†" + "x" * 500, "(" * 500, " " * 500, "\\" * 500, "`[" * 99]
)
def test_little_is_held_back_whatever_comes(text: str) -> None:
    citations = CitationFilter(NUMBERS)
    said = 0
    for place, character in enumerate(text, start=1):
        said += len(citations.feed(character))
        assert place - said <= 2 * WINDOW


def test_citations_that_become_known_later_hold_from_then_on() -> None:
    numbers: set[int] = set()
    citations = CitationFilter(numbers)
    before = citations.feed("a [1] b ")
    numbers.add(1)
    assert before + citations.feed("[1] c") + citations.end() == "a b [1] c"


def test_marks_that_lost_a_number_are_counted() -> None:
    citations = CitationFilter(NUMBERS)
    citations.feed("[1] [99] [2, 98] [2-4] `[97]`")
    citations.end()
    assert citations.dropped == 3


FRAGMENTS = [
    *("[1]", "[99]", "[1, 99]", "[2-4]", "【1†source】", "[[99]]", "\\[1\\]", "[^1]", "[Source 2]", "[1](u)", "[1]: u"),
    *("[", "]", "\\", "`", "``", "```", "\n", "\n```\n", "~~~\n", "    ", "- ", "1. ", "|", "(", ")", "**", ", ", " "),
    *("1", "99", "word", ".", "#", "†", "p. 3", "source", "\u200b", "ü", "9" * 45, "[1,", "、"),
]
answers = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join) | st.text()


@given(answer=answers, cuts=st.lists(st.integers(0, 120), max_size=30))
def test_it_does_not_matter_how_an_answer_is_cut_into_pieces(answer: str, cuts: list[int]) -> None:
    places = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    citations = CitationFilter(NUMBERS)
    pieces = [citations.feed(answer[start:end]) for start, end in pairwise(places)]
    assert "".join(pieces) + citations.end() == checked(answer)


@given(answers)
def test_no_number_that_no_passage_has_is_left_outside_code(answer: str) -> None:
    read = checked(answer)
    if "`" in read or "~~~" in read:
        return
    for mark in OPEN_WEBUI_CITATION.finditer(read):
        if read[: mark.start()].endswith("\\"):
            continue
        assert {int(number) for number in re.findall(r"(?:^|,\s*)(\d+)", mark[1])} <= NUMBERS


@given(st.text(st.characters(exclude_characters="[［【〔〖⟦❲"), max_size=200))
def test_text_without_marks_is_never_changed(answer: str) -> None:
    assert checked(answer) == answer


def test_an_answer_that_comes_as_one_piece_costs_no_more_than_one_that_is_streamed() -> None:
    answer = "Leave is 28 days [1] (see [99]). " * 3_000
    started = time.perf_counter()
    assert checked(answer).count("[1]") == 3_000
    assert time.perf_counter() - started < 3
