"""Writes an evaluation as Markdown: tables by set, health by decade and region, plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from counterpart.evaluation.bootstrap import share_interval
from counterpart.evaluation.cases import case_parts
from counterpart.evaluation.goals import AIM_ERROR, AIM_SSIM
from counterpart.evaluation.goals_text import goal_parts, seconds_parts
from counterpart.evaluation.keeping_text import keeping_parts
from counterpart.evaluation.markdown import difference, number, table
from counterpart.evaluation.published import published_parts
from counterpart.evaluation.records import HealthyFigures, ModelEvaluation, PatientFigures
from counterpart.evaluation.summary import (
    FALSE_POSITIVES,
    SetSummary,
    by_set,
    model_difference,
    strongest_baseline,
    summarise,
)
from counterpart.evaluation.weaknesses import LEVEL, weaknesses

METHOD = """\
Voxels count within one region, fixed beforehand: the foreground of a stripped scan; of a whole
head the brain mask united with the lesion, and lesion which the mask misses has the lowest score.
*AP* is the voxel average precision, mean over scans. The *strongest baseline* is, for each row,
whichever of intensity, inverted intensity and robust |z|, each raw and smoothed by 1.5 and 3 mm,
has the highest mean AP there: chosen with the masks in hand, in the same region, without components
below 0.1 ml. *Differences* are map minus baseline, paired by scan, with the 95 % interval of 10,000
resamples of the scans. *Oracle* is the best over all thresholds. *Dice* is that of the map at its
healthy threshold, and of the baseline where it flags as many voxels. A lesion (0.1 ml or more) is
found if a tenth of it is flagged; a false positive is a flagged component that touches no lesion,
three slices beyond the mask's ends left out. *Slice AUROC*: slices with lesion against those
without, within each scan; *scan AUROC*: patients against the healthy scans of the same contrast,
which come from another scanner. Beside `figures.md` in the evaluation's folder lie plots, galleries
of the ten best and the ten worst scans (their last panel shows the reports' one baseline for each
contrast), and all figures as CSV and JSON."""


_PRECISION = ("set", "scans", "prevalence", "AP map", "AP residual alone")
_LESIONS = (
    *("set", "lesions", "found at the threshold", "false positives per scan"),
    f"found at {FALSE_POSITIVES:.0f} false positive per scan",
)


_HEALTHY = (
    *("scans", "error", "PSNR dB", "SSIM", "edges kept", "findings", "ml flagged"),
    "without finding",
)


def evaluation_text(evaluations: Sequence[ModelEvaluation], *, command: str) -> str:
    """The whole evaluation as Markdown; of several models the first in full.

    Args:
        evaluations: At least one.
        command: That made it.
    """
    first = evaluations[0]
    parts = [
        f"```bash\n{command}\n```",
        f"Model {first.label}, seed {first.seed}: {len(first.patients)} scans of patients, "
        f"{len(first.healthy)} of healthy subjects.",
    ]
    parts += goal_parts(first)
    if first.patients:
        parts += ["### Patients", METHOD, *_patient_tables(summarise(first))]
        parts += published_parts(first)
    if len(evaluations) > 1:
        parts += ["### Models side by side", *model_tables(evaluations)]
    if first.healthy:
        parts += ["### In health", *_healthy_tables(first.healthy)]
    parts += keeping_parts(first)
    if first.probe:
        parts += ["### What the encoder tells", _probe_table(first)]
    if first.patients:
        parts += case_parts(first)
    sentences = weaknesses(first)
    if sentences:
        parts += ["### Weak points", "\n".join(f"- {sentence}" for sentence in sentences)]
    parts += seconds_parts(first)
    if first.refusals:
        refused = "\n".join(f"- {one.scan}: {one.reason}" for one in first.refusals)
        parts += ["### Refused", refused]
    if first.patients:
        title = f"All {len(first.patients)} scans"
        table = scan_table(first.patients)
        parts += [f"<details><summary>{title}</summary>\n\n{table}\n\n</details>"]
    return "\n\n".join(parts) + "\n"


def scan_table(rows: Sequence[PatientFigures]) -> str:
    """One row for each scan of a patient."""
    strongest = {key: strongest_baseline(members) for key, members in by_set(rows).items()}

    def cells(row: PatientFigures) -> list[str]:
        name = strongest[row.group, row.contrast]
        plain = None if name is None else row.scores[name].ap
        return [
            row.case,
            number(row.map.ap),
            number(plain),
            number(row.map.best_dice),
            number(row.map.dice),
            f"{row.at_threshold.found} of {row.lesions}",
            str(row.at_threshold.false_positives),
            f"{row.lesion_ml:.1f}",
            f"{row.flagged_ml:.1f}",
            number(row.p_value),
        ]

    head = ["case", "AP", "baseline", "Dice, oracle", "Dice", "lesions found", "false positives"]
    return table([*head, "lesion ml", "flagged ml", "p"], (cells(row) for row in rows))


def model_tables(evaluations: Sequence[ModelEvaluation]) -> list[str]:
    """AP of several models on each set, paired differences to the first, and all in health."""
    first, *others = evaluations
    groups = [by_set(one.patients) for one in evaluations]
    rows = []
    for key, members in groups[0].items():
        cells = [f"{key[0]} {key[1]}", str(len(members)), number(mean(r.map.ap for r in members))]
        for known in groups[1:]:
            found = known.get(key, [])
            cells.append(number(mean(r.map.ap for r in found) if found else None))
            cells.append(difference(model_difference(members, found)))
        rows.append(cells)
    head = ["AP", "scans", first.label]
    for other in others:
        head += [other.label, f"minus {first.label}"]
    healthy = [_healthy_row(one.label, one.healthy) for one in evaluations if one.healthy]
    parts = [table(head, rows)] if rows else []
    return [*parts, *([table(["in health", *_HEALTHY], healthy)] if len(healthy) > 1 else [])]


def _patient_tables(summaries: Sequence[SetSummary]) -> list[str]:
    overlap = ["set", "Dice oracle", "baseline", "Dice", "baseline, same volume", "difference"]
    return [
        table([*_PRECISION, "strongest baseline", "its AP", "difference"], map(_ap_row, summaries)),
        table(overlap, map(_overlap_row, summaries)),
        table(
            [*_LESIONS, "baseline", "slice AUROC", "baseline", "scan AUROC", "baseline"],
            map(_lesion_row, summaries),
        ),
    ]


def _ap_row(one: SetSummary) -> list[str]:
    return [
        f"{one.group} {one.contrast}",
        str(one.scans),
        number(one.prevalence),
        number(one.map.ap),
        number(one.residual.ap),
        "–" if one.baseline is None else one.baseline.name,
        number(None if one.baseline is None else one.baseline.ap),
        difference(one.ap_difference),
    ]


def _overlap_row(one: SetSummary) -> list[str]:
    return [
        f"{one.group} {one.contrast}",
        *_pair(one, "best_dice"),
        *_pair(one, "dice"),
        difference(one.dice_difference),
    ]


def _lesion_row(one: SetSummary) -> list[str]:
    return [
        f"{one.group} {one.contrast}",
        str(one.lesions),
        number(one.found, 2),
        number(one.false_positives, 2),
        *_pair(one, "sensitivity"),
        *_pair(one, "slice_auroc"),
        *_pair(one, "scan_auroc"),
    ]


def _pair(one: SetSummary, figure: str) -> list[str]:
    """A figure of the anomaly map, and of the strongest baseline."""
    plain = None if one.baseline is None else getattr(one.baseline, figure)
    return [number(getattr(one.map, figure)), number(plain)]


def _healthy_tables(rows: Sequence[HealthyFigures]) -> list[str]:
    known = [row for row in rows if row.p_value is not None]
    groups = [("all", list(rows)), *_by_decade(rows)]
    figures = table(["age", *_HEALTHY], (_healthy_row(*group) for group in groups))
    text = (
        "Errors are those of the ungated reconstruction within the brain, as shares of the normal "
        f"range (1st to 99th percentile); aims: error {AIM_ERROR}, SSIM {AIM_SSIM}, one finding "
        "and 1 ml."
    )
    parts = [text, figures]
    if known:
        hits = sum(row.p_value <= LEVEL for row in known if row.p_value is not None)
        share = share_interval(hits, len(known))
        own = sum(row.left_out for row in known)
        parts.append(
            f"p ≤ {LEVEL} in {hits} of {len(known)} scans: {share.value:.3f}, exact 95 % interval "
            f"{share.low:.3f} to {share.high:.3f}"
            + (f" ({own} of them compared with the other calibration scans alone)." if own else ".")
        )
    regions = sorted({name for row in rows for name in row.region_errors})
    if regions:
        cells = (_region_row(name, rows) for name in regions)
        parts.append(table(["region", "error", "findings per scan"], cells))
    return parts


def _by_decade(rows: Sequence[HealthyFigures]) -> list[tuple[str, list[HealthyFigures]]]:
    decades: dict[int, list[HealthyFigures]] = {}
    for row in rows:
        if row.age_years is not None:
            decades.setdefault(int(row.age_years // 10), []).append(row)
    return [(f"{10 * ten} to {10 * ten + 9}", decades[ten]) for ten in sorted(decades)]


def _healthy_row(label: str, rows: Sequence[HealthyFigures]) -> list[str]:
    return [
        label,
        str(len(rows)),
        number(mean(row.error for row in rows), 4),
        number(mean(row.psnr_db for row in rows), 1),
        number(mean(row.ssim for row in rows)),
        number(mean(row.edges_kept for row in rows), 2),
        number(mean(row.findings for row in rows), 2),
        number(mean(row.flagged_ml for row in rows), 2),
        str(sum(row.findings == 0 for row in rows)),
    ]


def _region_row(name: str, rows: Sequence[HealthyFigures]) -> list[str]:
    errors = [row.region_errors[name] for row in rows if name in row.region_errors]
    found = sum(row.region_findings.get(name, 0) for row in rows) / len(rows)
    return [name, number(mean(errors), 4), number(found, 2)]


def _probe_table(evaluation: ModelEvaluation) -> str:
    rows = (
        [
            one.contrast,
            one.question,
            f"{one.subjects[0]} and {one.subjects[1]}",
            f"{one.slices[0]} and {one.slices[1]}",
            f"{one.auroc:.3f} ({one.low:.3f} to {one.high:.3f})",
            number(one.by_place),
        ]
        for one in evaluation.probe
    )
    head = ["contrast", "linear probe", "subjects", "slices"]
    head += ["AUROC (subjects resampled, probes as they are)", "by height alone"]
    return table(head, rows)
