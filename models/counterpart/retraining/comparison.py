"""Held-out heads as the serving model answers them and as the new one does, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.bundle import Model
from counterpart.cohort import CROSS_FIT, Cohort
from counterpart.findings import find_findings
from counterpart.held_out.answers import compared, head_map
from counterpart.held_out.heads import Head, HealthyHead, cohort_heads, validation_heads
from counterpart.reconstruction import best_precision, reconstruct, second_pass
from counterpart.residual import healing_gate, residual_map, tissue_texture
from counterpart.slices import as_slices, from_slices
from counterpart.template import CANVAS

Array = NDArray[np.float32]
Say = Callable[[str], None]
HEALTHY_HEADS = 12
SHOWN_HEALTHY = 4
PATTERNED = (("T1", 2), ("FLAIR", 1))
_SEED = 1


@dataclass(frozen=True, eq=False)
class Maps:
    """What a model makes of a head, on the canvas (I, J, K).

    Args:
        counterpart: The healthy counterpart, spreads.
        residual: Scan minus reconstruction, ungated, spreads.
        anomaly: Signed anomaly map.
        threshold: Of the anomaly map.
        findings: Number of findings.
        flagged_ml: Their volume.
    """

    counterpart: Array
    residual: Array
    anomaly: Array
    threshold: float
    findings: int
    flagged_ml: float


@dataclass(frozen=True, eq=False)
class Compared:
    """A held-out head before and after.

    Args:
        name: Of the subject.
        contrast: Of the head.
        scan: (I, J, K) spreads.
        brain: (I, J, K) brain mask.
        pattern: (I, J, K) the drawn pattern; None in a healthy head.
        before: By the serving model; None where there is none for this contrast.
        after: By the new one.
    """

    name: str
    contrast: str
    scan: Array
    brain: NDArray[np.bool_]
    pattern: NDArray[np.bool_] | None
    before: Maps | None
    after: Maps


@dataclass(frozen=True)
class Burden:
    """What held-out healthy scans carry on average.

    Args:
        scans: How many.
        findings: Mean number.
        flagged_ml: Mean volume.
        residual: Mean absolute residual in the brain, spreads.
        threshold: Mean threshold.
    """

    scans: int
    findings: float
    flagged_ml: float
    residual: float
    threshold: float


def maps_of(model: Model, head: Head, contrast: str) -> Maps:
    """What a model makes of a head, as it would of a scan."""
    settings, shown, brain = model.settings, head.shown.cpu(), head.brain.cpu()
    precision = best_precision(model.denoiser.signal.device)
    first = reconstruct(
        model.denoiser, shown, brain, settings.reconstruction, seed=_SEED, precision=precision
    )
    answer = compared(head, first)
    domain = head.domain() if isinstance(head, HealthyHead) else None
    calibration, _ = model.calibration(contrast, domain)
    anomaly = head_map(answer, settings.anomaly, calibration.scale)
    gate = healing_gate(anomaly, calibration.threshold, thick=False)
    healed = answer.residual
    if settings.reconstruction.second_pass and bool((gate > 0).any()):
        again = second_pass(
            model.denoiser,
            shown,
            brain,
            first,
            as_slices(gate),
            settings.reconstruction,
            seed=_SEED,
            precision=precision,
        )
        healed = residual_map(from_slices(shown), from_slices(again.clean), answer.brain)
    texture = tissue_texture(answer.residual, gate, answer.brain, np.random.default_rng(_SEED))
    change = np.where(answer.brain, gate * (healed - texture), 0.0)
    found, _ = find_findings(anomaly, CANVAS, calibration.threshold, np.eye(4))
    return Maps(
        counterpart=(from_slices(shown) - change).astype(np.float32),
        residual=answer.residual,
        anomaly=anomaly,
        threshold=calibration.threshold,
        findings=len(found),
        flagged_ml=sum(one.volume_ml for one in found),
    )


def compare(
    before: Model | None, after: Model, cohort: Cohort, say: Say
) -> tuple[list[Compared], list[Compared]]:
    """Held-out heads by both models.

    Args:
        before: The model that serves.
        after: The new one.
        cohort: Its held-out parts are looked at.
        say: Told how far it is.

    Returns:
        Healthy scans as they were acquired, and heads with a drawn pattern.
    """
    validate, calibrate = held_out_parts(cohort)
    part = cohort.part(calibrate)
    heads = list(cohort_heads(part))[:HEALTHY_HEADS]
    healthy = []
    for number, (subject, head) in enumerate(zip(part.subjects, heads, strict=False), start=1):
        say(f"held-out scan {number} of {len(heads)}")
        healthy.append(_compared(subject.name, cohort.contrast, head, None, before, after))
    patterned = []
    names = [subject.name for subject in cohort.part(validate).subjects]
    for contrast, count in PATTERNED if cohort.has_tissue else ():
        if contrast not in after.contrasts:
            continue
        drawn = validation_heads(
            cohort,
            (contrast,),
            count,
            patterned=True,
            device=torch.device("cpu"),
            part=validate,
        )
        for name, one in zip(names, drawn, strict=False):
            say(f"a drawn pattern in {name}, {contrast}")
            pattern = from_slices(one.departure.cpu()) > 0.5
            patterned.append(_compared(name, contrast, one, pattern, before, after))
    return healthy, patterned


def held_out_parts(cohort: Cohort) -> tuple[str, str]:
    """Names of the part that thresholds are fitted on, and of that which they are judged on."""
    return (CROSS_FIT, CROSS_FIT) if cohort.cross_fitted else ("validate", "calibrate")


def _compared(
    name: str,
    contrast: str,
    head: Head,
    pattern: NDArray[np.bool_] | None,
    before: Model | None,
    after: Model,
) -> Compared:
    known = before is not None and contrast in before.contrasts
    return Compared(
        name=name,
        contrast=contrast,
        scan=from_slices(head.shown.cpu()),
        brain=from_slices(head.brain.cpu()) > 0.5,
        pattern=pattern,
        before=maps_of(before, head, contrast) if before is not None and known else None,
        after=maps_of(after, head, contrast),
    )


def burden(rows: Sequence[Compared], maps: Sequence[Maps | None]) -> Burden | None:
    """What healthy scans carry by one of the models; None where it has answered none."""
    pairs = [(row, one) for row, one in zip(rows, maps, strict=True) if one is not None]
    if not pairs:
        return None
    return Burden(
        scans=len(pairs),
        findings=mean(one.findings for _, one in pairs),
        flagged_ml=mean(one.flagged_ml for _, one in pairs),
        residual=mean(float(np.abs(one.residual[row.brain]).mean()) for row, one in pairs),
        threshold=mean(one.threshold for _, one in pairs),
    )
