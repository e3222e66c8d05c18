"""What may explain a patient's figures: ventricles in template space, and the pose."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_results import Array, Mask, result_of
from scipy import ndimage

from counterpart.evaluation.records import Traits
from counterpart.evaluation.traits import like_brain, traits_of, wide_ventricles
from counterpart.regions import REGIONS, RegionAtlas
from counterpart.results import Result
from counterpart.template import CANVAS

CODES = {region.name: region.code for region in REGIONS}
BRAIN = np.zeros(CANVAS.shape, np.bool_)
BRAIN[26:-26, 32:-32, 28:-28] = True
VENTRICLE = np.zeros(CANVAS.shape, np.bool_)
VENTRICLE[35:45, 40:56, 36:44] = True
AWAY = np.asarray(ndimage.distance_transform_edt(~VENTRICLE, sampling=2.0))
NOTHING = np.zeros(CANVAS.shape, np.bool_)
ATLAS = RegionAtlas(
    np.where(VENTRICLE, CODES["lateral ventricle"], CODES["frontal lobe"]).astype(np.uint8)
)


def result(fluid: Mask, *, tissue: float = 100.0, dark: float = 20.0) -> Result:
    noise = np.random.default_rng(0).standard_normal(CANVAS.shape)
    values: Array = ((np.where(fluid, dark, tissue) + noise) * BRAIN).astype(np.float32)
    return result_of(np.zeros(CANVAS.shape, np.float32), brain=BRAIN, values=values, grid=CANVAS)


def test_narrow_ventricles_are_not_wide_and_wide_ones_are() -> None:
    assert wide_ventricles(result(VENTRICLE), NOTHING, ATLAS) == 0.0
    assert wide_ventricles(result(AWAY <= 8.0), NOTHING, ATLAS) == 1.0
    ring = (AWAY >= 2.0) & (AWAY <= 8.0)
    half = wide_ventricles(result(AWAY <= 5.0), NOTHING, ATLAS)
    assert half == pytest.approx((ring & (AWAY <= 5.0)).sum() / ring.sum())


def test_bright_fluid_is_fluid_on_t2() -> None:
    bright = replace(result(AWAY <= 8.0, dark=300.0), contrast="T2")
    assert wide_ventricles(bright, NOTHING, ATLAS) == 1.0
    assert wide_ventricles(replace(bright, contrast="T1"), NOTHING, ATLAS) == 0.0


def test_lesion_beside_the_ventricles_does_not_make_them_wide() -> None:
    lesion = (AWAY > 0) & (AWAY <= 5.0)
    assert lesion.any()
    assert wide_ventricles(result(AWAY <= 5.0), lesion, ATLAS) == 0.0


def test_what_lies_between_fluid_and_tissue_is_no_fluid() -> None:
    """Grey nuclei beside narrow ventricles."""
    nuclei = result(VENTRICLE)
    nuclei.scan.values[(AWAY > 0) & (AWAY <= 8.0)] = 70.0
    assert wide_ventricles(nuclei, NOTHING, ATLAS) == 0.0
    nuclei.scan.values[(AWAY > 0) & (AWAY <= 8.0)] = 40.0
    assert wide_ventricles(nuclei, NOTHING, ATLAS) == 1.0


def test_of_an_unknown_contrast_nothing_is_said() -> None:
    unknown = replace(result(VENTRICLE), contrast="unknown")
    assert wide_ventricles(unknown, NOTHING, ATLAS) is None
    assert wide_ventricles(result(VENTRICLE), BRAIN & (AWAY < 20.0), ATLAS) is None


def test_a_lesion_at_the_ventricles_is_told_by_its_share() -> None:
    near, far = NOTHING.copy(), NOTHING.copy()
    near[45, 48, 40] = near[47, 48, 40] = True  # 2 and 6 mm away
    far[48, 48, 40] = True
    assert traits_of(result(VENTRICLE), near, ATLAS).by_ventricles == 1.0
    assert traits_of(result(VENTRICLE), far, ATLAS).by_ventricles == 0.0
    share = traits_of(result(VENTRICLE), near | far, ATLAS).by_ventricles
    assert share == pytest.approx(2 / 3)


def test_the_pose_moves_the_lesion() -> None:
    lesion = NOTHING.copy()
    lesion[45, 48, 40] = True
    pose = np.eye(4)
    pose[0, 3] = 20.0
    moved = replace(result(VENTRICLE), template_from_world=pose)
    assert traits_of(moved, lesion, ATLAS).by_ventricles == 0.0


def test_the_share_of_a_lesion_like_the_brain_beside_it() -> None:
    """A quarter of it bright, a quarter dark, the rest as the brain."""
    lesion = NOTHING.copy()
    lesion[30:50, 36:44, 36:40] = True
    mixed = replace(result(NOTHING), contrast="FLAIR")
    mixed.scan.values[30:35, 36:44, 36:40] = 200.0
    mixed.scan.values[35:40, 36:44, 36:40] = 20.0
    assert like_brain(mixed, lesion) == pytest.approx(0.25 + 0.75 * 0.5, abs=0.03)
    assert like_brain(replace(mixed, contrast="T1"), lesion) == pytest.approx(
        0.25 + 0.75 * 0.5, abs=0.03
    )
    assert like_brain(replace(mixed, contrast="unknown"), lesion) is None
    assert like_brain(mixed, BRAIN) is None


def test_what_is_not_known_is_none() -> None:
    unknown = replace(result(VENTRICLE), contrast="unknown")
    assert traits_of(unknown, VENTRICLE, None) == Traits()
    known = replace(result(VENTRICLE), provenance={"pose_overlap": 0.93})
    assert traits_of(known, VENTRICLE, None).pose_overlap == 0.93
