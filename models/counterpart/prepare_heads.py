"""Brings whole heads and label maps onto the grid from which the brain network learns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.brain import largest_component
from counterpart.brain_network import SPACING_MM
from counterpart.errors import CohortError
from counterpart.grid import Grid, canonical_orientation, resample
from counterpart.heads import (
    BRAINSTEM,
    CEREBELLUM,
    DEEP,
    FIRST_OUTSIDE,
    GREY,
    HEAD_SHAPE,
    OUTER_FLUID,
    VENTRICLE,
    WHITE,
    HeadEntry,
    PreparedHead,
)
from counterpart.scans import is_nifti, read_scan, scan_name
from counterpart.tissue import label_classes

# DLMUSE label numbers beyond those of `tissue.label_classes`.
_DLMUSE_CEREBELLUM = (38, 39, 71, 72, 73)
_DLMUSE_BRAINSTEM = (35,)
# SynthSeg label numbers; 25 and 57 are lesions and become white matter, as a healthy head has.
_SYNTHSEG = {
    WHITE: (2, 41, 7, 46, 25, 57, 85, 136, 137, 163, 164),
    GREY: (3, 42),
    DEEP: (10, 11, 12, 13, 17, 18, 26, 49, 50, 51, 52, 53, 54, 58),
    VENTRICLE: (4, 5, 14, 15, 43, 44, 72, 30, 62),
    CEREBELLUM: (8, 47),
    BRAINSTEM: (16, 28, 60),
}
_SYNTHSEG_FLUID = 24
_SYNTHSEG_OUTSIDE = 501
_HULL_MM = 6.0
_LEAST_OUTSIDE = 0.15


def head_of_scan(
    entry: HeadEntry,
    values: NDArray[np.float32],
    brain: NDArray[np.bool_],
    labels: NDArray[np.int_] | None,
    grid: Grid,
) -> PreparedHead | None:
    """A scan with its brain as a head, or None if there is nothing but the brain in it.

    Args:
        entry: What is known of it.
        values: (I, J, K) scan on its canonical grid.
        brain: (I, J, K) brain mask.
        labels: (I, J, K) DLMUSE label numbers, if known; else the brain's tissue is grey.
        grid: The canonical grid.
    """
    background = np.percentile(values, 1.0)
    outside = (values > background + 0.1 * (np.median(values[brain]) - background)) & ~brain
    if outside.sum() < _LEAST_OUTSIDE * brain.sum():
        return None
    tissue = np.where(brain, GREY, 0).astype(np.uint8)
    if labels is not None:
        _paint_dlmuse(tissue, labels, brain)
    index_map = _head_index_map(brain, grid)
    image = resample(values, index_map, HEAD_SHAPE)
    high = max(float(np.percentile(image, 99.9)), 1e-12)
    low = min(float(np.percentile(image, 0.1)), 0.0)
    return PreparedHead(
        entry,
        np.clip(np.rint(255.0 * (image - low) / (high - low)), 0, 255).astype(np.uint8),
        resample(tissue, index_map, HEAD_SHAPE, order=0).astype(np.uint8),
    )


def heads_of_label_maps(folder: Path) -> Iterator[PreparedHead]:
    """The label maps (SynthSeg numbers) of a folder, all of them for training, one by one.

    Raises:
        CohortError: There is none (at once), or one shows no brain (when it is its turn).
    """
    paths = [path for path in sorted(folder.glob("*")) if is_nifti(path)]
    if not paths:
        raise CohortError(f"{folder}: no label map (.nii or .nii.gz) in it.")
    return map(_head_of_label_map, paths)


def synthseg_tissue(labels: NDArray[np.int_], grid: Grid) -> NDArray[np.uint8]:
    """Tissue codes of `counterpart.heads` from SynthSeg label numbers (I, J, K).

    Label 24 (fluid) counts as brain only inside the closed hull of the brain: it is used in the
    eyes and far from the brain as well.
    """
    tissue = np.zeros(labels.shape, np.uint8)
    for code, numbers in _SYNTHSEG.items():
        tissue[np.isin(labels, numbers)] = code
    steps = max(1, round(_HULL_MM / min(grid.spacing)))
    padded = np.pad(tissue > 0, steps)
    ball = ndimage.generate_binary_structure(3, 1)
    closed = ndimage.binary_closing(padded, ball, iterations=steps)
    inner = (slice(steps, -steps),) * 3
    hull = largest_component(closed[inner])
    fluid = labels == _SYNTHSEG_FLUID
    beyond = labels >= _SYNTHSEG_OUTSIDE
    tissue[beyond] = np.minimum(FIRST_OUTSIDE + labels[beyond] - _SYNTHSEG_OUTSIDE, 63)
    tissue[fluid] = FIRST_OUTSIDE
    tissue[hull & (fluid | (labels == 0))] = OUTER_FLUID
    return tissue


def _head_of_label_map(path: Path) -> PreparedHead:
    scan = read_scan(path)
    turn = canonical_orientation(scan.grid)
    labels = turn.forward(np.rint(scan.values).astype(np.int_))
    tissue = synthseg_tissue(labels, turn.canonical)
    brain = (tissue > 0) & (tissue < FIRST_OUTSIDE)
    if not brain.any():
        raise CohortError(f"{path}: no SynthSeg brain label in it.")
    index_map = _head_index_map(brain, turn.canonical)
    return PreparedHead(
        HeadEntry(scan_name(path), "train", has_image=False),
        np.zeros(HEAD_SHAPE, np.uint8),
        resample(tissue, index_map, HEAD_SHAPE, order=0).astype(np.uint8),
    )


def _paint_dlmuse(
    tissue: NDArray[np.uint8], labels: NDArray[np.int_], brain: NDArray[np.bool_]
) -> None:
    classes = label_classes(labels)
    for name, code in (("white", WHITE), ("deep", DEEP), ("ventricles", VENTRICLE)):
        tissue[classes[name] > 0] = code
    tissue[np.isin(labels, _DLMUSE_CEREBELLUM)] = CEREBELLUM
    tissue[np.isin(labels, _DLMUSE_BRAINSTEM)] = BRAINSTEM
    tissue[brain & ((classes["fluid"] > 0) | (labels == 0))] = OUTER_FLUID
    tissue[~brain] = 0


def _head_index_map(brain: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """From the head grid's index to the scan's, the brain's box in the middle."""
    index = np.argwhere(brain)
    middle = (index.min(axis=0) + index.max(axis=0)) / 2.0
    step = SPACING_MM / np.array(grid.spacing)
    index_map = np.eye(4)
    index_map[:3, :3] = np.diag(step)
    index_map[:3, 3] = middle - step * (np.array(HEAD_SHAPE) - 1) / 2.0
    return index_map
