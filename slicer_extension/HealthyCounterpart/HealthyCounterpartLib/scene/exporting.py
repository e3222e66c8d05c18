"""Writes what a run holds to files of the reader's choice."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional

import slicer

from HealthyCounterpartLib.finding_row import FindingRow
from HealthyCounterpartLib.healthy_references import Reference, References
from HealthyCounterpartLib.problems import CounterpartProblem
from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.scene.findings_table import COLUMNS, cells_of
from HealthyCounterpartLib.scene.runs import Run
from HealthyCounterpartLib.translation import _

MAP_FILES = {
    marks.COUNTERPART: "counterpart_AI-generated.nii.gz",
    marks.RESIDUAL: "residual_AI-generated.nii.gz",
    marks.ANOMALY: "anomaly_AI-generated.nii.gz",
}
PROVENANCE_FILE = "provenance.json"
REFERENCE_COLUMNS = (
    *("Reference", "Similarity", "Rise"),
    *("p-value of the scan", "Held-out subjects", "Withdrawn subjects", "Server's note"),
)


def write_segmentation(segmentation: Any, path: Path, overwrite: bool = False) -> None:
    """Write the findings' segments as a segmentation file.

    Args:
        segmentation: Segmentation node, or None.
        path: File, ``.seg.nrrd``.
        overwrite: Whether an existing file may be replaced.

    Raises:
        FileExistsError: There is such a file.
        CounterpartProblem: There is nothing to write, or it cannot be written.
    """
    _check_there(segmentation)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    _write(path, overwrite, lambda there: _stored(storage, segmentation, there))


def write_maps(run: Run, folder: Path, overwrite: bool = False) -> list[Path]:
    """Write the volumes of a run as NIfTI, and where they come from as JSON.

    Args:
        run: The run.
        folder: Where the files go.
        overwrite: Whether existing files may be replaced.

    Returns:
        The files.

    Raises:
        FileExistsError: There is such a file; then none is written.
        CounterpartProblem: There is nothing to write, or it cannot be written.
    """
    volumes = {name: getattr(run, role) for role, name in MAP_FILES.items()}
    there = {Path(folder) / name: node for name, node in volumes.items() if node is not None}
    if not there:
        _check_there(None)
    text = run.provenance.GetText() if run.provenance is not None else ""
    notes = Path(folder) / PROVENANCE_FILE
    for path in (*there, notes):
        _check_free(path, overwrite)
    for path, node in there.items():
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        _write(path, overwrite, partial(_stored, storage, node))
    if text:
        _write(notes, overwrite, lambda at: at.write_text(text, encoding="utf-8"))
    return [*there, *([notes] if text else [])]


def write_table(rows: Sequence[FindingRow], path: Path, overwrite: bool = False) -> None:
    """Write the findings, with states and comments, as a CSV file.

    Args:
        rows: Findings.
        path: The file.
        overwrite: Whether an existing file may be replaced.

    Raises:
        FileExistsError: There is such a file.
        CounterpartProblem: It cannot be written.
    """
    cells = [cells_of(row) for row in rows]
    lines = [[cell[name] for name in COLUMNS] for cell in cells]
    _write(path, overwrite, partial(_write_lines, COLUMNS, lines))


def write_tables(
    rows: Sequence[FindingRow],
    references: Optional[References],
    path: Path,
    overwrite: bool = False,
) -> list[Path]:
    """Write the findings as a CSV file, and beside it, where there are any, the references.

    Args:
        rows: Findings.
        references: Most similar healthy references, or None.
        path: Of the findings; the references go to ``NAME_references.csv``.
        overwrite: Whether existing files may be replaced.

    Returns:
        The files.

    Raises:
        FileExistsError: There is such a file; then none is written.
        CounterpartProblem: One cannot be written.
    """
    path = Path(path)
    if references is None:
        write_table(rows, path, overwrite)
        return [path]
    beside = path.with_name(f"{path.stem}_references.csv")
    _check_free(beside, overwrite)
    write_table(rows, path, overwrite)
    of_scan = [references.p_value, references.held_out, references.withdrawn, references.note]
    ranked = references.ranked or (Reference(""),)
    lines = [[one.id, one.similarity, one.rise, *of_scan] for one in ranked]
    _write(beside, overwrite, partial(_write_lines, REFERENCE_COLUMNS, lines))
    return [path, beside]


def _write_lines(columns: Sequence[str], lines: Sequence[Sequence[Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "Note"])
        for line in lines:
            writer.writerow([*(_cell(one) for one in line), marks.DISCLAIMER])


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@") else value


def _stored(storage: Any, node: Any, path: Path) -> None:
    storage.SetFileName(str(path))
    if not storage.WriteData(node):
        raise OSError(_("Slicer could not write the file"))


def _write(path: Path, overwrite: bool, write: Callable[[Path], Any]) -> None:
    """Write beside the file first, so that a failure leaves what was there."""
    path = Path(path)
    _check_free(path, overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".counterpart-", dir=path.parent) as folder:
            write(Path(folder) / path.name)
            os.replace(Path(folder) / path.name, path)
    except OSError as error:
        raise CounterpartProblem(
            _("{name} could not be written ({why}).").format(
                name=path.name, why=error.strerror or error
            ),
            _("Choose another folder, or make room on the disk."),
        ) from error


def _check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(str(path))


def _check_there(node: Any) -> None:
    if node is None:
        raise CounterpartProblem(
            _("There is nothing to export: it was removed from the scene."), _("Generate again.")
        )
