"""What the report's panels show: views, slices, windows, colours, and where numbers may stand.

All arrays here are in canonical axes: the first index grows towards the patient's right, the second
towards anterior, the third towards superior. A *view* is a 2-D display array: row 0 at the top,
column 0 at the left, in radiological convention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.findings import Finding
from counterpart.grid import Grid, canonical_orientation
from counterpart.results import Result

MARGIN_MM = 14.0
LEAST_RESIDUAL_LIMIT = 2.0
FINDING_ROWS = 3
REGULAR_ROWS = 3
LEAST_ROWS = 5
SHOWN_SHARE = 0.7
NEAR_SHARE = 0.05
WARM = ("#e8341c", "#ff8c1a", "#ffe873")
COOL = ("#2f62ff", "#24b4ff", "#9bf6ff")
NEUTRAL = "#303236"

Box = tuple[float, float, float, float]
Cut = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Head:
    """A result's maps in canonical axes, cropped to the brain and a margin.

    Args:
        grid: Of the cropped arrays.
        first_slice: Index of the lowest cropped axial slice in the whole volume.
        slice_count: Axial slices of the whole volume.
        scan: (I, J, K), and so are the others.
        reconstruction: Ungated.
        counterpart: Healthy counterpart.
        residual: Signed, spreads.
        anomaly: Signed.
        brain: Boolean.
        labels: The finding's number in its voxels, else 0.
    """

    grid: Grid
    first_slice: int
    slice_count: int
    scan: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    counterpart: NDArray[np.float32]
    residual: NDArray[np.float32]
    anomaly: NDArray[np.float32]
    brain: NDArray[np.bool_]
    labels: NDArray[np.int64]


def canonical_head(result: Result) -> Head:
    """Bring a result's maps into canonical axes and crop them to the brain."""
    turn = canonical_orientation(result.scan.grid)
    whole = turn.canonical
    brain = turn.forward(result.brain) > 0
    mask = turn.forward(result.mask) > 0
    cut = crop_box(brain | mask, whole.spacing)
    affine = whole.affine.copy()
    affine[:3, 3] = whole.world(np.array([part.start for part in cut]))
    brain, mask = brain[cut], mask[cut]
    grid = Grid((brain.shape[0], brain.shape[1], brain.shape[2]), affine)
    anomaly = turn.forward(result.anomaly)[cut]
    return Head(
        grid=grid,
        first_slice=cut[2].start,
        slice_count=whole.shape[2],
        scan=turn.forward(result.scan.values)[cut],
        reconstruction=turn.forward(result.reconstruction)[cut],
        counterpart=turn.forward(result.counterpart)[cut],
        residual=turn.forward(result.residual)[cut],
        anomaly=anomaly,
        brain=brain,
        labels=label_findings(result.findings, mask, anomaly, grid),
    )


def axial_view(array: NDArray[Any], k: int) -> NDArray[Any]:
    """The axial slice k as (J, I): anterior at the top, the patient's right at the left."""
    return array[::-1, ::-1, k].T


def coronal_view(array: NDArray[Any], j: int) -> NDArray[Any]:
    """The coronal slice j as (K, I): superior at the top, the patient's right at the left."""
    return array[::-1, j, ::-1].T


def sagittal_view(array: NDArray[Any], i: int) -> NDArray[Any]:
    """The sagittal slice i as (K, J): superior at the top, anterior at the left."""
    return array[i, ::-1, ::-1].T


def crop_box(
    inside: NDArray[np.bool_], spacing: tuple[float, float, float], margin_mm: float = MARGIN_MM
) -> Cut:
    """The smallest box around all true voxels, wider by a margin, within the array.

    Args:
        inside: (I, J, K); where nothing is true, the box is the whole array.
        spacing: Voxel size along each axis, mm.
        margin_mm: Added on every side.
    """
    boxes = ndimage.find_objects(inside.astype(np.uint8))
    if not boxes:
        return (slice(0, inside.shape[0]), slice(0, inside.shape[1]), slice(0, inside.shape[2]))
    cut = []
    for part, step, size in zip(boxes[0], spacing, inside.shape, strict=True):
        margin = int(np.ceil(margin_mm / step))
        cut.append(slice(max(part.start - margin, 0), min(part.stop + margin, size)))
    return (cut[0], cut[1], cut[2])


def label_findings(
    findings: Sequence[Finding], mask: NDArray[np.bool_], anomaly: NDArray[np.float32], grid: Grid
) -> NDArray[np.int64]:
    """Write each finding's number into its voxels: the component that its centre belongs to.

    Args:
        findings: Their centres lie inside them.
        mask: (I, J, K), true where any finding is.
        anomaly: (I, J, K), positive in brighter and negative in darker findings.
        grid: Of both arrays.
    """
    labels = np.zeros(mask.shape, np.int64)
    index_from_world = np.linalg.inv(grid.affine)
    for direction, sign in (("brighter", 1.0), ("darker", -1.0)):
        parts, count = ndimage.label(mask & (sign * anomaly > 0), np.ones((3, 3, 3)))
        number_of = np.zeros(count + 1, np.int64)
        for finding in findings:
            point = index_from_world[:3, :3] @ finding.centre_ras_mm + index_from_world[:3, 3]
            index = np.rint(point).astype(int)
            held = bool(((index >= 0) & (index < mask.shape)).all())
            if held and finding.direction == direction:
                number_of[parts[tuple(index)]] = finding.number
        number_of[0] = 0
        labels += number_of[parts]
    return labels


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


def grey_window(scan: NDArray[np.float32], brain: NDArray[np.bool_]) -> tuple[float, float]:
    """Black and white level: robust percentiles of the scan inside the brain, scan units."""
    inside = scan[brain] if brain.any() else scan.ravel()
    low, high = np.percentile(inside[:: max(1, inside.size // 200_000)], (1.0, 99.7))
    spread = max(float(high - low), 1e-6 * max(1.0, abs(float(high))))
    return float(low) - 0.02 * spread, float(low) + 1.03 * spread


def constant_background(scan: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a stripped scan holds nothing but one constant, whatever that is; else nowhere."""
    outside = scan[~brain]
    if outside.size == 0:
        return np.zeros(scan.shape, np.bool_)
    constant = (scan == np.median(outside)) & ~brain
    return constant if constant.sum() >= 0.3 * outside.size else np.zeros_like(constant)


def nice_limit(value: float) -> float:
    """The smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is not below ``value``."""
    if not np.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = [step * power for step in (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)]
    return float(next(step for step in steps if step >= value * (1.0 - 1e-9)))


def residual_limit(residual: NDArray[np.float32], brain: NDArray[np.bool_]) -> float:
    """Symmetric end of the residual's colours: its 99.5th percentile in the brain, at least 2."""
    inside = np.abs(residual[brain] if brain.any() else residual.ravel())
    high = float(np.percentile(inside[:: max(1, inside.size // 200_000)], 99.5))
    return nice_limit(max(high, LEAST_RESIDUAL_LIMIT))


def anomaly_limit(threshold: float, peaks: Sequence[float]) -> float:
    """Symmetric end of the anomaly map's colours: the highest peak, 2 to 4 thresholds."""
    if not np.isfinite(threshold) or threshold <= 0:
        return nice_limit(max(peaks, default=1.0))
    return nice_limit(min(max([2.0 * threshold, *peaks]), 4.0 * threshold))


def residual_colours() -> Colormap:
    """Blue, neutral grey, orange: as light at one end as at the other."""
    places = (0.0, 0.16, 0.32, 0.47, 0.53, 0.68, 0.84, 1.0)
    stops = [*reversed(COOL), NEUTRAL, NEUTRAL, *WARM]
    pairs = list(zip(places, stops, strict=True))
    return LinearSegmentedColormap.from_list("residual", pairs, 511)


def anomaly_colours(share: float, opacity: float = 0.72) -> Colormap:
    """The same hues, wholly transparent below the threshold.

    Args:
        share: Threshold over the scale's end, 0 to 1.
        opacity: From the threshold upwards, the same everywhere.
    """
    levels = np.linspace(-1.0, 1.0, 1023)
    strength = np.clip((np.abs(levels) - share) / max(1.0 - share, 1e-6), 0.0, 1.0)
    warm = LinearSegmentedColormap.from_list("warm", WARM)(strength)
    cool = LinearSegmentedColormap.from_list("cool", COOL)(strength)
    colours = np.where(levels[:, None] > 0, warm, cool)
    colours[:, 3] = np.where(np.abs(levels) >= share, opacity, 0.0)
    return ListedColormap(colours, "anomaly")


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
