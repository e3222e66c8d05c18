"""Lists the findings: connected places where the anomaly map passes the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.grid import Box, FloatArray, Grid, box_around
from counterpart.regions import RegionAtlas

MIN_VOLUME_ML = 0.1


@dataclass(frozen=True)
class Finding:
    """One place where the scan differs from its healthy counterpart.

    Args:
        number: 1 for the largest.
        direction: ``brighter`` or ``darker`` than health.
        volume_ml: Volume in ml.
        peak: Largest absolute value of the anomaly map.
        mean: Mean absolute value of the anomaly map.
        centre_ras_mm: Voxel nearest to the centre of mass that belongs to the finding, RAS, mm.
        side: ``left``, ``right`` or ``midline`` of the patient, by template pose.
        region: Coarse anatomical region, in words; empty where none is known.
        p_value: How often the largest finding of a healthy scan is at least as strong, from
            healthy scans; None where the contrast is not calibrated on any.
    """

    number: int
    direction: str
    volume_ml: float
    peak: float
    mean: float
    centre_ras_mm: tuple[float, float, float]
    side: str
    region: str = ""
    p_value: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding as plain values."""
        return asdict(self)


def find_findings(
    anomaly: NDArray[np.float32],
    grid: Grid,
    threshold: float,
    template_from_world: NDArray[np.float64],
    *,
    min_volume_ml: float = MIN_VOLUME_ML,
    atlas: RegionAtlas | None = None,
) -> tuple[list[Finding], NDArray[np.uint8]]:
    """Find the connected places of at least ``threshold``, brighter and darker apart.

    Args:
        anomaly: (I, J, K) signed anomaly map.
        grid: Its grid.
        threshold: Smallest absolute value that counts.
        template_from_world: (4, 4) pose, scan world to template world.
        min_volume_ml: Smaller components are neither findings nor part of the mask.
        atlas: Names the region in which most of a finding lies; without it, none is named.

    Returns:
        Findings by falling volume, and the mask (I, J, K), the finding's number in its voxels.
    """
    parts: list[tuple[NDArray[np.bool_], Box, str]] = []
    for sign, direction in ((1.0, "brighter"), (-1.0, "darker")):
        over = sign * anomaly >= threshold
        around = box_around(over, 0)  # most of a scan holds nothing
        labels, _ = ndimage.label(over[around], np.ones((3, 3, 3)))
        for number, found in enumerate(ndimage.find_objects(labels), start=1):
            inside = labels[found] == number
            if inside.sum() * grid.voxel_volume_ml >= min_volume_ml:
                parts.append((inside, _moved(found, around), direction))
    parts.sort(key=lambda part: -int(part[0].sum()))
    numbers = np.zeros(anomaly.shape, np.uint8)
    findings = []
    for number, (inside, box, direction) in enumerate(parts[:255], start=1):
        numbers[box][inside] = number
        values = np.abs(anomaly[box][inside])
        points = grid.world(np.argwhere(inside) + np.array([part.start for part in box]))
        centre = _centre(points)
        findings.append(
            Finding(
                number=number,
                direction=direction,
                volume_ml=round(float(inside.sum()) * grid.voxel_volume_ml, 3),
                peak=round(float(values.max()), 4),
                mean=round(float(values.mean()), 4),
                centre_ras_mm=centre,
                side=_side(centre, template_from_world),
                region=_region(points, template_from_world, atlas),
            )
        )
    return findings, numbers


def _moved(box: Sequence[slice], around: Box) -> Box:
    """A box within a box, as slices of the whole array."""
    first, second, third = (
        slice(part.start + outer.start, part.stop + outer.start)
        for part, outer in zip(box, around, strict=True)
    )
    return (first, second, third)


def _centre(points: FloatArray) -> tuple[float, float, float]:
    point = points[((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return (round(float(point[0]), 1), round(float(point[1]), 1), round(float(point[2]), 1))


def _side(centre: tuple[float, float, float], template_from_world: NDArray[np.float64]) -> str:
    across = float(template_from_world[0, :3] @ np.array(centre) + template_from_world[0, 3])
    return "midline" if abs(across) < 4.0 else "right" if across > 0 else "left"


def _region(
    points: FloatArray, template_from_world: NDArray[np.float64], atlas: RegionAtlas | None
) -> str:
    if atlas is None:
        return ""
    return atlas.region(points @ template_from_world[:3, :3].T + template_from_world[:3, 3])
