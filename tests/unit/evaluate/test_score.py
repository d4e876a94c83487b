"""Measures over small rankings, checked by hand."""

from __future__ import annotations

import math

import pytest

from pipelines.evaluate.score import MEASURES, score
from tests.unit.evaluate.rankings import judged, ranked


def test_a_right_page_at_the_third_rank_counts_as_the_definitions_say() -> None:
    question = judged(pages={"a#2": 1}, documents={"a": 1})
    (measures,) = score([ranked(question, "b#1", "c#1", "a#2", "a#3")])
    assert set(measures) == set(MEASURES)
    assert (measures["page_hit@1"], measures["page_hit@5"], measures["page_hit@10"]) == (0, 1, 1)
    assert measures["page_RR@10"] == pytest.approx(1 / 3)
    assert measures["page_nDCG@10"] == pytest.approx(1 / math.log2(4))


def test_a_page_is_ranked_once_by_its_first_passage() -> None:
    question = judged(pages={"a#9": 1}, documents={"a": 1})
    (measures,) = score([ranked(question, *["b#1"] * 7, "a#9")])
    assert measures["page_hit@5"] == 1
    assert measures["page_RR@10"] == pytest.approx(1 / 2)


def test_a_document_has_the_rank_of_its_first_passage() -> None:
    question = judged(documents={"a": 1})
    (measures,) = score([ranked(question, *["b#1"] * 5, "a#9")])
    assert (measures["document_hit@5"], measures["document_hit@10"]) == (0, 1)
    assert measures["document_RR@10"] == pytest.approx(1 / 6)


def test_a_document_found_again_and_again_counts_once() -> None:
    question = judged(documents={"a": 1, "b": 1})
    (measures,) = score([ranked(question, "a#1", "a#2", "a#3")])
    assert measures["document_R@5"] == pytest.approx(1 / 2)
    assert measures["document_nDCG@10"] == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_recall_counts_all_right_pages() -> None:
    question = judged(pages={"a#1": 1, "a#2": 1, "a#3": 1, "b#1": 1}, documents={"a": 1, "b": 1})
    (measures,) = score([ranked(question, "a#1", "c#1", "a#2", "c#2", "c#3", "b#1")])
    assert (measures["page_R@5"], measures["page_R@10"]) == (0.5, 0.75)


def test_a_page_of_a_higher_grade_is_worth_more_at_the_top() -> None:
    question = judged(pages={"a#1": 1, "a#2": 2}, documents={"a": 1})
    best, worst = score([ranked(question, "a#2", "a#1"), ranked(question, "a#1", "a#2")])
    assert best["page_nDCG@10"] == 1
    assert worst["page_nDCG@10"] == pytest.approx((1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3)))


def test_a_question_that_finds_nothing_counts_as_zero_also_where_none_finds_anything() -> None:
    right = judged("found", pages={"a#1": 1}, documents={"a": 1})
    found, nothing = score([ranked(right, "a#1"), ranked(judged("lost", pages={"a#1": 1}, documents={"a": 1}))])
    assert found["page_hit@1"] == 1
    assert set(nothing) == set(MEASURES)
    assert set(nothing.values()) == {0.0}
    (alone,) = score([ranked(right)])
    assert set(alone.values()) == {0.0}


def test_a_question_without_a_known_page_is_measured_by_its_documents_alone() -> None:
    (measures,) = score([ranked(judged(documents={"a": 1}), "a#1")])
    assert {name.partition("_")[0] for name in measures} == {"document"}


def test_a_question_that_has_no_answer_has_no_measures() -> None:
    assert score([ranked(judged(), "a#1")]) == [{}]
