"""Finds the brain: in a skull-stripped scan what is not background, else the mask that is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.errors import BrainError
from counterpart.grid import Grid, box_around

BRAIN_VOLUME_ML = (500.0, 2200.0)
MIN_BACKGROUND_FRACTION = 0.3


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest face-connected part of a mask, its holes filled."""
    box = box_around(mask, 1)
    part = mask[box]
    labels, count = ndimage.label(part)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        part = labels == sizes.argmax()
    filled = np.zeros_like(mask)
    filled[box] = ndimage.binary_fill_holes(part)
    return filled


def stripped_brain(values: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
    """The brain mask of a scan whose skull was removed before.

    A stripped scan has one exactly constant background. Its foreground is the brain if its volume
    can be one; holes (dark fluid at the background's value) belong to the brain.

    Args:
        values: (I, J, K) the scan.
        grid: Its grid.

    Returns:
        (I, J, K) brain mask.

    Raises:
        BrainError: There is no constant background, or what remains cannot be a brain.
    """
    share = float((values == values[0, 0, 0]).mean())
    foreground = stripped_foreground(values)
    if foreground is None:
        raise BrainError(
            "expected a skull-stripped scan with a constant background, but only "
            f"{100 * share:.0f} % of the voxels share the corner's value: this looks like a whole "
            "head. Give its brain mask with --brain-mask."
        )
    return checked_brain(foreground, grid)


def stripped_foreground(values: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """What stands out from a constant background, holes filled; None if there is no such."""
    background = values == values[0, 0, 0]
    if background.mean() < MIN_BACKGROUND_FRACTION:
        return None
    return largest_component(~background)


def checked_brain(brain: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """The mask itself, if its volume can be that of a brain.

    Raises:
        BrainError: The volume is outside 500 to 2200 ml.
    """
    volume_ml = float(brain.sum()) * grid.voxel_volume_ml
    low, high = BRAIN_VOLUME_ML
    if not low <= volume_ml <= high:
        raise BrainError(
            f"expected a brain of {low:.0f} to {high:.0f} ml, got {volume_ml:.0f} ml. Give a "
            "skull-stripped scan that covers the brain, or its mask with --brain-mask."
        )
    return brain


def fill_outside(values: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Replace what is outside the brain by the nearest value inside.

    Interpolation near the rim then mixes brain with brain, whether or not the skull was there.
    """
    nearest = ndimage.distance_transform_edt(~brain, return_distances=False, return_indices=True)
    filled: NDArray[np.float32] = values[tuple(nearest)]
    return filled
