"""What may explain a patient's figures: where the lesion lies, wide ventricles, a poor pose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.evaluation.keeping import HEALTHY_RIM_MM, brain_beside
from counterpart.evaluation.records import Traits
from counterpart.grid import box_around
from counterpart.regions import REGIONS, RegionAtlas
from counterpart.results import Result
from counterpart.template import CANVAS, SPACING_MM

BRIGHT_IN, DARK_IN = ("FLAIR", "T2", "T1c"), ("T1",)
NEAR_MM = 6.0
BESIDE_MM = (2.0, 8.0)
_LEAST_VOXELS = 20
_FLUID_PERCENTILES = {"T1": 5.0, "T1c": 5.0, "FLAIR": 5.0, "T2": 95.0}
_LIKE_FLUID = 0.5
_LATERAL = ("lateral ventricle",)
_VENTRICLES = (*_LATERAL, "third ventricle", "fourth ventricle")

Mask = NDArray[np.bool_]


def traits_of(result: Result, lesion: Mask, atlas: RegionAtlas | None) -> Traits:
    """Tell what may explain the figures of a result.

    Args:
        result: On the scan's grid.
        lesion: (I, J, K) lesion mask on the same grid, not empty.
        atlas: Of the model; without it nothing is said about ventricles.
    """
    overlap = result.provenance.get("pose_overlap")
    by_ventricles = wide = None
    if atlas is not None:
        by_ventricles = float((_depth_mm(result, lesion, atlas, _VENTRICLES) <= NEAR_MM).mean())
        wide = wide_ventricles(result, lesion, atlas)
    return Traits(
        by_ventricles=by_ventricles,
        wide_ventricles=wide,
        like_brain=like_brain(result, lesion),
        pose_overlap=None if overlap is None else float(overlap),
    )


def like_brain(result: Result, lesion: Mask) -> float | None:
    """Share of a lesion that is no brighter than the brain beside it, or on T1 no darker.

    That is: not beyond the upper, on T1 the lower quartile of the brain 4 to 12 mm beside the
    lesion in the same slices.

    Args:
        result: On the scan's grid.
        lesion: (I, J, K) lesion mask on the same grid, not empty.

    Returns:
        From 0 to 1; None of an unknown contrast, or without brain beside the lesion.
    """
    margin = [int(np.ceil(HEALTHY_RIM_MM[1] / step)) + 1 for step in result.scan.grid.spacing]
    box = box_around(lesion, margin)
    grid = result.scan.grid.cropped(box)
    values, inside = result.scan.values[box], lesion[box]
    beside = values[brain_beside(inside, result.brain[box] > 0, grid)]
    if not beside.size or result.contrast not in (*BRIGHT_IN, *DARK_IN):
        return None
    if result.contrast in BRIGHT_IN:
        return float((values[inside] <= np.percentile(beside, 75.0)).mean())
    return float((values[inside] >= np.percentile(beside, 25.0)).mean())


def wide_ventricles(result: Result, lesion: Mask, atlas: RegionAtlas) -> float | None:
    """Share of the tissue beside the template's lateral ventricles that looks like fluid.

    Fluid is the brain's 5th percentile on T1 and FLAIR, its 95th on T2. A voxel 2 to 8 mm beside
    where healthy heads have lateral ventricles looks like fluid if it is nearer to that than to the
    brain's median. In 148 healthy heads (T1) the share rises with age (rank correlation 0.61), and
    one in twenty has more than 0.24.

    Args:
        result: On the scan's grid.
        lesion: (I, J, K) left out.
        atlas: Where healthy heads have ventricles.

    Returns:
        From 0 to 1; None where too few voxels or the contrast are known.
    """
    percentile = _FLUID_PERCENTILES.get(result.contrast)
    box = box_around(result.brain > 0, 0)
    inside = np.zeros(lesion.shape, np.bool_)
    inside[box] = (result.brain[box] > 0) & ~lesion[box]
    away = _depth_mm(result, inside, atlas, _LATERAL)
    beside = (away >= BESIDE_MM[0]) & (away <= BESIDE_MM[1])
    if percentile is None or beside.sum() < _LEAST_VOXELS:
        return None
    values = result.scan.values[inside].astype(np.float64)
    fluid, tissue = np.percentile(values, (percentile, 50.0))
    if fluid == tissue:
        return None
    way = (values[beside] - fluid) / (tissue - fluid)
    return float((way <= _LIKE_FLUID).mean())


def _depth_mm(
    result: Result, chosen: Mask, atlas: RegionAtlas, names: tuple[str, ...]
) -> NDArray[np.float64]:
    """Distance of the chosen voxels (N,) from regions of the atlas, template mm; 0 within."""
    codes = [region.code for region in REGIONS if region.name in names]
    away = ndimage.distance_transform_edt(~np.isin(atlas.codes, codes), sampling=SPACING_MM)
    to_template = result.template_from_world @ result.scan.grid.affine
    points = np.argwhere(chosen) @ to_template[:3, :3].T + to_template[:3, 3]
    return _at(np.asarray(away), points)


def _at(values: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of the canvas at points (N, 3) of template space, those of its nearest voxels."""
    index = np.rint((points - CANVAS.affine[:3, 3]) / SPACING_MM).astype(int)
    index = np.clip(index, 0, np.array(CANVAS.shape) - 1)
    found: NDArray[np.float64] = values[tuple(index.T)]
    return found
