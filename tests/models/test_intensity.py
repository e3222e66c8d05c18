"""The intensity scale: equivariant, never clipped, and hardly moved by a lesion."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

from counterpart.errors import ScanError
from counterpart.grid import canonical_orientation
from counterpart.intensity import (
    NORMAL_RANGE_SPREADS,
    Normalisation,
    fit_normalisation,
    robust_location_and_spread,
)
from counterpart.scans import read_scan

TUNING = 3.0


def estimate(values: NDArray[np.float64]) -> tuple[float, float]:
    location, spread = robust_location_and_spread(torch.from_numpy(values)[None])
    return float(location), float(spread)


def a_brain_like_sample(seed: int = 0, size: int = 20_000) -> NDArray[np.float64]:
    """Two tissues and a dark tail, as in a T1."""
    rng = np.random.default_rng(seed)
    parts = ((110, 8, 0.45), (80, 9, 0.45), (35, 10, 0.10))
    return np.concatenate([rng.normal(m, s, int(share * size)) for m, s, share in parts])


def slow_location_and_spread(values: NDArray[np.float64]) -> tuple[float, float]:
    """The same M-estimator as a loop over values, from its definition."""
    ordered = sorted(values)
    location = ordered[(len(ordered) - 1) // 2]
    spread = 1.4826 * sorted(abs(v - location) for v in values)[(len(values) - 1) // 2]
    for _ in range(30):
        shares = [(v - location) / (TUNING * spread) for v in values]
        weights = [(1 - u**2) ** 2 if abs(u) < 1 else 0.0 for u in shares]
        location = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
        near = [(v, u) for v, u in zip(values, shares, strict=True) if abs(u) < 1]
        above = sum((v - location) ** 2 * (1 - u**2) ** 4 for v, u in near)
        below = sum((1 - u**2) * (1 - 5 * u**2) for _, u in near)
        spread = (len(near) * above) ** 0.5 / abs(below)
    return location, spread


def gaussian_fixed_point() -> float:
    """The spread of a standard Gaussian under the estimator, by integration."""

    def moment(power: float, polynomial: np.polynomial.Polynomial, limit: float) -> float:
        def integrand(x: float) -> float:
            u = x / limit
            return float(x**power * polynomial(u**2) * stats.norm.pdf(x))

        return float(integrate.quad(integrand, -limit, limit)[0])

    share = np.polynomial.Polynomial([1, -1])
    slope = share * np.polynomial.Polynomial([1, -5])
    one = np.polynomial.Polynomial([1])

    def excess(spread: float) -> float:
        limit = TUNING * spread
        above = moment(0, one, limit) * moment(2, share**4, limit)
        return float(np.sqrt(above) / abs(moment(0, slope, limit)) - spread)

    return float(optimize.brentq(excess, 0.7, 1.5))


def test_on_a_gaussian_the_spread_is_the_closed_form() -> None:
    quantiles = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    location, spread = estimate(100 + 12 * quantiles)
    assert location == pytest.approx(100, abs=1e-6)
    assert spread == pytest.approx(12 * gaussian_fixed_point(), rel=1e-3)
    assert 1.0 < spread / 12 < 1.15


def test_estimator_agrees_with_a_loop_over_values() -> None:
    values = a_brain_like_sample(size=500)
    assert estimate(values) == pytest.approx(slow_location_and_spread(values), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    gain=st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3),
    offset=st.floats(-1e4, 1e4),
)
def test_location_and_spread_follow_affine_changes(gain: float, offset: float) -> None:
    # An odd number: of an even number, torch's median is the lower of two values.
    values = a_brain_like_sample(size=2020)[:1999]
    location, spread = estimate(values)
    changed = estimate(gain * values + offset)
    assert changed[0] == pytest.approx(gain * location + offset, rel=1e-6, abs=1e-6 * abs(gain))
    assert changed[1] == pytest.approx(abs(gain) * spread, rel=1e-5)


def test_rows_do_not_know_of_each_other() -> None:
    rows = torch.from_numpy(np.stack([a_brain_like_sample(s, 1000) for s in range(3)]))
    together = robust_location_and_spread(rows)
    for row in range(3):
        alone = robust_location_and_spread(rows[row : row + 1])
        assert float(together[0][row]) == pytest.approx(float(alone[0]))
        assert float(together[1][row]) == pytest.approx(float(alone[1]))


def test_the_order_of_the_values_does_not_matter() -> None:
    values = a_brain_like_sample(size=2000)
    assert estimate(values[::-1].copy()) == pytest.approx(estimate(values), rel=1e-12)


def test_far_values_have_no_weight_however_far() -> None:
    values = a_brain_like_sample()
    values[:500] = 1e3
    near = estimate(values)
    values[:500] = 1e6
    assert estimate(values) == pytest.approx(near, rel=1e-9)


def test_a_constant_row_has_no_spread() -> None:
    location, spread = robust_location_and_spread(torch.full((1, 100), 7.0))
    assert float(location) == 7.0
    assert float(spread) == 0.0


def test_a_brain_of_which_most_is_one_value_is_refused() -> None:
    with pytest.raises(ScanError, match="one single value"):
        fit_normalisation(np.concatenate([np.full(600, 50.0), np.linspace(20, 80, 400)]))


def test_a_constant_brain_is_refused() -> None:
    with pytest.raises(ScanError, match="one single value"):
        fit_normalisation(np.full(1000, 3.0))


def test_scaling_and_back_returns_the_values() -> None:
    values = a_brain_like_sample().astype(np.float32)
    scale = fit_normalisation(values)
    scaled = scale.apply(values)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scale.invert(scaled), values, rtol=1e-5)


def test_nothing_is_clipped() -> None:
    scaled = Normalisation(100.0, 10.0).apply(np.array([-1e5, 1e6]))
    np.testing.assert_allclose(scaled, [-10_010.0, 99_990.0])


def test_a_subsample_of_a_large_brain_is_enough() -> None:
    values = a_brain_like_sample(size=400_000)
    np.random.default_rng(1).shuffle(values)
    whole = Normalisation(*estimate(values))
    found = fit_normalisation(values.reshape(100, 40, 100))
    assert abs(found.location - whole.location) / whole.spread < 0.02
    assert found.spread == pytest.approx(whole.spread, rel=0.02)


# Of real healthy heads: how far a lesion of a tenth of the brain moves the scaled healthy median,
# in units of the healthy brain's own range from the 1st to the 99th percentile. Measured on the 20
# validate subjects with 6 balls each: a lesion that lies half a range beyond either end moves it by
# 0.008 on average and 0.023 at most, all of which is the healthy tissue that the ball replaces
# (0.003 at most against the estimate from the rest alone). A tenth of a range beyond, it cannot be
# told from healthy tissue by its value alone: up to 0.062.


def a_real_brain(folder: Path, subject: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    scan = read_scan(folder / f"{subject}_T1.nii.gz")
    labels = read_scan(folder / f"{subject}_labels.nii.gz")
    turn = canonical_orientation(scan.grid)
    return turn.forward(scan.values), turn.forward(labels.values > 0)


def a_ball_of_a_tenth(brain: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    index = np.argwhere(brain)
    squared = ((index - index[rng.integers(len(index))]) ** 2).sum(axis=1)
    ball = np.zeros_like(brain)
    ball[tuple(index[np.argsort(squared)[: len(index) // 10]].T)] = True
    return ball


@pytest.fixture(scope="module")
def some_real_brains(the_real_data: Path) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    folder = the_real_data / "healthy_t1"
    with (folder / "split.csv").open() as stream:
        names = [row["subject"] for row in csv.DictReader(stream) if row["part"] == "validate"]
    return [a_real_brain(folder, name) for name in names[:20:5]]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("beyond", "moved", "moved_from_rest"),
    [(0.5, 0.03, 0.006), (0.25, 0.055, 0.04), (0.1, 0.07, 0.055)],
)
@pytest.mark.parametrize("darker", [True, False])
def test_a_lesion_of_a_tenth_hardly_moves_the_healthy_median(
    some_real_brains: list[tuple[NDArray[np.float32], NDArray[np.bool_]]],
    beyond: float,
    moved: float,
    moved_from_rest: float,
    darker: bool,
) -> None:
    rng = np.random.default_rng(0)
    for values, brain in some_real_brains:
        low, high = np.percentile(values[brain], [1, 99])
        level = low - beyond * (high - low) if darker else high + beyond * (high - low)
        for _ in range(2):
            ball = a_ball_of_a_tenth(brain, rng)
            sick = values.copy()
            sick[ball] = level + 0.03 * (high - low) * rng.standard_normal(int(ball.sum()))
            healthy = values[brain & ~ball]
            median = np.median(healthy)
            with_lesion = fit_normalisation(sick[brain]).apply(median)
            unit = (high - low) / fit_normalisation(values[brain]).spread
            before = fit_normalisation(values[brain]).apply(median)
            rest = fit_normalisation(healthy).apply(median)
            assert abs(with_lesion - before) / unit < moved
            assert abs(with_lesion - rest) / unit < moved_from_rest


@pytest.mark.real_data
def test_the_normal_range_is_about_that_of_real_brains(
    some_real_brains: list[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> None:
    for values, brain in some_real_brains:
        scaled = fit_normalisation(values[brain]).apply(values[brain])
        low, high = np.percentile(scaled, [1, 99])
        assert high - low == pytest.approx(NORMAL_RANGE_SPREADS, rel=0.25)
