"""Borders of regions within a scan: pairs of voxels across them, and how far values jump there.

A *border pair* is two voxels of one slice, about 4 mm apart along a row or a column, of which one
lies in the region and the other does not. The *jump* of an image across a border is the mean
absolute difference over its pairs. To know what anatomy itself does, the same pairs are looked at
elsewhere in the same scan: moved within their slices, or mirrored to the other side of the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.evaluation.lesions import slice_axis
from counterpart.grid import Grid

ACROSS_MM = 4.0
MOVES_MM = tuple(range(10, 81, 10))
LEAST_PAIRS = 100
MOST_MOVED = 20_000
_OTHER_SLICE_MM = 1e4

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BorderPairs:
    """Pairs of voxels across a border.

    Args:
        inner: (P, 3) voxels in the region.
        outer: (P, 3) their partners outside.
    """

    inner: Index
    outer: Index

    def __len__(self) -> int:
        return len(self.inner)

    def kept(self, chosen: Mask) -> BorderPairs:
        """The pairs that (P,) booleans choose."""
        return BorderPairs(self.inner[chosen], self.outer[chosen])

    def within(self, allowed: Mask) -> BorderPairs:
        """The pairs of which both voxels lie in the array and are allowed."""
        return self.kept(_allowed(self.inner, allowed) & _allowed(self.outer, allowed))


def border_pairs(region: Mask, allowed: Mask, grid: Grid) -> BorderPairs:
    """The pairs across a region's border, 4 mm apart within the slices, at least one voxel.

    Args:
        region: (I, J, K).
        allowed: (I, J, K) where both voxels of a pair must lie.
        grid: Of both.
    """
    inner: list[Index] = [np.zeros((0, 3), np.int64)]
    outer = list(inner)
    for axis in in_plane_axes(grid):
        step = np.zeros(3, np.int64)
        step[axis] = max(1, round(ACROSS_MM / grid.spacing[axis]))
        near = np.argwhere(region)
        for far in (near + step, near - step):
            inside = _allowed(far, np.ones_like(region))
            crossing = np.zeros(len(near), np.bool_)
            crossing[inside] = ~region[tuple(far[inside].T)]
            inner.append(near[crossing])
            outer.append(far[crossing])
    return BorderPairs(np.concatenate(inner), np.concatenate(outer)).within(allowed)


def mean_jump(values: Array, pairs: BorderPairs) -> float | None:
    """Mean absolute difference of the values (I, J, K) over pairs; None of fewer than 100."""
    if len(pairs) < LEAST_PAIRS:
        return None
    inner, outer = values[tuple(pairs.inner.T)], values[tuple(pairs.outer.T)]
    return float(np.abs(inner.astype(np.float64) - outer).mean())


def moved(pairs: BorderPairs, grid: Grid, allowed: Mask) -> BorderPairs:
    """The pairs moved within their slices, in eight directions by 10 to 80 mm, where allowed.

    Of more than 20,000 pairs as many are taken, evenly.

    Args:
        pairs: On the grid.
        grid: Of the scan.
        allowed: (I, J, K) where both voxels must come to lie.
    """
    one, other = in_plane_axes(grid)
    few = pairs.kept(np.arange(len(pairs)) % ceil(max(len(pairs), 1) / MOST_MOVED) == 0)
    found = []
    for distance, right, up in product(MOVES_MM, (-1, 0, 1), (-1, 0, 1)):
        if not right and not up:
            continue
        length = distance / np.hypot(right, up)
        step = np.zeros(3, np.int64)
        step[one] = round(right * length / grid.spacing[one])
        step[other] = round(up * length / grid.spacing[other])
        found.append(BorderPairs(few.inner + step, few.outer + step).within(allowed))
    return BorderPairs(
        np.concatenate([part.inner for part in found]),
        np.concatenate([part.outer for part in found]),
    )


def mirrored(
    pairs: BorderPairs, grid: Grid, template_from_world: NDArray[np.float64], allowed: Mask
) -> BorderPairs:
    """The pairs on the other side of the head, mirrored at the template's middle, where allowed.

    Args:
        pairs: On the grid.
        grid: Of the scan.
        template_from_world: (4, 4) the scan's pose.
        allowed: (I, J, K) where both voxels must come to lie.
    """
    to_template = template_from_world @ grid.affine
    mirror = np.linalg.inv(to_template) @ np.diag([-1.0, 1.0, 1.0, 1.0]) @ to_template
    inner, outer = (
        np.rint(part @ mirror[:3, :3].T + mirror[:3, 3]).astype(np.int64)
        for part in (pairs.inner, pairs.outer)
    )
    return BorderPairs(inner, outer).within(allowed)


def in_plane_axes(grid: Grid) -> tuple[int, int]:
    """The two axes that lie in the slices."""
    across = slice_axis(grid)
    one, other = (axis for axis in range(3) if axis != across)
    return one, other


def distance_mm(region: Mask, grid: Grid, *, in_plane: bool = False) -> NDArray[np.float64]:
    """Distance of each voxel (I, J, K) from a region, mm; far more than a head's size without one.

    Args:
        region: (I, J, K).
        grid: Its grid.
        in_plane: Whether only the same slice counts.
    """
    if not region.any():
        return np.full(region.shape, _OTHER_SLICE_MM)
    steps = list(grid.spacing)
    if in_plane:
        steps[slice_axis(grid)] = _OTHER_SLICE_MM
    return np.asarray(ndimage.distance_transform_edt(~region, sampling=steps))


def _allowed(index: Index, allowed: Mask) -> Mask:
    inside = ((index >= 0) & (index < allowed.shape)).all(axis=1)
    found = np.zeros(len(index), np.bool_)
    found[inside] = allowed[tuple(index[inside].T)]
    return found
