"""Where voxels lie in the world: the pair of shape and affine that travels with every array.

A *grid* is the set of voxel centres of an image. Its ``affine`` maps a voxel index (i, j, k) to a
point in the world: RAS+, millimetres, float64. Spacing is derived from the affine, never stored.

An *orientation change* permutes and flips the axes of an array without touching its values; here
it is a nibabel orientation transform, so it is exact and can be undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.floating[Any]]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel centres of an image.

    Args:
        shape: Number of voxels (I, J, K).
        affine: (4, 4) voxel index to world, RAS+, mm.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along each axis, mm."""
        lengths = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def tilt_degrees(self) -> float:
        """The largest angle between an axis of the grid and the nearest axis of the world."""
        axes = np.abs(self.affine[:3, :3]) / np.array(self.spacing)
        return float(np.degrees(np.arccos(np.clip(axes.max(axis=0), 0.0, 1.0))).max())

    def world(self, index: FloatArray) -> FloatArray:
        """World points (..., 3) in mm of voxel indices (..., 3)."""
        points: FloatArray = np.asarray(index) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return points

    def cropped(self, box: Box) -> Grid:
        """The grid of the voxels inside a box of slices."""
        affine = self.affine.copy()
        affine[:3, 3] = self.world(np.array([part.start for part in box]))
        return Grid(
            (
                box[0].stop - box[0].start,
                box[1].stop - box[1].start,
                box[2].stop - box[2].start,
            ),
            affine,
        )

    def same_as(self, other: Grid) -> bool:
        """Whether both grids have the same voxels, to the last digit."""
        return self.shape == other.shape and bool(np.array_equal(self.affine, other.affine))


@dataclass(frozen=True, eq=False)
class Orientation:
    """An exact change of axis order and direction between a stored grid and its RAS-like twin.

    Args:
        stored: The grid as stored in the file.
        to_canonical: nibabel orientation transform (3, 2) from stored to closest RAS.
    """

    stored: Grid
    to_canonical: NDArray[np.float64]

    @property
    def canonical(self) -> Grid:
        """The grid after the change: axes point to R, A and S as nearly as they can."""
        shape = tuple(
            int(self.stored.shape[int(np.flatnonzero(self.to_canonical[:, 0] == axis)[0])])
            for axis in range(3)
        )
        step = nib.orientations.inv_ornt_aff(self.to_canonical, self.stored.shape)
        return Grid((shape[0], shape[1], shape[2]), self.stored.affine @ step)

    def forward(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring an array (I, J, K) from the stored to the canonical axes."""
        turned = nib.orientations.apply_orientation(array, self.to_canonical)
        return np.ascontiguousarray(turned)

    def backward(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring an array (I, J, K) from the canonical back to the stored axes."""
        inverse = np.empty_like(self.to_canonical)
        for stored_axis, (axis, flip) in enumerate(self.to_canonical):
            inverse[int(axis)] = (stored_axis, flip)
        turned = nib.orientations.apply_orientation(array, inverse)
        return np.ascontiguousarray(turned)


def canonical_orientation(grid: Grid) -> Orientation:
    """The orientation change that brings ``grid`` nearest to RAS axes."""
    return Orientation(grid, nib.orientations.io_orientation(grid.affine))


def box_around(mask: NDArray[np.bool_], margin: int | Sequence[int]) -> Box:
    """The smallest box around a mask (I, J, K) with a margin of voxels, within the array.

    The margin is one number, or one for each axis. An empty mask has the whole array as its box.
    """
    margins = (margin,) * 3 if isinstance(margin, int) else margin
    box = []
    for axis, size in enumerate(mask.shape):
        across = tuple(other for other in range(3) if other != axis)
        inside = np.flatnonzero(mask.any(axis=across))
        low, high = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, size)
        box.append(slice(max(low - margins[axis], 0), min(high + margins[axis], size)))
    return (box[0], box[1], box[2])


def resample(
    array: NDArray[Any],
    index_map: NDArray[np.float64],
    shape: tuple[int, int, int],
    *,
    order: int = 1,
    fill: float = 0.0,
) -> NDArray[np.float32]:
    """Sample an array at the voxels of another grid.

    Where the new grid is coarser, the array is smoothed first (Gaussian, the width that a sampling
    at the coarser step needs), so that nothing aliases.

    Args:
        array: (I, J, K) source values.
        index_map: (4, 4) from target voxel index to source voxel index.
        shape: Target shape.
        order: Spline order, 0 to 3.
        fill: Value outside the source.

    Returns:
        Values at the target voxels, float32.
    """
    source = np.asarray(array, dtype=np.float32)
    step = np.sqrt((index_map[:3, :3] ** 2).sum(axis=1))
    sigma = np.where(step > 1.05, 0.42 * np.sqrt(np.maximum(step**2 - 1.0, 0.0)), 0.0)
    if order > 0 and sigma.any():
        source = ndimage.gaussian_filter(source, sigma, mode="nearest")
    result: NDArray[np.float32] = ndimage.affine_transform(
        source,
        index_map[:3, :3],
        index_map[:3, 3],
        output_shape=shape,
        output=np.float32,
        order=cast(Literal[0, 1, 2, 3], order),
        mode="constant",
        cval=fill,
    )
    return result
