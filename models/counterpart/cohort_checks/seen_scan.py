"""What was seen of one scan of a healthy cohort: by its header, or by all of its voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpart.cohort_checks.marked_scan import MarkedScan

UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class SeenScan:
    """What was seen of a scan.

    Args:
        scan: Which one.
        label: What messages call it: the file's name, or its path where two have one name.
        contrast: The sequence, as far as it is known; else ``unknown``.
        spacing_mm: Of its voxels; None where only reading would tell.
        content: sha256 of the file; empty where no other file has its size.
        voxels: sha256 of the voxels in canonical order; empty if only the header was looked at.
        fingerprint: From `counterpart.cohort_checks.fingerprint`, if the head was looked at.
        flagged_ml: That the model flags at its threshold, if there is a model for the contrast.
        p_value: Of the largest finding, where the model is calibrated on healthy scans.
        doubts: Full sentences about the sequence.
    """

    scan: MarkedScan
    label: str
    contrast: str
    spacing_mm: tuple[float, float, float] | None
    content: str = ""
    voxels: str = ""
    fingerprint: NDArray[np.float32] | None = None
    flagged_ml: float | None = None
    p_value: float | None = None
    doubts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What a list of scans shows."""
        return {
            "scan": self.label,
            "subject": self.scan.subject,
            "contrast": self.contrast,
            "voxel_mm": None if self.spacing_mm is None else list(rounded(self.spacing_mm)),
            "flagged_ml": None if self.flagged_ml is None else round(self.flagged_ml, 2),
        }


@dataclass(frozen=True)
class RefusedScan:
    """A scan that is left out.

    Args:
        scan: Its label.
        reason: A full sentence.
    """

    scan: str
    reason: str


def rounded(spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    """A voxel size as people write it."""
    first, second, third = (round(float(size), 2) for size in spacing_mm)
    return first, second, third
