"""Measures how near an edge each voxel of a brain lies: the gradient of its smoothed image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.grid import box_around

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

EDGE_SMOOTHING_MM = 1.4


def edge_strength(
    reconstruction: Array, brain: Mask, template_from_frame: NDArray[np.float64]
) -> Array:
    """Gradient magnitude (I, J, K) of the reconstruction, lightly smoothed within the brain.

    The background has no say, so the brain's rim is no edge.

    Args:
        reconstruction: (I, J, K) spreads.
        brain: (I, J, K) brain mask.
        template_from_frame: (4, 4) frame voxel index to template space, mm.

    Returns:
        Spreads/mm of template space, 0 outside the brain.
    """
    box = box_around(brain, 0)
    inside = brain[box]
    matrix = template_from_frame[:3, :3]
    sigma = EDGE_SMOOTHING_MM / np.sqrt((matrix**2).sum(axis=0))
    margin = [(1, 1)] * 3  # one voxel beyond the rim still has a smoothed value
    weight = np.pad(inside.astype(np.float32), margin)
    values = np.pad(np.where(inside, reconstruction[box], 0.0).astype(np.float32), margin)
    weight = ndimage.gaussian_filter(weight, sigma, mode="constant", truncate=2.0)
    values = ndimage.gaussian_filter(values, sigma, mode="constant", truncate=2.0)
    known = weight > 1e-3
    smooth = np.divide(values, weight, out=np.zeros_like(values), where=known)
    steps = np.stack([_step(smooth, known, axis)[inside] for axis in range(3)])
    gradient = np.linalg.inv(matrix).T.astype(np.float32) @ steps
    result = np.zeros(brain.shape, np.float32)
    result[brain] = np.sqrt((gradient**2).sum(axis=0))
    return result


def _step(smooth: Array, known: Mask, axis: int) -> Array:
    """Change per voxel along an axis, from both neighbours or the one that is known."""
    middle = (slice(1, -1),) * 3

    def shifted(by: int) -> tuple[slice, ...]:
        return (*middle[:axis], slice(1 + by, smooth.shape[axis] - 1 + by), *middle[axis + 1 :])

    above, below = shifted(1), shifted(-1)
    up = np.where(known[above], smooth[above], smooth[middle])
    down = np.where(known[below], smooth[below], smooth[middle])
    between = known[above].astype(np.float32) + known[below]
    step: Array = (up - down) / np.maximum(between, 1.0)
    return step
