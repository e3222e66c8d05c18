"""Figures of one score of one scan: how well it ranks voxels, slices and the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from counterpart.average_precision import average_precision
from counterpart.evaluation.lesions import (
    Lesions,
    froc_curve,
    slice_axis,
    sure_and_unsure_slices,
    without_crumbs,
)
from counterpart.evaluation.records import ScoreFigures
from counterpart.grid import Grid

TOP_SHARE = 0.01
_LEAST_SLICE_VOXELS = 50
_HALVINGS = 12

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Truth:
    """What every score of a scan is measured against; all arrays (I, J, K).

    Args:
        lesion: Lesion mask.
        region: The voxels that count.
        support: Where a score says something; in the rest of the region it has its lowest value.
        flagged: What the anomaly map flags at the healthy threshold.
        lesions: Of the lesion mask.
        grid: Of all arrays.
    """

    lesion: Mask
    region: Mask
    support: Mask
    flagged: Mask
    lesions: Lesions
    grid: Grid


def score_figures(
    score: Array, truth: Truth, *, thresholds: Sequence[float] = (), flagged: Mask | None = None
) -> ScoreFigures:
    """Measure a score.

    Args:
        score: (I, J, K), larger means more likely lesion.
        truth: Of the same scan.
        thresholds: Of the FROC curve; none gives no curve.
        flagged: What the score flags; by default as many voxels as the anomaly map flags.
    """
    score = lowest_outside(score, truth.support)
    if flagged is None:
        flagged = flagged_alike(score, truth)
    values = torch.from_numpy(score[truth.region])
    hits = torch.from_numpy(truth.lesion[truth.region])
    return ScoreFigures(
        ap=float(average_precision(values, hits)),
        best_dice=best_dice(values, hits),
        dice=dice(flagged, truth.lesion),
        slice_auroc=slice_auroc(score, truth),
        scan_score=top_mean(score[truth.support]),
        froc=froc_curve(score, truth.support, truth.lesions, thresholds) if thresholds else (),
    )


def lowest_outside(score: Array, support: Mask) -> Array:
    """The score, and below its lowest value where it says nothing."""
    floor = float(score[support].min()) - 1.0 if support.any() else 0.0
    return np.where(support, score, np.float32(floor))


def dice(one: Mask, other: Mask) -> float:
    """Dice coefficient of two masks; 0 if both are empty."""
    return 2.0 * float((one & other).sum()) / max(float(one.sum() + other.sum()), 1.0)


def best_dice(score: torch.Tensor, truth: torch.Tensor) -> float:
    """Highest Dice coefficient over all thresholds (oracle).

    Args:
        score: (N,) larger means more likely positive.
        truth: (N,) bool.

    Returns:
        0 without a positive.
    """
    order = score.argsort(descending=True)
    ranked = score[order]
    hits = truth[order].double().cumsum(0)
    flagged = torch.arange(1, len(score) + 1, dtype=torch.float64)
    ends = torch.ones_like(truth)
    ends[:-1] = ranked[1:] != ranked[:-1]  # a threshold flags equal scores together
    return float((2.0 * hits / (flagged + truth.sum()))[ends].max())


def flagged_alike(score: Array, truth: Truth) -> Mask:
    """What a score flags with about as many voxels as the anomaly map, crumbs left out alike."""
    wanted = int(truth.flagged.sum())
    if wanted == 0:
        return np.zeros_like(truth.flagged)
    ranked = np.sort(score[truth.support])[::-1]
    low, high = wanted, len(ranked)  # how many voxels to flag before crumbs are dropped
    best = truth.support & (score >= ranked[min(wanted, len(ranked)) - 1])
    best = without_crumbs(best, truth.lesions.least_voxels)
    for _ in range(_HALVINGS):
        if high - low < 2:
            break
        middle = (low + high) // 2
        flagged = truth.support & (score >= ranked[middle - 1])
        flagged = without_crumbs(flagged, truth.lesions.least_voxels)
        if abs(int(flagged.sum()) - wanted) < abs(int(best.sum()) - wanted):
            best = flagged
        if flagged.sum() < wanted:
            low = middle
        else:
            high = middle
    return best


def slice_auroc(score: Array, truth: Truth) -> float | None:
    """Area under the curve of slices with lesion against those without; None if one is missing.

    A slice's score is the mean of its highest hundredth within the support; slices just beyond the
    mask's ends and slices with hardly any brain do not count.
    """
    axis = slice_axis(truth.grid)
    holds, unsure = sure_and_unsure_slices(truth.lesion, truth.grid)
    levels = np.moveaxis(score, axis, 0)
    inside = np.moveaxis(truth.support, axis, 0)
    counted = ~unsure & (inside.sum(axis=(1, 2)) >= _LEAST_SLICE_VOXELS)
    chosen = np.flatnonzero(counted)
    if len(np.unique(holds[chosen])) < 2:
        return None
    return float(roc_auc_score(holds[chosen], [top_mean(levels[k][inside[k]]) for k in chosen]))


def top_mean(values: Array) -> float:
    """Mean of the highest hundredth of values (N,), at least one of them; 0 of none."""
    if not len(values):
        return 0.0
    count = max(1, round(TOP_SHARE * len(values)))
    return float(np.partition(values, len(values) - count)[-count:].mean())
