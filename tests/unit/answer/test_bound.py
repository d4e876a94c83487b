"""What of a long text is searched for."""

from __future__ import annotations

import pytest

from pipelines.answer.bound import ENDS, SEARCHED, searched


def test_a_question_is_searched_whole() -> None:
    question = "How much leave do I have in 2026?\nAnd in 2027?"
    assert searched(f"  {question}\n") == question
    assert searched("x" * SEARCHED) == "x" * SEARCHED


def test_of_a_pasted_page_both_ends_are_searched_cut_between_words() -> None:
    page = " ".join(f"word{number}" for number in range(2000))
    kept = searched(f"What does this say of leave? {page} Is it allowed?")
    assert kept.startswith("What does this say of leave? word0 ")
    assert kept.endswith("word1999 Is it allowed?")
    assert set(kept.split()) <= {"What", "does", "this", "say", "of", "leave?", *page.split(), "Is", "it", "allowed?"}


@pytest.mark.parametrize("unit", ["x", "报", "😀", "x ", " \n", "?!", "\u0301"])
def test_a_text_of_any_kind_and_length_becomes_a_short_one(unit: str) -> None:
    kept = searched(unit * 1_000_000)
    assert len(kept) <= 2 * ENDS + 1
    assert kept or not unit.strip()


def test_the_ends_of_a_single_endless_word_are_kept() -> None:
    assert searched("a" * 5000 + "b" * 5000) == "a" * ENDS + "\n" + "b" * ENDS
