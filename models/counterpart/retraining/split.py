"""Deals subjects into the parts of a cohort: by subject, never by slice, the same each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from counterpart.calibration.cross_fitting import DEALT_FROM, LEAST_SUBJECTS
from counterpart.cohort import CROSS_FIT
from counterpart.errors import CohortError

SMALL_COHORT = 40
LEAST_VALIDATE, LEAST_CALIBRATE, LEAST_TRAIN = 2, 3, 2
HELD_OUT_SHARE = 0.4


def deal_parts(subjects: Iterable[str], *, train: bool, seed: int) -> dict[str, str]:
    """Which part each subject belongs to.

    The order is that of a hash of seed and name. Of those who are held out, half validate and half
    calibrate; without training all are held out, and cross-fitted by fold where they are few.

    Args:
        subjects: Names; each counts once however many scans it has.
        train: Whether some shall train.
        seed: Of the order.

    Raises:
        CohortError: There are too few.
    """
    names = sorted(set(subjects), key=lambda name: (_rank(name, seed), name))
    least = LEAST_VALIDATE + LEAST_CALIBRATE + LEAST_TRAIN if train else LEAST_SUBJECTS
    if len(names) < least:
        what = "training" if train else "a calibration"
        raise CohortError(
            f"{what} needs at least {least} healthy subjects, got {len(names)}. Mark more scans."
        )
    if not train and len(names) < DEALT_FROM:
        return dict.fromkeys(names, CROSS_FIT)
    held_out = round(HELD_OUT_SHARE * len(names)) if train else len(names)
    held_out = max(held_out, LEAST_VALIDATE + LEAST_CALIBRATE)
    validate = max(LEAST_VALIDATE, held_out // 2)
    parts = {}
    for place, name in enumerate(names):
        part = "validate" if place < validate else "calibrate"
        parts[name] = part if place < held_out else "train"
    return parts


def _rank(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def refuse_few(parts: dict[str, str], *, train: bool) -> None:
    """Refuse a cohort of which refusals have left too little.

    Args:
        parts: Part of each subject that could be prepared.
        train: Whether some shall train.

    Raises:
        CohortError: Too few are left.
    """
    held = list(parts.values())
    validate, calibrate = held.count("validate"), held.count("calibrate")
    few = min(validate, calibrate) < LEAST_VALIDATE or (train and not held.count("train"))
    if CROSS_FIT in held:
        few = len(held) < LEAST_SUBJECTS
    if few:
        raise CohortError(
            f"of the scans that could be prepared {held.count('train')} are to train, {validate} "
            f"to validate, {calibrate} to calibrate and {held.count(CROSS_FIT)} to be "
            "cross-fitted; that is too few. Mark more scans."
        )
