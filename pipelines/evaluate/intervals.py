"""Values a question in; how sure a mean or a difference is, out: bootstrap over the questions.

Questions are what is drawn: a figure speaks of questions like these, over these documents. Everything is seeded, so
the same results give the same intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats  # type: ignore[import-untyped]  # scipy 1.18 has no types

RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 4


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % percentile interval; from one value alone there is none."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The mean of b - a with its 95 % interval, and how likely one as large is if a and b are alike (two-sided)."""

    mean: float
    low: float
    high: float
    p: float


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of at least one value, with the percentile interval of its bootstrap (Efron and Tibshirani 1993)."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None, None)
    found = stats.bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return Interval(mean, float(found.confidence_interval.low), float(found.confidence_interval.high))


def paired_difference(a: Sequence[float], b: Sequence[float]) -> PairedDifference:
    """Compare two systems over the same questions, in the same order; at least one.

    The test is the bootstrap of the differences, shifted to a mean of 0 (Sakai 2006; the shift method of Smucker,
    Allan and Carterette 2007). p is never 0: one more resample, the observed one, is counted.
    """
    differences = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    mean = float(differences.mean())
    draws = np.random.default_rng(SEED).integers(0, len(differences), size=(RESAMPLES, len(differences)))
    means = differences[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    as_large = np.abs(means - mean) >= abs(mean) - 1e-12
    return PairedDifference(mean, float(low), float(high), float((as_large.sum() + 1) / (RESAMPLES + 1)))
