"""Brings a result's maps into canonical axes for the reports, and cuts views out of them.

All arrays here are in canonical axes: the first index grows towards the patient's right, the second
towards anterior, the third towards superior. A *view* is a 2-D display array: row 0 at the top,
column 0 at the left, in radiological convention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.baselines import flag_by_baseline
from counterpart.findings import Finding
from counterpart.grid import Grid, box_around, canonical_orientation
from counterpart.results import Result

MARGIN_MM = 14.0

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
        baseline: True where the plain baseline flags, as many voxels as the mask has.
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
    baseline: NDArray[np.bool_]

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Extent of the crop along each axis."""
        steps, shape = self.grid.spacing, self.grid.shape
        return (shape[0] * steps[0], shape[1] * steps[1], shape[2] * steps[2])

    def slice_number(self, k: int) -> int:
        """The axial slice's number in the whole volume, 1 for the lowest."""
        return self.first_slice + k + 1

    def height_mm(self, k: int) -> float:
        """Superior coordinate of the middle of an axial slice."""
        across, deep = ((n - 1) / 2 for n in self.grid.shape[:2])
        return float(self.grid.world(np.array([across, deep, k]))[2])

    def depth_mm(self, k: int) -> float:
        """How far below the upper edge of a coronal or sagittal view an axial slice lies."""
        return float((self.grid.shape[2] - k - 0.5) * self.grid.spacing[2])

    def brain_slices(self) -> range:
        """Axial slices from the lowest to the highest with brain; all where there is none."""
        held = np.flatnonzero(self.brain.any(axis=(0, 1)))
        return range(int(held[0]), int(held[-1]) + 1) if held.size else range(self.grid.shape[2])

    def centre(self, findings: Sequence[Finding]) -> NDArray[np.int64]:
        """Voxel that the localisers pass through: in the largest finding, else amid the crop."""
        if not findings:
            return np.array(self.grid.shape) // 2
        largest = max(findings, key=lambda finding: finding.volume_ml)
        inverse = np.linalg.inv(self.grid.affine)
        index = np.rint(inverse[:3, :3] @ largest.centre_ras_mm + inverse[:3, 3]).astype(np.int64)
        return np.clip(index, 0, np.array(self.grid.shape) - 1)


def canonical_head(result: Result) -> Head:
    """Bring a result's maps into canonical axes and crop them to the brain."""
    turn = canonical_orientation(result.scan.grid)
    whole = turn.canonical
    brain = turn.forward(result.brain) > 0
    mask = turn.forward(result.mask) > 0
    cut = crop_box(brain | mask, whole.spacing)
    brain, mask, grid = brain[cut], mask[cut], whole.cropped(cut)
    anomaly = turn.forward(result.anomaly)[cut]
    scan = turn.forward(result.scan.values)[cut]
    flagged = flag_by_baseline(result.contrast, scan, brain, grid, int(mask.sum()))
    return Head(
        grid=grid,
        first_slice=cut[2].start,
        slice_count=whole.shape[2],
        scan=scan,
        reconstruction=turn.forward(result.reconstruction)[cut],
        counterpart=turn.forward(result.counterpart)[cut],
        residual=turn.forward(result.residual)[cut],
        anomaly=anomaly,
        brain=brain,
        labels=label_findings(result.findings, mask, anomaly, grid),
        baseline=flagged,
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
    return box_around(inside, [int(np.ceil(margin_mm / step)) for step in spacing])


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
    box = box_around(mask, 0)  # most of a scan holds nothing
    labels[box] = _numbered(findings, mask[box], anomaly[box], grid.cropped(box))
    return labels


def _numbered(
    findings: Sequence[Finding], mask: NDArray[np.bool_], anomaly: NDArray[np.float32], grid: Grid
) -> NDArray[np.int64]:
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
