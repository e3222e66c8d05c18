"""Figures of a score: closed forms, slow versions, and what each figure may look at."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from counterpart.evaluation.lesions import find_lesions
from counterpart.evaluation.scores import (
    Truth,
    best_dice,
    dice,
    flagged_alike,
    lowest_outside,
    score_figures,
    slice_auroc,
    top_mean,
)
from counterpart.grid import Grid

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
SHAPE = (10, 12, 16)
GRID = Grid(SHAPE, np.diag([2.0, -2.0, 5.0, 1.0]))  # 0.02 ml: five voxels count
EVERYWHERE = np.ones(SHAPE, np.bool_)


def box(i: slice, j: slice, k: slice) -> Mask:
    found = np.zeros(SHAPE, np.bool_)
    found[i, j, k] = True
    return found


LESION = box(slice(3, 7), slice(4, 8), slice(6, 9))  # 48 voxels


def truth_of(
    lesion: Mask = LESION,
    *,
    region: Mask = EVERYWHERE,
    support: Mask = EVERYWHERE,
    flagged: Mask | None = None,
    grid: Grid = GRID,
) -> Truth:
    shown = np.zeros_like(lesion) if flagged is None else flagged
    return Truth(lesion, region, support, shown, find_lesions(lesion, grid), grid)


def noise(seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def by_slice(*levels: float) -> Array:
    """A score that is the same everywhere in a slice."""
    return np.broadcast_to(np.array(levels, np.float32), SHAPE).copy()


@pytest.mark.parametrize("seed", range(8))
def test_the_best_dice_is_that_of_the_best_threshold_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 6, 60).astype(np.float32)
    truth = rng.random(60) < 0.2 + 0.1 * score
    slow = max(
        2.0 * (truth & (score >= at)).sum() / (truth.sum() + (score >= at).sum())
        for at in np.unique(score)
    )
    assert best_dice(torch.from_numpy(score), torch.from_numpy(truth)) == pytest.approx(slow)


def test_the_best_dice_of_one_score_for_all_flags_all() -> None:
    truth = torch.tensor([True, False, False, False])
    assert best_dice(torch.ones(4), truth) == pytest.approx(2 / 5)


def test_without_a_positive_the_best_dice_is_zero() -> None:
    assert best_dice(torch.rand(5), torch.zeros(5, dtype=torch.bool)) == 0.0


def test_dice_is_twice_the_shared_over_the_sum() -> None:
    half = box(slice(3, 7), slice(4, 6), slice(6, 9))
    assert dice(LESION, half) == pytest.approx(2 / 3)
    assert dice(LESION, ~LESION) == 0.0
    assert dice(~EVERYWHERE, ~EVERYWHERE) == 0.0


def test_average_precision_counts_the_region_alone() -> None:
    score = noise() + 2 * LESION.astype(np.float32)
    region = box(slice(0, 8), slice(0, 10), slice(0, 12))
    found = score_figures(np.where(region, score, 99.0), truth_of(region=region))
    assert found.ap == pytest.approx(average_precision_score(LESION[region], score[region]))


def test_where_a_score_says_nothing_it_is_lowest() -> None:
    """Half of the lesion lies where no score speaks: it comes last, with all else there."""
    support = box(slice(0, 5), slice(0, 12), slice(0, 16))
    score = np.where(support, LESION.astype(np.float32), np.float32(99.0))
    quiet = lowest_outside(score, support)
    assert quiet[~support].max() < quiet[support].min()
    np.testing.assert_array_equal(quiet[support], score[support])
    found = score_figures(score, truth_of(support=support))
    assert found.ap == pytest.approx(0.5 + 0.5 * LESION.mean())
    assert found.best_dice == pytest.approx(2 / 3)


def test_without_any_support_all_voxels_are_alike() -> None:
    found = score_figures(noise(), truth_of(support=~EVERYWHERE))
    assert found.ap == pytest.approx(LESION.mean())
    assert (found.dice, found.slice_auroc, found.scan_score) == (0.0, None, 0.0)


def test_a_score_flags_its_highest_voxels_as_many_as_the_map() -> None:
    """A ramp has no crumbs: its highest voxels are one piece."""
    flagged = box(slice(0, 3), slice(0, 5), slice(0, 4))
    ramp = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    found = flagged_alike(ramp, truth_of(flagged=flagged))
    np.testing.assert_array_equal(found, ramp >= ramp.size - 60)


def test_crumbs_are_left_out_and_other_voxels_flagged_instead() -> None:
    score = noise()
    score[LESION] += 6.0
    crumbs = np.zeros(SHAPE, np.bool_)
    crumbs[::3, ::4, 12] = True
    score[crumbs] = 50.0 + score[crumbs]
    flagged = box(slice(0, 3), slice(0, 4), slice(0, 4))  # 48 voxels elsewhere
    found = flagged_alike(score, truth_of(flagged=flagged))
    assert (found & ~crumbs).sum() == found.sum()
    assert found.sum() == pytest.approx(48, abs=2)
    assert dice(found, LESION) > 0.9


def test_only_the_support_is_flagged_and_never_more_than_it_holds() -> None:
    support = box(slice(0, 3), slice(0, 3), slice(0, 3))
    found = flagged_alike(noise(), truth_of(support=support, flagged=LESION))
    np.testing.assert_array_equal(found, support)


def test_outside_the_support_not_even_the_highest_voxels_are_flagged() -> None:
    score = noise() + np.float32(20.0) * LESION
    score[:3, :, 12:] = 50.0
    score[3::3, ::4, 2] = 50.0  # crumbs, so that further voxels are looked for
    support = box(slice(3, 10), slice(0, 12), slice(0, 16))
    found = flagged_alike(score, truth_of(support=support, flagged=np.roll(LESION, 5, axis=2)))
    np.testing.assert_array_equal(found, LESION)


def test_where_the_map_flags_nothing_no_score_does() -> None:
    found = score_figures(noise(), truth_of())
    assert found.dice == 0.0
    assert not flagged_alike(noise(), truth_of()).any()


def test_what_a_score_flags_may_be_given() -> None:
    assert score_figures(noise(), truth_of(), flagged=LESION).dice == 1.0


def test_slices_are_ranked_by_pairs() -> None:
    """Lesion in slices 6 to 8 and no slice 3 to 5 and 9 to 11; the rest are 3 + 4 others."""
    levels = np.array([1, 2, 3, 0, 0, 0, 2.5, 3.5, 5, 0, 0, 0, 4, 0, 0, 0], np.float32)
    others, ones = levels[[0, 1, 2, 12, 13, 14, 15]], levels[6:9]
    pairs = [float(one > other) for one in ones for other in others]
    assert slice_auroc(by_slice(*levels), truth_of()) == pytest.approx(np.mean(pairs))


def test_slices_just_beyond_the_lesion_do_not_count() -> None:
    levels = np.zeros(16)
    levels[6:9], levels[[3, 4, 5, 9, 10, 11]] = 1.0, 9.0
    assert slice_auroc(by_slice(*levels), truth_of()) == 1.0
    levels[2] = 9.0
    assert slice_auroc(by_slice(*levels), truth_of()) == pytest.approx(6 / 7)


def test_a_slice_counts_by_its_highest_hundredth_within_the_support() -> None:
    score = by_slice(*np.linspace(0, 1, 16))
    score[0, 0, 6:9] = 9.0  # one voxel of 120
    score[9, 11, 12:] = 10.0
    support = EVERYWHERE.copy()
    support[9, 11] = False
    assert slice_auroc(score, truth_of(support=support)) == 1.0
    assert slice_auroc(score, truth_of()) == pytest.approx(3 / 7)


@pytest.mark.parametrize(("voxels", "counts"), [(49, False), (50, True)])
def test_slices_with_hardly_any_brain_do_not_count(voxels: int, counts: bool) -> None:
    levels = np.zeros(16)
    levels[6:9], levels[15] = 1.0, 2.0
    support = EVERYWHERE.copy()
    support[..., 15] = (np.arange(120) < voxels).reshape(SHAPE[:2])
    expected = 6 / 7 if counts else 1.0
    assert slice_auroc(by_slice(*levels), truth_of(support=support)) == pytest.approx(expected)


def test_without_slices_of_both_kinds_there_is_no_area() -> None:
    through = box(slice(3, 7), slice(4, 8), slice(0, 16))
    assert slice_auroc(noise(), truth_of(through)) is None
    assert score_figures(noise(), truth_of(through)).slice_auroc is None


def test_the_highest_hundredth_is_averaged_and_at_least_one_value() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, 1001.0)).astype(np.float32)
    assert top_mean(values) == pytest.approx(995.5)
    assert top_mean(values[:20]) == values[:20].max()
    assert top_mean(values[:0]) == 0.0


def test_a_scan_is_scored_by_the_support_s_highest_hundredth() -> None:
    support = EVERYWHERE.copy()
    support[0] = False
    score = noise()
    score[0] = 99.0
    assert score_figures(score, truth_of(support=support)).scan_score == top_mean(score[1:].ravel())


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1), (0, 2, 1)])
def test_figures_do_not_depend_on_how_the_axes_are_stored(axes: tuple[int, int, int]) -> None:
    def turned(array: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.ascontiguousarray(np.flip(np.transpose(array, axes), axis=1))

    score = noise(3) + 2 * LESION.astype(np.float32)
    flagged = score > 2.0
    steps = GRID.affine.copy()
    steps[:, :3] = GRID.affine[:, list(axes)]
    steps[:, 1] *= -1
    shape = (SHAPE[axes[0]], SHAPE[axes[1]], SHAPE[axes[2]])
    other = truth_of(
        turned(LESION).astype(np.bool_),
        region=np.ones(shape, np.bool_),
        support=np.ones(shape, np.bool_),
        flagged=turned(flagged).astype(np.bool_),
        grid=Grid(shape, steps),
    )
    here = score_figures(score, truth_of(flagged=flagged), thresholds=(0.5, 2.0))
    there = score_figures(turned(score).astype(np.float32), other, thresholds=(0.5, 2.0))
    assert there.scan_score == pytest.approx(here.scan_score)  # the order of the sum is another
    assert here == replace(there, scan_score=here.scan_score)
    assert here.slice_auroc is not None
    assert len(here.froc) == 2
    assert 0.1 < here.ap < 0.9
