"""Finds the patients and the healthy scans of a folder.

A patient's scan has a lesion mask beside it (``NAME_mask`` or ``NAME_lesion``). Healthy scans lie
in folders of their own: those that hold a ``split.csv`` (subject, part) or a ``participants.csv``
(subject, age_years), or that the user names. What a model was trained on, or chosen by, is never
measured: of a split the parts *train* and *validate* are left out.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpart.errors import CounterpartError
from counterpart.scans import companion, is_nifti, refuse_same_names, scan_name

SPLIT, PARTICIPANTS = "split.csv", "participants.csv"
NOT_MEASURED, MEASURED = ("train", "validate"), ("calibrate", "test")
_NOT_SCANS = ("_mask", "_lesion", "_brain", "_labels")


@dataclass(frozen=True)
class PatientSource:
    """A patient's scan on disk.

    Args:
        scan: The scan.
        mask: Its lesion mask.
        brain: Its brain mask, if there is one.
    """

    scan: Path
    mask: Path
    brain: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the figures depend on."""
        return (self.scan, self.mask) if self.brain is None else (self.scan, self.mask, self.brain)


@dataclass(frozen=True)
class HealthySource:
    """A healthy subject's scan on disk.

    Args:
        scan: The scan.
        part: Of the cohort's split, empty without one.
        age_years: If known.
        brain: Its brain mask, if there is one.
    """

    scan: Path
    part: str = ""
    age_years: float | None = None
    brain: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the figures depend on."""
        return (self.scan,) if self.brain is None else (self.scan, self.brain)


@dataclass(frozen=True)
class Sources:
    """All that is measured."""

    patients: tuple[PatientSource, ...]
    healthy: tuple[HealthySource, ...]


def find_sources(data: Sequence[Path], healthy: Sequence[Path] = ()) -> Sources:
    """Find patients and healthy scans.

    Args:
        data: Folders; each is looked at together with the folders in it.
        healthy: Further folders of healthy scans, with or without a split.

    Raises:
        CounterpartError: A folder is missing, nothing is found, two scans have one name, or a
            table is wrong.
    """
    folders = _once(folder for root in data for folder in _with_inner(root))
    marked = [f for f in folders if (f / SPLIT).is_file() or (f / PARTICIPANTS).is_file()]
    patients = [one for f in folders if f not in marked for one in _patients(f)]
    healthy_folders = _once([*marked, *(_checked(f) for f in healthy)])
    controls = [one for folder in healthy_folders for one in _healthy(folder)]
    if not patients and not controls:
        where = ", ".join(str(one) for one in (*data, *healthy))
        raise CounterpartError(
            f"{where}: no scan with a lesion mask (NAME_mask.nii.gz) beside it, and no folder of "
            f"healthy scans (one with a {SPLIT} or {PARTICIPANTS})."
        )
    refuse_same_names([one.scan for one in patients] + [one.scan for one in controls])
    return Sources(tuple(patients), tuple(controls))


def subject_of(path: Path) -> str:
    """The name of a scan without its contrast."""
    return scan_name(path).rsplit("_", 1)[0]


def _with_inner(root: Path) -> list[Path]:
    _checked(root)
    return [root, *(inner for inner in sorted(root.iterdir()) if inner.is_dir())]


def _once(folders: Iterable[Path]) -> list[Path]:
    """The folders without those that came before by another path."""
    return list({folder.resolve(): folder for folder in folders}.values())


def _checked(folder: Path) -> Path:
    if not folder.is_dir():
        raise CounterpartError(f"{folder}: no such folder.")
    return folder


def _scans(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if is_nifti(path) and not scan_name(path).endswith(_NOT_SCANS):
            yield path


def _patients(folder: Path) -> Iterator[PatientSource]:
    for path in _scans(folder):
        subject = subject_of(path)
        mask = companion(path, subject, "_mask") or companion(path, subject, "_lesion")
        if mask is not None:
            yield PatientSource(path, mask, companion(path, subject, "_brain"))


def _healthy(folder: Path) -> Iterator[HealthySource]:
    parts = _column(folder / SPLIT, "part")
    unknown = sorted({*parts.values()} - {"", *NOT_MEASURED, *MEASURED})
    if unknown:
        known = ", ".join((*NOT_MEASURED, *MEASURED))
        raise CounterpartError(f"{folder / SPLIT}: expected the parts {known}, got {unknown[0]!r}.")
    ages = _column(folder / PARTICIPANTS, "age_years")
    for path in _scans(folder):
        subject = subject_of(path)
        part = parts.get(subject, "")
        if parts and part in ("", *NOT_MEASURED):
            continue  # a subject that the split does not name may be one that was trained on
        age = ages.get(subject, "")
        brain = companion(path, subject, "_brain")
        yield HealthySource(path, part, _number(age, folder / PARTICIPANTS), brain)


def _column(path: Path, name: str) -> dict[str, str]:
    """One column of a table by subject; empty without the file."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if not {"subject", name} <= set(reader.fieldnames or ()):
            raise CounterpartError(f"{path}: expected the columns 'subject' and {name!r}.")
        return {row["subject"]: (row[name] or "").strip() for row in reader}


def _number(text: str, path: Path) -> float | None:
    if not text:
        return None
    try:
        age = float(text)
    except ValueError:
        age = math.nan
    if not math.isfinite(age):
        raise CounterpartError(f"{path}: {text!r} is no age in years.")
    return age
