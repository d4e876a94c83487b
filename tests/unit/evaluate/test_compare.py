"""Whether two runs differ, and in what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.errors import InvalidRequest
from pipelines.evaluate.compare import compare
from pipelines.evaluate.results import Results, Run, read_results, write_results
from tests.unit.evaluate.rankings import results

FIRST = results({"bm25": [None] * 30, "understand": [1, 2, None] * 10})
BETTER = results({"understand": [1, 1, 4] * 10})


def test_a_run_does_not_differ_from_itself() -> None:
    found = compare(FIRST, FIRST)
    assert (found.ablation_a, found.ablation_b, found.common) == ("understand", "understand", 30)
    assert not any(each.is_real for each in found.differences)
    assert (found.better, found.worse) == ((), ())


def test_a_clearly_better_run_is_better_and_its_questions_are_named() -> None:
    found = compare(FIRST, BETTER)
    hits = next(each for each in found.differences if each.measure == "page_hit@5")
    assert hits.difference == pytest.approx(1 / 3)
    assert (hits.is_real, hits.n) == (True, 30)
    assert (len(found.better), len(found.worse)) == (20, 0)
    assert (found.better[0].before, found.better[0].after, found.better[0].place) == (2, 1, "page")
    assert (found.better[-1].before, found.better[-1].after) == (None, 4)


def test_a_worse_run_is_worse() -> None:
    found = compare(BETTER, FIRST)
    assert (len(found.better), len(found.worse)) == (0, 20)
    assert next(each for each in found.differences if each.measure == "page_hit@5").difference < 0


def test_a_few_questions_show_no_difference() -> None:
    found = compare(results({"understand": [1, 2, 9]}), results({"understand": [1, 1, 9]}))
    assert not any(each.is_real for each in found.differences)


def test_another_ablation_is_compared_on_request() -> None:
    assert compare(FIRST, FIRST, "bm25").ablation_a == "bm25"
    with pytest.raises(InvalidRequest, match="no ablation rerank"):
        compare(FIRST, FIRST, "rerank")


def test_questions_that_one_run_did_not_ask_or_judges_otherwise_are_left_out() -> None:
    (run,) = BETTER.runs
    questions = [*run.questions[:10], replace(run.questions[10], right=("other.pdf#1",))]
    found = compare(FIRST, replace(BETTER, runs=[Run("understand", questions)]))
    assert (found.common, found.judged_otherwise) == (10, 1)


def test_runs_without_a_common_question_cannot_be_compared() -> None:
    (run,) = BETTER.runs
    others = [replace(question, text="Another?") for question in run.questions]
    with pytest.raises(InvalidRequest, match="no question in common"):
        compare(FIRST, replace(BETTER, runs=[Run("understand", others)]))


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "out" / "results.json"
    write_results(FIRST, file)
    assert compare(read_results(file), FIRST).common == 30
    written: Results = read_results(file)
    assert written.about == FIRST.about
    assert written.summaries[0] == FIRST.summaries[0]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"about": {}}'])
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=r"is no results\.json"):
        read_results(file)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_results(tmp_path / "none.json")
