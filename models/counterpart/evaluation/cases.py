"""The ten best and the ten worst scans by figures alone, with what stands out in each.

What stands out is told by rules on figures, in the hope that it explains the worst; that the best
have some of it too is why it is said of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from counterpart.evaluation.keeping import ALTERED
from counterpart.evaluation.markdown import number, table
from counterpart.evaluation.records import ModelEvaluation, PatientFigures
from counterpart.evaluation.summary import by_set, strongest_baseline
from counterpart.evaluation.traits import BRIGHT_IN

SHOWN = 10
LOW_CONTRAST = 0.05
MISSED_BY_MASK = 0.02
POOR_OVERLAP = 0.91  # 148 healthy heads have 0.925 or more
WIDE_VENTRICLES = 0.25  # one in twenty of them has more than 0.24
AT_VENTRICLES = 0.5
LIKE_BRAIN = 1.0 / 3.0
LARGE = 0.12
SMALL_ML = 3.0
MANY_ALARMS = 10
NOTHING = "nothing that these figures tell"
_EXPLAINED = """\
By the AP of the anomaly map, best and worst first. A case is the set, the contrast and digits of a
hash of the scan's name; `patients.csv` in the evaluation's folder says which scan it is. *Contrast*
is the mean in the lesion less that beside it, in shares of the normal range. *What stands out* is
told by rules on these figures and on pose and ventricles, for the best by the same rules as for the
worst; it may explain a case and proves nothing."""


def best_and_worst(
    rows: Sequence[PatientFigures], count: int = SHOWN
) -> tuple[list[PatientFigures], list[PatientFigures]]:
    """The scans with the highest and with the lowest average precision of the anomaly map.

    Args:
        rows: Of one model.
        count: Of scans in each list; with fewer than twice as many the better half is best.

    Returns:
        The best, beginning with the best, and the worst, beginning with the worst; no scan is in
        both, and of equal scans the one whose name comes first is the better.
    """
    return two_ends(sorted(rows, key=lambda row: (-row.map.ap, row.scan)), count)


def most_and_least_healed(
    rows: Sequence[PatientFigures], count: int = SHOWN
) -> tuple[list[PatientFigures], list[PatientFigures]]:
    """The scans of whose lesion's edge the counterpart leaves least and most.

    Scans whose lesion differs from the brain beside it by less than 0.02 of the normal range are
    left out: they have no edge that could be taken away.

    Args:
        rows: Of one model.
        count: Of scans in each list, as in `best_and_worst`.
    """
    seen = [
        (row.keeping.edge_left, row.scan, row)
        for row in rows
        if row.keeping.edge_left is not None and row.keeping.contrast_removed is not None
    ]
    return two_ends([row for _, _, row in sorted(seen, key=lambda one: one[:2])], count)


def two_ends(
    rows: Sequence[PatientFigures], count: int
) -> tuple[list[PatientFigures], list[PatientFigures]]:
    """The first and, reversed, the last of sorted scans, none in both."""
    middle = ceil(len(rows) / 2)
    return list(rows[: min(count, middle)]), list(rows[middle:])[::-1][:count]


def case_parts(evaluation: ModelEvaluation) -> list[str]:
    """Heading, explanation and the two tables."""
    strongest = {key: strongest_baseline(rows) for key, rows in by_set(evaluation.patients).items()}
    head = ["AP", "baseline", "Dice", "lesion ml", "flagged ml", "contrast", "edge left"]
    parts = ["### The best and the worst", _EXPLAINED]
    for title, chosen in zip(("best", "worst"), best_and_worst(evaluation.patients), strict=True):
        if chosen:
            rows = (_row(row, strongest, evaluation.aims) for row in chosen)
            parts.append(table([f"the {len(chosen)} {title}", *head, "what stands out"], rows))
    return parts


def what_stands_out(row: PatientFigures, calibrated: Iterable[str]) -> list[str]:
    """What may explain the figures of a scan, one phrase each.

    Args:
        row: The scan's figures.
        calibrated: Contrasts for which the model has a threshold of its own.
    """
    return [*_of_the_lesion(row), *_of_the_scan(row, calibrated), *_of_the_map(row)]


def _of_the_lesion(row: PatientFigures) -> Iterable[str]:
    contrast = row.keeping.lesion_contrast
    if contrast is not None:
        expected = 1.0 if row.contrast in BRIGHT_IN else -1.0
        if abs(contrast) < LOW_CONTRAST:
            yield f"lesion hardly differs from the brain beside it ({contrast:+.2f})"
        elif row.contrast != "unknown" and contrast * expected < -ALTERED:
            side = "darker" if contrast < 0 else "brighter"
            yield f"lesion {side} than the brain beside it, which is rare in {row.contrast}"
        elif (alike := row.traits.like_brain or 0.0) > LIKE_BRAIN:
            side = "brighter" if expected > 0 else "darker"
            yield f"{alike:.0%} of the lesion no {side} than much of the brain beside it"
    if row.lesion_ml < SMALL_ML:
        yield f"little lesion ({row.lesion_ml:.1f} ml)"
    if row.prevalence > LARGE:
        yield f"lesion fills {row.prevalence:.0%} of the brain and pulls its grey levels along"
    near = row.traits.by_ventricles
    if near is not None and near > AT_VENTRICLES:
        yield f"{near:.0%} of the lesion at the ventricles"
    if row.outside > MISSED_BY_MASK:
        yield f"brain mask cuts off {row.outside:.0%} of the lesion"


def _of_the_scan(row: PatientFigures, calibrated: Iterable[str]) -> Iterable[str]:
    wide, overlap = row.traits.wide_ventricles, row.traits.pose_overlap
    if wide is not None and wide > WIDE_VENTRICLES:
        yield "wide ventricles"
    if overlap is not None and overlap < POOR_OVERLAP:
        yield f"poor fit to the template (overlap {overlap:.2f})"
    if row.contrast not in calibrated:
        yield f"no threshold for {row.contrast}"


def _of_the_map(row: PatientFigures) -> Iterable[str]:
    if row.flagged_ml == 0:
        yield "nothing flagged"
    elif row.at_threshold.found == 0 and row.lesions:
        yield "what is flagged lies elsewhere"
    if row.at_threshold.false_positives >= MANY_ALARMS:
        yield f"{row.at_threshold.false_positives} false positives"


def _row(
    row: PatientFigures,
    strongest: Mapping[tuple[str, str], str | None],
    calibrated: Iterable[str],
) -> list[str]:
    name = strongest[row.group, row.contrast]
    contrast = row.keeping.lesion_contrast
    return [
        row.case,
        number(row.map.ap),
        number(None if name is None else row.scores[name].ap),
        number(row.map.dice),
        number(row.lesion_ml, 1),
        number(row.flagged_ml, 1),
        number(None) if contrast is None else f"{contrast:+.2f}",
        number(row.keeping.edge_left, 2),
        "; ".join(what_stands_out(row, calibrated)) or NOTHING,
    ]
