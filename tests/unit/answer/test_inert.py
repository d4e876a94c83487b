"""What of a text may stand in a prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.answer.inert import inert, visible
from pipelines.answer.marks import MARK


@pytest.mark.parametrize(
    "text",
    [
        "می‌خواهم",  # Persian, with a non-joiner
        "क्‍ष और श्री‌मान",  # Hindi, with a joiner and a non-joiner
        "👩‍👩‍👧 👁️‍🗨️ 1️⃣ ❤️",
        "\u200fשלום (C++)\u200f",
        "葛󠄀城市",  # a variant of a Han character
        "Zürich, 漢字, 한국어, ѐ, é\ttab\nline",
        "m² of ³ floors¹",
    ],
)
def test_text_of_any_language_stays_as_it_is(text: str) -> None:
    assert inert(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u200bb\u2060c\ufeffd\u00ade", "abcde"),
        ("a\x00b\x1b[0m\x7f\x9f", "ab[0m"),
        ("pass\u200dword is\ufe0f", "password is"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("hi\U000e0041\U000e0042\U000e007f", "hi"),
        ("😀" + "\ufe01\ufe02\U000e0101" * 9, "😀\ufe01\ufe02"),
        ("\ud83d alone \udc00", "\ufffd alone \ufffd"),
    ],
)
def test_what_nobody_sees_goes(text: str, seen: str) -> None:
    assert visible(text) == seen


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("Revenue [7] was (7).", "Revenue {7} was (7)."),
        ("[1][2-4], [[5]] and 【6†source】", "{1}{2-4}, {5} and {6†source}"),
        ("\\[1\\] [^2]: [3](http://x)", "{1} {^2}: {3}(http://x)"),
        ("[Page intentionally left blank] [x] [●] [a, b]", "[Page intentionally left blank] [x] [●] [a, b]"),
    ],
)
def test_only_what_reads_like_a_citation_is_written_in_braces(text: str, quoted: str) -> None:
    assert inert(text) == quoted


@given(st.text() | st.text("[]【】［］\\^#†{},-–1 29p.source\u200d\u200b", max_size=40))
def test_nothing_that_is_left_reads_like_a_citation(text: str) -> None:
    once = inert(text)
    assert MARK.search(once) is None
    assert inert(once) == once


@pytest.mark.parametrize(
    "text",
    ["[1" * 20_000, "[1" + ", 2" * 20_000, "[1," + " " * 50_000, "[" * 50_000, "[1, " + "p. " * 20_000, "\\" * 50_000],
    ids=lambda text: text[:8],
)
def test_an_enormous_mark_is_read_in_no_time(text: str) -> None:
    assert len(inert(text)) == len(text)
