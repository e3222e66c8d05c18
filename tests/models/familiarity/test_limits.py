"""Limits: what healthy heads reach, at the rate that was asked for, whatever the unit."""

import math

import numpy as np
import pytest
from scipy import stats

from counterpart.errors import ModelError
from counterpart.familiarity.limits import LEAST_SPREAD, HealthyAmount


def test_a_score_is_the_distance_of_logarithms_in_spreads() -> None:
    amounts = [1.0, 2.0, 4.0, 8.0, 16.0]
    healthy = HealthyAmount.of(amounts)
    assert healthy.centre == pytest.approx(math.log(4.0))
    assert healthy.spread == pytest.approx(np.std(np.log(amounts), ddof=1))
    assert healthy.score(4.0) == pytest.approx(0.0)
    assert healthy.score(8.0) == pytest.approx(-healthy.score(2.0))


def test_the_unit_does_not_matter() -> None:
    amounts = np.array([1.2, 1.5, 1.4, 1.1, 1.9, 1.3])
    small, large = HealthyAmount.of(amounts), HealthyAmount.of(1000 * amounts)
    assert small.score(2.5) == pytest.approx(large.score(2500.0))
    assert large.limit(0.05) == pytest.approx(1000 * small.limit(0.05))


def test_the_limit_is_student_s_prediction_limit() -> None:
    healthy = HealthyAmount.of([1.0, 1.1, 1.3, 0.9, 1.2, 1.05, 1.15])
    assert healthy.reach(0.01) == pytest.approx(stats.t.ppf(0.99, 6) * math.sqrt(8 / 7))
    assert healthy.score(healthy.limit(0.01)) == pytest.approx(healthy.reach(0.01))
    assert healthy.score(healthy.limit(0.01, below=True)) == pytest.approx(-healthy.reach(0.01))


def test_as_many_further_heads_exceed_the_limit_as_promised() -> None:
    rng = np.random.default_rng(0)
    drawn = np.exp(rng.normal(2.0, 0.3, (4000, 11)))
    beyond = [
        HealthyAmount.of(row[:10]).score(row[10]) > HealthyAmount.of(row[:10]).reach(0.05)
        for row in drawn
    ]
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.012)


def test_fewer_heads_or_a_smaller_rate_move_the_limit_away() -> None:
    few, many = HealthyAmount(0.0, 1.0, 5), HealthyAmount(0.0, 1.0, 50)
    assert few.reach(0.01) > many.reach(0.01) > many.reach(0.05) > 0


def test_heads_that_are_all_alike_do_not_make_a_limit_of_nothing() -> None:
    healthy = HealthyAmount.of([3.0] * 6)
    assert healthy.spread == LEAST_SPREAD
    assert healthy.limit(0.001) > 3.05


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((math.nan, 1.0, 9), "finite"),
        ((0.0, 0.0, 9), "positive spread"),
        ((0.0, 1.0, 4), "at least 5 heads"),
        (("a", 1.0, 9), "finite"),
    ],
)
def test_impossible_numbers_are_refused(numbers: tuple, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        HealthyAmount(*numbers)


def test_four_heads_are_too_few() -> None:
    with pytest.raises(ModelError, match=r"at least 5 healthy heads.*got 4"):
        HealthyAmount.of([1.0, 2.0, 3.0, 4.0])
