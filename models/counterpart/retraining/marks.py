"""What a finished stage leaves behind for the next, and for the same command after a stop."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from counterpart.errors import CohortError
from counterpart.registry.verdict import Verdict
from counterpart.whole_file import write_whole

MARKS = "stages"


@dataclass(frozen=True)
class Refused:
    """A scan that is left out, and why."""

    scan: str
    reason: str


@dataclass(frozen=True)
class Decided:
    """What the checks decided, once and for all starts of a run.

    Args:
        mode: ``calibrate`` or ``train``.
        contrast: Of the scans to prepare; a run is of one contrast.
        model: Name of the model.
        folder: Bundle of the version to begin with and to compare with.
        begun_with: That version.
        version: Of the new model.
        used: Places, in the plan, of the scans to prepare.
        refused: Scans that are left out.
        warnings: Sentences about the cohort.
    """

    mode: str
    contrast: str
    model: str
    folder: str
    begun_with: str
    version: str
    used: tuple[int, ...]
    refused: tuple[Refused, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """What came of preparing.

    Args:
        cohort: Content hash of the cohort.
        parts: Part of each subject.
        refused: Scans that could not be prepared.
        cross_fitted: Whether the calibration is cross-fitted by fold.
    """

    cohort: str
    parts: dict[str, str]
    refused: tuple[Refused, ...]
    cross_fitted: bool


@dataclass(frozen=True)
class Ended:
    """That a stage ended, and what there is to say of it, in words."""

    words: str


@dataclass(frozen=True)
class CalibrationRow:
    """One calibration of the new version, and how it fares on scans that it was not fitted on.

    Args:
        contrast: Of the calibration.
        kind: Healthy scans or simulation.
        scans: Number of scans behind the figures.
        threshold: Of the anomaly map.
        findings: Mean number per scan.
        flagged_ml: Mean volume per scan.
    """

    contrast: str
    kind: str
    scans: int
    threshold: float
    findings: float
    flagged_ml: float


@dataclass(frozen=True)
class Bundled:
    """That the new bundle is written.

    Args:
        words: How it was made.
        calibrations: Of the new version, those made here.
    """

    words: str
    calibrations: tuple[CalibrationRow, ...]


@dataclass(frozen=True)
class Judged:
    """What the gates said.

    Args:
        candidate: Version and sha256 of the weights of the new model.
        serving: The same of the model it was compared with; empty without one.
        verdicts: One for each gate.
    """

    candidate: str
    serving: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Published:
    """How publishing ended.

    Args:
        published: Whether the new version serves; None if it was not asked for.
        verdicts: Of the gates.
        words: In a sentence.
    """

    published: bool | None
    verdicts: tuple[Verdict, ...]
    words: str


AnyMark = Decided | Prepared | Ended | Bundled | Judged | Published
Mark = TypeVar("Mark", Decided, Prepared, Ended, Bundled, Judged, Published)


def write_mark(run: Path, stage: str, mark: AnyMark) -> None:
    """Write what a stage leaves, as the last thing that it does."""
    values = asdict(mark)
    if isinstance(mark, Judged | Published):
        values["verdicts"] = [one.to_json() for one in mark.verdicts]
    content = json.dumps(values, indent=1, allow_nan=False)
    write_whole(run / MARKS / f"{stage}.json", lambda file: file.write(content.encode()))


def read_mark(run: Path, stage: str, kind: type[Mark]) -> Mark | None:
    """What a stage has left; None if it did not end.

    Raises:
        CohortError: It is damaged.
    """
    path = run / MARKS / f"{stage}.json"
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "refused" in values:
            values["refused"] = tuple(Refused(**one) for one in values["refused"])
        if "verdicts" in values:
            values["verdicts"] = tuple(Verdict.from_json(one) for one in values["verdicts"])
        if "calibrations" in values:
            rows = values["calibrations"]
            values["calibrations"] = tuple(CalibrationRow(**one) for one in rows)
        for name in ("warnings", "used"):
            if name in values:
                values[name] = tuple(values[name])
        return kind(**{field.name: values[field.name] for field in fields(kind)})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CohortError(f"{path}: damaged ({error}); retrain in a new folder.") from error
