"""The kind of a scan: closed forms of its amounts, and what a lesion does not change."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.calibration.domain import DomainRange, ScanDomain, scan_domain
from counterpart.errors import ModelError

SHAPE = (40, 44, 12)
Array = NDArray[np.float32]


def a_ball() -> NDArray[np.bool_]:
    index = np.indices(SHAPE).reshape(3, -1).T - (np.array(SHAPE) - 1) / 2
    return np.asarray(((index / (19, 21, 8)) ** 2).sum(axis=1) < 1).reshape(SHAPE)


INSIDE = a_ball()


def domain_of(scaled: Array, **changes: bool | float) -> ScanDomain:
    known = scan_domain(scaled.astype(np.float32), INSIDE, thick=False, pose_overlap=0.95)
    return replace(known, **changes)


def a_scan(noise: float, seed: int = 0) -> Array:
    """Smooth tissue with noise, 0 outside."""
    rng = np.random.default_rng(seed)
    tissue = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 3.0)
    scan = tissue / tissue.std() + noise * rng.standard_normal(SHAPE)
    return np.where(INSIDE, scan, 0.0).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.5])
def test_white_noise_has_its_own_standard_deviation(sigma: float) -> None:
    noise = sigma * np.random.default_rng(0).standard_normal(SHAPE)
    assert domain_of(noise).noise == pytest.approx(sigma, rel=0.05)


def test_a_ramp_has_no_noise_and_its_slope_as_sharpness() -> None:
    i, j, _ = np.indices(SHAPE)
    found = domain_of(0.06 * i + 0.08 * j)
    assert found.noise == pytest.approx(0.0, abs=1e-5)
    assert found.sharpness == pytest.approx(0.05, rel=1e-4)


def test_noise_that_varies_along_one_axis_alone_is_no_noise() -> None:
    rows = np.random.default_rng(1).standard_normal(SHAPE[0])
    assert domain_of(np.broadcast_to(rows[:, None, None], SHAPE)).noise < 1e-6


def test_skewness_follows_the_quartiles_and_turns_with_the_sign() -> None:
    skewed = np.random.default_rng(2).exponential(size=SHAPE)
    expected = (np.log(4) + np.log(4 / 3) - 2 * np.log(2)) / (np.log(4) - np.log(4 / 3))
    assert domain_of(skewed).skewness == pytest.approx(expected, abs=0.05)
    assert domain_of(-skewed).skewness == pytest.approx(-domain_of(skewed).skewness, abs=1e-6)


def test_smoothing_lowers_noise_and_sharpness() -> None:
    scan = a_scan(0.2)
    smooth = ndimage.gaussian_filter(scan, (0.8, 0.8, 0.0))
    assert domain_of(smooth).noise < 0.5 * domain_of(scan).noise
    assert domain_of(smooth).sharpness < 0.8 * domain_of(scan).sharpness


def test_a_lesion_of_a_tenth_of_the_brain_hardly_shows() -> None:
    scan = a_scan(0.1)
    lesion = np.zeros(SHAPE, np.bool_)
    lesion[8:21, 12:29, 3:9] = True
    lesion &= INSIDE
    assert lesion.sum() > 0.1 * INSIDE.sum()
    healthy, sick = domain_of(scan), domain_of(np.where(lesion, scan + 3.0, scan))
    assert sick.noise == pytest.approx(healthy.noise, rel=0.1)
    assert sick.sharpness == pytest.approx(healthy.sharpness, rel=0.1)
    assert sick.skewness == pytest.approx(healthy.skewness, abs=0.12)


def test_the_background_has_no_say() -> None:
    scan = a_scan(0.1)
    outside = np.where(INSIDE, scan, 50.0 * np.random.default_rng(4).standard_normal(SHAPE))
    assert domain_of(outside) == domain_of(scan)


def test_a_mask_without_room_is_refused() -> None:
    thin = np.zeros(SHAPE, np.bool_)
    thin[:, 3, :] = True
    with pytest.raises(ModelError, match="too small"):
        scan_domain(np.zeros(SHAPE, np.float32), thin, thick=False, pose_overlap=0.9)


@pytest.fixture
def a_range() -> DomainRange:
    return DomainRange.of([domain_of(a_scan(0.1 + 0.01 * seed, seed)) for seed in range(6)])


def test_scans_of_the_same_kind_agree(a_range: DomainRange) -> None:
    agrees, reason = a_range.agrees(domain_of(a_scan(0.12, 99)))
    assert agrees
    assert "calibrated" in reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"noise": 0.31}, r"noise of 0\.310 spreads, outside 0\.\d+ to 0\.\d+ of the"),
        ({"sharpness": 3.0}, r"sharpness of 3\.000 spreads/mm, outside"),
        ({"skewness": 0.9}, r"skewness of 0\.900, outside"),
        ({"pose_overlap": 0.81}, r"overlap with the template of 0\.810, outside 0\.950 to 1\.000"),
        ({"thick": True}, "thick slices, the calibration's are thin"),
    ],
)
def test_another_kind_of_scan_is_told_in_words(
    a_range: DomainRange, change: dict[str, bool | float], words: str
) -> None:
    other = replace(domain_of(a_scan(0.12, 99)), **change)  # type: ignore[arg-type]
    agrees, reason = a_range.agrees(other)
    assert not agrees
    assert re.match(words, reason)


def test_a_better_pose_than_any_is_no_other_kind(a_range: DomainRange) -> None:
    assert a_range.agrees(domain_of(a_scan(0.12, 99), pose_overlap=0.99))[0]


amounts = st.floats(0.01, 1.0)


@given(st.lists(st.tuples(amounts, amounts, st.floats(-1, 1), amounts), min_size=5, max_size=12))
def test_every_scan_agrees_with_its_own_range(
    values: list[tuple[float, float, float, float]],
) -> None:
    domains = [ScanDomain(False, *one) for one in values]
    known = DomainRange.of(domains)
    assert all(known.agrees(one)[0] for one in domains)
    assert known.noise[0] >= 0.0
    assert known == DomainRange.from_json(known.to_json())


def test_the_range_is_widened_by_half_of_its_width() -> None:
    domains = [ScanDomain(False, noise, 0.1, 0.0, 0.9) for noise in (0.2, 0.22, 0.24, 0.26, 0.3)]
    assert DomainRange.of(domains).noise == pytest.approx((0.15, 0.35))


def test_few_or_mixed_scans_give_no_range() -> None:
    thin = ScanDomain(False, 0.1, 0.1, 0.0, 0.9)
    with pytest.raises(ModelError, match="at least 5 healthy scans"):
        DomainRange.of([thin] * 4)
    with pytest.raises(ModelError, match="cannot share"):
        DomainRange.of([thin] * 4 + [replace(thin, thick=True)])


def test_stored_values_are_checked() -> None:
    with pytest.raises(ModelError, match="unknown DomainRange setting 'colour'"):
        DomainRange.from_json({"colour": 1})
    with pytest.raises(ModelError, match="rising range of noise"):
        DomainRange(False, (0.3, 0.1), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0))
    with pytest.raises(ModelError, match="noise must be a finite number"):
        ScanDomain(False, float("nan"), 0.1, 0.0, 0.9)
