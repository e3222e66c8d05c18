"""Says which part of a cohort each subject belongs to: by a file, else by a hash of the name."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from counterpart.calibration.cross_fitting import DEALT_FROM, refuse_few
from counterpart.cohort import CROSS_FIT, PARTS, TRAINED_ON
from counterpart.errors import CohortError


def read_split(folder: Path, names: list[str], contrast: str = TRAINED_ON) -> dict[str, str]:
    """Which part each subject belongs to.

    Args:
        folder: May hold ``split.csv``.
        names: The subjects.
        contrast: Of the cohort; without T1 nobody trains.

    Raises:
        CohortError: ``split.csv`` names an unknown part or leaves a subject out; or, for
        calibration
            alone, there are fewer than eight subjects.
    """
    path = folder / "split.csv"
    if not path.is_file():
        if contrast == TRAINED_ON:
            return {name: _dealt_part(name) for name in names}
        return held_out_parts(names)
    with path.open(newline="", encoding="utf-8-sig") as stream:  # spreadsheets write the mark
        rows = csv.DictReader(stream)
        columns = rows.fieldnames or []
        if not {"subject", "part"} <= set(columns):
            raise CohortError(f"{path}: expected the columns subject and part, got {columns}.")
        split = {row["subject"]: row["part"] for row in rows}
    unknown = [part for part in split.values() if part not in PARTS]
    if unknown:
        raise CohortError(f"{path}: expected the parts {', '.join(PARTS)}, got {unknown[0]!r}.")
    missing = [name for name in names if name not in split]
    if missing:
        raise CohortError(
            f"{path}: no part for subject {missing[0]} (and {len(missing) - 1} more)."
        )
    return split


def held_out_parts(names: list[str]) -> dict[str, str]:
    """Parts of subjects of whom none trains: halves, or all to be cross-fitted if they are few.

    Args:
        names: At least eight; 20 and more are dealt into halves in the order of a hash.

    Raises:
        CohortError: There are fewer than eight.
    """
    refuse_few(len(names))
    if len(names) < DEALT_FROM:
        return dict.fromkeys(names, CROSS_FIT)
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    half = len(ranked) // 2
    return {name: "validate" if n < half else "calibrate" for n, name in enumerate(ranked)}


def _dealt_part(name: str) -> str:
    draw = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100
    return "train" if draw < 60 else "validate" if draw < 75 else "calibrate"
