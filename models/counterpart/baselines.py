"""Scores a scan by intensity alone: the plain baselines that the anomaly map is measured against.

They are the normalised scan, its inverse, and its distance from the brain's bulk, each as it is and
smoothed by 1.5 and 3 mm. No network is in them, so what they flag is what the eye would flag first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.grid import Grid
from counterpart.intensity import fit_normalisation

SMOOTHING_MM = (0.0, 1.5, 3.0)
WORDS = {
    "intensity": "brightest tissue",
    "inverted": "darkest tissue",
    "robust |z|": "most unusual tissue",
}
_STRONGEST = {
    "FLAIR": ("intensity", 3.0),
    "T1c": ("intensity", 3.0),
    "T2": ("intensity", 1.5),
    "T1": ("inverted", 3.0),
}
_UNKNOWN = ("robust |z|", 3.0)


def baseline_scores(
    values: NDArray[np.float32], brain: NDArray[np.bool_], grid: Grid
) -> dict[str, NDArray[np.float32]]:
    """The plain baselines' scores: intensity, inverted, robust |z|, each at three smoothings.

    Smoothing is normalised by the brain mask, so that the background does not leak in.

    Args:
        values: (I, J, K) scan.
        brain: (I, J, K) region that counts, not empty.
        grid: Of both arrays.

    Returns:
        By name, such as ``inverted, 3 mm``.
    """
    scaled = fit_normalisation(values[brain]).apply(values)
    return {
        _name(kind, width_mm): _masked_smooth(_raw(kind, scaled), brain, grid, width_mm)
        for kind in WORDS
        for width_mm in SMOOTHING_MM
    }


def plain_baseline(contrast: str) -> str:
    """Name of the plain baseline that stands beside a result of this contrast.

    The choice was made once, before any result is looked at: for each contrast the baseline with
    the highest mean voxel average precision on patients with lesion masks (FLAIR: gliomas,
    white-matter disease and multiple sclerosis; T1: low-grade gliomas; T2: multiple sclerosis, on
    three patients only, where every baseline is weak). Scans with contrast agent take FLAIR's,
    as disease is bright there too. Where the contrast is not known, nothing says whether disease
    is bright or dark, so the distance from the brain's bulk stands in.

    Args:
        contrast: ``T1``, ``T1c``, ``T2``, ``FLAIR`` or anything else.
    """
    return _name(*_STRONGEST.get(contrast, _UNKNOWN))


def baseline_in_words(contrast: str) -> str:
    """What the contrast's plain baseline flags, such as ``brightest tissue (3 mm)``."""
    kind, width_mm = _STRONGEST.get(contrast, _UNKNOWN)
    return f"{WORDS[kind]} ({width_mm:g} mm)"


def flag_by_baseline(
    contrast: str,
    values: NDArray[np.float32],
    brain: NDArray[np.bool_],
    grid: Grid,
    count: int,
) -> NDArray[np.bool_]:
    """Flag as many voxels of the brain as asked for: those that the plain baseline scores highest.

    Args:
        contrast: Chooses the baseline.
        values: (I, J, K) scan.
        brain: (I, J, K) where voxels may be flagged.
        grid: Of both arrays.
        count: How many voxels; never more than the brain has.

    Returns:
        (I, J, K), true in exactly ``count`` voxels; of equal scores the first ones count.

    Raises:
        ScanError: Half of the brain or more has one single value.
    """
    if count == 0 or not brain.any():
        return np.zeros(brain.shape, np.bool_)
    kind, width_mm = _STRONGEST.get(contrast, _UNKNOWN)
    scaled = fit_normalisation(values[brain]).apply(values)
    return flag_highest(_masked_smooth(_raw(kind, scaled), brain, grid, width_mm), brain, count)


def flag_highest(
    score: NDArray[np.float32], brain: NDArray[np.bool_], count: int
) -> NDArray[np.bool_]:
    """The ``count`` highest voxels of the brain; of equal ones the first."""
    flagged = np.zeros(brain.shape, np.bool_)
    inside = score[brain]
    count = min(count, inside.size)
    if count > 0:
        threshold = np.partition(inside, inside.size - count)[inside.size - count]
        chosen = inside > threshold
        ties = np.flatnonzero(inside == threshold)
        chosen[ties[: count - int(chosen.sum())]] = True
        flagged[brain] = chosen
    return flagged


def _name(kind: str, width_mm: float) -> str:
    return kind if width_mm == 0 else f"{kind}, {width_mm:g} mm"


def _raw(kind: str, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
    if kind == "inverted":
        return -scaled
    return np.abs(scaled) if kind == "robust |z|" else scaled


def _masked_smooth(
    score: NDArray[np.float32], brain: NDArray[np.bool_], grid: Grid, width_mm: float
) -> NDArray[np.float32]:
    if width_mm == 0:
        return score
    sigma = [width_mm / step for step in grid.spacing]
    weight = ndimage.gaussian_filter(brain.astype(np.float32), sigma)
    blurred = ndimage.gaussian_filter(np.where(brain, score, 0.0).astype(np.float32), sigma)
    return np.where(brain, blurred / np.maximum(weight, 1e-6), 0.0).astype(np.float32)
