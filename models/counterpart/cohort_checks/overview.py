"""Sums up a healthy cohort before anything is learned from it: who, what, and what speaks against.

Without a brain network it looks at names and headers alone, in milliseconds; with one it reads
every scan as training will.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterpart.brain_extraction import BrainModel
from counterpart.bundle import Model
from counterpart.cohort_checks.advice import (
    cohort_advice,
    contrast_advice,
    number_warnings,
    subjects_by_contrast,
)
from counterpart.cohort_checks.duplicates import SAME_BRAIN, Duplicate, find_duplicates
from counterpart.cohort_checks.lesions import obvious_lesions
from counterpart.cohort_checks.looking import look_at_head, look_at_header
from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.cohort_checks.seen_scan import RefusedScan, SeenScan, rounded
from counterpart.errors import CounterpartError
from counterpart.hashing import file_sha256

Progress = Callable[[str], None]
HEADERS, HEADS = "headers", "whole scans"


@dataclass(frozen=True, eq=False)
class CohortOverview:
    """What a healthy cohort is.

    Args:
        seen: The scans that can be used, in the order in which they were given.
        refused: What is left out and why.
        warnings: Full sentences.
        looked_at: ``headers`` or ``whole scans``.
    """

    seen: tuple[SeenScan, ...]
    refused: tuple[RefusedScan, ...]
    warnings: tuple[str, ...]
    looked_at: str

    @property
    def subjects(self) -> dict[str, int]:
        """How many subjects there are of each contrast."""
        return subjects_by_contrast(self.seen)

    @property
    def advice(self) -> str:
        """``nothing``, ``calibrate`` or ``train``."""
        return cohort_advice(self.subjects)

    def to_json(self) -> dict[str, Any]:
        """The overview as plain values."""
        scans = Counter(one.contrast for one in self.seen)
        sizes = Counter(rounded(one.spacing_mm) for one in self.seen if one.spacing_mm is not None)
        return {
            "subjects": len({one.scan.subject for one in self.seen}),
            "scans": len(self.seen),
            "contrasts": {
                name: {
                    "scans": scans[name],
                    "subjects": count,
                    "advice": contrast_advice(name, count),
                }
                for name, count in self.subjects.items()
            },
            "voxel_sizes": [
                {"mm": list(size), "scans": count} for size, count in sizes.most_common()
            ],
            "refused": [{"scan": one.scan, "reason": one.reason} for one in self.refused],
            "warnings": list(self.warnings),
            "advice": self.advice,
            "looked_at": self.looked_at,
            "images": [one.to_json() for one in self.seen],
        }


def cohort_overview(
    scans: Sequence[MarkedScan],
    *,
    brain_model: BrainModel | None = None,
    model: Model | None = None,
    progress: Progress | None = None,
) -> CohortOverview:
    """Look at every scan of a cohort.

    Args:
        scans: The scans that are marked as healthy.
        brain_model: Finds brains in whole heads; without it headers and names alone are looked at.
        model: The current model, which says whose scan looks like a patient's; it needs the brain
            network too, and most of the time.
        progress: Called with words before each scan; may raise to cancel.
    """
    tell = progress or (lambda text: None)
    labels = scan_labels(scans)
    contents = _contents(scans)
    seen: list[SeenScan] = []
    refused: list[RefusedScan] = []
    for number, (scan, label, content) in enumerate(zip(scans, labels, contents, strict=True)):
        tell(f"looking at scan {number + 1} of {len(scans)}")
        try:
            if brain_model is None:
                seen.append(look_at_header(scan, label, content))
            else:
                seen.append(look_at_head(scan, label, brain_model, model, content))
        except CounterpartError as error:
            refused.append(RefusedScan(label, _without_path(error, scan.path)))
    twice = find_duplicates(seen)
    gone = [one.second for one in twice]
    used = [one for one in seen if one not in gone]
    refused += [RefusedScan(one.second.label, _twice_reason(one)) for one in twice]
    warnings = [
        *number_warnings(subjects_by_contrast(used)),
        *(_two_names_warning(one) for one in twice if one.two_names),
        *(_lesion_warning(one) for one in obvious_lesions(used)),
        *(f"{one.label}: {doubt}" for one in used for doubt in one.doubts),
    ]
    looked_at = HEADERS if brain_model is None else HEADS
    return CohortOverview(tuple(used), tuple(refused), tuple(warnings), looked_at)


def scan_labels(scans: Sequence[MarkedScan]) -> list[str]:
    """What messages call the scans: the file's name, or its path where two have one name."""
    names = Counter(scan.path.name for scan in scans)
    return [scan.path.name if names[scan.path.name] == 1 else str(scan.path) for scan in scans]


def _contents(scans: Sequence[MarkedScan]) -> list[str]:
    """sha256 of the files that have another's size; the rest cannot be the same bytes."""
    sizes = [scan.path.stat().st_size if scan.path.is_file() else -1 for scan in scans]
    often = Counter(sizes)
    return [
        file_sha256(scan.path) if size > 0 and often[size] > 1 else ""
        for scan, size in zip(scans, sizes, strict=True)
    ]


def _without_path(error: CounterpartError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").replace(str(path), path.name)


def _twice_reason(one: Duplicate) -> str:
    words = f"It has {one.what} as {one.first.label}"
    if one.two_names:
        words += f", which is named subject {one.first.scan.subject}"
    if one.what == SAME_BRAIN:
        words += f" (likeness {one.likeness:.2f}); if it is one person, name one subject"
    return f"{words}."


def _two_names_warning(one: Duplicate) -> str:
    subjects = f"{one.first.scan.subject} and {one.second.scan.subject}"
    return (
        f"Subjects {subjects} are one person by {one.what} ({one.first.label}, "
        f"{one.second.label}); the second scan is left out, so that nobody is on both sides of "
        "the split."
    )


def _lesion_warning(one: SeenScan) -> str:
    return (
        f"{one.label}: the current model flags {one.flagged_ml:.1f} ml, far beyond what healthy "
        "brains show; look whether it is a patient, and take the mark away if so."
    )
