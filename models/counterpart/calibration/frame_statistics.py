"""The strength of findings, measured in the frame, where that of healthy scans was measured.

P-values compare a scan with healthy scans, so both must be measured alike: on the 2 mm frame of
template pose, and not on a scan's own grid, whose voxels may be of any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.calibration.conformal import finding_masses
from counterpart.findings import find_findings
from counterpart.grid import Grid
from counterpart.posed_scan import PosedScan


@dataclass(frozen=True, eq=False)
class FrameStatistics:
    """The findings of the frame.

    Args:
        numbers: (I, J, K) the frame's findings, 0 where there is none.
        masses: Of each of them, units of the anomaly map times ml of template space.
        frame_from_world: (4, 4) scan world, mm, to frame voxel index.
    """

    numbers: NDArray[np.uint8]
    masses: tuple[float, ...]
    frame_from_world: NDArray[np.float64]

    @property
    def largest(self) -> float:
        """The scan's statistic: the largest mass, 0 without a finding."""
        return max(self.masses, default=0.0)

    def masses_of(self, numbers: NDArray[np.uint8], grid: Grid, count: int) -> list[float]:
        """For each finding on the scan's grid, the mass of what it is in the frame.

        A finding that covers several findings of the frame counts as the strongest of them; one
        that covers none, because the frame is coarser, counts as 0.

        Args:
            numbers: (I, J, K) findings on the scan's grid.
            grid: The scan's canonical grid.
            count: Number of findings.
        """
        voxels = np.argwhere(numbers)
        owner = numbers[tuple(voxels.T)]
        points = grid.world(voxels.astype(np.float64)) @ self.frame_from_world[:3, :3].T
        index = np.rint(points + self.frame_from_world[:3, 3]).astype(int)
        inside = ((index >= 0) & (index < np.array(self.numbers.shape))).all(axis=1)
        found = np.zeros(len(index), np.uint8)
        found[inside] = self.numbers[tuple(index[inside].T)]
        known = np.array([0.0, *self.masses])[found]
        return [float(known[owner == number].max(initial=0.0)) for number in range(1, count + 1)]


def frame_statistics(
    anomaly: NDArray[np.float32], posed: PosedScan, threshold: float
) -> FrameStatistics:
    """Measure the findings of a scan's anomaly map in the frame.

    Args:
        anomaly: (I, J, K) signed anomaly map in the frame.
        posed: The scan.
        threshold: The healthy threshold.
    """
    template = Grid(posed.frame.shape, posed.frame.template_from_frame)
    _, numbers = find_findings(anomaly, template, threshold, np.eye(4))
    return FrameStatistics(
        numbers,
        finding_masses(anomaly, numbers, template.voxel_volume_ml),
        np.linalg.inv(posed.frame.scan_from_frame),
    )
