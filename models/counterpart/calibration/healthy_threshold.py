"""Finds the healthy threshold: where held-out healthy scans come back nearly unflagged.

One number serves mask, findings, slider and report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ModelError
from counterpart.findings import MIN_VOLUME_ML, find_findings
from counterpart.grid import Grid, box_around
from counterpart.template import CANVAS

MAX_FINDINGS = 1.0
MAX_FLAGGED_ML = 1.0
_STEP = 0.9
_BISECTIONS = 12
_LOWEST_SHARE = 1e-4


@dataclass(frozen=True, eq=False)
class HealthyMap:
    """The anomaly map of one healthy scan.

    Args:
        values: (I, J, K) signed anomaly map, 0 outside the brain.
        grid: Of the map: the canvas of template space, or the scan's own grid.
    """

    values: NDArray[np.float32]
    grid: Grid = CANVAS

    def __post_init__(self) -> None:
        if self.values.shape != self.grid.shape:
            raise ModelError(
                f"expected an anomaly map of the grid's shape {self.grid.shape}, got "
                f"{self.values.shape}."
            )

    def cropped(self) -> HealthyMap:
        """The same map without the empty space around it; findings stay what they are."""
        box = box_around(self.values != 0, 0)
        return HealthyMap(self.values[box], self.grid.cropped(box))


def healthy_threshold(maps: Sequence[HealthyMap]) -> float:
    """The smallest threshold that leaves healthy scans nearly unflagged.

    On average at most one finding of 0.1 ml or more and at most 1 ml in all per scan; four
    digits, rounded up. Findings may merge, so that a lower threshold has fewer of them; the search
    comes from above and stops at the first threshold that flags too much, so that every threshold
    from the answer on serves.

    Args:
        maps: Anomaly maps of healthy scans, each on its own grid.

    Raises:
        ModelError: There is no map, a map is not finite, or all are 0 everywhere.
    """
    if not maps:
        raise ModelError("a healthy threshold needs the anomaly map of at least one scan.")
    maps = [one.cropped() for one in maps]
    if not all(np.isfinite(one.values).all() for one in maps):
        raise ModelError("an anomaly map of a healthy scan is not finite; look at that scan.")
    highest = max(float(np.abs(one.values).max()) for one in maps)
    if highest == 0:
        raise ModelError("the anomaly maps of all healthy scans are 0: there is no threshold.")
    high = highest * 1.001
    low = high * _STEP
    while low > _LOWEST_SHARE * highest and _nearly_unflagged(maps, low):
        low, high = low * _STEP, low
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _nearly_unflagged(maps, middle) else (middle, high)
    digits = 3 - math.floor(math.log10(high))
    return round(math.ceil(high * 10.0**digits) / 10.0**digits, digits)


def flagged_in_health(maps: Sequence[HealthyMap], threshold: float) -> tuple[float, float]:
    """Mean number of findings and mean ml flagged per scan at a threshold."""
    flagged = np.array([flagged_volume_ml(one, threshold) for one in maps])
    return float(flagged[:, 0].mean()), float(flagged[:, 1].mean())


def _nearly_unflagged(maps: Sequence[HealthyMap], threshold: float) -> bool:
    """Whether the means stay within the limits; the first scans may already decide that not."""
    findings, volume_ml = 0.0, 0.0
    for one in maps:
        count, flagged_ml = flagged_volume_ml(one, threshold)
        findings, volume_ml = findings + count, volume_ml + flagged_ml
        if findings > MAX_FINDINGS * len(maps) or volume_ml > MAX_FLAGGED_ML * len(maps):
            return False
    return True


def flagged_volume_ml(one: HealthyMap, threshold: float) -> tuple[float, float]:
    """Number of findings of one map at a threshold, and ml that they have together."""
    findings, _ = find_findings(
        one.values, one.grid, threshold, np.eye(4), min_volume_ml=MIN_VOLUME_ML
    )
    return float(len(findings)), sum(finding.volume_ml for finding in findings)
