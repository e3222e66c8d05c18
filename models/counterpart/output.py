"""Writes a result as a folder of files, all or nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from counterpart.attribution.pictures import ReferencePictures
from counterpart.errors import CounterpartError
from counterpart.report.content import gather_content
from counterpart.report.html import render_html
from counterpart.report.png import render_report
from counterpart.results import DISCLAIMER, Result
from counterpart.scans import write_map

MAPS = ("reconstruction", "counterpart", "residual", "anomaly")
MASKS = ("mask", "brain")
FORMATS = ("nii.gz", "nii", "nrrd", "mha", "dicom")
_TITLES = {
    "reconstruction": "Reconstruction (as in health, ungated)",
    "counterpart": "Healthy counterpart",
    "residual": "Residual in spreads",
    "anomaly": "Anomaly map",
    "mask": "Findings mask",
    "brain": "Brain mask",
}
_SLICE_SUFFIX = ".dcm"
_WRITERS = 4
FILES = {
    *(f"{name}.{ending}" for name in (*MAPS, *MASKS) for ending in FORMATS[:-1]),
    "findings.json",
    "provenance.json",
    "references.json",
    "report.html",
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
    foreign = sorted(path.name for path in folder.iterdir() if not _is_ours(path))
    if foreign:
        raise CounterpartError(
            f"{folder}: holds {foreign[0]!r}, which is not ours to replace. Move it away, or "
            "choose another output folder."
        )


def _is_ours(path: Path) -> bool:
    """Whether a file, or a folder with a DICOM series, is one that a result consists of."""
    if path.is_dir() and not path.is_symlink():
        slices = all(part.is_file() and part.suffix == _SLICE_SUFFIX for part in path.iterdir())
        return path.name in (*MAPS, *MASKS) and slices
    return path.name in FILES


def write_result(
    result: Result,
    folder: Path,
    *,
    overwrite: bool = False,
    image_format: str = "nii.gz",
    pictures: ReferencePictures | None = None,
) -> None:
    """Write maps, findings, provenance and the report.

    Everything is written beside the folder first and moved there by one rename, so that a run that
    is killed or a full disk leaves no half result.

    Args:
        result: From `counterpart.generate.generate_counterpart`.
        folder: Becomes ``reconstruction``, ``counterpart``, ``residual``, ``anomaly``, ``mask``
            and ``brain``, ``findings.json``, ``provenance.json``, ``report.html``, ``report.png``;
            ``references.json`` if the model knows its healthy references.
        overwrite: Replace an earlier result.
        image_format: Of the maps, one of `FORMATS`; ``dicom`` makes a folder for each map.
        pictures: Of the healthy references, where they may be seen in the report.

    Raises:
        CounterpartError: The folder exists and ``overwrite`` is not given, or the format is not
            known.
    """
    if image_format not in FORMATS:
        raise CounterpartError(
            f"expected one of the formats {', '.join(FORMATS)}, got {image_format!r}."
        )
    check_output(folder, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write_files(result, work, image_format, pictures)
        work.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        work.rename(folder)
    finally:
        if work.exists():
            shutil.rmtree(work)


def write_images(result: Result, folder: Path, image_format: str) -> None:
    """Write maps and masks into a folder, several at a time.

    Args:
        result: What to write.
        folder: An existing folder.
        image_format: One of `FORMATS`.
    """
    with ThreadPoolExecutor(_WRITERS) as pool:
        for image in [
            pool.submit(_write_image, result, name, folder, image_format)
            for name in (*MAPS, *MASKS)
        ]:
            image.result()


def write_reports(result: Result, folder: Path, pictures: ReferencePictures | None = None) -> None:
    """Write ``report.png`` and ``report.html`` into an existing folder.

    Args:
        result: What to show.
        folder: An existing folder.
        pictures: Of the healthy references, where they may be seen.
    """
    content = gather_content(result, pictures)
    render_report(content, folder / "report.png")
    render_html(content, folder / "report.html")


def _write_files(
    result: Result, folder: Path, image_format: str, pictures: ReferencePictures | None
) -> None:
    with ThreadPoolExecutor(1) as pool:  # packing leaves Python free for the reports
        images = pool.submit(write_images, result, folder, image_format)
        write_findings(result, folder)
        write_reports(result, folder, pictures)
        images.result()


def write_findings(result: Result, folder: Path) -> None:
    """Write ``findings.json``, ``provenance.json``, ``references.json`` into an existing folder."""
    findings = {
        "disclaimer": DISCLAIMER,
        "threshold": result.threshold,
        "evidence": asdict(result.evidence),
        "warnings": list(result.warnings),
        "findings": [finding.to_json() for finding in result.findings],
    }
    (folder / "findings.json").write_text(json.dumps(findings, indent=1) + "\n")
    (folder / "provenance.json").write_text(json.dumps(result.provenance, indent=1) + "\n")
    if result.references is not None:
        references = {"disclaimer": DISCLAIMER, **result.references.to_json()}
        (folder / "references.json").write_text(json.dumps(references, indent=1) + "\n")


def _write_image(result: Result, name: str, folder: Path, image_format: str) -> None:
    values = getattr(result, name)
    if name in MAPS:
        values = values.astype(np.float32)
    if image_format != "dicom":
        write_map(folder / f"{name}.{image_format}", values, result.scan)
        return
    from counterpart.formats.derived_series import write_dicom_series  # pydicom loads slowly

    write_dicom_series(folder / name, values, result.scan, description=_TITLES[name])
