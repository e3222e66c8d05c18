"""What generating a healthy counterpart yields: maps, findings, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpart.attribution.references import References
from counterpart.findings import Finding
from counterpart.scans import Scan

DISCLAIMER = "AI-generated, research use only"


@dataclass(frozen=True)
class Evidence:
    """What the findings are worth beside healthy scans.

    Args:
        p_value: How often a healthy scan's largest finding is at least as strong as this scan's;
            None where the threshold comes from simulation.
        p_floor: The least p-value that could have come out, 1/(n + 1).
        healthy_scans: Number n of healthy scans behind the p-value; 0 without one.
        source: How the threshold was found, in words.
        reason: Why this calibration was taken, or no other, full sentences.
        largest_mass: The scan's statistic: the largest mass of a finding, anomaly map times ml of
            template space; 0 without a finding.
    """

    p_value: float | None
    p_floor: float | None
    healthy_scans: int
    source: str
    reason: str
    largest_mass: float = 0.0


@dataclass(frozen=True, eq=False)
class Result:
    """Everything about one scan; all arrays lie on the scan's own grid (I, J, K).

    Args:
        scan: The scan as it was read.
        reconstruction: The network's ungated answer, scan units, float32.
        counterpart: The healthy counterpart, scan units, float32.
        residual: Scan minus reconstruction, signed, spreads, float32.
        anomaly: Signed anomaly map, float32.
        brain: Brain mask, uint8.
        mask: 1 where a finding is, uint8.
        findings: By falling volume.
        threshold: Of the anomaly map.
        contrast: ``T1``, ``T1c``, ``T2``, ``FLAIR`` or ``unknown``.
        template_from_world: (4, 4) pose, scan world to template world, mm.
        provenance: Model, weights, seed, versions, parameters.
        evidence: What the findings are worth beside healthy scans.
        warnings: Sentences for the reader: what about this scan is doubtful.
        references: The most similar healthy references; None where the model knows none.
    """

    scan: Scan
    reconstruction: NDArray[np.float32]
    counterpart: NDArray[np.float32]
    residual: NDArray[np.float32]
    anomaly: NDArray[np.float32]
    brain: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    findings: list[Finding]
    threshold: float
    contrast: str
    template_from_world: NDArray[np.float64]
    provenance: dict[str, Any]
    evidence: Evidence
    warnings: tuple[str, ...] = ()
    references: References | None = None
