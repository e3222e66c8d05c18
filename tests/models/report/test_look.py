"""Greys and colours: one window, neutral where nothing is, transparent below the threshold."""

from __future__ import annotations

import numpy as np
import pytest

from counterpart.report.look import (
    anomaly_colours,
    anomaly_limit,
    constant_background,
    grey_window,
    nice_limit,
    residual_colours,
)


def test_window_ignores_the_skull_and_few_extreme_voxels() -> None:
    generator = np.random.default_rng(0)
    scan = generator.uniform(100.0, 200.0, (30, 30, 30)).astype(np.float32)
    brain = np.zeros(scan.shape, np.bool_)
    brain[5:25, 5:25, 5:25] = True
    scan[~brain] = 5000.0
    scan[10, 10, 10] = 1e5
    low, high = grey_window(scan, brain)
    assert 90.0 < low < 105.0
    assert 195.0 < high < 210.0


def test_window_of_a_constant_brain_is_not_empty() -> None:
    low, high = grey_window(np.full((4, 4, 4), 7.0, np.float32), np.ones((4, 4, 4), np.bool_))
    assert high > low


def test_constant_background_is_found_only_where_there_is_one() -> None:
    brain = np.zeros((10, 10, 10), np.bool_)
    brain[3:7, 3:7, 3:7] = True
    values = np.random.default_rng(0).normal(size=brain.shape).astype(np.float32)
    assert not constant_background(values, brain).any()
    stripped = np.where(brain, values, np.float32(0.0))
    np.testing.assert_array_equal(constant_background(stripped, brain), ~brain)


def test_residual_colours_are_neutral_at_zero_and_mirror_each_other_in_lightness() -> None:
    colours = residual_colours()
    red, green, blue, _ = colours(0.5)
    assert max(red, green, blue) - min(red, green, blue) < 0.05
    warm, cool = colours(0.75), colours(0.25)
    assert warm[0] > warm[2]
    assert cool[2] > cool[0]
    for share in (0.0, 0.1):
        assert np.mean(colours(share)[:3]) == pytest.approx(
            np.mean(colours(1 - share)[:3]), abs=0.2
        )


def test_overlay_is_transparent_exactly_below_the_threshold() -> None:
    colours = anomaly_colours(0.4)
    at = np.array([-1.0, -0.41, -0.39, 0.0, 0.39, 0.41, 1.0])
    opacity = colours((at + 1) / 2)[:, 3]
    np.testing.assert_array_equal(opacity > 0, np.abs(at) >= 0.4)


@pytest.mark.parametrize(("value", "limit"), [(0.0, 1.0), (2.0, 2.0), (2.1, 3.0), (0.07, 0.08)])
def test_limits_are_round_numbers_that_hold_the_value(value: float, limit: float) -> None:
    assert nice_limit(value) == pytest.approx(limit)


def test_anomaly_scale_keeps_the_threshold_within_its_middle() -> None:
    assert anomaly_limit(2.0, []) == pytest.approx(4.0)
    assert anomaly_limit(2.0, [5.5]) == pytest.approx(6.0)
    assert anomaly_limit(2.0, [500.0]) == pytest.approx(8.0)
    assert anomaly_limit(float("inf"), []) == pytest.approx(1.0)
