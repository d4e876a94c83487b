"""How sure a mean and a difference are."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.evaluate.intervals import mean_interval, paired_difference


def test_the_interval_of_a_share_is_that_of_the_textbook() -> None:
    interval = mean_interval([1.0] * 60 + [0.0] * 40)
    # Normal approximation: 0.6 ± 1.96 · √(0.6 · 0.4 / 100).
    assert interval.mean == pytest.approx(0.6)
    assert interval.low == pytest.approx(0.504, abs=0.015)
    assert interval.high == pytest.approx(0.696, abs=0.015)


def test_the_same_values_give_the_same_interval() -> None:
    values = list(np.random.default_rng(1).random(50))
    assert mean_interval(values) == mean_interval(values)


def test_one_value_has_no_interval_and_equal_values_a_narrow_one() -> None:
    assert (mean_interval([0.5]).low, mean_interval([0.5]).high) == (None, None)
    assert (mean_interval([1.0, 1.0]).low, mean_interval([1.0, 1.0]).high) == (1.0, 1.0)


def test_two_runs_alike_differ_by_nothing() -> None:
    found = paired_difference([0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_many_questions_better_and_none_worse_is_a_difference() -> None:
    found = paired_difference([0.0] * 20 + [1.0] * 60, [1.0] * 80)
    assert found.mean == pytest.approx(0.25)
    assert found.low > 0.1
    assert found.p < 0.001


def test_as_many_better_as_worse_is_none() -> None:
    found = paired_difference([0.0] * 10 + [1.0] * 10, [1.0] * 10 + [0.0] * 10)
    assert found.p == 1


def test_p_is_near_that_of_the_t_test() -> None:
    from scipy import stats  # type: ignore[import-untyped]

    rng = np.random.default_rng(3)
    a = rng.random(80)
    b = a + rng.normal(0.05, 0.25, 80)
    expected = stats.ttest_rel(b, a).pvalue
    assert paired_difference(list(a), list(b)).p == pytest.approx(expected, abs=0.02)
