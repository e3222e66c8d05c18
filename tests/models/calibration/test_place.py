"""Coarse volumes over template space: sums, means, and interpolation against scipy."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.calibration.place import PLACE, at_voxels, place_cells, smooth_means, smooth_sums

SHAPE = (18, 22, 18)
UPRIGHT = np.array([[8.0, 0, 0, -68], [0, 8.0, 0, -100], [0, 0, 8.0, -65], [0, 0, 0, 1]])


def a_brain() -> NDArray[np.bool_]:
    brain = np.zeros(SHAPE, np.bool_)
    brain[2:-1, 1:-3, 3:-2] = True
    return brain


def a_volume(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random(PLACE.shape).astype(np.float32)


def tilted(degrees: float) -> NDArray[np.float64]:
    turn = np.eye(4)
    angle = np.deg2rad(degrees)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return np.asarray(turn @ UPRIGHT)


@pytest.mark.parametrize("matrix", [UPRIGHT, tilted(1e-3), tilted(12.0)])
def test_interpolation_is_trilinear(matrix: NDArray[np.float64]) -> None:
    brain = a_brain()
    index = np.argwhere(brain) @ matrix[:3, :3].T + matrix[:3, 3]
    index = (index - PLACE.affine[:3, 3]) / 8.0
    found = at_voxels([a_volume(0), a_volume(1)], brain, matrix)
    for seed, values in enumerate(found):
        slow = ndimage.map_coordinates(a_volume(seed), index.T, order=1, mode="nearest")
        np.testing.assert_allclose(values, slow, atol=1e-5)


@pytest.mark.parametrize("shift_mm", [60.0, -60.0])
@pytest.mark.parametrize("degrees", [0.0, 8.0])
def test_volumes_go_on_beyond_their_border(shift_mm: float, degrees: float) -> None:
    matrix = tilted(degrees)
    matrix[:3, 3] += shift_mm
    (values,) = at_voxels([np.full(PLACE.shape, 3.0, np.float32)], a_brain(), matrix)
    np.testing.assert_allclose(values, 3.0, rtol=1e-6)


def test_each_voxel_belongs_to_the_nearest_cell() -> None:
    brain = np.zeros(SHAPE, np.bool_)
    brain[5, 6, 7] = True
    (cell,) = place_cells(brain, UPRIGHT)
    i, j, k = np.unravel_index(cell, PLACE.shape)
    centre = PLACE.affine[:3, :3] @ [i, j, k] + PLACE.affine[:3, 3]
    assert np.abs(centre - (UPRIGHT @ [5, 6, 7, 1])[:3]).max() <= 4.0


def test_sums_are_kept_and_equal_on_both_sides() -> None:
    brain = a_brain()
    cell = place_cells(brain, UPRIGHT)
    values = np.zeros(cell.size, np.float32)
    values[cell.size // 2] = 7.0
    sums = smooth_sums(values, cell)
    assert sums.sum() == pytest.approx(7.0, rel=1e-3)
    np.testing.assert_allclose(sums, sums[::-1], atol=1e-7)


def test_the_mean_of_a_constant_is_the_constant() -> None:
    brain = a_brain()
    cell = place_cells(brain, UPRIGHT)
    means = smooth_means(np.full(cell.size, 0.3, np.float32), cell)
    np.testing.assert_allclose(at_voxels([means], brain, UPRIGHT)[0], 0.3, rtol=1e-4)
