"""Lesions one by one: found at a tenth, false where nothing is near, on any grid."""

import numpy as np
import pytest
from made_up_results import stored_as
from numpy.typing import NDArray

from counterpart.evaluation.lesions import (
    find_lesions,
    froc_curve,
    froc_point,
    slice_axis,
    sure_and_unsure_slices,
    without_crumbs,
)
from counterpart.grid import Grid

Mask = NDArray[np.bool_]
SHAPE = (20, 16, 18)
THICK = Grid(SHAPE, np.diag([2.0, 2.0, 5.0, 1.0]))  # 0.02 ml: five voxels count
STORED = ("RAS", "LPS", "PIR", "SAL", "AIL")


def mask(*boxes: tuple[slice, slice, slice], shape: tuple[int, int, int] = SHAPE) -> Mask:
    found = np.zeros(shape, np.bool_)
    for box in boxes:
        found[box] = True
    return found


LESION = mask((slice(5, 10), slice(5, 9), slice(7, 12)))  # 100 voxels in slices 7 to 11


@pytest.mark.parametrize("codes", STORED)
def test_the_slices_lie_across_the_largest_step_however_they_are_stored(codes: str) -> None:
    _, grid = stored_as(LESION, THICK, codes)
    assert slice_axis(grid) == [code in "SI" for code in codes].index(True)


def test_the_slices_of_a_coronal_scan_are_coronal() -> None:
    assert slice_axis(Grid(SHAPE, np.diag([-1.0, 4.0, 1.0, 1.0]))) == 1


@pytest.mark.parametrize("codes", STORED)
def test_of_equal_steps_the_most_vertical_is_that_across_the_slices(codes: str) -> None:
    nearly = Grid(SHAPE, np.diag([1.0, 1.0005, 1.0, 1.0]))
    _, grid = stored_as(LESION, nearly, codes)
    assert slice_axis(grid) == [code in "SI" for code in codes].index(True)


def test_three_slices_beyond_either_end_are_unsure_and_those_between_are_not() -> None:
    lesion = mask(
        (slice(5, 6), slice(5, 6), slice(5, 7)), (slice(5, 6), slice(5, 6), slice(10, 11))
    )
    holds, unsure = sure_and_unsure_slices(lesion, THICK)
    assert np.flatnonzero(holds).tolist() == [5, 6, 10]
    assert np.flatnonzero(unsure).tolist() == [2, 3, 4, 11, 12, 13]


def test_at_the_end_of_the_scan_there_are_fewer_unsure_slices() -> None:
    lesion = mask((slice(5, 6), slice(5, 6), slice(1, 18)))
    _, unsure = sure_and_unsure_slices(lesion, THICK)
    assert np.flatnonzero(unsure).tolist() == [0]


def test_without_lesion_no_slice_is_unsure() -> None:
    holds, unsure = sure_and_unsure_slices(mask(), THICK)
    assert not holds.any()
    assert not unsure.any()


def test_lesions_that_touch_at_a_corner_are_one_and_crumbs_are_none() -> None:
    corner = mask((slice(2, 4), slice(2, 4), slice(2, 4)), (slice(4, 6), slice(4, 6), slice(4, 6)))
    crumb = mask((slice(12, 16), slice(2, 3), slice(2, 3)))  # four voxels, 0.08 ml
    least = mask((slice(12, 17), slice(8, 9), slice(8, 9)))  # five voxels, 0.1 ml
    found = find_lesions(corner | crumb | least, THICK)
    assert found.count == 2
    assert sorted(found.sizes.tolist()) == [5, 16]
    assert not found.numbers[crumb].any()


def test_without_crumbs_keeps_what_is_exactly_large_enough() -> None:
    flagged = mask((slice(0, 4), slice(0, 1), slice(0, 1)), (slice(0, 5), slice(5, 6), slice(5, 6)))
    np.testing.assert_array_equal(
        without_crumbs(flagged, 5), mask((slice(0, 5), slice(5, 6), slice(5, 6)))
    )


@pytest.mark.parametrize(("flagged_voxels", "found"), [(9, 0), (10, 1), (100, 1)])
def test_a_lesion_is_found_at_a_tenth(flagged_voxels: int, found: int) -> None:
    flagged = np.zeros(SHAPE, np.bool_)
    flagged[tuple(np.argwhere(LESION)[:flagged_voxels].T)] = True
    point = froc_point(flagged, find_lesions(LESION, THICK), 0.7)
    assert (point.threshold, point.found, point.false_positives) == (0.7, found, 0)


def test_one_finding_may_find_two_lesions_and_misses_the_third() -> None:
    row = [(slice(2, 4), slice(2, 5), slice(at, at + 2)) for at in (2, 6, 10)]
    bridge = mask((slice(2, 4), slice(2, 5), slice(2, 8)))
    point = froc_point(bridge, find_lesions(mask(*row), THICK), 1.0)
    assert (point.found, point.false_positives) == (2, 0)


@pytest.mark.parametrize(("gap", "false_positives"), [(0, 0), (1, 1)])
def test_a_false_positive_touches_no_lesion(gap: int, false_positives: int) -> None:
    flagged = mask((slice(10 + gap, 14), slice(9, 11), slice(9, 12)))
    point = froc_point(flagged, find_lesions(LESION, THICK), 1.0)
    assert (point.found, point.false_positives) == (0, false_positives)


def test_what_touches_a_lesion_too_small_to_count_is_no_false_positive() -> None:
    crumb = mask((slice(15, 17), slice(2, 3), slice(8, 9)))
    flagged = mask((slice(15, 17), slice(3, 7), slice(8, 9)))
    assert froc_point(flagged, find_lesions(LESION | crumb, THICK), 1.0).false_positives == 0
    assert froc_point(flagged, find_lesions(LESION, THICK), 1.0).false_positives == 1


def test_crumbs_neither_find_a_lesion_nor_are_false_positives() -> None:
    small = mask((slice(5, 10), slice(5, 6), slice(7, 8)))
    crumbs = mask(
        (slice(5, 9), slice(5, 6), slice(7, 8)), (slice(15, 19), slice(2, 3), slice(9, 10))
    )
    point = froc_point(crumbs, find_lesions(small, THICK), 1.0)
    assert (point.found, point.false_positives) == (0, 0)


@pytest.mark.parametrize("codes", STORED)
@pytest.mark.parametrize(
    ("level", "false_positives"), [(3, 1), (4, 0), (6, 0), (12, 0), (14, 0), (15, 1)]
)
def test_three_slices_beyond_the_mask_s_ends_are_left_out(
    codes: str, level: int, false_positives: int
) -> None:
    """The lesion fills slices 7 to 11; the finding lies far from it within its own slice."""
    flagged = mask((slice(14, 18), slice(11, 14), slice(level, level + 1)))
    lesion, grid = stored_as(LESION, THICK, codes)
    turned, _ = stored_as(flagged, THICK, codes)
    assert froc_point(turned, find_lesions(lesion, grid), 1.0).false_positives == false_positives


def test_a_curve_loses_lesions_and_false_positives_as_the_threshold_rises() -> None:
    score = np.zeros(SHAPE, np.float32)
    score[LESION] = 2.0
    score[15:18, 11:14, 8:10] = 1.0
    score[:2, :3, 9] = 9.0
    support = np.ones(SHAPE, np.bool_)
    support[:4] = False  # where the score would be highest
    points = froc_curve(score, support, find_lesions(LESION, THICK), (3.0, 0.5, 1.5))
    assert [(p.threshold, p.found, p.false_positives) for p in points] == [
        (0.5, 1, 1),
        (1.5, 1, 0),
        (3.0, 0, 0),
    ]
