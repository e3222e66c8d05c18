"""Looks at one scan of a healthy cohort, at its header alone or at the whole head."""

from __future__ import annotations

import hashlib

import numpy as np

from counterpart.brain_extraction import BrainModel, find_brain
from counterpart.bundle import Model
from counterpart.calibration.domain import scan_domain
from counterpart.calibration.frame_statistics import frame_statistics
from counterpart.cohort_checks.fingerprint import head_fingerprint
from counterpart.cohort_checks.headers import header_grid, refuse_thick
from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.cohort_checks.seen_scan import UNKNOWN, SeenScan
from counterpart.contrast import (
    contrast_from_name,
    contrast_from_tissue,
    contrast_from_user,
    tell_contrast,
)
from counterpart.errors import CohortError
from counterpart.generate import compare, repaint
from counterpart.grid import canonical_orientation
from counterpart.posed_scan import PosedScan, pose_scan
from counterpart.prepare import scan_subject
from counterpart.scans import companion, read_mask, read_scan, scan_name

_SEED = 1


def look_at_header(scan: MarkedScan, label: str, content: str = "") -> SeenScan:
    """What header and name tell of a scan.

    Args:
        scan: The scan.
        label: What messages call it.
        content: sha256 of the file, if it is needed.

    Raises:
        ScanError: The header cannot be read, or it is none of a head in thin slices.
    """
    grid = header_grid(scan.path)
    if grid is not None:
        refuse_thick(scan.path, grid)
    told = contrast_from_name(scan_name(scan.path))
    contrast = _marked(scan) or (told.name if told else UNKNOWN)
    return SeenScan(scan, label, contrast, None if grid is None else grid.spacing, content)


def look_at_head(
    scan: MarkedScan, label: str, brain_model: BrainModel, model: Model | None, content: str = ""
) -> SeenScan:
    """What the whole scan tells: whether it is a brain, its sequence, whose, and how healthy.

    Args:
        scan: The scan.
        label: What messages call it.
        brain_model: Finds the brain, unless ``NAME_brain.nii.gz`` lies beside the scan.
        model: Says what it flags; without it nothing does.
        content: sha256 of the file, if it is needed.

    Raises:
        CounterpartError: The scan cannot be used; the message says why.
    """
    look_at_header(scan, label)  # a header costs nothing, a head seconds
    read = read_scan(scan.path)
    refuse_thick(scan.path, read.grid)
    turn = canonical_orientation(read.grid)
    values = turn.forward(read.values)
    beside = companion(scan.path, scan_subject(scan.path), "_brain")
    given = None if beside is None else turn.forward(read_mask(beside, read.grid))
    found = find_brain(values, turn.canonical, given=given, model=brain_model)
    posed = pose_scan(turn, values, found.mask)
    tissue = contrast_from_tissue(posed.scaled, posed.inside, posed.frame)
    told, doubts = tell_contrast(_marked(scan), read.tags, read.name, tissue)
    if told.name == UNKNOWN:
        raise CohortError(
            f"{scan.path}: the sequence cannot be told from name or tissues; name the file "
            "NAME_T1, NAME_T2, NAME_FLAIR or NAME_T1c."
        )
    flagged_ml, p_value = (None, None) if model is None else flagged(posed, model, told.name)
    return SeenScan(
        scan,
        label,
        told.name,
        read.grid.spacing,
        content,
        _voxel_hash(values),
        head_fingerprint(posed),
        flagged_ml,
        p_value,
        doubts,
    )


def flagged(posed: PosedScan, model: Model, contrast: str) -> tuple[float | None, float | None]:
    """What the model flags in a scan, ml, and the p-value of its largest finding.

    Returns:
        None for what the model has no calibration for.
    """
    if contrast not in model.contrasts:
        return None, None
    domain = scan_domain(
        posed.scaled, posed.inside, thick=posed.frame.thick, pose_overlap=posed.pose.overlap
    )
    calibration, _ = model.calibration(contrast, domain)
    maps = compare(posed, repaint(posed, model, _SEED), model, calibration, _SEED)
    statistics = frame_statistics(maps.anomaly, posed, calibration.threshold)
    flagged_ml = float((statistics.numbers > 0).sum()) * posed.frame.voxel_volume_ml
    return flagged_ml, calibration.p_value(statistics.largest)


def _marked(scan: MarkedScan) -> str | None:
    """The sequence by whoever marked the scan, if he knew it."""
    if scan.contrast is None or scan.contrast == UNKNOWN:
        return None
    return contrast_from_user(scan.contrast).name


def _voxel_hash(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    digest = hashlib.sha256(str(values.shape).encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
