"""Says in plain sentences where a model is weak: each rule looks at figures, none at names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean

from counterpart.calibration.record import SIMULATION
from counterpart.evaluation.bootstrap import share_interval
from counterpart.evaluation.goals import (
    AIM_ERROR,
    AIM_FINDINGS,
    AIM_FLAGGED_ML,
    AIM_FOUND,
    AIM_SSIM,
)
from counterpart.evaluation.probe import DISEASE, SCANNER
from counterpart.evaluation.records import ModelEvaluation, PatientFigures
from counterpart.evaluation.summary import SetSummary, by_set, summarise

LEVEL = 0.05
_FEW_SCANS = 10
_MISSED_BY_MASK = 0.02
_TOO_MUCH, _TOO_LITTLE = 1.25, 0.8
_MOST = 0.5


def weaknesses(evaluation: ModelEvaluation) -> list[str]:
    """All sentences that these figures call for, one weakness each."""
    summaries = summarise(evaluation)
    rows = by_set(evaluation.patients)
    return [
        *_beside_baselines(summaries),
        *_at_the_threshold(summaries, rows),
        *_outside_the_brain(evaluation.patients),
        *_thresholds(evaluation),
        *_in_health(evaluation),
        *_p_values(evaluation),
        *_probe(evaluation),
        *_places(evaluation),
        *_refusals(evaluation),
    ]


def _beside_baselines(summaries: Sequence[SetSummary]) -> Iterable[str]:
    for one in summaries:
        if one.baseline is None:
            continue
        what = f"{one.group} {one.contrast}: {one.map.ap:.3f} against {one.baseline.ap:.3f}"
        plain = f"the plain baseline ({one.baseline.name})"
        between = one.ap_difference
        if between is None:
            if one.map.ap <= one.baseline.ap:
                yield f"{what} of {plain}, on {scans_in_words(one.scans)} alone."
        elif between.high < 0:
            yield (
                f"{what}: {plain} finds these lesions better than the model does "
                f"(difference {between.value:+.3f}, 95 % interval {between.low:+.3f} to "
                f"{between.high:+.3f})."
            )
        elif between.low <= 0:
            yield (
                f"{what}: no better than {plain} as far as {scans_in_words(one.scans)} can tell "
                f"(difference {between.value:+.3f}, 95 % interval {between.low:+.3f} to "
                f"{between.high:+.3f})."
            )
    few = [f"{one.group} {one.contrast}" for one in summaries if one.scans < _FEW_SCANS]
    if few:
        yield f"Fewer than {_FEW_SCANS} scans, so no more than examples: {', '.join(few)}."


def scans_in_words(count: int) -> str:
    """``1 scan``, ``2 scans``."""
    return f"{count} scan{'s' * (count != 1)}"


def _at_the_threshold(
    summaries: Sequence[SetSummary], rows: dict[tuple[str, str], list[PatientFigures]]
) -> Iterable[str]:
    for one in summaries:
        name = f"{one.group} {one.contrast}"
        if one.found is not None and one.found < AIM_FOUND:
            yield (
                f"{name}: at the healthy threshold {1 - one.found:.0%} of {one.lesions} lesions "
                f"are missed (aim: at most {1 - AIM_FOUND:.0%})."
            )
        if one.false_positives > AIM_FINDINGS:
            yield (
                f"{name}: {one.false_positives:.1f} findings per scan touch no lesion at the "
                "healthy threshold."
            )
        members = rows[one.group, one.contrast]
        ratio = sum(r.flagged_ml for r in members) / max(sum(r.lesion_ml for r in members), 1e-9)
        if ratio > _TOO_MUCH:
            yield f"{name}: what is flagged is {ratio:.1f} times as large as the lesions."
        elif ratio < _TOO_LITTLE:
            yield f"{name}: what is flagged is {ratio:.0%} of the lesions' volume."


def _outside_the_brain(rows: Sequence[PatientFigures]) -> Iterable[str]:
    missed = [row for row in rows if row.outside > _MISSED_BY_MASK]
    if missed:
        worst = max(missed, key=lambda row: row.outside)
        yield (
            f"The brain mask cuts off more than {_MISSED_BY_MASK:.0%} of the lesion in "
            f"{len(missed)} of {len(rows)} scans, most in {worst.case} ({worst.outside:.0%})."
        )


def _thresholds(evaluation: ModelEvaluation) -> Iterable[str]:
    simulated = sorted(name for name, (_, kind) in evaluation.aims.items() if kind == SIMULATION)
    shown = {row.contrast for row in evaluation.patients}
    if simulated:
        yield (
            f"The thresholds of {', '.join(simulated)} come from rendered healthy heads, not from "
            "scans: there is no p-value, and nothing says how often a healthy scan is flagged."
        )
    missing = sorted(shown - set(evaluation.aims))
    if missing:
        yield f"No threshold of its own: {', '.join(missing)}; that of another contrast stands in."


def _in_health(evaluation: ModelEvaluation) -> Iterable[str]:
    rows = evaluation.healthy
    if not rows:
        yield "No healthy scan was measured, so nothing is said about false alarms in health."
        return
    findings, flagged = mean(r.findings for r in rows), [r.flagged_ml for r in rows]
    if findings > AIM_FINDINGS or mean(flagged) > AIM_FLAGGED_ML:
        yield (
            f"Healthy scans carry {findings:.2f} findings and {mean(flagged):.2f} ml on average "
            f"(aim: {AIM_FINDINGS:.0f} and {AIM_FLAGGED_ML:.0f} ml)."
        )
    if sum(flagged) > 0 and max(flagged) > _MOST * sum(flagged) and len(rows) > 1:
        worst = max(rows, key=lambda row: row.flagged_ml)
        share = worst.flagged_ml / sum(flagged)
        yield (
            f"One of {len(rows)} healthy scans, {worst.case}, holds {share:.0%} of all that is "
            f"flagged in health ({worst.flagged_ml:.1f} ml)."
        )
    error, ssim = mean(r.error for r in rows), mean(r.ssim for r in rows)
    if error > AIM_ERROR or ssim < AIM_SSIM:
        yield (
            f"The ungated reconstruction of healthy scans errs by {error:.4f} of the normal range "
            f"(aim {AIM_ERROR}) with a structural similarity of {ssim:.3f} (aim {AIM_SSIM}): fine "
            "detail is blurred, which is why the counterpart repaints flagged places alone."
        )
    kept = mean(r.edges_kept for r in rows)
    if kept < 0.9:
        yield f"It keeps {kept:.0%} of the strength of the strongest edges."


def _p_values(evaluation: ModelEvaluation) -> Iterable[str]:
    known = [row.p_value for row in evaluation.healthy if row.p_value is not None]
    if known:
        hits = sum(p <= LEVEL for p in known)
        share = share_interval(hits, len(known))
        if share.low > LEVEL:
            yield (
                f"p ≤ {LEVEL} in {hits} of {len(known)} healthy scans ({share.low:.3f} to "
                f"{share.high:.3f}): the p-values do not hold on these scans."
            )
    without = len(evaluation.healthy) - len(known)
    if without:
        yield (
            f"{without} of {len(evaluation.healthy)} healthy scans are not of the calibrated kind "
            "and have no p-value."
        )


def _probe(evaluation: ModelEvaluation) -> Iterable[str]:
    found = {(one.contrast, one.question): one for one in evaluation.probe}
    for (contrast, question), one in found.items():
        control = found.get((contrast, SCANNER))
        if question == DISEASE and control and control.high >= one.low > 0.5:
            yield (
                f"{contrast}: the encoder's probe tells patients' slices without lesion from "
                f"healthy subjects' ({control.auroc:.2f}) about as well as slices with lesion "
                f"({one.auroc:.2f}), so what it tells is the scanner rather than the disease."
            )


def _places(evaluation: ModelEvaluation) -> Iterable[str]:
    for one in evaluation.probe:
        if one.by_place >= one.low and one.question != SCANNER:
            yield (
                f"{one.contrast}, {one.question}: the encoder's probe ({one.auroc:.2f}) tells no "
                f"more than the slices' height does ({one.by_place:.2f})."
            )


def _refusals(evaluation: ModelEvaluation) -> Iterable[str]:
    if evaluation.refusals:
        names = ", ".join(one.scan for one in evaluation.refusals)
        count = scans_in_words(len(evaluation.refusals))
        yield f"Refused, and so in no figure: {count} ({names})."
