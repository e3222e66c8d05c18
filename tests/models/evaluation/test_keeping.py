"""How well a counterpart keeps the patient: closed forms, and what each figure must not see."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from made_up_results import Array, Mask, box, result_of, stored_as
from scipy import ndimage

from counterpart.evaluation.keeping import (
    altered_region,
    keeping_figures,
    lesion_contrast,
    normal_range,
)
from counterpart.grid import Grid
from counterpart.results import Result

SHAPE = (48, 50, 9)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[0, 3] = -47.0  # the template's middle is the array's
GRID = Grid(SHAPE, AFFINE)
BRAIN = box((3, 45), (3, 47), (0, 9), shape=SHAPE)
LESION = box((8, 18), (18, 30), (2, 7), shape=SHAPE)
NOISE = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
TISSUE: Array = np.where(BRAIN, 100.0 + 2.0 * NOISE, 0.0).astype(np.float32)
BRIGHT: Array = (TISSUE + 60.0 * LESION).astype(np.float32)


def result(counterpart: Array, *, scan: Array = BRIGHT, findings: Mask | None = LESION) -> Result:
    known = result_of(
        np.zeros(SHAPE, np.float32), mask=findings, brain=BRAIN, values=scan, grid=GRID
    )
    return replace(known, counterpart=counterpart)


def spread(values: Array, sigma: float = 1.5) -> Array:
    found: Array = ndimage.gaussian_filter(values.astype(np.float32), (sigma, sigma, 0.0))
    return found


def test_an_unchanged_scan_is_not_altered_and_keeps_every_edge() -> None:
    found = keeping_figures(result(BRIGHT), LESION)
    assert (found.altered_outside, found.change_outside, found.altered_healthy) == (0.0, 0.0, 0.0)
    assert (found.rim_jump, found.rim_jump_before) == (None, None)
    assert found.edge_left == 1.0
    assert found.contrast_removed == 0.0
    unit = normal_range(BRIGHT, BRAIN)
    assert found.lesion_contrast == pytest.approx(60.0 / unit, rel=0.01)


def test_a_healed_lesion_leaves_no_edge_but_that_of_anatomy() -> None:
    found = keeping_figures(result(TISSUE), LESION)
    assert found.altered_outside == found.altered_healthy == 0.0
    assert found.contrast_removed is not None
    assert found.contrast_removed > 0.99
    assert found.edge_left == pytest.approx(found.edge_elsewhere, rel=0.2)
    assert found.edge_left is not None
    assert found.edge_left < 0.06
    assert found.rim_jump == pytest.approx(1.0, abs=0.15)
    assert found.rim_jump_before is not None
    assert found.rim_jump_before > 20.0
    assert found.edge_ring == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("left", [0.25, 0.5, 1.5])
def test_a_share_of_the_lesion_that_is_left_is_that_share(left: float) -> None:
    """And one that is taken away too far is not removed by so much."""
    found = keeping_figures(result(TISSUE + np.float32(60.0 * left) * LESION), LESION)
    assert found.contrast_removed == pytest.approx(1.0 - left, abs=0.01)
    assert found.edge_left == pytest.approx(left, abs=0.03)
    dark = keeping_figures(result(TISSUE - np.float32(60.0 * left) * LESION), LESION)
    assert dark.contrast_removed == pytest.approx(1.0 - left, abs=0.01)


def test_a_ring_that_was_left_standing_is_seen() -> None:
    core = ndimage.binary_erosion(LESION, np.ones((3, 3, 1)))
    found = keeping_figures(result(TISSUE + np.float32(30.0) * (LESION & ~core)), LESION)
    assert found.edge_ring is not None
    assert found.edge_ring > 0.15
    assert found.contrast_removed is not None
    assert found.contrast_removed > 0.7
    darker = result(
        TISSUE + np.float32(30.0) * (LESION & ~core), scan=TISSUE - np.float32(60.0) * LESION
    )
    ring = keeping_figures(darker, LESION).edge_ring
    assert ring is not None
    assert ring < -0.15


def test_a_seam_is_told_from_a_smooth_change() -> None:
    """Even where both take the same from the scan and nothing was there before."""
    patch = box((28, 40), (12, 34), (2, 7), shape=SHAPE).astype(np.float32)
    sharp, smooth = (
        keeping_figures(result(TISSUE + 12 * change, scan=TISSUE, findings=None))
        for change in (patch, spread(patch, 5.0))
    )
    assert sharp.rim_jump is not None
    assert sharp.rim_jump > 4.0
    assert smooth.rim_jump is not None
    assert smooth.rim_jump < 1.3
    assert sharp.rim_jump_before == pytest.approx(1.0, abs=0.1)


def test_what_is_altered_is_counted_outside_findings_and_outside_lesions() -> None:
    """Beyond 6 mm: three voxels, and the fourth counts."""
    finding = box((30, 34), (20, 24), (4, 6), shape=SHAPE)
    near = box((37, 38), (20, 24), (4, 6), shape=SHAPE)  # four voxels away
    within = box((36, 37), (20, 24), (4, 6), shape=SHAPE)  # three voxels away
    counterpart = BRIGHT + 30.0 * (near | within)
    unit = normal_range(BRIGHT, BRAIN)
    found = keeping_figures(result(counterpart.astype(np.float32), findings=finding), LESION)
    away = ndimage.distance_transform_edt(~finding, sampling=2.0) > 6.0
    assert not away[within].any()
    assert away[near].all()
    count = int((BRAIN & away).sum())
    assert found.altered_outside == pytest.approx(near.sum() / count)
    assert found.change_outside == pytest.approx(near.sum() * 30.0 / unit / count, rel=1e-4)
    healthy = BRAIN & (ndimage.distance_transform_edt(~LESION, sampling=2.0) > 6.0)
    healthy[..., :2] = healthy[..., 7:] = False  # masks stop short of the visible lesion
    both = near | within
    assert found.altered_healthy == pytest.approx(both.sum() / healthy.sum())


def test_a_change_below_the_stated_amount_is_no_alteration() -> None:
    unit = np.float32(normal_range(TISSUE, BRAIN))
    for share, altered in ((0.019, 0.0), (0.021, 1.0)):
        changed = (TISSUE + np.float32(share) * unit * BRAIN).astype(np.float32)
        found = keeping_figures(result(changed, scan=TISSUE, findings=None))
        assert found.altered_outside == found.altered_healthy == altered
        assert found.change_outside == pytest.approx(share, rel=1e-3)


def test_a_healthy_subject_has_no_figures_of_a_lesion() -> None:
    found = keeping_figures(result(TISSUE, scan=TISSUE, findings=None))
    assert found.altered_healthy == 0.0
    assert astuple(found)[5:] == (None,) * 5


def test_a_lesion_like_its_surroundings_has_no_contrast_to_remove() -> None:
    found = keeping_figures(result(TISSUE, scan=TISSUE), LESION)
    assert found.lesion_contrast == pytest.approx(0.0, abs=0.02)
    assert found.contrast_removed is None
    assert found.edge_ring is None
    assert found.edge_left == 1.0


def test_a_lesion_whose_other_side_is_lesion_too_has_no_edge_elsewhere() -> None:
    both = LESION | LESION[::-1]
    found = keeping_figures(result(TISSUE, scan=TISSUE + np.float32(60) * both), both)
    assert found.edge_elsewhere is None
    assert found.edge_left is not None


def test_the_contrast_is_that_to_the_brain_4_to_12_mm_beside_the_lesion() -> None:
    away = ndimage.distance_transform_edt(~LESION.any(axis=2), sampling=2.0)[..., None]
    image = np.where((away > 4.0) & (away <= 12.0), 3.0, 50.0) * np.ones(SHAPE)
    image = np.where(LESION, 10.0, image).astype(np.float32)
    assert lesion_contrast(image, LESION, BRAIN, GRID) == pytest.approx(7.0)
    assert lesion_contrast(image, LESION, LESION, GRID) is None
    assert lesion_contrast(image, np.zeros_like(LESION), BRAIN, GRID) is None


def test_specks_are_no_region_and_gaps_are_closed() -> None:
    patch = box((10, 20), (10, 20), (3, 6), shape=SHAPE)
    holed = patch.copy()
    holed[14:16, 14:16] = False
    specks = np.zeros(SHAPE, np.bool_)
    specks[30::3, 30::3] = True
    found = altered_region(holed | specks, BRAIN, GRID)
    corners = patch & ~found
    assert not (found & ~patch).any()
    assert found[14, 14, 4]
    assert corners.sum() <= 4 * 3
    assert not altered_region(box((3, 45), (0, 3), (0, 9), shape=SHAPE), BRAIN, GRID).any()


def test_the_grey_levels_unit_does_not_matter() -> None:
    one = keeping_figures(result(TISSUE + np.float32(20) * LESION), LESION)
    other = keeping_figures(
        result(np.float32(7) * TISSUE + np.float32(140) * LESION, scan=np.float32(7) * BRIGHT),
        LESION,
    )
    np.testing.assert_allclose(astuple(one), astuple(other), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("codes", ["LPS", "PIR"])
def test_figures_do_not_depend_on_how_the_scan_is_stored(codes: str) -> None:
    known = result(TISSUE + np.float32(20) * LESION)
    parts = {
        name: stored_as(array, GRID, codes)
        for name, array in {
            "values": known.scan.values,
            "counterpart": known.counterpart,
            "brain": known.brain,
            "mask": known.mask,
            "lesion": LESION,
        }.items()
    }
    grid = parts["values"][1]
    other = replace(
        known,
        scan=replace(known.scan, values=parts["values"][0], grid=grid),
        **{name: parts[name][0] for name in ("counterpart", "brain", "mask")},
    )
    expected = astuple(keeping_figures(known, LESION))
    found = astuple(keeping_figures(other, parts["lesion"][0]))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
