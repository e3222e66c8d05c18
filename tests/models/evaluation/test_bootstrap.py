"""Intervals agree with closed forms, published numbers and the normal approximation."""

import numpy as np
import pytest

from counterpart.evaluation.bootstrap import Interval, mean_figure, mean_interval, share_interval


def test_equal_differences_have_an_interval_without_width() -> None:
    found = mean_interval([0.25] * 7)
    assert found is not None
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("values", [[], [0.3], [0.1, 0.2, 0.3, 0.4]])
def test_fewer_than_five_values_have_no_interval(values: list[float]) -> None:
    assert mean_interval(values) is None


def test_the_ends_are_those_of_95_percent() -> None:
    """Of five draws from (0, 0, 0, 0, 1) the mean exceeds 0.4 in 5.8 % of all cases, 0.6 in 0.7."""
    found = mean_interval([0.0, 0.0, 0.0, 0.0, 1.0])
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0, 0.6))


def test_many_values_have_nearly_the_interval_of_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(0.1, 0.4, 300)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    found = mean_interval(values.tolist())
    assert found is not None
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_turning_the_sign_turns_the_interval() -> None:
    values = np.random.default_rng(1).exponential(1.0, 40)
    found, turned = mean_interval(values.tolist()), mean_interval((-values).tolist())
    assert found is not None
    assert turned is not None
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert found.high - found.value > found.value - found.low  # a long tail above


def test_the_same_values_have_the_same_interval_and_the_seed_may_be_chosen() -> None:
    values = np.random.default_rng(2).standard_normal(20).tolist()
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values) != mean_interval(values, seed=1)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (81, 263, 0.2527, 0.3676),  # this and the next three: Newcombe, Stat Med 17, 1998
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_shares_have_the_published_interval_of_clopper_and_pearson(
    hits: int, trials: int, low: float, high: float
) -> None:
    found = share_interval(hits, trials)
    assert found.value == hits / trials
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_a_mean_leaves_out_what_is_not_known() -> None:
    assert mean_figure([None, None]) is None
    found = mean_figure([1.0, None, 2.0])
    assert found is not None
    assert (found.value, found.scans, found.interval) == (1.5, 2, None)
    many = mean_figure([0.25] * 7)
    assert many is not None
    assert many.interval == Interval(0.25, 0.25, 0.25)
    assert many.times(100.0).interval == Interval(25.0, 25.0, 25.0)
    assert found.times(100.0).interval is None
