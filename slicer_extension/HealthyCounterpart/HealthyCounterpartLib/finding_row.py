"""One row of the table of findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

OPEN, ACCEPTED, REJECTED = "open", "accepted", "rejected"
STATES = (OPEN, ACCEPTED, REJECTED)
BRIGHTER, DARKER = "brighter", "darker"


@dataclass(frozen=True)
class FindingRow:
    """A finding, with what the reader thinks of it.

    Args:
        number: 1 for the largest; its segment bears it too.
        direction: ``brighter`` or ``darker`` than health.
        volume_ml: Volume in ml.
        peak: Largest absolute value of the anomaly map.
        mean: Mean absolute value of the anomaly map.
        p_value: How often the strongest finding of a healthy scan is at least as strong; None
            where the contrast is not calibrated on healthy scans.
        side: ``left``, ``right`` or ``midline`` of the patient.
        region: Coarse region in words; may be empty.
        centre_ras_mm: A voxel of it, RAS mm, in the scan's own coordinates (no parent transform).
        state: ``open``, ``accepted`` or ``rejected``.
        comment: The reader's words.
    """

    number: int
    direction: str
    volume_ml: float
    peak: float
    mean: float
    p_value: Optional[float]
    side: str
    region: str
    centre_ras_mm: tuple[float, float, float]
    state: str = OPEN
    comment: str = ""
