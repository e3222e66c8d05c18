"""The brain mask: what is taken for a brain, and what is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.brain import checked_brain, fill_outside, largest_component, stripped_brain
from counterpart.errors import BrainError, ScanError
from counterpart.grid import Grid

SHAPE = (40, 44, 20)
GRID = Grid(SHAPE, np.diag([4.0, -4.0, 8.0, 1.0]))


def ball(radius_mm: float, centre: tuple[float, float, float] = (20, 22, 10)) -> NDArray[np.bool_]:
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    away = (index - np.array(centre)) * np.array(GRID.spacing)
    inside: NDArray[np.bool_] = (away**2).sum(axis=-1) <= radius_mm**2
    return inside


def stripped_head(background: float = 0.0) -> NDArray[np.float32]:
    values = np.full(SHAPE, background, np.float32)
    brain = ball(70)
    values[brain] = 50 + np.random.default_rng(0).random(int(brain.sum()))
    return values


def test_the_largest_part_is_kept_and_its_holes_are_filled() -> None:
    mask = ball(70) & ~ball(20)
    mask[0, 0, 0] = mask[1:3, 0, 0] = True
    np.testing.assert_array_equal(largest_component(mask), ball(70))


def test_parts_that_touch_at_a_corner_are_apart() -> None:
    mask = np.zeros((6, 6, 6), bool)
    mask[:2, :2, :2] = True
    mask[2:5, 2:5, 2:5] = True
    kept = largest_component(mask)
    assert kept.sum() == 27
    assert not kept[0, 0, 0]


def test_an_empty_mask_stays_empty() -> None:
    assert not largest_component(np.zeros((5, 5, 5), bool)).any()


@pytest.mark.parametrize("background", [0.0, -1024.0, 60.0])
def test_a_stripped_scan_is_what_differs_from_its_background(background: float) -> None:
    np.testing.assert_array_equal(stripped_brain(stripped_head(background), GRID), ball(70))


def test_dark_fluid_inside_belongs_to_the_brain() -> None:
    values = stripped_head()
    values[ball(20)] = 0.0
    np.testing.assert_array_equal(stripped_brain(values, GRID), ball(70))


def test_crumbs_outside_are_no_brain() -> None:
    values = stripped_head()
    values[1, 1, 1] = 30.0
    np.testing.assert_array_equal(stripped_brain(values, GRID), ball(70))


def test_a_whole_head_is_refused_with_its_share_of_background() -> None:
    noisy = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    noisy[:, :, :4] = noisy[0, 0, 0]
    with pytest.raises(BrainError, match=r"only 20 % of the voxels.*--brain-mask"):
        stripped_brain(noisy, GRID)


@pytest.mark.parametrize(("radius_mm", "volume"), [(40, "2[67]. ml"), (84, "2[45].. ml")])
def test_a_volume_that_no_brain_has_is_refused(radius_mm: float, volume: str) -> None:
    with pytest.raises(BrainError, match=f"500 to 2200 ml, got {volume}"):
        checked_brain(ball(radius_mm), GRID)


def test_a_brain_error_is_a_scan_error() -> None:
    with pytest.raises(ScanError):
        checked_brain(np.zeros(SHAPE, bool), GRID)


def test_a_plausible_brain_is_returned_unchanged() -> None:
    brain = ball(70)
    assert checked_brain(brain, GRID) is brain


def test_outside_takes_the_nearest_value_inside() -> None:
    rng = np.random.default_rng(2)
    brain = rng.random((6, 7, 5)) < 0.15
    values = rng.random(brain.shape).astype(np.float32)
    filled = fill_outside(values, brain)
    inside = np.argwhere(brain)
    np.testing.assert_array_equal(filled[brain], values[brain])
    for index in np.argwhere(~brain):
        squared = ((inside - index) ** 2).sum(axis=1)
        nearest = {float(values[tuple(at)]) for at in inside[squared == squared.min()]}
        assert float(filled[tuple(index)]) in nearest
