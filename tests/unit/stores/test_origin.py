"""That an origin stands for exactly one name, whatever the name is."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stores.origin import escape, is_hidden, unescape

file_names = st.binary(min_size=1).map(os.fsdecode)
keys = st.text(st.characters(exclude_categories=["Cs"]))
awkward = st.text(st.sampled_from(["\ufffd", "0", "A", "\x0a", "\x7f", "\udc80", "%"]))


@given(file_names | keys | awkward)
def test_a_name_comes_back_as_it_was(name: str) -> None:
    assert unescape(escape(name)) == name


@given(file_names | keys | awkward)
def test_an_origin_can_be_kept_as_one_line_of_text(name: str) -> None:
    escape(name).encode()
    assert not any(ord(character) < 32 or character == "\x7f" for character in escape(name))


@pytest.mark.parametrize("name", ["100 %.pdf", "a%20b.pdf", "a?b#c.pdf", "年次報告.txt", "a//b", "../b"])
def test_a_name_that_text_can_hold_stays_as_it_is(name: str) -> None:
    assert escape(name) == name


def test_two_points_hide_nothing() -> None:
    assert [is_hidden(part) for part in (".env", "..a", "..", ".", "a.md", "")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
