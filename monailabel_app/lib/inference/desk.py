"""What needs no network: checks of scans, other thresholds, reports and other file formats."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from counterpart.attribution.pictures import ReferencePictures
from counterpart.errors import CohortError, ScanError
from counterpart.formats.meta_image import META_SUFFIXES, read_meta
from counterpart.formats.nifti_image import NIFTI_SUFFIXES, read_nifti
from counterpart.formats.nrrd_image import NRRD_SUFFIXES, read_nrrd
from counterpart.output import write_findings, write_reports
from counterpart.regions import RegionAtlas, read_atlas
from counterpart.results import Result
from counterpart.scans import Scan, read_scan, write_map
from counterpart.stored_result import read_result, with_threshold
from lib.inference.messages import Tell, Values, Work
from lib.problems import Problem

MASKS = ("mask", "brain")
_READERS = (
    (NIFTI_SUFFIXES, read_nifti),
    (NRRD_SUFFIXES, read_nrrd),
    (META_SUFFIXES, read_meta),
)
_COLUMNS = (
    "number",
    "direction",
    "volume_ml",
    "peak",
    "mean",
    "p_value",
    "side",
    "region",
    "right_mm",
    "anterior_mm",
    "superior_mm",
)


def check(arguments: Values, tell: Tell) -> Values:
    """Read a scan and say what it is; an error says why it cannot be used."""
    scan = read_scan(Path(arguments["scan"]))
    return {
        "shape": list(scan.grid.shape),
        "spacing_mm": [round(float(size), 4) for size in scan.grid.spacing],
        "warnings": list(scan.warnings),
    }


def check_label(arguments: Values, tell: Tell) -> Values:
    """Read a label; unlike a scan it may be empty."""
    path = Path(arguments["scan"])
    for suffixes, read in _READERS:
        if path.name.lower().endswith(suffixes):
            try:
                return {"shape": list(read(path).values.shape)}
            except OSError as error:
                raise ScanError(f"{path}: cannot be read ({error}). Save it again.") from error
    raise ScanError(f"{path}: is of no format of a label. Save it as NIfTI or NRRD.")


def view(arguments: Values, tell: Tell) -> Values:
    """List the findings of a result by another threshold.

    Args:
        arguments: ``scan``, ``result`` (folder), ``out`` (existing folder), ``threshold``,
            ``minimum_ml`` (numbers or None).
        tell: Not called; this takes a moment.

    Returns:
        ``findings``: their number.
    """
    scan, result = _stored(arguments)
    seen = with_threshold(
        result, arguments["threshold"], arguments["minimum_ml"], atlas=_atlas(arguments)
    )
    out = Path(arguments["out"])
    write_map(out / "mask.nii", seen.mask, scan)
    write_findings(seen, out)
    return {"findings": len(seen.findings)}


def report(arguments: Values, tell: Tell) -> Values:
    """Draw ``report.html`` and ``report.png`` of a result, or of a view of it."""
    _, result = _stored(arguments)
    if arguments["threshold"] is not None or arguments["minimum_ml"] is not None:
        result = with_threshold(
            result, arguments["threshold"], arguments["minimum_ml"], atlas=_atlas(arguments)
        )
    folder = Path(arguments["out"])
    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as work:
        write_reports(result, Path(work))
        for name in ("report.png", "report.html"):
            os.replace(Path(work) / name, folder / name)
    return {}


def pack(arguments: Values, tell: Tell) -> Values:
    """Write a map in another format: ``map`` (path of a ``.nii``) becomes ``out``."""
    source, out = Path(arguments["map"]), Path(arguments["out"])
    values = read_nifti(source).values
    if source.name.removesuffix(".nii") in MASKS:
        values = values.astype(np.uint8)
    like = read_scan(Path(arguments["scan"]))
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=out.parent) as work:
        write_map(Path(work) / out.name, values, like)
        os.replace(Path(work) / out.name, out)
    return {}


def table(arguments: Values, tell: Tell) -> Values:
    """Write the findings of ``findings.json`` as a table, ``findings.csv``."""
    folder = Path(arguments["out"])
    findings = json.loads((folder / "findings.json").read_text())["findings"]
    with tempfile.TemporaryDirectory(prefix=".table-", dir=folder) as work:
        path = Path(work) / "findings.csv"
        with path.open("w", newline="", encoding="utf-8") as stream:
            rows = csv.DictWriter(stream, _COLUMNS, extrasaction="ignore")
            rows.writeheader()
            for one in findings:
                place = zip(_COLUMNS[-3:], one["centre_ras_mm"], strict=True)
                rows.writerow({**one, **dict(place)})
        os.replace(path, folder / "findings.csv")
    return {}


def reference(arguments: Values, tell: Tell) -> Values:
    """Write the picture of a healthy reference where a patient's brain lies.

    Args:
        arguments: ``cohort`` (folder), ``name`` (pseudonym), ``result`` (folder of the patient's
            result), ``out`` (becomes a ``.nii.gz``).
        tell: Not called; this takes a moment.

    Raises:
        Problem: The cohort has no such reference, or is damaged.
    """
    name, out = str(arguments["name"]), Path(arguments["out"])
    known = json.loads((Path(arguments["result"]) / "provenance.json").read_text(encoding="utf-8"))
    pose = np.array(known["template_from_world"], np.float64).reshape(4, 4)
    try:
        pictures = ReferencePictures(Path(arguments["cohort"]))
        if name not in pictures:
            error = "The server's cohort has no picture of this healthy reference."
            hint = "Tell the administrator: the model was trained on another cohort."
            raise Problem(404, error, hint)
        with tempfile.TemporaryDirectory(prefix=".reference-", dir=out.parent) as work:
            pictures.write(name, Path(work) / out.name, pose)
            os.replace(Path(work) / out.name, out)
    except CohortError as error:
        said = "The picture of this healthy reference cannot be read."
        hint = "Tell the administrator: the prepared cohort on the server is damaged."
        raise Problem(503, said, hint) from error
    return {}


def _stored(arguments: Values) -> tuple[Scan, Result]:
    scan = read_scan(Path(arguments["scan"]))
    return scan, read_result(Path(arguments["result"]), scan)


def _atlas(arguments: Values) -> RegionAtlas | None:
    path = Path(arguments["result"]) / "regions.nii.gz"
    return read_atlas(path) if path.is_file() else None


WORKS: dict[str, Work] = {
    "check": check,
    "check_label": check_label,
    "view": view,
    "report": report,
    "pack": pack,
    "table": table,
    "reference": reference,
}
