"""How well a healthy counterpart keeps the patient: what it alters, its seams, what it leaves.

*Alteration* is ``|scan − counterpart|`` as a share of the scan's *normal range*, the distance
between the 1st and the 99th percentile of the scan in the brain. A voxel is *altered* where that is
more than 0.02. All figures are ours; none is taken from a publication.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.evaluation.borders import (
    border_pairs,
    distance_mm,
    mean_jump,
    mirrored,
    moved,
)
from counterpart.evaluation.lesions import find_lesions, slice_axis, without_crumbs
from counterpart.evaluation.records import KeepingFigures
from counterpart.findings import MIN_VOLUME_ML
from counterpart.grid import Grid, box_around
from counterpart.pose import THICK_SLICE_MM
from counterpart.results import Result

ALTERED = 0.02
RIM_MM = 6.0  # the gate widens by a voxel of the frame, blurs by one, is interpolated over one
HEALTHY_RIM_MM = (4.0, 12.0)
RING_MM = (3.0, 9.0)
_CLOSED = 2

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Part:
    """What is looked at of a result, cropped; images in shares of the normal range."""

    grid: Grid
    scan: Array
    counterpart: Array
    brain: Mask
    findings: Mask
    lesion: Mask
    template_from_world: NDArray[np.float64]


def keeping_figures(result: Result, lesion: Mask | None = None) -> KeepingFigures:
    """Measure how well a counterpart keeps the patient.

    Args:
        result: On the scan's grid.
        lesion: (I, J, K) lesion mask on the same grid; None of a healthy subject.
    """
    part = _part(result, lesion)
    change = np.abs(part.scan - part.counterpart)
    beyond = part.brain & (_distance(part.findings, part.grid) > RIM_MM)
    healthy = part.brain & (_distance(part.lesion, part.grid) > RIM_MM)
    if part.lesion.any():
        healthy &= find_lesions(part.lesion, part.grid).judged
    region = altered_region(change > ALTERED, part.brain, part.grid)
    contrast = lesion_contrast(part.scan, part.lesion, part.brain, part.grid)
    rim_jump, rim_jump_before = _rim_jumps(part, region)
    edge_left, edge_elsewhere = _edges(part, region)
    return KeepingFigures(
        altered_outside=_mean(change[beyond] > ALTERED),
        change_outside=_mean(change[beyond]),
        altered_healthy=_mean(change[healthy] > ALTERED),
        rim_jump=rim_jump,
        rim_jump_before=rim_jump_before,
        lesion_contrast=contrast,
        contrast_removed=_contrast_removed(part, contrast),
        edge_left=edge_left,
        edge_elsewhere=edge_elsewhere,
        edge_ring=_edge_ring(part, contrast),
    )


def normal_range(scan: Array, brain: Mask) -> float:
    """Distance between the 1st and 99th percentile of the scan in the brain, scan units, above 0.

    Args:
        scan: (I, J, K).
        brain: (I, J, K), not empty.
    """
    low, high = np.percentile(scan[brain], (1.0, 99.0))
    return max(float(high - low), float(np.finfo(np.float32).tiny))


def altered_region(altered: Mask, brain: Mask, grid: Grid) -> Mask:
    """The altered voxels as regions with a border: specks gone, gaps closed within the slices.

    Args:
        altered: (I, J, K).
        brain: (I, J, K) that the region cannot leave.
        grid: Of both.

    Returns:
        (I, J, K), no component below 0.1 ml.
    """
    cross = ndimage.generate_binary_structure(3, 1)
    np.moveaxis(cross, slice_axis(grid), 0)[[0, 2]] = False
    opened = ndimage.binary_opening(altered & brain, cross)
    closed = ndimage.binary_closing(np.pad(opened, _CLOSED), cross, iterations=_CLOSED)
    inner = closed[_CLOSED:-_CLOSED, _CLOSED:-_CLOSED, _CLOSED:-_CLOSED]
    return without_crumbs(inner & brain, math.ceil(MIN_VOLUME_ML / grid.voxel_volume_ml - 1e-6))


def brain_beside(lesion: Mask, brain: Mask, grid: Grid) -> Mask:
    """The brain 4 to 12 mm beside a lesion in the same slice, (I, J, K)."""
    away = distance_mm(lesion, grid, in_plane=True)
    return brain & (away > HEALTHY_RIM_MM[0]) & (away <= HEALTHY_RIM_MM[1])


def lesion_contrast(image: Array, lesion: Mask, brain: Mask, grid: Grid) -> float | None:
    """Mean of an image in the lesion less its mean in the brain 4 to 12 mm beside it, signed.

    Beside means within the same slice; the first 4 mm are left out, for masks are not so exact.

    Args:
        image: (I, J, K).
        lesion: (I, J, K), and so is the brain.
        brain: Where the rim lies.
        grid: Of all three.

    Returns:
        In the image's units; None without a lesion or without brain beside it.
    """
    rim = brain_beside(lesion, brain, grid)
    if not lesion.any() or not rim.any():
        return None
    return float(image[lesion].mean(dtype=np.float64) - image[rim].mean(dtype=np.float64))


def _part(result: Result, lesion: Mask | None) -> _Part:
    brain = result.brain > 0
    known = np.zeros_like(brain) if lesion is None else lesion
    box = box_around(brain | known, 1)
    scan = result.scan.values[box].astype(np.float32)
    unit = np.float32(normal_range(scan, brain[box]))
    return _Part(
        grid=result.scan.grid.cropped(box),
        scan=scan / unit,
        counterpart=result.counterpart[box].astype(np.float32) / unit,
        brain=brain[box],
        findings=result.mask[box] > 0,
        lesion=known[box],
        template_from_world=result.template_from_world,
    )


def _distance(region: Mask, grid: Grid) -> NDArray[np.float64]:
    """Distance from a region; thick slices are not mixed, for the gate does not mix them."""
    return distance_mm(region, grid, in_plane=max(grid.spacing) > THICK_SLICE_MM)


def _rim_jumps(part: _Part, region: Mask) -> tuple[float | None, float | None]:
    """Jumps of counterpart and scan across the region's border, over the scan's elsewhere."""
    pairs = border_pairs(region, part.brain, part.grid)
    untouched = part.brain & (_distance(region, part.grid) > RIM_MM)
    elsewhere = mean_jump(part.scan, moved(pairs, part.grid, untouched))
    after, before = (mean_jump(image, pairs) for image in (part.counterpart, part.scan))
    return _ratio(after, elsewhere), _ratio(before, elsewhere)


def _edges(part: _Part, region: Mask) -> tuple[float | None, float | None]:
    """Jumps across the lesion's border, counterpart's and mirrored, over the scan's there."""
    pairs = border_pairs(part.lesion, part.brain | part.lesion, part.grid)
    before = mean_jump(part.scan, pairs)
    away = _distance(part.lesion | region, part.grid)
    other_side = mirrored(pairs, part.grid, part.template_from_world, part.brain & (away > RIM_MM))
    elsewhere = mean_jump(part.scan, other_side)
    return _ratio(mean_jump(part.counterpart, pairs), before), _ratio(elsewhere, before)


def _edge_ring(part: _Part, contrast: float | None) -> float | None:
    """The counterpart along the lesion's border less on both its sides, over the contrast."""
    if contrast is None or abs(contrast) < ALTERED:
        return None
    outside = distance_mm(part.lesion, part.grid, in_plane=True)
    depth = distance_mm(~part.lesion, part.grid, in_plane=True)
    near, far = RING_MM
    ring = (part.brain | part.lesion) & (outside <= near) & (depth <= near)
    within = part.lesion & (depth > near) & (depth <= far)
    beside = part.brain & (outside > near) & (outside <= far)
    means = [_mean(part.counterpart[place]) for place in (ring, within, beside)]
    if None in means:
        return None
    on_ring, inner, outer = (float(mean or 0.0) for mean in means)
    return (on_ring - (inner + outer) / 2.0) / contrast


def _contrast_removed(part: _Part, before: float | None) -> float | None:
    after = lesion_contrast(part.counterpart, part.lesion, part.brain, part.grid)
    if before is None or after is None or abs(before) < ALTERED:
        return None
    return 1.0 - abs(after) / abs(before)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _mean(values: NDArray[np.generic]) -> float | None:
    return float(values.mean(dtype=np.float64)) if values.size else None
