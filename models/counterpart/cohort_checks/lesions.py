"""Says which scans of a healthy cohort the model takes for a patient's, far beyond health.

At the healthy threshold a healthy scan carries at most 1 ml on average, but a few carry more: wide
ventricles, a scanner that the model does not know. So three things together make an *obvious
lesion*: ten times what the threshold allows, five times what the cohort's own scans of that
contrast carry, and, where the model knows healthy scans, a finding that at most one in twenty
shows. It is a warning: only a person can say whether it is a patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from counterpart.calibration.healthy_threshold import MAX_FLAGGED_ML
from counterpart.cohort_checks.seen_scan import SeenScan

OBVIOUS_ML = 10.0 * MAX_FLAGGED_ML
TIMES_THE_COHORT = 5.0
RARE_P = 0.05


def obvious_lesions(seen: Sequence[SeenScan]) -> list[SeenScan]:
    """The scans with an obvious lesion, those with the most ml first."""
    found = [one for one in seen if one.flagged_ml is not None and _is_beyond(one, seen)]
    return sorted(found, key=lambda one: -(one.flagged_ml or 0.0))


def _is_beyond(one: SeenScan, seen: Sequence[SeenScan]) -> bool:
    flagged_ml = one.flagged_ml or 0.0
    others = [
        other.flagged_ml
        for other in seen
        if other is not one and other.contrast == one.contrast and other.flagged_ml is not None
    ]
    usual = median(others) if others else 0.0
    rare = one.p_value is None or one.p_value <= RARE_P
    return rare and flagged_ml >= max(OBVIOUS_ML, TIMES_THE_COHORT * usual)
