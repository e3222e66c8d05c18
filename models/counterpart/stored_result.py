"""Reads a written result back, and looks at its anomaly map by another threshold.

No network is needed for either, so it takes a moment where generating took seconds.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpart.attribution.references import References
from counterpart.errors import CounterpartError, ScanError
from counterpart.findings import MIN_VOLUME_ML, Finding, find_findings
from counterpart.formats.nifti_image import read_nifti
from counterpart.grid import canonical_orientation
from counterpart.regions import RegionAtlas
from counterpart.results import Evidence, Result
from counterpart.scans import Scan

_SUFFIXES = (".nii", ".nii.gz")


def read_result(folder: Path, scan: Scan) -> Result:
    """Read the result that `counterpart.output.write_result` wrote as NIfTI.

    Args:
        folder: With the maps, ``findings.json`` and ``provenance.json``.
        scan: The scan that it is the result of, as it was read.

    Raises:
        CounterpartError: A file is missing or damaged, or belongs to another scan.
    """
    try:
        listed = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
        provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        findings = [_finding(entry) for entry in listed["findings"]]
        evidence = Evidence(**listed["evidence"])
        pose = np.array(provenance["template_from_world"], np.float64).reshape(4, 4)
        contrast, warnings = str(provenance["contrast"]), tuple(listed["warnings"])
        threshold = float(listed["threshold"])
        references = _references(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CounterpartError(f"{folder}: is no result that can be read ({error}).") from error
    return Result(
        scan=scan,
        reconstruction=_read_map(folder, "reconstruction", scan),
        counterpart=_read_map(folder, "counterpart", scan),
        residual=_read_map(folder, "residual", scan),
        anomaly=_read_map(folder, "anomaly", scan),
        brain=_read_map(folder, "brain", scan).astype(np.uint8),
        mask=_read_map(folder, "mask", scan).astype(np.uint8),
        findings=findings,
        threshold=threshold,
        contrast=contrast,
        template_from_world=pose,
        provenance=provenance,
        evidence=evidence,
        warnings=warnings,
        references=references,
    )


def with_threshold(
    result: Result,
    threshold: float | None = None,
    min_volume_ml: float | None = None,
    *,
    atlas: RegionAtlas | None = None,
) -> Result:
    """The same maps with the findings of another threshold.

    The counterpart stays as it is: it was repainted by the healthy threshold. P-values compare with
    healthy scans by their own threshold, so there are none by another.

    Args:
        result: As it was generated.
        threshold: Of the anomaly map, above 0; without it the result's own.
        min_volume_ml: Smaller places are no findings; `findings.MIN_VOLUME_ML` without it.
        atlas: Names the regions.

    Raises:
        CounterpartError: A number is not positive.
    """
    level = result.threshold if threshold is None else threshold
    volume = MIN_VOLUME_ML if min_volume_ml is None else min_volume_ml
    if not (level > 0 and volume > 0 and np.isfinite(level) and np.isfinite(volume)):
        raise CounterpartError(
            f"expected a positive threshold and volume, got {level:g} and {volume:g} ml."
        )
    turn = canonical_orientation(result.scan.grid)
    findings, numbers = find_findings(
        turn.forward(result.anomaly),
        turn.canonical,
        level,
        result.template_from_world,
        min_volume_ml=volume,
        atlas=atlas,
    )
    source = f"chosen by the reader: {level:g} (healthy threshold {result.threshold:g})"
    evidence = replace(
        result.evidence,
        p_value=None,
        p_floor=None,
        healthy_scans=0,
        source=source,
        reason="P-values hold for the healthy threshold and findings of 0.1 ml alone.",
    )
    chosen = {"threshold": level, "threshold_source": source, "min_volume_ml": volume}
    return replace(
        result,
        findings=findings,
        mask=turn.backward((numbers > 0).astype(np.uint8)),
        threshold=level,
        evidence=evidence,
        provenance={**result.provenance, **chosen},
    )


def _finding(entry: dict[str, Any]) -> Finding:
    x, y, z = (float(value) for value in entry["centre_ras_mm"])
    return Finding(**{**entry, "centre_ras_mm": (x, y, z)})


def _read_map(folder: Path, name: str, scan: Scan) -> NDArray[np.float32]:
    for suffix in _SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            break
    else:
        raise CounterpartError(f"{folder}: the map {name} is missing.")
    try:
        stored = read_nifti(path)
    except ScanError as error:
        raise CounterpartError(f"{path}: is damaged ({error}).") from error
    if stored.values.shape != scan.grid.shape:
        raise CounterpartError(f"{path}: lies on another grid than the scan.")
    return np.asarray(stored.values, np.float32)


def _references(folder: Path) -> References | None:
    path = folder / "references.json"
    if not path.is_file():
        return None
    return References.from_json(json.loads(path.read_text(encoding="utf-8")))
