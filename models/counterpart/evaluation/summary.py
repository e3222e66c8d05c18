"""From the figures of scans to those of sets: means, the strongest baseline, paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from sklearn.metrics import roc_auc_score

from counterpart.evaluation.bootstrap import Interval, mean_interval
from counterpart.evaluation.records import (
    MAP,
    RESIDUAL,
    HealthyFigures,
    ModelEvaluation,
    PatientFigures,
)

Set = tuple[str, str]
FALSE_POSITIVES = 1.0


@dataclass(frozen=True)
class ScoreSummary:
    """How well one score does on one set of scans.

    Args:
        name: Of the score.
        ap: Mean voxel average precision.
        best_dice: Mean best Dice coefficient (oracle).
        dice: Mean Dice coefficient of what is flagged.
        slice_auroc: Mean area under the curve of slices; None where no scan has both kinds.
        sensitivity: Share of the lesions found where a scan carries one false positive on average;
            None where no threshold comes so low.
        scan_auroc: Area under the curve of patients' scans against healthy ones of the same
            contrast; None without such healthy scans.
    """

    name: str
    ap: float
    best_dice: float
    dice: float
    slice_auroc: float | None
    sensitivity: float | None
    scan_auroc: float | None


@dataclass(frozen=True)
class SetSummary:
    """Figures of one set of patients in one contrast.

    Args:
        group: The set.
        contrast: Of its scans.
        scans: How many.
        prevalence: Mean share of lesion voxels.
        lesions: How many in all.
        found: Share of them found at the healthy threshold.
        false_positives: Mean number per scan at the healthy threshold.
        map: Of the anomaly map.
        residual: Of the residual alone.
        baseline: Of the strongest baseline; None without baselines.
        ap_difference: Anomaly map minus strongest baseline, paired by scan; None without, or
            with fewer than five scans.
        dice_difference: The same of the Dice coefficient at equal volume.
    """

    group: str
    contrast: str
    scans: int
    prevalence: float
    lesions: int
    found: float | None
    false_positives: float
    map: ScoreSummary
    residual: ScoreSummary
    baseline: ScoreSummary | None
    ap_difference: Interval | None
    dice_difference: Interval | None


def by_set(rows: Iterable[PatientFigures]) -> dict[Set, list[PatientFigures]]:
    """Scans by set and contrast, sorted."""
    groups: dict[Set, list[PatientFigures]] = {}
    for row in rows:
        groups.setdefault((row.group, row.contrast), []).append(row)
    return dict(sorted(groups.items()))


def strongest_baseline(rows: Sequence[PatientFigures]) -> str | None:
    """The baseline with the highest mean average precision over the scans; None without any."""
    names = [name for name in rows[0].baselines if all(name in row.scores for row in rows)]
    if not names:
        return None
    return max(names, key=lambda name: mean(row.scores[name].ap for row in rows))


def summarise(evaluation: ModelEvaluation) -> list[SetSummary]:
    """One summary for each set and contrast."""
    return [
        _set_summary(group, contrast, rows, evaluation.healthy)
        for (group, contrast), rows in by_set(evaluation.patients).items()
    ]


def model_difference(
    one: Sequence[PatientFigures], other: Sequence[PatientFigures]
) -> Interval | None:
    """Average precision of the anomaly map, other minus one, paired by scan."""
    known = {row.scan: row.map.ap for row in one}
    return mean_interval([row.map.ap - known[row.scan] for row in other if row.scan in known])


def sensitivity_at(rows: Sequence[PatientFigures], name: str, allowed: float) -> float | None:
    """Share of all lesions that a score finds at so many false positives per scan on average.

    Between two thresholds the line that joins them counts. Thresholds at which a score finds fewer
    lesions with more false positives than at another one are left to the other.

    Args:
        rows: Scans whose curves have the same thresholds.
        name: Of the score.
        allowed: False positives per scan.
    """
    lesions = sum(row.lesions for row in rows)
    curves = [row.scores[name].froc for row in rows]
    if not lesions or not all(curves):
        return None
    points = (
        (sum(p.false_positives for p in column) / len(rows), sum(p.found for p in column) / lesions)
        for column in zip(*curves, strict=True)
    )
    costs: list[float] = []
    shares: list[float] = []
    for cost, share in sorted(points, key=lambda point: (point[0], -point[1])):
        if not shares or share > shares[-1]:
            costs.append(cost)
            shares.append(share)
    return float(np.interp(allowed, costs, shares)) if costs[0] <= allowed else None


def _set_summary(
    group: str, contrast: str, rows: Sequence[PatientFigures], healthy: Sequence[HealthyFigures]
) -> SetSummary:
    lesions = sum(row.lesions for row in rows)
    strongest = strongest_baseline(rows)
    ap_difference = dice_difference = None
    if strongest is not None:
        ap_difference = mean_interval([row.map.ap - row.scores[strongest].ap for row in rows])
        dice_difference = mean_interval([row.map.dice - row.scores[strongest].dice for row in rows])
    return SetSummary(
        group=group,
        contrast=contrast,
        scans=len(rows),
        prevalence=mean(row.prevalence for row in rows),
        lesions=lesions,
        found=sum(row.at_threshold.found for row in rows) / lesions if lesions else None,
        false_positives=mean(row.at_threshold.false_positives for row in rows),
        map=_score_summary(MAP, rows, healthy),
        residual=_score_summary(RESIDUAL, rows, healthy),
        baseline=None if strongest is None else _score_summary(strongest, rows, healthy),
        ap_difference=ap_difference,
        dice_difference=dice_difference,
    )


def _score_summary(
    name: str, rows: Sequence[PatientFigures], healthy: Sequence[HealthyFigures]
) -> ScoreSummary:
    scores = [row.scores[name] for row in rows]
    areas = [score.slice_auroc for score in scores if score.slice_auroc is not None]
    controls = [
        row.scan_scores[name]
        for row in healthy
        if row.contrast == rows[0].contrast and name in row.scan_scores
    ]
    scan_auroc = None
    if controls:
        truth = [1] * len(scores) + [0] * len(controls)
        ranks = [score.scan_score for score in scores] + controls
        scan_auroc = float(roc_auc_score(truth, ranks))
    return ScoreSummary(
        name=name,
        ap=mean(score.ap for score in scores),
        best_dice=mean(score.best_dice for score in scores),
        dice=mean(score.dice for score in scores),
        slice_auroc=mean(areas) if areas else None,
        sensitivity=sensitivity_at(rows, name, FALSE_POSITIVES),
        scan_auroc=scan_auroc,
    )
