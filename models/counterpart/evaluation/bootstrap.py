"""Intervals: of paired differences by resampling, of shares exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from scipy import stats

RESAMPLES = 10_000
LEAST_VALUES = 5
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval.

    Args:
        value: The figure.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MeanFigure:
    """The mean of a figure over scans.

    Args:
        value: The mean.
        scans: How many have the figure.
        interval: Its 95 % interval; None with fewer than five scans.
    """

    value: float
    scans: int
    interval: Interval | None

    def times(self, factor: float) -> MeanFigure:
        """The same in another unit."""
        interval = self.interval
        if interval is not None:
            ends = (interval.value, interval.low, interval.high)
            interval = Interval(*(factor * end for end in ends))
        return MeanFigure(factor * self.value, self.scans, interval)


def mean_figure(values: Iterable[float | None]) -> MeanFigure | None:
    """The mean of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return MeanFigure(mean(known), len(known), mean_interval(known))


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Interval | None:
    """The mean with the percentile interval of 10,000 resamples of the values.

    For a paired comparison the values are the differences, one for each patient.

    Args:
        values: (N,) finite.
        seed: Of the resamples.

    Returns:
        None with fewer than five values, whose resamples say nothing of the spread.
    """
    if len(values) < LEAST_VALUES:
        return None
    known = np.asarray(values, np.float64)
    rows = np.random.default_rng(seed).integers(len(known), size=(RESAMPLES, len(known)))
    means = known[rows].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(known.mean()), float(low), float(high))


def share_interval(hits: int, trials: int) -> Interval:
    """A share with its exact binomial interval (Clopper and Pearson 1934).

    Args:
        hits: From 0 to ``trials``.
        trials: At least 1.
    """
    found = stats.binomtest(hits, trials).proportion_ci(confidence_level=LEVEL, method="exact")
    return Interval(hits / trials, float(found.low), float(found.high))
