"""Says what a healthy cohort suffices for, and why, before anything is started."""

from __future__ import annotations

from collections.abc import Sequence

from counterpart.calibration.cross_fitting import LEAST_SUBJECTS
from counterpart.cohort_checks.seen_scan import UNKNOWN, SeenScan

NOTHING, CALIBRATE, TRAIN = "nothing", "calibrate", "train"
FEW_TO_TRAIN = 40
TRAINED_ON = "T1"
_WORTH = (NOTHING, CALIBRATE, TRAIN)


def subjects_by_contrast(seen: Sequence[SeenScan]) -> dict[str, int]:
    """How many subjects there are of each contrast, the most first."""
    who: dict[str, set[str]] = {}
    for one in seen:
        who.setdefault(one.contrast, set()).add(one.scan.subject)
    return {name: len(who[name]) for name in sorted(who, key=lambda name: (-len(who[name]), name))}


def contrast_advice(contrast: str, subjects: int) -> str:
    """What the scans of one contrast suffice for.

    Only T1 is trained on: the other contrasts are rendered from T1's tissue fractions.
    """
    if contrast == UNKNOWN or subjects < LEAST_SUBJECTS:
        return NOTHING
    return TRAIN if contrast == TRAINED_ON and subjects >= FEW_TO_TRAIN else CALIBRATE


def cohort_advice(subjects: dict[str, int]) -> str:
    """What the cohort suffices for: the most that one of its contrasts does."""
    found = [contrast_advice(name, count) for name, count in subjects.items()]
    return max(found, key=_WORTH.index, default=NOTHING)


def number_warnings(subjects: dict[str, int]) -> list[str]:
    """What there is to be said of numbers and contrasts, full sentences."""
    if not subjects:
        return ["No scan can be used; mark healthy scans first."]
    found = []
    if len(subjects) > 1:
        each = ", ".join(f"{name} {count}" for name, count in subjects.items())
        found.append(
            f"The contrasts are mixed (subjects: {each}); each is dealt with by itself, and a "
            "subject's scans are never split."
        )
    for name, count in subjects.items():
        found += _few(name, count)
    return found


def _few(contrast: str, count: int) -> list[str]:
    who = f"{count} subject{'s' * (count != 1)} with {contrast}"
    if contrast == UNKNOWN:
        return [
            f"Of {count} subject{'s' * (count != 1)} the file's name does not tell the sequence; "
            "their tissues will, when the scans are read."
        ]
    if count < LEAST_SUBJECTS:
        return [
            f"{who}: too few for anything; a calibration needs at least {LEAST_SUBJECTS}, and "
            f"training {FEW_TO_TRAIN}."
        ]
    if contrast != TRAINED_ON:
        return [f"{who}: enough to calibrate on; training takes {TRAINED_ON} scans alone."]
    if count < FEW_TO_TRAIN:
        return [
            f"{who}: fewer than {FEW_TO_TRAIN}, so calibration alone is advised; training on them "
            "must be asked for."
        ]
    return []
