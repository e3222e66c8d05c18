"""Writes a result as a folder of files, all or nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from counterpart.errors import CounterpartError
from counterpart.report import render_report
from counterpart.results import DISCLAIMER, Result
from counterpart.scans import write_map

MAPS = ("reconstruction", "counterpart", "residual", "anomaly")
MASKS = ("mask", "brain")
FILES = {
    *(f"{name}.nii.gz" for name in (*MAPS, *MASKS)),
    "findings.json",
    "provenance.json",
    "report.png",
}


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write over an earlier result, or ever over somebody else's files.

    Raises:
        CounterpartError: The folder exists and ``overwrite`` is not given, or it holds other files.
    """
    if not folder.exists():
        return
    if not overwrite:
        raise CounterpartError(
            f"{folder}: exists already. Add --overwrite, or choose another output folder."
        )
    if not folder.is_dir():
        raise CounterpartError(f"{folder}: is a file. Choose another output folder.")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in FILES)
    if foreign:
        raise CounterpartError(
            f"{folder}: holds {foreign[0]!r}, which is not ours to replace. Move it away, or "
            "choose another output folder."
        )


def write_result(result: Result, folder: Path, *, overwrite: bool = False) -> None:
    """Write maps, findings, provenance and the report.

    Everything is written beside the folder first and moved there by one rename, so that a run that
    is killed or a full disk leaves no half result.

    Args:
        result: From `counterpart.generate.generate_counterpart`.
        folder: Becomes ``reconstruction``, ``counterpart``, ``residual``, ``anomaly``, ``mask``
            and ``brain`` (``.nii.gz``), ``findings.json``, ``provenance.json``, ``report.png``.
        overwrite: Replace an earlier result.

    Raises:
        CounterpartError: The folder exists and ``overwrite`` is not given.
    """
    check_output(folder, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write_files(result, work)
        work.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        work.rename(folder)
    finally:
        if work.exists():
            shutil.rmtree(work)


def _write_files(result: Result, folder: Path) -> None:
    for name in MAPS:
        values = getattr(result, name).astype(np.float32)
        write_map(folder / f"{name}.nii.gz", values, result.scan)
    for name in MASKS:
        write_map(folder / f"{name}.nii.gz", getattr(result, name), result.scan)
    findings = {
        "disclaimer": DISCLAIMER,
        "threshold": result.threshold,
        "findings": [finding.to_json() for finding in result.findings],
    }
    (folder / "findings.json").write_text(json.dumps(findings, indent=1) + "\n")
    (folder / "provenance.json").write_text(json.dumps(result.provenance, indent=1) + "\n")
    render_report(result, folder / "report.png")
