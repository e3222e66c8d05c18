"""Border pairs and jumps: against a slow loop, closed forms, and geometry in every orientation."""

from itertools import product

import numpy as np
import pytest
from made_up_results import Array, Mask, box, stored_as

from counterpart.evaluation.borders import (
    LEAST_PAIRS,
    BorderPairs,
    border_pairs,
    distance_mm,
    mean_jump,
    mirrored,
    moved,
)
from counterpart.grid import Grid

SHAPE = (24, 22, 6)
GRID = Grid(SHAPE, np.diag([2.0, 1.0, 5.0, 1.0]))  # pairs are 2 and 4 voxels apart
EVERYWHERE = np.ones(SHAPE, np.bool_)
REGION = box((6, 12), (5, 13), (1, 5), shape=SHAPE)


def random_mask(share: float = 0.4) -> Mask:
    found: Mask = np.random.default_rng(1).random(SHAPE) < share
    return found


def slow_pairs(region: Mask, allowed: Mask) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Voxel by voxel, one in the region and the other not."""
    found = set()
    for here in product(*(range(size) for size in SHAPE)):
        for step in ((2, 0, 0), (-2, 0, 0), (0, 4, 0), (0, -4, 0)):
            there = tuple(np.add(here, step).tolist())
            if not all(0 <= at < size for at, size in zip(there, SHAPE, strict=True)):
                continue
            if region[here] and not region[there] and allowed[here] and allowed[there]:
                found.add((here, there))
    return found


def as_set(pairs: BorderPairs) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    return {
        (tuple(one), tuple(other))
        for one, other in zip(pairs.inner.tolist(), pairs.outer.tolist(), strict=True)
    }


def test_pairs_are_those_of_a_slow_loop() -> None:
    region, allowed = random_mask(), random_mask(0.8) | REGION
    found = border_pairs(region, allowed, GRID)
    assert as_set(found) == slow_pairs(region, allowed)
    assert len(found) == len(as_set(found)) > 500


def test_a_region_without_border_has_no_pairs() -> None:
    for region in (EVERYWHERE, ~EVERYWHERE):
        assert len(border_pairs(region, EVERYWHERE, GRID)) == 0


def test_the_jump_of_a_step_is_its_height() -> None:
    pairs = border_pairs(REGION, EVERYWHERE, GRID)
    assert mean_jump(np.where(REGION, 7.5, 2.0).astype(np.float32), pairs) == pytest.approx(5.5)
    assert mean_jump(np.where(REGION, -1.0, 2.0).astype(np.float32), pairs) == pytest.approx(3.0)


def test_the_jump_of_a_ramp_is_its_slope_over_4_mm() -> None:
    x, y, _ = np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij")
    ramp = (3.0 * 2.0 * x + 3.0 * y).astype(np.float32)  # 3 a millimetre along both axes
    assert mean_jump(ramp, border_pairs(REGION, EVERYWHERE, GRID)) == pytest.approx(12.0)


def test_few_pairs_have_no_jump() -> None:
    pairs = border_pairs(REGION, EVERYWHERE, GRID)
    few = pairs.kept(np.arange(len(pairs)) < LEAST_PAIRS - 1)
    enough = pairs.kept(np.arange(len(pairs)) < LEAST_PAIRS)
    flat = np.zeros(SHAPE, np.float32)
    assert mean_jump(flat, few) is None
    assert mean_jump(flat, enough) == 0.0


def test_moved_pairs_keep_their_slices_and_vectors_and_lie_where_allowed() -> None:
    pairs = border_pairs(REGION, EVERYWHERE, GRID)
    allowed = box((12, 24), (0, 22), (0, 6), shape=SHAPE)
    found = moved(pairs, GRID, allowed)
    assert allowed[tuple(found.inner.T)].all()
    assert allowed[tuple(found.outer.T)].all()
    known = {tuple(vector) for vector in (pairs.outer - pairs.inner).tolist()}
    assert {tuple(vector) for vector in (found.outer - found.inner).tolist()} == known
    (one,) = (border_pairs(box((3, 4), (3, 4), (2, 3), shape=SHAPE), EVERYWHERE, GRID),)
    places = {tuple(index) for index in moved(one, GRID, EVERYWHERE).inner.tolist()}
    assert {index[2] for index in places} == {2}
    # 10 mm along each axis, and by Pythagoras along the diagonals
    assert {(8, 3, 2), (3, 13, 2), (3 + round(10 / 2**0.5 / 2), 3 + 7, 2)} <= places
    assert (3, 3, 2) not in places


def test_mirrored_pairs_lie_on_the_other_side_of_the_templates_middle() -> None:
    turn = np.deg2rad(90.0)  # a scan whose rows run towards anterior
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    pose[0, 3] = 10.5  # template x is 10.5 less the scan's y
    pairs = border_pairs(REGION, EVERYWHERE, GRID)
    found = mirrored(pairs, GRID, pose, EVERYWHERE)
    assert len(found) == len(pairs)
    np.testing.assert_array_equal(found.inner, pairs.inner * [1, -1, 1] + [0, 21, 0])
    nearby = box((0, 24), (0, 5), (0, 6), shape=SHAPE)  # mirrored, no pair comes so low
    assert len(mirrored(pairs, GRID, pose, nearby)) == 0


def test_distances_within_the_slice_do_not_see_other_slices() -> None:
    one = box((3, 4), (3, 4), (2, 3), shape=SHAPE)
    across, whole = (distance_mm(one, GRID, in_plane=flat) for flat in (True, False))
    assert across[6, 7, 2] == whole[6, 7, 2] == pytest.approx(np.hypot(6.0, 4.0))
    assert whole[3, 3, 3] == 5.0
    assert across[3, 3, 3] > 1000.0
    assert (distance_mm(~EVERYWHERE, GRID) > 1000.0).all()


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SAL"])
def test_a_jump_does_not_depend_on_how_the_scan_is_stored(codes: str) -> None:
    values: Array = np.random.default_rng(2).random(SHAPE, np.float32)
    turned, grid = stored_as(values, GRID, codes)
    region, _ = stored_as(REGION, GRID, codes)
    allowed = np.ones(grid.shape, np.bool_)
    expected = mean_jump(values, border_pairs(REGION, EVERYWHERE, GRID))
    assert mean_jump(turned, border_pairs(region, allowed, grid)) == pytest.approx(expected)
