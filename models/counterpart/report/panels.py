"""Chooses the slices that a report shows, outlines findings, and finds room for their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FINDING_ROWS = 3
REGULAR_ROWS = 3
LEAST_ROWS = 5
SHOWN_SHARE = 0.7
NEAR_SHARE = 0.05

Box = tuple[float, float, float, float]


def mass_by_slice(
    labels: NDArray[np.int64], anomaly: NDArray[np.float32], count: int
) -> NDArray[np.float64]:
    """Sum of the absolute anomaly map of each finding in each axial slice, (count, K)."""
    voxels = np.nonzero(labels)
    slices = labels.shape[2]
    sums = np.bincount(
        (labels[voxels] - 1) * slices + voxels[2],
        weights=np.abs(anomaly[voxels]),
        minlength=count * slices,
    )
    return sums.astype(np.float64).reshape(count, slices)


def choose_slices(mass: NDArray[np.float64], first: int, last: int) -> list[int]:
    """Choose the axial slices worth showing: the strongest findings, then an even cover.

    The strongest finding gets the slice that holds most of it. A further one gets its own slice
    unless a chosen slice shows it nearly as well. With few findings, a tall strongest one also gets
    a slice through its lower and its upper part. The rest of the rows go, one by one, where the
    brain is farthest from every chosen slice, and of two such places to the one nearer its middle.

    Args:
        mass: (N, K) mass of each finding in each slice.
        first: Lowest slice with brain.
        last: Highest slice with brain.

    Returns:
        Slices from the lowest to the highest, none twice.
    """
    chosen: list[int] = []
    falling = mass[np.argsort(-mass.sum(axis=1), kind="stable")]
    for held in falling:
        if len(chosen) == FINDING_ROWS or not held.any():
            break
        if not any(held[k] >= SHOWN_SHARE * held.max() for k in chosen):
            chosen.append(int(held.argmax()))
    for share in (0.2, 0.8) if chosen and len(chosen) < FINDING_ROWS else ():
        k = int(np.searchsorted(falling[0].cumsum(), share * falling[0].sum()))
        if min(abs(k - other) for other in chosen) >= NEAR_SHARE * (last - first):
            chosen.append(k)
    chosen = chosen[:FINDING_ROWS]
    rows = max(LEAST_ROWS, len(chosen) + REGULAR_ROWS)
    low, high = first + 0.14 * (last - first), first + 0.9 * (last - first)
    if not chosen:
        return sorted({round(float(k)) for k in np.linspace(low, high, rows)})
    centre = (low + high) / 2
    free = [k for k in range(round(low), round(high) + 1) if k not in chosen]
    free.sort(key=lambda k: abs(k - centre))
    while free and len(chosen) < rows:
        farthest = max(free, key=lambda k: min(abs(k - other) for other in chosen))
        chosen.append(farthest)
        free.remove(farthest)
    return sorted(chosen)


def outline_field(
    anomaly: NDArray[np.float32], inside: NDArray[np.bool_], threshold: float
) -> NDArray[np.float64]:
    """A field whose zero line is the outline of ``inside``, as smooth as the anomaly map allows.

    Args:
        anomaly: One view of the anomaly map, positive inside.
        inside: Where a finding is.
        threshold: Of the anomaly map.
    """
    height = anomaly.astype(np.float64) - threshold
    step = 0.02 * max(abs(threshold), 1e-6)
    return np.where(inside, np.maximum(height, step), np.minimum(height, -step))


def place_numbers(
    targets: Sequence[Box],
    sizes: Sequence[tuple[float, float]],
    taken: Sequence[Box],
    panel: Box,
) -> list[tuple[float, float] | None]:
    """Find a free place beside each target for a text of the given size, in pixels.

    Args:
        targets: Left, top, right, bottom of what is named.
        sizes: Width and height of each text.
        taken: Boxes that no text may touch.
        panel: Left, top, right, bottom of the panel.

    Returns:
        Centre of each text, or None where no place is free.
    """
    occupied = list(taken)
    places: list[tuple[float, float] | None] = []
    for target, size in zip(targets, sizes, strict=True):
        place = next(
            (spot for spot in _spots(target, size) if _fits(_around(spot, size), occupied, panel)),
            None,
        )
        if place is not None:
            occupied.append(_around(place, size))
        places.append(place)
    return places


def _spots(target: Box, size: tuple[float, float]) -> list[tuple[float, float]]:
    left, top, right, bottom = target
    middle = ((left + right) / 2, (top + bottom) / 2)
    spots = []
    for gap in (2.0, 12.0, 24.0):
        across = (right - left + size[0]) / 2 + gap
        down = (bottom - top + size[1]) / 2 + gap
        for x, y in ((1, -1), (1, 1), (-1, -1), (-1, 1), (1, 0), (-1, 0), (0, -1), (0, 1)):
            diagonal = 0.85 if x and y else 1.0
            spots.append((middle[0] + x * across * diagonal, middle[1] + y * down * diagonal))
    return spots


def _around(centre: tuple[float, float], size: tuple[float, float]) -> Box:
    x, y = centre
    return (x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2)


def _fits(box: Box, occupied: Sequence[Box], panel: Box) -> bool:
    if box[0] < panel[0] or box[1] < panel[1] or box[2] > panel[2] or box[3] > panel[3]:
        return False
    return not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in occupied
    )


def soft_edge(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A mask's view smoothed so that its half-way line is free of voxel steps."""
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(inside.astype(np.float32), 0.8)
    return smooth
