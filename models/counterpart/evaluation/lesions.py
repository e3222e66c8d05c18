"""Lesions one by one: which of them a score finds, and what it flags besides.

Components are connected by faces, edges and corners; one below 0.1 ml is neither a lesion that
must be found nor a false positive. Masks may stop two or three slices short of the visible lesion,
so three slices beyond a mask's ends are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.evaluation.records import FrocPoint
from counterpart.findings import MIN_VOLUME_ML
from counterpart.grid import Grid

UNSURE_SLICES = 3
FOUND_SHARE = 0.1
_NEIGHBOURS = np.ones((3, 3, 3), np.bool_)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Lesions:
    """The lesions of a scan.

    Args:
        numbers: (I, J, K) 1 to ``count`` in each lesion that counts.
        sizes: (count,) voxels of each.
        near: (I, J, K) the mask and its neighbours: what touches it is no false positive.
        judged: (I, J, K) where false positives are counted.
        least_voxels: Fewest voxels of a component that counts.
    """

    numbers: NDArray[np.int32]
    sizes: NDArray[np.int64]
    near: Mask
    judged: Mask
    least_voxels: int

    @property
    def count(self) -> int:
        """How many lesions count."""
        return len(self.sizes)


def find_lesions(lesion: Mask, grid: Grid) -> Lesions:
    """Number the lesions of a mask (I, J, K) on a grid."""
    least = math.ceil(MIN_VOLUME_ML / grid.voxel_volume_ml - 1e-6)  # 0.1 / 0.02 is 5 and a bit
    kept = without_crumbs(lesion, least)
    numbers, count = ndimage.label(kept, _NEIGHBOURS)
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    near = ndimage.binary_dilation(lesion, _NEIGHBOURS)
    judged = ~sure_and_unsure_slices(lesion, grid)[1]
    judged_everywhere = _spread(judged, slice_axis(grid), lesion.shape)
    return Lesions(numbers.astype(np.int32), sizes, near, judged_everywhere, least)


def froc_point(flagged: Mask, lesions: Lesions, threshold: float) -> FrocPoint:
    """Count what a mask of flagged voxels finds; its crumbs do not count.

    Args:
        flagged: (I, J, K).
        lesions: Of the same scan.
        threshold: For the record.
    """
    kept = without_crumbs(flagged & lesions.judged, lesions.least_voxels)
    hit = np.bincount(lesions.numbers[kept], minlength=lesions.count + 1)[1:]
    found = int((hit >= FOUND_SHARE * lesions.sizes).sum())
    numbers, count = ndimage.label(kept, _NEIGHBOURS)
    touching = np.unique(numbers[lesions.near & kept])
    return FrocPoint(threshold, found, count - int((touching > 0).sum()))


def froc_curve(
    score: NDArray[np.float32], support: Mask, lesions: Lesions, thresholds: Sequence[float]
) -> tuple[FrocPoint, ...]:
    """The points of some thresholds; only voxels of the support can be flagged."""
    return tuple(froc_point(support & (score >= at), lesions, at) for at in sorted(thresholds))


def without_crumbs(flagged: Mask, least_voxels: float) -> Mask:
    """A mask without components of fewer voxels than asked for."""
    numbers, count = ndimage.label(flagged, _NEIGHBOURS)
    large = np.bincount(numbers.ravel(), minlength=count + 1) >= least_voxels
    large[0] = False
    kept: Mask = large[numbers]
    return kept


def slice_axis(grid: Grid) -> int:
    """The axis across the slices: that of the largest step, of equal ones the most vertical."""
    steps = np.array(grid.spacing)
    upwards = np.abs(grid.affine[2, :3]) / steps
    thick = steps >= steps.max() * (1 - 1e-3)
    return int(np.where(thick, upwards, -1.0).argmax())


def sure_and_unsure_slices(lesion: Mask, grid: Grid) -> tuple[Mask, Mask]:
    """For each slice whether it holds lesion, and whether it lies just beyond the mask's ends."""
    axis = slice_axis(grid)
    across = tuple(other for other in range(3) if other != axis)
    holds = lesion.any(axis=across)
    unsure = np.zeros_like(holds)
    if holds.any():
        first, last = np.flatnonzero(holds)[[0, -1]]
        unsure[max(first - UNSURE_SLICES, 0) : first] = True
        unsure[last + 1 : last + 1 + UNSURE_SLICES] = True
    return holds, unsure


def _spread(slices: Mask, axis: int, shape: tuple[int, ...]) -> Mask:
    return np.broadcast_to(np.expand_dims(slices, [n for n in range(3) if n != axis]), shape)
