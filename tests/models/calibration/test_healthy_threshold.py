"""The healthy threshold: closed forms on made-up maps, on the canvas and on a scan's own grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from counterpart.calibration.healthy_threshold import (
    MAX_FINDINGS,
    MAX_FLAGGED_ML,
    HealthyMap,
    flagged_in_health,
    healthy_threshold,
)
from counterpart.errors import ModelError
from counterpart.findings import MIN_VOLUME_ML
from counterpart.grid import Grid
from counterpart.template import CANVAS

Array = NDArray[np.float32]
VOXEL_ML = 0.008
EMPTY = HealthyMap(np.zeros(CANVAS.shape, np.float32))


def blocks(shape: tuple[int, int, int], components: tuple[tuple[float, int], ...]) -> Array:
    values = np.zeros(shape, np.float32)
    for number, (value, voxels) in enumerate(components):
        block = np.zeros(512, np.float32)
        block[:voxels] = value
        at = 4 + 10 * number
        values[at : at + 8, 40:48, 40:48] = block.reshape(8, 8, 8)
    return values


def map_with(*components: tuple[float, int]) -> HealthyMap:
    """A map on the canvas with one component per (value, voxels), far apart."""
    return HealthyMap(blocks(CANVAS.shape, components))


def an_own_grid(spacing: tuple[float, float, float]) -> Grid:
    """An oblique grid with another voxel size."""
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = (10.0, -20.0, 30.0)
    return Grid((64, 64, 64), affine)


def assert_smallest(maps: list[HealthyMap], threshold: float) -> None:
    findings, flagged = flagged_in_health(maps, threshold)
    assert findings <= MAX_FINDINGS
    assert flagged <= MAX_FLAGGED_ML
    findings, flagged = flagged_in_health(maps, threshold * 0.998)
    assert findings > MAX_FINDINGS or flagged > MAX_FLAGGED_ML


def test_flagged_in_health_counts_components_and_ml() -> None:
    maps = [map_with((0.5, 30), (-0.7, 40), (0.9, 12)), map_with((0.6, 20))]
    findings, flagged = flagged_in_health(maps, 0.55)
    assert findings == 1.0
    assert flagged == pytest.approx((40 + 20) * VOXEL_ML / 2)
    findings, flagged = flagged_in_health(maps, 0.45)
    assert findings == 1.5
    assert flagged == pytest.approx((30 + 40 + 20) * VOXEL_ML / 2)


def test_components_below_the_smallest_finding_do_not_count() -> None:
    assert 12 * VOXEL_ML < MIN_VOLUME_ML < 13 * VOXEL_ML
    assert flagged_in_health([map_with((0.9, 12))], 0.5) == (0.0, 0.0)
    assert flagged_in_health([map_with((0.9, 13))], 0.5)[0] == 1.0


@pytest.mark.parametrize("scale", [1.0, 0.2469, 3.7e-4, 123.45])
def test_one_finding_per_scan_may_stay(scale: float) -> None:
    maps = [map_with((0.3 * scale, 27), (0.5 * scale, 27), (-0.7 * scale, 27))]
    threshold = healthy_threshold(maps)
    assert threshold == pytest.approx(0.5 * scale, rel=2e-3)
    assert_smallest(maps, threshold)


def test_findings_are_averaged_over_the_scans() -> None:
    maps = [map_with((0.3, 27), (0.5, 27), (-0.7, 27)), EMPTY]
    threshold = healthy_threshold(maps)
    assert threshold == pytest.approx(0.3, rel=2e-3)
    assert_smallest(maps, threshold)


def test_the_order_of_the_scans_does_not_matter() -> None:
    maps = [map_with((0.3, 60), (0.5, 27)), EMPTY, map_with((0.6, 200), (-0.2, 300), (0.1, 500))]
    assert healthy_threshold(maps) == healthy_threshold(maps[::-1])


def test_one_large_finding_is_too_much() -> None:
    maps = [map_with((0.4, 126))]
    threshold = healthy_threshold(maps)
    assert threshold == pytest.approx(0.4, rel=2e-3)
    assert_smallest(maps, threshold)
    assert healthy_threshold([map_with((0.4, 124))]) < 0.01


def test_findings_that_merge_further_down_do_not_lower_the_threshold() -> None:
    values = np.zeros(CANVAS.shape, np.float32)
    values[10:16, 40:43, 40:43] = 0.2  # a bridge between two peaks, each a finding
    values[8:11, 40:43, 40:43] = 0.6
    values[15:18, 40:43, 40:43] = 0.5
    assert flagged_in_health([HealthyMap(values)], 0.1)[0] == 1.0
    assert healthy_threshold([HealthyMap(values)]) == pytest.approx(0.5, rel=2e-3)


def test_the_threshold_is_short_and_never_rounded_down() -> None:
    maps = [map_with((0.123_44, 200))]
    threshold = healthy_threshold(maps)
    assert threshold == pytest.approx(0.1235)
    assert flagged_in_health(maps, threshold) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("spacing", "voxels", "counts"),
    [((1.0, 1.0, 1.0), 101, True), ((1.0, 1.0, 1.0), 99, False), ((0.5, 0.5, 6.0), 67, True)],
)
def test_volumes_are_those_of_each_scans_own_grid(
    spacing: tuple[float, float, float], voxels: int, counts: bool
) -> None:
    grid = an_own_grid(spacing)
    maps = [HealthyMap(blocks(grid.shape, ((0.5, voxels), (0.7, voxels))), grid)]
    findings, flagged = flagged_in_health(maps, 0.4)
    assert findings == (2.0 if counts else 0.0)
    assert flagged == pytest.approx(2 * voxels * grid.voxel_volume_ml if counts else 0.0, abs=2e-3)


def test_maps_on_different_grids_share_one_threshold() -> None:
    grid = an_own_grid((1.0, 1.0, 2.0))
    own = HealthyMap(blocks(grid.shape, ((0.5, 60), (0.7, 60), (0.9, 60))), grid)
    threshold = healthy_threshold([own, EMPTY])
    assert threshold == pytest.approx(0.5, rel=2e-3)
    assert_smallest([own, EMPTY], threshold)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.floats(0.05, 1.0), st.integers(1, 200), st.booleans()),
            min_size=1,
            max_size=4,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_the_limits_hold_at_the_threshold_and_above(
    scans: list[list[tuple[float, int, bool]]],
) -> None:
    maps = [
        map_with(*((value if up else -value, voxels) for value, voxels, up in scan))
        for scan in scans
    ]
    threshold = healthy_threshold(maps)
    for factor in (1.0, 1.05, 1.5, 3.0):
        findings, flagged = flagged_in_health(maps, factor * threshold)
        assert findings <= MAX_FINDINGS
        assert flagged <= MAX_FLAGGED_ML


def test_maps_without_any_anomaly_give_no_threshold() -> None:
    with pytest.raises(ModelError, match="anomaly maps of all healthy scans are 0"):
        healthy_threshold([EMPTY, EMPTY])
    with pytest.raises(ModelError, match="at least one scan"):
        healthy_threshold([])


def test_a_map_that_is_not_finite_gives_no_threshold() -> None:
    broken = map_with((0.5, 27))
    broken.values[5, 41, 41] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        healthy_threshold([map_with((0.5, 27)), broken])


def test_a_map_must_fit_its_grid() -> None:
    with pytest.raises(ModelError, match="shape"):
        HealthyMap(np.zeros((4, 5, 6), np.float32))
