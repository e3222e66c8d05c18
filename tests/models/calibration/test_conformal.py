"""Conformal p-values: closed forms, ties, exchangeable simulations, familywise error, splits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from counterpart.calibration.conformal import (
    LEVELS,
    attainable_level,
    conformal_p,
    finding_masses,
    largest_mass,
    order_check,
    p_floor,
    split_check,
)
from counterpart.errors import ModelError
from counterpart.findings import find_findings
from counterpart.grid import Grid

GRID = Grid((24, 20, 16), np.diag([4.0, 4.0, 4.0, 1.0]))


def test_p_counts_the_scans_that_are_at_least_as_strong() -> None:
    calibration = [1.0, 2.0, 3.0, 4.0]
    assert conformal_p(5.0, calibration) == 1 / 5
    assert conformal_p(2.5, calibration) == 3 / 5
    assert conformal_p(0.5, calibration) == 1.0
    assert conformal_p(7.0, []) == 1.0


def test_ties_count_as_stronger() -> None:
    assert conformal_p(2.0, [1.0, 2.0, 2.0, 3.0]) == 4 / 5
    assert conformal_p(0.0, [0.0] * 9) == 1.0


def test_the_floor_is_reached_and_never_passed() -> None:
    assert p_floor(40) == 1 / 41
    assert p_floor(0) == 1.0
    assert conformal_p(math.inf, [1.0] * 40) == p_floor(40)
    with pytest.raises(ModelError, match="at least 0"):
        p_floor(-1)


def test_a_value_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ModelError, match="NaN"):
        conformal_p(math.nan, [1.0])
    with pytest.raises(ModelError, match="NaN"):
        conformal_p(1.0, [math.nan])


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=30).map(
        lambda values: [float(v) for v in values]
    )
)
def test_the_ranks_of_any_scans_are_superuniform(values: list[float]) -> None:
    """Leave each scan out once: at most k of them have p <= k/(n + 1), ties or not."""
    size = len(values)
    found = [conformal_p(one, values[:i] + values[i + 1 :]) for i, one in enumerate(values)]
    for rank in range(1, size + 1):
        assert sum(p <= rank / size + 1e-12 for p in found) <= rank


@given(st.floats(0, 10), st.floats(0, 10), st.lists(st.floats(0, 10), max_size=12))
def test_a_stronger_finding_never_has_a_larger_p(
    one: float, other: float, calibration: list[float]
) -> None:
    low, high = sorted((one, other))
    assert conformal_p(high, calibration) <= conformal_p(low, calibration)
    assert conformal_p(high, calibration) == conformal_p(high, calibration[::-1])


def test_exchangeable_scans_reach_each_attainable_level_exactly() -> None:
    rng = np.random.default_rng(1)
    n, draws = 19, 4000
    found = np.array(
        [conformal_p(scan[0], scan[1:]) for scan in rng.lognormal(size=(draws, n + 1)).tolist()]
    )
    np.testing.assert_allclose(np.unique(found), np.arange(1, n + 2) / (n + 1))
    for rank in (1, 2, 4, 10):
        count = int((found <= rank / (n + 1) + 1e-9).sum())
        low, high = stats.binom.interval(0.9999, draws, rank / (n + 1))
        assert low <= count <= high


def test_ties_make_it_conservative() -> None:
    rng = np.random.default_rng(2)
    scans = rng.poisson(0.5, size=(4000, 20)).astype(float).tolist()
    found = np.array([conformal_p(scan[0], scan[1:]) for scan in scans])
    for level in LEVELS:
        assert (found <= level).mean() < stats.binom.isf(1e-4, 4000, level) / 4000
    assert (found <= 0.05).mean() < 0.03


def test_a_shift_is_found_with_power() -> None:
    rng = np.random.default_rng(3)
    found = [
        conformal_p(float(rng.lognormal(2.5)), rng.lognormal(size=39).tolist()) for _ in range(1000)
    ]
    assert np.mean(np.array(found) <= 0.05) > 0.6


@pytest.mark.parametrize(
    ("level", "n", "expected"),
    [(0.05, 19, 1 / 20), (0.05, 18, 0.0), (0.1, 30, 3 / 31), (0.2, 4, 0.2)],
)
def test_the_attainable_level_is_the_next_fraction_below(
    level: float, n: int, expected: float
) -> None:
    assert attainable_level(level, n) == pytest.approx(expected)


def an_anomaly(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(GRID.shape)
    smooth = ndimage.gaussian_filter(noise, 1.5)
    return (smooth / smooth.std()).astype(np.float32)


def test_masses_are_sums_over_each_finding() -> None:
    anomaly = an_anomaly(0)
    findings, numbers = find_findings(anomaly, GRID, 1.5, np.eye(4))
    masses = finding_masses(anomaly, numbers, GRID.voxel_volume_ml)
    assert len(masses) == len(findings) > 3
    for finding, mass in zip(findings, masses, strict=True):
        slow = sum(abs(float(v)) for v in anomaly[numbers == finding.number]) * 0.064
        assert mass == pytest.approx(slow, rel=1e-5)
        assert mass == pytest.approx(finding.mean * finding.volume_ml, rel=1e-2)
    assert largest_mass(anomaly, GRID, 1.5) == max(masses)


def test_a_mirrored_sign_leaves_the_masses() -> None:
    anomaly = an_anomaly(1)
    assert largest_mass(anomaly, GRID, 1.5) == largest_mass(-anomaly, GRID, 1.5)


def test_no_finding_has_no_mass() -> None:
    anomaly = an_anomaly(2)
    assert finding_masses(anomaly, np.zeros(GRID.shape, np.uint8), 0.1) == ()
    assert largest_mass(anomaly, GRID, 100.0) == 0.0
    assert conformal_p(0.0, [largest_mass(an_anomaly(3), GRID, 100.0)]) == 1.0


def test_the_familywise_error_over_several_findings_is_controlled() -> None:
    rng = np.random.default_rng(4)
    n, scans = 19, 2000
    errors = 0
    for _ in range(scans):
        counts = rng.poisson(3.0, n + 1)
        masses = [rng.lognormal(size=count).tolist() for count in counts]
        largest = [max(one, default=0.0) for one in masses[1:]]
        errors += any(conformal_p(mass, largest) <= 0.1 for mass in masses[0])
    assert errors <= stats.binom.isf(1e-4, scans, 0.1)
    assert errors >= stats.binom.ppf(1e-4, scans, 0.08)


def test_splits_of_exchangeable_scans_reach_the_attainable_levels() -> None:
    masses = np.random.default_rng(5).lognormal(size=40).tolist()
    rows = split_check(masses, repeats=400, generator=np.random.default_rng(6))
    assert [row.level for row in rows] == list(LEVELS)
    for row in rows:
        assert row.attainable == attainable_level(row.level, 30)
        assert row.low <= row.share <= row.high
        assert row.low < row.attainable < row.high
        assert row.holds


def test_splits_with_ties_stay_below_the_levels() -> None:
    masses = [0.0] * 25 + [1.0] * 15
    rows = split_check(masses, repeats=100, generator=np.random.default_rng(7))
    assert [row.share for row in rows] == [0.0, 0.0, 0.0]
    assert all(row.holds for row in rows)


def test_a_split_needs_enough_scans() -> None:
    with pytest.raises(ModelError, match=r"30 \+ 10 healthy scans"):
        split_check([1.0] * 39, generator=np.random.default_rng(0))


def test_the_order_check_of_exchangeable_groups_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    above = 0
    for _ in range(400):
        masses = rng.lognormal(size=40).tolist()
        above += not order_check(masses[:30], masses[30:])[1].holds
    assert above <= stats.binom.isf(1e-4, 400, 0.005)


def test_drift_shows_in_the_order_and_not_in_random_splits() -> None:
    rng = np.random.default_rng(9)
    drifting = (rng.lognormal(size=60) * np.exp(np.linspace(0.0, 8.0, 60))).tolist()
    assert not any(row.holds for row in order_check(drifting[:30], drifting[30:]))
    splits = split_check(drifting, repeats=200, generator=np.random.default_rng(10))
    assert all(row.holds for row in splits)


def test_the_interval_of_one_split_is_beta_binomial() -> None:
    (row, *_) = order_check(list(range(1, 31)), [0.0] * 10)
    below = stats.betabinom.cdf(np.arange(11), 10, 1, 30)
    assert row.share == 0.0
    assert row.low == 0.0
    assert row.high == np.argmax(below >= 0.995) / 10


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(1, 20), st.integers(0, 2**31))
def test_intervals_hold_the_attainable_level(calibration: int, test: int, seed: int) -> None:
    values = np.random.default_rng(seed).random(calibration + test).tolist()
    for row in order_check(values[:calibration], values[calibration:]):
        assert 0.0 <= row.low <= row.attainable <= row.high <= 1.0


def test_an_order_check_needs_both_groups() -> None:
    with pytest.raises(ModelError, match="calibration scans and test scans"):
        order_check([], [1.0])
