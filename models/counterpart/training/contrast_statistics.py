"""Statistics that real and rendered scans are compared by: histograms, tissues, detail, caps.

All arrays have their slices first, (K, I, J), 2 mm in plane; intensities are in spreads
(`counterpart.intensity`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.template import SPACING_MM

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]

EDGES = np.linspace(-6.0, 8.0, 141)
DISTANCES_MM = np.arange(0.0, 21.0, 2.0)
DETAIL_MM = 6.0
LAGS_MM = (2.0, 4.0, 8.0)
MIN_VOXELS = 50
_MAD_TO_SPREAD = 1.4826


def histogram(values: NDArray[np.float32]) -> Numbers:
    """Share of the values per spread in the bins of `EDGES`; what lies beyond is in the end bins.

    Args:
        values: Intensities of any shape, spreads.

    Returns:
        (140,) density, which adds up to 1 times the bin's width; NaN for fewer than 50 values.
    """
    if values.size < MIN_VOXELS:
        return np.full(len(EDGES) - 1, np.nan)
    middles = (EDGES[:-1] + EDGES[1:]) / 2.0
    counts, _ = np.histogram(np.clip(values, middles[0], middles[-1]), EDGES)
    density: Numbers = counts / (values.size * np.diff(EDGES))
    return density


def wasserstein(first: Numbers, second: Numbers) -> float:
    """Wasserstein-1 distance of two densities over `EDGES`, spreads: how far values have to move.

    It is the area between the two cumulative distributions (Vallender 1974).
    """
    widths = np.diff(EDGES)
    return float((np.abs(np.cumsum((first - second) * widths)) * widths).sum())


def location_and_spread(values: NDArray[np.float32]) -> tuple[float, float]:
    """Median and scaled median absolute deviation, spreads; NaN for fewer than 50 values."""
    if values.size < MIN_VOXELS:
        return float("nan"), float("nan")
    location = float(np.median(values))
    return location, _MAD_TO_SPREAD * float(np.median(np.abs(values - location)))


def distance_profile(values: Volume, distance_mm: Volume, inside: Mask) -> Numbers:
    """Mean intensity at each distance.

    Args:
        values: (K, I, J) spreads.
        distance_mm: (K, I, J) distance to the ventricles.
        inside: (K, I, J) the voxels that count.

    Returns:
        (10,) means over ]0, 2], ]2, 4], … ]18, 20] mm; NaN for fewer than 50 voxels.
    """
    where = np.digitize(distance_mm[inside], DISTANCES_MM, right=True)
    size = len(DISTANCES_MM) + 1
    count = np.bincount(where, minlength=size)[1:-1]
    total = np.bincount(where, weights=values[inside], minlength=size)[1:-1]
    means: Numbers = np.where(count >= MIN_VOXELS, total / np.maximum(count, 1), np.nan)
    return means


def fine_detail(values: Volume, inside: Mask) -> Volume:
    """What is finer than a Gaussian of 6 mm in the plane; voxels outside say nothing.

    Args:
        values: (K, I, J) spreads.
        inside: (K, I, J) the voxels that count.

    Returns:
        (K, I, J) detail, spreads, 0 outside.
    """
    width = (0.0, DETAIL_MM / SPACING_MM, DETAIL_MM / SPACING_MM)
    weight = inside.astype(np.float32)
    shown = np.where(inside, values, np.float32(0.0))
    coarse = ndimage.gaussian_filter(shown, width) / np.maximum(
        ndimage.gaussian_filter(weight, width), 1e-3
    )
    detail: Volume = np.where(inside, values - coarse, 0.0).astype(np.float32)
    return detail


def correlation_at(detail: Volume, inside: Mask, lag_mm: float) -> float:
    """Correlation of the detail with itself, moved in the plane along either axis.

    Args:
        detail: (K, I, J) detail of mean about 0.
        inside: (K, I, J) the voxels that count; both of a pair must.
        lag_mm: How far it is moved, a multiple of 2 mm.

    Returns:
        -1 to 1; NaN for fewer than 50 pairs or no detail at all.
    """
    step = round(lag_mm / SPACING_MM)
    product, power, pairs = 0.0, 0.0, 0
    for axis in (1, 2):
        one, other = (slice(None),) * axis + (slice(step, None),), (slice(None),) * axis
        other = (*other, slice(None, -step))
        both = inside[one] & inside[other]
        first = detail[one][both].astype(np.float64)
        second = detail[other][both].astype(np.float64)
        product += float((first * second).sum())
        power += float((first**2 + second**2).sum()) / 2.0
        pairs += len(first)
    return product / power if pairs >= MIN_VOXELS and power > 0 else float("nan")


def own_ventricles(values: Volume, inside: Mask, fluid: Mask, white: Mask, near: Mask) -> Mask:
    """The ventricles of a scan, from where they are expected and how fluid looks in it.

    A voxel is fluid if it is nearer to the fluid's median than to white matter's.

    Args:
        values: (K, I, J) spreads.
        inside: (K, I, J) the voxels that count.
        fluid: (K, I, J) where fluid of the ventricles is expected.
        white: (K, I, J) where white matter is expected.
        near: (K, I, J) how far the ventricles may reach.

    Returns:
        (K, I, J) the connected fluid within ``near`` that meets ``fluid``.
    """
    dark, _ = location_and_spread(values[fluid & inside])
    bright, _ = location_and_spread(values[white & inside])
    if not np.isfinite(dark + bright):
        return np.zeros(values.shape, np.bool_)
    looks_like_fluid = (np.abs(values - dark) < np.abs(values - bright)) & inside & near
    labels, _ = ndimage.label(looks_like_fluid)
    met = np.unique(labels[fluid & looks_like_fluid])
    ventricles: Mask = np.isin(labels, met[met > 0])
    return ventricles


def mean_and_band(stack: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Mean, 5th and 95th percentile over the first axis, leaving out NaN; NaN where all are.

    Args:
        stack: (N, ...) one entry per head.
    """
    known = np.isfinite(stack)
    some = known.any(axis=0)
    filled = np.where(some, stack, 0.0)  # else numpy warns about columns that are all NaN
    found = (
        np.nanmean(filled, axis=0),
        np.nanpercentile(filled, 5.0, axis=0),
        np.nanpercentile(filled, 95.0, axis=0),
    )
    mean, low, high = (np.where(some, part, np.nan) for part in found)
    return mean, low, high
