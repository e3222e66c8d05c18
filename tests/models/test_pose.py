"""The pose finds a brain that was moved; the frame shows a scan without losing where it lies."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from counterpart.errors import PoseError
from counterpart.grid import Grid, resample
from counterpart.pose import Pose, as_sitk, make_frame, register
from counterpart.template import CANVAS, load_template

Angles = tuple[float, float, float]


def affine_of(
    scale: Angles, degrees: Angles, shift: Angles = (0.0, 0.0, 0.0)
) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * scale
    matrix[:3, 3] = shift
    return matrix


def every_index(shape: tuple[int, int, int]) -> NDArray[np.int_]:
    return np.moveaxis(np.indices(shape), 0, -1)


def moved(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = points @ matrix[:3, :3].T + matrix[:3, 3]
    return result


@dataclass(frozen=True)
class MovedBrain:
    """The template brain as a scan, moved by a known affine map into template space."""

    values: NDArray[np.float32]
    brain: NDArray[np.bool_]
    grid: Grid
    template_from_scan: NDArray[np.float64]

    def error_mm(self, pose: Pose) -> float:
        """Mean distance between the found and the true place of the brain's voxels."""
        points = self.grid.world(np.argwhere(self.brain))
        apart = moved(pose.matrix, points) - moved(self.template_from_scan, points)
        return float(np.linalg.norm(apart, axis=1).mean())


def a_moved_brain(grid: Grid, template_from_scan: NDArray[np.float64]) -> MovedBrain:
    template = load_template()
    index_map = np.linalg.inv(CANVAS.affine) @ template_from_scan @ grid.affine
    brain = resample(template.brain.astype(np.float32), index_map, grid.shape) > 0.5
    values = np.where(brain, resample(template.t1, index_map, grid.shape), 0.0)
    return MovedBrain(values.astype(np.float32), brain, grid, template_from_scan)


TRUTH = affine_of((1.08, 0.94, 1.05), (9, -6, 12), (14, -11, 9))


@pytest.fixture(scope="module")
def an_oblique_scan() -> MovedBrain:
    affine = affine_of((1, 1, 1), (10, 5, -8)) @ affine_of(
        (2.2, 2.4, 2.6), (0, 0, 0), (-95, -125, -95)
    )
    return a_moved_brain(Grid((88, 98, 74), affine), TRUTH)


@pytest.fixture(scope="module")
def a_thick_frame_grid() -> Grid:
    affine = affine_of((1, 1, 1), (6, -4, 9)) @ affine_of(
        (1.9, 1.9, 6.0), (0, 0, 0), (-95, -125, -85)
    )
    return Grid((51, 61, 27), affine)


def test_a_moved_brain_on_an_oblique_grid_is_found(an_oblique_scan: MovedBrain) -> None:
    pose = register(an_oblique_scan.values, an_oblique_scan.brain, an_oblique_scan.grid)
    assert an_oblique_scan.error_mm(pose) < 1.5
    assert pose.overlap > 0.96


def test_a_brain_of_inverted_contrast_is_found(an_oblique_scan: MovedBrain) -> None:
    inverted = np.where(an_oblique_scan.brain, 260 - an_oblique_scan.values, 0.0)
    pose = register(inverted.astype(np.float32), an_oblique_scan.brain, an_oblique_scan.grid)
    assert an_oblique_scan.error_mm(pose) < 3.0


def test_a_brain_in_thick_slices_is_found() -> None:
    truth = affine_of((0.95, 1.05, 0.97), (-12, 3, 5), (-10, 21, -15))
    affine = affine_of((1.9, 1.9, 6.0), (0, 0, 0), (-95, -125, -95))
    scan = a_moved_brain(Grid((104, 120, 34), affine), truth)
    pose = register(scan.values, scan.brain, scan.grid)
    assert scan.error_mm(pose) < 3.0


def test_a_scan_that_stops_below_the_vertex_still_overlaps() -> None:
    covered = Grid((80, 96, 58), CANVAS.affine)
    scan = a_moved_brain(covered, np.eye(4))
    pose = register(scan.values, scan.brain, scan.grid)
    assert scan.error_mm(pose) < 6.0
    assert pose.overlap > 0.9


def test_the_same_scan_always_gets_the_same_pose(an_oblique_scan: MovedBrain) -> None:
    poses = [
        register(an_oblique_scan.values, an_oblique_scan.brain, an_oblique_scan.grid)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(poses[0].matrix, poses[1].matrix)
    assert poses[0].overlap == poses[1].overlap


def test_noise_is_refused_with_its_overlap() -> None:
    rng = np.random.default_rng(0)
    grid = Grid((60, 60, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
    values = rng.random(grid.shape).astype(np.float32)
    with pytest.raises(PoseError, match=r"at least 0\.80 \(Dice\), got 0\.[0-7]"):
        register(values, rng.random(grid.shape) < 0.2, grid)


def test_a_brain_of_one_voxel_is_refused() -> None:
    grid = Grid((60, 60, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
    brain = np.zeros(grid.shape, bool)
    brain[30, 30, 30] = True
    values = np.random.default_rng(0).random(grid.shape).astype(np.float32)
    with pytest.raises(PoseError, match="registration to the template failed"):
        register(values, brain, grid)


def test_simple_itk_puts_every_voxel_where_the_affine_does() -> None:
    grid = Grid((5, 6, 7), affine_of((1.5, 2.0, 4.0), (12, -20, 7), (3, -8, 11)))
    values = np.random.default_rng(0).random(grid.shape).astype(np.float32)
    image = as_sitk(values, grid.affine)
    for index in [(0, 0, 0), (4, 0, 0), (1, 5, 6), (3, 2, 4)]:
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        assert lps * (-1, -1, 1) == pytest.approx(grid.world(np.array(index)))
        assert image.GetPixel(*index) == values[index]


def test_thin_slices_are_shown_on_the_canvas() -> None:
    grid = Grid((88, 98, 74), affine_of((2.2, 2.4, 2.6), (4, 5, 6), (-95, -125, -95)))
    frame = make_frame(grid, Pose(TRUTH, 1.0))
    assert not frame.thick
    assert frame.shape == CANVAS.shape
    np.testing.assert_array_equal(frame.template_from_frame, CANVAS.affine)
    np.testing.assert_allclose(TRUTH @ frame.scan_from_frame, CANVAS.affine, atol=1e-9)


def test_thick_slices_keep_their_acquired_planes(a_thick_frame_grid: Grid) -> None:
    frame = make_frame(a_thick_frame_grid, Pose(TRUTH, 1.0))
    index = every_index(frame.shape).reshape(-1, 3)
    at = moved(np.linalg.inv(a_thick_frame_grid.affine) @ frame.scan_from_frame, index)
    assert frame.thick
    assert frame.shape == (80, 96, 27)
    np.testing.assert_allclose(at[:, 2], index[:, 2], atol=1e-9)


def test_thick_slices_follow_the_template_in_plane(a_thick_frame_grid: Grid) -> None:
    frame = make_frame(a_thick_frame_grid, Pose(TRUTH, 1.0))
    index = every_index(frame.shape).reshape(-1, 3)
    np.testing.assert_allclose(
        moved(frame.template_from_frame, index)[:, :2],
        moved(CANVAS.affine, index)[:, :2],
        atol=1e-9,
    )
    np.testing.assert_allclose(frame.template_from_frame, TRUTH @ frame.scan_from_frame)


def test_no_slice_leaks_into_its_neighbour(a_thick_frame_grid: Grid) -> None:
    levels = np.random.default_rng(0).standard_normal(27).astype(np.float32)
    values = np.broadcast_to(levels, a_thick_frame_grid.shape)
    shown = make_frame(a_thick_frame_grid, Pose(TRUTH, 1.0)).gather(
        values, a_thick_frame_grid, order=1
    )
    inside = shown != 0
    assert inside.mean() > 0.1
    expected = np.broadcast_to(levels, shown.shape)
    np.testing.assert_allclose(shown[inside], expected[inside], atol=1e-5)


@pytest.mark.parametrize("spacing", [2.6, 6.0])
def test_frame_voxels_have_the_volume_they_take_in_the_scan(spacing: float) -> None:
    affine = affine_of((2.0, 2.0, spacing), (0, 0, 0), (-90, -110, -80))
    frame = make_frame(Grid((90, 110, 60), affine), Pose(TRUTH, 1.0))
    corner = frame.scan_from_frame[:3, :3]
    volume = abs(np.dot(np.cross(corner[:, 0], corner[:, 1]), corner[:, 2])) / 1000
    assert frame.voxel_volume_ml == pytest.approx(volume)


@pytest.mark.parametrize("spacing", [2.6, 6.0])
def test_a_smooth_map_comes_back_onto_the_scan(spacing: float) -> None:
    turn = affine_of((1, 1, 1), (6, -4, 9))
    affine = turn @ affine_of((2.0, 2.0, spacing), (0, 0, 0), (-60, -80, -45))
    grid = Grid((61, 71, int(100 / spacing)), affine)
    place = np.asarray(grid.world(every_index(grid.shape)))
    smooth = (np.sin(place / 25.0).sum(axis=-1)).astype(np.float32)
    frame = make_frame(grid, Pose(TRUTH, 1.0))
    back = frame.scatter(frame.gather(smooth, grid), grid)
    inside = (slice(12, -12), slice(12, -12), slice(3, -3))
    assert np.abs(back[inside] - smooth[inside]).max() < 0.03


def test_what_the_frame_does_not_cover_comes_back_as_zero() -> None:
    far = affine_of((2.0, 2.0, 2.0), (0, 0, 0), (500, 500, 500))
    grid = Grid((20, 20, 20), far)
    frame = make_frame(grid, Pose(np.eye(4), 1.0))
    assert not frame.scatter(np.ones(frame.shape, np.float32), grid).any()
