"""Grids, orientation changes and resampling: values and affine both, on awkward geometry."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from counterpart.grid import Grid, box_around, canonical_orientation, resample

SHAPE = (5, 6, 7)
ORIENTATIONS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)
]


def oblique_affine(
    spacing: tuple[float, float, float] = (0.9, 1.3, 4.0),
    degrees: tuple[float, float, float] = (11.0, -7.0, 16.0),
    origin: tuple[float, float, float] = (-31.0, 12.5, 40.25),
) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * spacing
    affine[:3, 3] = origin
    return affine


def turned_grid(order: tuple[int, ...], signs: tuple[float, ...]) -> Grid:
    """An oblique, anisotropic grid whose axes are permuted and flipped."""
    turn = np.zeros((4, 4))
    turn[3, 3] = 1.0
    for axis, (target, sign) in enumerate(zip(order, signs, strict=True)):
        turn[target, axis] = sign
    return Grid(SHAPE, oblique_affine() @ turn)


def every_index(shape: tuple[int, int, int]) -> NDArray[np.int_]:
    return np.moveaxis(np.indices(shape), 0, -1)


def slow_trilinear(
    source: NDArray[np.float64],
    index_map: NDArray[np.float64],
    shape: tuple[int, int, int],
    fill: float,
) -> NDArray[np.float64]:
    result = np.full(shape, fill)
    last = np.array(source.shape) - 1
    for target in np.ndindex(shape):
        where = index_map[:3, :3] @ np.array(target) + index_map[:3, 3]
        if (where < 0).any() or (where > last).any():
            continue
        low = np.minimum(np.floor(where).astype(int), last - 1)
        part = where - low
        value = 0.0
        for corner in product((0, 1), repeat=3):
            weight = np.prod(np.where(np.array(corner) == 1, part, 1 - part))
            value += weight * source[tuple(low + corner)]
        result[target] = value
    return result


def test_spacing_and_volume_of_an_oblique_grid_are_those_of_its_voxel() -> None:
    grid = Grid(SHAPE, oblique_affine((0.9, 1.3, 4.0)))
    assert grid.spacing == pytest.approx((0.9, 1.3, 4.0))
    assert grid.voxel_volume_ml == pytest.approx(0.9 * 1.3 * 4.0 / 1000)


def test_flipping_an_axis_keeps_the_voxel_volume_positive() -> None:
    affine = oblique_affine() @ np.diag([-1.0, 1.0, 1.0, 1.0])
    assert Grid(SHAPE, affine).voxel_volume_ml == Grid(SHAPE, oblique_affine()).voxel_volume_ml


def test_world_applies_the_affine_to_each_index() -> None:
    grid = Grid(SHAPE, oblique_affine())
    found = grid.world(every_index(SHAPE))
    for index in [(0, 0, 0), (4, 0, 3), (1, 5, 6)]:
        expected = (grid.affine @ np.array([*index, 1.0]))[:3]
        assert found[index] == pytest.approx(expected)


def test_same_as_notices_the_last_digit_and_the_shape() -> None:
    affine = oblique_affine()
    other = affine.copy()
    other[0, 3] = np.nextafter(other[0, 3], np.inf)
    grid = Grid(SHAPE, affine)
    assert grid.same_as(Grid(SHAPE, affine.copy()))
    assert not grid.same_as(Grid(SHAPE, other))
    assert not grid.same_as(Grid((5, 6, 8), affine))


def test_there_are_48_orientations() -> None:
    assert len(ORIENTATIONS) == 48


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_every_voxel_keeps_its_place_in_the_world(
    order: tuple[int, ...], signs: tuple[float, ...]
) -> None:
    grid = turned_grid(order, signs)
    turn = canonical_orientation(grid)
    place = grid.world(every_index(grid.shape))
    turned = np.stack([turn.forward(place[..., axis]) for axis in range(3)], axis=-1)
    assert nib.orientations.aff2axcodes(turn.canonical.affine) == ("R", "A", "S")
    assert turned.shape[:3] == turn.canonical.shape
    np.testing.assert_allclose(turned, turn.canonical.world(every_index(turn.canonical.shape)))


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_backward_undoes_forward_exactly(order: tuple[int, ...], signs: tuple[float, ...]) -> None:
    grid = turned_grid(order, signs)
    turn = canonical_orientation(grid)
    values = np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE)
    back = turn.backward(turn.forward(values))
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


def test_canonical_grid_is_left_as_it_is() -> None:
    grid = Grid(SHAPE, oblique_affine())
    turn = canonical_orientation(grid)
    values = np.random.default_rng(0).standard_normal(SHAPE)
    assert turn.canonical.same_as(grid)
    np.testing.assert_array_equal(turn.forward(values), values)


def test_resampling_agrees_with_a_loop_over_voxels() -> None:
    source = np.random.default_rng(1).standard_normal(SHAPE)
    index_map = np.eye(4)
    index_map[:3, :3] = Rotation.from_euler("zyx", (20, -15, 10), degrees=True).as_matrix()
    index_map[:3, :3] *= (0.8, -0.7, 0.9)
    index_map[:3, 3] = (0.3, 5.2, 0.4)
    shape = (6, 5, 9)
    found = resample(source, index_map, shape, fill=-3.0)
    expected = slow_trilinear(source.astype(np.float32), index_map, shape, -3.0)
    assert 0.2 < (expected == -3.0).mean() < 0.8
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("order", [1, 3])
def test_a_linear_ramp_is_reproduced_under_oblique_affines(order: int) -> None:
    source = Grid((27, 24, 21), oblique_affine((1.0, 1.2, 1.5)))
    affine = oblique_affine((0.9, -1.1, 1.3), (-9.0, 14.0, 5.0))
    affine[:3, 3] = source.world(np.array([13.0, 12.0, 10.0])) - affine[:3, :3] @ [6.0, 5.0, 7.0]
    target = Grid((13, 11, 15), affine)
    ramp = np.array([0.7, -1.1, 0.4])
    index_map = np.linalg.inv(source.affine) @ target.affine
    found = resample(
        source.world(every_index(source.shape)) @ ramp, index_map, target.shape, order=order
    )
    place = every_index(target.shape) @ index_map[:3, :3].T + index_map[:3, 3]
    # A cubic spline knows nothing beyond the rim and bends near it.
    margin = 0 if order == 1 else 5
    inside = ((place >= margin) & (place <= np.array(source.shape) - 1 - margin)).all(axis=-1)
    assert inside.sum() > 100
    expected = target.world(every_index(target.shape)) @ ramp
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-3)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_identity_returns_the_values(order: int) -> None:
    source = np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
    found = resample(source, np.eye(4), SHAPE, order=order)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, source, atol=1e-5)


def test_a_shift_by_whole_voxels_moves_values_and_fills_what_was_unknown() -> None:
    source = np.random.default_rng(3).standard_normal(SHAPE).astype(np.float32)
    shift = np.eye(4)
    shift[:3, 3] = (1, -2, 3)
    found = resample(source, shift, SHAPE, fill=9.0)
    expected = np.full(SHAPE, 9.0, np.float32)
    expected[:4, 2:, :4] = source[1:, :4, 3:]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_order_zero_invents_no_labels() -> None:
    labels = np.random.default_rng(4).choice([0, 3, 7, 250], SHAPE)
    index_map = np.diag([0.6, 0.55, 0.5, 1.0])
    found = resample(labels, index_map, (7, 9, 11), order=0)
    assert set(np.unique(found)) <= {0.0, 3.0, 7.0, 250.0}


def test_a_coarser_grid_averages_instead_of_aliasing() -> None:
    checkerboard = (np.indices((24, 24, 24)).sum(axis=0) % 2).astype(np.float32)
    coarse = resample(checkerboard, np.diag([4.0, 4.0, 4.0, 1.0]), (6, 6, 6))
    np.testing.assert_allclose(coarse[1:-1, 1:-1, 1:-1], 0.5, atol=0.02)


def test_only_the_coarser_axis_is_smoothed() -> None:
    stripes = np.zeros((12, 12, 12), np.float32)
    stripes[::2] = 1.0
    coarse = resample(stripes, np.diag([1.0, 1.0, 3.0, 1.0]), (12, 12, 4))
    np.testing.assert_allclose(coarse, stripes[:, :, :4], atol=1e-6)


def test_smoothing_before_a_coarser_grid_keeps_a_constant() -> None:
    constant = np.full((16, 16, 16), 5.5, np.float32)
    coarse = resample(constant, np.diag([3.0, 2.0, 5.0, 1.0]), (5, 7, 3))
    np.testing.assert_allclose(coarse, 5.5, atol=1e-5)


def test_a_box_holds_the_mask_and_its_margin_within_the_array() -> None:
    mask = np.zeros((9, 8, 7), bool)
    mask[2:4, 5:8, 3] = True
    assert box_around(mask, 0) == (slice(2, 4), slice(5, 8), slice(3, 4))
    assert box_around(mask, 2) == (slice(0, 6), slice(3, 8), slice(1, 6))


def test_the_box_of_nothing_is_everything() -> None:
    assert box_around(np.zeros((3, 4, 5), bool), 1) == (slice(0, 3), slice(0, 4), slice(0, 5))


def test_cropping_leaves_every_voxel_where_it_is() -> None:
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0.3, -7], [0, 0, 4.0, 11], [0, 0, 0, 1]])
    grid = Grid((6, 7, 8), affine)
    part = grid.cropped((slice(1, 4), slice(2, 7), slice(5, 6)))
    assert part.shape == (3, 5, 1)
    index = np.array([[0, 0, 0], [2, 4, 0]])
    there = grid.world(index + np.array([1, 2, 5]))
    np.testing.assert_allclose(part.world(index), there, atol=1e-12)
