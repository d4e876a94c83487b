"""Which words of a text carry its meaning."""

from __future__ import annotations

import pytest

from pipelines.answer.words import akin, significant_words, stem


def test_keeps_what_a_question_is_about_as_it_was_written() -> None:
    assert significant_words("How many days of leave do I get in Bremerhaven, and days off?") == [
        "days",
        "leave",
        "Bremerhaven",
    ]
    assert significant_words("Wie viele Urlaubstage habe ich?")[:1] == ["Urlaubstage"]


@pytest.mark.parametrize(
    "forms",
    [("day", "days"), ("reimburse", "reimbursed", "reimburses"), ("policy", "policies"), ("course", "courses")],
)
def test_forms_of_one_word_have_one_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


def test_related_words_are_akin_and_short_ones_are_not() -> None:
    assert akin(stem("weigh"), stem("weight"))
    assert not akin("car", "card")
    assert not akin("work", "workshop")
