"""What the tests of the reports share: small results with findings where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.findings import find_findings
from counterpart.grid import Grid
from counterpart.results import Evidence, Result
from counterpart.scans import Scan

THRESHOLD = 2.0
PROVENANCE = {
    "model": "counterpart-flair",
    "version": "0.1.0",
    "weights_sha256": "0123456789abcdef" * 4,
    "seed": 7,
    "threshold_source": "from simulation, no p-value",
}
EVIDENCE = Evidence(
    None, None, 0, "from simulation, no p-value", "There is no calibration of FLAIR."
)
SHAPE = (30, 36, 28)
AFFINE = np.array(
    [[6.0, 0, 0, -87.0], [0, 6.0, 0, -105.0], [0, 0, 6.0, -81.0], [0, 0, 0, 1.0]], np.float64
)

Blob = tuple[tuple[float, float, float], float]


def result_of(
    blobs: list[Blob],
    affine: NDArray[np.float64] = AFFINE,
    shape: tuple[int, int, int] = SHAPE,
    name: str = "a_scan",
    provenance: dict[str, Any] | None = None,
    contrast: str = "FLAIR",
    warnings: tuple[str, ...] = (),
    evidence: Evidence = EVIDENCE,
) -> Result:
    """A ball of a brain with Gaussian blobs (centre in RAS mm, signed peak) in its anomaly map."""
    grid = Grid(shape, affine)
    points = grid.world(np.stack(np.indices(shape), axis=-1).astype(np.float64))
    brain = np.linalg.norm(points / [70.0, 85.0, 65.0], axis=-1) < 1
    anomaly = np.zeros(shape, np.float32)
    for centre, peak in blobs:
        away = ((points - centre) ** 2).sum(axis=-1)
        anomaly += (peak * np.exp(-away / (2 * 5.5**2))).astype(np.float32)
    values = (brain * (400.0 + points[..., 2]) + 40.0 * anomaly).astype(np.float32)
    health = (values - 40.0 * anomaly).astype(np.float32)
    findings, mask = find_findings(anomaly, grid, THRESHOLD, np.eye(4))
    return Result(
        scan=Scan(values, grid, name),
        reconstruction=health,
        counterpart=health,
        residual=anomaly,
        anomaly=anomaly,
        brain=brain.astype(np.uint8),
        mask=mask,
        findings=findings,
        threshold=THRESHOLD,
        contrast=contrast,
        template_from_world=np.eye(4),
        provenance=PROVENANCE if provenance is None else provenance,
        evidence=evidence,
        warnings=warnings,
    )


def result_with_p(p_values: list[float], healthy_scans: int = 19) -> Result:
    """As many findings as p-values, the strongest first."""
    result = result_of(blobs_of(len(p_values)))
    findings = [
        replace(finding, p_value=p_value)
        for finding, p_value in zip(result.findings, p_values, strict=True)
    ]
    evidence = Evidence(
        min(p_values, default=1.0),
        1 / (healthy_scans + 1),
        healthy_scans,
        "20 held-out healthy scans",
        f"Calibrated on volunteers ({healthy_scans} healthy scans).",
    )
    return replace(result, findings=findings, evidence=evidence)


def blobs_of(count: int) -> list[Blob]:
    generator = np.random.default_rng(5)
    spots = [
        (float(x), float(y), float(z))
        for x in (-40, -14, 14, 40)
        for y in (-45, -15, 15, 45)
        for z in (-28, 0, 28)
    ]
    order = generator.permutation(len(spots))[:count]
    return [(spots[n], float((-1) ** n * (4 + 4 * generator.random()))) for n in order]


@pytest.fixture
def an_oblique_affine() -> NDArray[np.float64]:
    """Axes stored as P, I, L, then turned by 12 degrees about the first world axis."""
    angle = np.deg2rad(12.0)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    stored = nib.orientations.inv_ornt_aff(
        nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("PIL"), nib.orientations.axcodes2ornt("RAS")
        ),
        (SHAPE[1], SHAPE[2], SHAPE[0]),
    )
    affine: NDArray[np.float64] = turn @ AFFINE @ np.linalg.inv(stored)
    if not np.allclose(np.abs(np.linalg.det(affine)), 216.0):
        raise ValueError("the fixture's affine changes volumes")
    return affine


@pytest.fixture
def make_result() -> Callable[..., Result]:
    return result_of


@pytest.fixture
def many_blobs() -> Callable[[int], list[Blob]]:
    return blobs_of


@pytest.fixture
def make_result_with_p() -> Callable[..., Result]:
    return result_with_p
