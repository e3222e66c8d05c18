"""Masses of findings are measured in template space, whatever the scan's own voxels are."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from counterpart.calibration.conformal import largest_mass
from counterpart.calibration.frame_statistics import FrameStatistics, frame_statistics
from counterpart.findings import find_findings
from counterpart.grid import Grid, canonical_orientation
from counterpart.intensity import Normalisation
from counterpart.pose import Pose, make_frame
from counterpart.posed_scan import PosedScan
from counterpart.template import CANVAS

THRESHOLD = 2.0
STRENGTH = 3.5
VOXEL_ML = 0.008
BOX = (slice(30, 36), slice(40, 50), slice(4, 8))
VOXELS = 6 * 10 * 4


def posed_on(grid: Grid, matrix: NDArray[np.float64] | None = None) -> PosedScan:
    """A scan of a grid whose world lies in template space by the matrix; it shows nothing."""
    pose = Pose(np.eye(4) if matrix is None else matrix, 0.95)
    frame = make_frame(grid, pose)
    return PosedScan(
        canonical_orientation(grid),
        np.ones(grid.shape, bool),
        pose,
        frame,
        Normalisation(0.0, 1.0),
        np.zeros(frame.shape, np.float32),
        np.ones(frame.shape, bool),
    )


def a_map(posed: PosedScan, *parts: tuple[tuple[slice, ...], float]) -> NDArray[np.float32]:
    anomaly = np.zeros(posed.frame.shape, np.float32)
    for box, value in parts:
        anomaly[box] = value
    return anomaly


def scaled(x: float, y: float, z: float) -> NDArray[np.float64]:
    return np.diag([x, y, z, 1.0])


def on_the_frame(matrix: NDArray[np.float64], slice_mm: float, slices: int) -> Grid:
    """A scan whose voxels are those of its frame, in planes of so many mm."""
    affine = np.linalg.inv(matrix) @ CANVAS.affine
    affine[2, 2:] = [slice_mm, -0.5 * slice_mm * slices]
    return Grid((CANVAS.shape[0], CANVAS.shape[1], slices), affine)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_in_the_identity_pose_mass_is_volume_times_strength(sign: float) -> None:
    posed = posed_on(CANVAS)
    anomaly = a_map(posed, (BOX, sign * STRENGTH))
    found = frame_statistics(anomaly, posed, THRESHOLD)
    assert found.masses == pytest.approx([VOXELS * VOXEL_ML * STRENGTH])
    assert found.largest == largest_mass(anomaly, CANVAS, THRESHOLD)
    findings, numbers = find_findings(anomaly, CANVAS, THRESHOLD, np.eye(4))
    (mass,) = found.masses_of(numbers, CANVAS, len(findings))
    assert mass == pytest.approx(findings[0].volume_ml * findings[0].mean)


@pytest.mark.parametrize(("slice_mm", "slices"), [(2.0, 80), (5.0, 30), (7.5, 20)])
@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1.2, 0.9, 1.1), (0.8, 0.85, 0.95)])
def test_a_pose_that_scales_measures_in_template_millilitres(
    scales: tuple[float, float, float], slice_mm: float, slices: int
) -> None:
    """The scan's own volume times the strength times how much the pose enlarges."""
    matrix = scaled(*scales)
    grid = on_the_frame(matrix, slice_mm, slices)
    posed = posed_on(grid, matrix)
    assert posed.frame.thick is (slice_mm > 3.0)
    found = frame_statistics(a_map(posed, (BOX, STRENGTH)), posed, THRESHOLD)
    if posed.frame.thick:
        scan_ml = VOXELS * grid.voxel_volume_ml
        assert found.masses == pytest.approx([scan_ml * math.prod(scales) * STRENGTH])
        numbers = np.zeros(grid.shape, np.uint8)
        numbers[BOX] = 1
        assert found.masses_of(numbers, grid, 1) == pytest.approx([found.largest])
    else:
        assert found.masses == pytest.approx([VOXELS * VOXEL_ML * STRENGTH])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.9, 2.5), (0.9, 0.9, 5.0)])
def test_one_head_has_one_mass_however_it_was_sampled(spacing: tuple[float, float, float]) -> None:
    """A ball of 20 mm in template space, in scans that are tilted, scaled and moved."""
    matrix = scaled(1.1, 0.9, 1.05)
    tilt = Rotation.from_euler("xyz", (8, -6, 12), degrees=True).as_matrix()
    matrix[:3, :3] = tilt @ matrix[:3, :3]
    matrix[:3, 3] = (5.0, -12.0, 8.0)
    size = [int(180 / step) for step in spacing]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-90.0, -95.0, -90.0]
    posed = posed_on(Grid((size[0], size[1], size[2]), affine), matrix)
    index = np.moveaxis(np.indices(posed.frame.shape), 0, -1)
    points = index @ posed.frame.template_from_frame[:3, :3].T
    points = points + posed.frame.template_from_frame[:3, 3]
    inside = np.linalg.norm(points - [10.0, -20.0, 5.0], axis=-1) < 20.0
    anomaly = np.where(inside, np.float32(STRENGTH), np.float32(0.0))
    (mass,) = frame_statistics(anomaly, posed, THRESHOLD).masses
    assert mass == pytest.approx(4 / 3 * math.pi * 20.0**3 / 1000 * STRENGTH, rel=0.03)


def test_the_largest_mass_is_the_scan_s_statistic() -> None:
    posed = posed_on(CANVAS)
    small = (slice(60, 64), slice(40, 44), slice(40, 44))
    found = frame_statistics(a_map(posed, (BOX, 2.1), (small, -30.0)), posed, THRESHOLD)
    assert len(found.masses) == 2
    assert found.largest == pytest.approx(64 * VOXEL_ML * 30.0)
    assert found.largest > 240 * VOXEL_ML * 2.1


def test_nothing_above_the_threshold_has_no_mass() -> None:
    posed = posed_on(CANVAS)
    speck = (slice(60, 62), slice(40, 42), slice(40, 43))  # 0.096 ml
    found = frame_statistics(a_map(posed, (BOX, 1.99), (speck, 9.0)), posed, THRESHOLD)
    assert (found.masses, found.largest) == ((), 0.0)
    assert not found.numbers.any()
    numbers = np.zeros(CANVAS.shape, np.uint8)
    numbers[BOX] = 1
    assert found.masses_of(numbers, CANVAS, 1) == [0.0]
    assert found.masses_of(np.zeros_like(numbers), CANVAS, 0) == []


@pytest.fixture
def two_in_the_frame() -> FrameStatistics:
    """Two findings: the first of mass 4 at i from 20, the second of mass 9 at i from 50."""
    numbers = np.zeros(CANVAS.shape, np.uint8)
    numbers[20:24, 40:44, 40:44] = 1
    numbers[50:54, 40:44, 40:44] = 2
    return FrameStatistics(numbers, (4.0, 9.0), np.linalg.inv(CANVAS.affine))


def test_a_finding_over_several_of_the_frame_counts_as_the_strongest(
    two_in_the_frame: FrameStatistics,
) -> None:
    numbers = np.zeros(CANVAS.shape, np.uint8)
    numbers[22:52, 41:43, 41:43] = 1
    assert two_in_the_frame.masses_of(numbers, CANVAS, 1) == [9.0]


def test_every_finding_of_the_scan_has_its_own_place_in_the_list(
    two_in_the_frame: FrameStatistics,
) -> None:
    """Fine voxels, one finding a frame's voxel wide, one beside both, one outside the frame."""
    grid = Grid((200, 200, 200), np.diag([1.0, 1.0, 1.0, 1.0]))
    grid.affine[:3, 3] = [-85.0, -120.0, -80.0]
    numbers = np.zeros(grid.shape, np.uint8)
    for number, point in enumerate([(51, 42, 42), (70, 42, 42), (21, 42, 42)], start=1):
        at = np.rint(CANVAS.world(np.array(point)) - grid.affine[:3, 3]).astype(int)
        numbers[tuple(slice(here - 1, here + 1) for here in at)] = number
    numbers[0:3, 0:3, 0:3] = 4
    assert (CANVAS.affine[:3, 3] - 2 > grid.world(np.array([2, 2, 2]))).all()
    assert two_in_the_frame.masses_of(numbers, grid, 4) == [9.0, 0.0, 4.0, 0.0]
