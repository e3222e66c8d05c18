"""Measures rows on held-out heads: how well they find patterns, heal them, and leave health alone.

The heads are those on which settings are chosen (`counterpart.held_out.selection`): subjects of the
part *validate*, each once with a pattern of a family that was never trained on and once without.
What a scale and a threshold are fitted on is never what they are measured on: each quarter of the
subjects is mapped under those of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.ablation.records import HeadFigures
from counterpart.ablation.rows import Method
from counterpart.average_precision import average_precision
from counterpart.baselines import baseline_scores
from counterpart.calibration.cross_fitting import FOLDS
from counterpart.calibration.healthy_threshold import (
    HealthyMap,
    flagged_volume_ml,
    healthy_threshold,
)
from counterpart.calibration.residual_scale import ResidualScale
from counterpart.denoiser import Denoiser
from counterpart.errors import ModelError
from counterpart.evaluation.lesions import FOUND_SHARE
from counterpart.held_out.answers import (
    HeadAnswer,
    compared,
    cross_fitted_maps,
    fitted_scale,
    head_answer,
    head_map,
)
from counterpart.held_out.selection import HeldOut
from counterpart.reconstruction import Reconstruction, best_precision, second_pass
from counterpart.residual import healing_gate
from counterpart.slices import as_slices, from_slices
from counterpart.template import CANVAS
from counterpart.training.examples import Examples

NO_PATTERN = 0.02
_OPEN = 0.5
_SEED = 1  # of the second pass; `head_answer` has the same

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class NetworkAnswers:
    """What a network answers to the held-out heads of one contrast.

    Args:
        contrast: Of the heads.
        heads: The heads themselves.
        patterned: Answers to those with a pattern.
        healthy: Answers to those without.
    """

    contrast: str
    heads: HeldOut
    patterned: Sequence[HeadAnswer]
    healthy: Sequence[HeadAnswer]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What a head is mapped under; fitted on other subjects.

    Args:
        scale: Of the residual in health.
        threshold: Healthy threshold.
    """

    scale: ResidualScale
    threshold: float


def network_answers(
    denoiser: Denoiser, contrast: str, heads: HeldOut, method: Method
) -> NetworkAnswers:
    """Let a network repaint all heads of a contrast."""
    patterned, healthy = (
        [head_answer(denoiser, head, method.reconstruction) for head in group]
        for group in (heads.patterned, heads.healthy)
    )
    return NetworkAnswers(contrast, heads, patterned, healthy)


def row_figures(denoiser: Denoiser, answers: NetworkAnswers, method: Method) -> list[HeadFigures]:
    """The figures of a row with a network, one for each subject.

    Raises:
        ModelError: The row is calibrated, and there are fewer than three subjects.
    """
    if not method.calibrated:
        return [
            _figures(answers, number, head_map(answer, method.anomaly, None), answer, healthy)
            for number, (answer, healthy) in enumerate(
                zip(answers.patterned, answers.healthy, strict=True)
            )
        ]
    fits = cross_fitted(answers.healthy, method)
    return [
        _calibrated_figures(denoiser, answers, number, method, fit)
        for number, fit in enumerate(fits)
    ]


def cross_fitted(healthy: Sequence[HeadAnswer], method: Method) -> list[Calibrated]:
    """For each subject, scale and threshold of the subjects of the other folds.

    Raises:
        ModelError: There are fewer than three subjects.
    """
    folds = min(FOLDS, len(healthy))
    if folds < 3:
        raise ModelError(f"a calibrated row needs at least three subjects, got {len(healthy)}.")
    found = []
    for fold in range(folds):
        others = [one for number, one in enumerate(healthy) if number % folds != fold]
        maps = [HealthyMap(values) for values in cross_fitted_maps(others, method.anomaly)]
        found.append(Calibrated(fitted_scale(others, method.anomaly), healthy_threshold(maps)))
    return [found[number % folds] for number in range(len(healthy))]


def baseline_figures(contrast: str, heads: HeldOut) -> list[HeadFigures]:
    """The figures of the plain baseline that is best on average, chosen with the masks in hand."""
    scores: list[dict[str, float]] = []
    volumes = []
    for head in heads.patterned:
        brain, truth = _brain(head), _pattern(head)
        kinds = baseline_scores(from_slices(head.shown.cpu()), brain, CANVAS)
        scores.append({name: precision(score, truth, brain) for name, score in kinds.items()})
        volumes.append(_pattern_ml(head))
    counted = [one for one, volume in zip(scores, volumes, strict=True) if volume > 0]
    best = max(scores[0], key=lambda name: mean(one[name] for one in counted))
    return [
        HeadFigures(number, contrast, volume, ap=one[best] if volume > 0 else None, score=best)
        for number, (one, volume) in enumerate(zip(scores, volumes, strict=True))
    ]


def precision(score: Array, truth: Mask, brain: Mask) -> float:
    """Voxel average precision of a score (I, J, K) within the brain; NaN without a true voxel."""
    values, hits = (torch.from_numpy(part[brain]) for part in (score, truth))
    return float(average_precision(values, hits))


def mean_error(painted: Array, head: Examples, place: Mask) -> float | None:
    """Mean absolute error of a reconstruction at a place, spreads; None where there is none."""
    if not place.any():
        return None
    return float(np.abs(painted - from_slices(head.clean.cpu()))[place].mean())


def normal_range(head: Examples) -> float:
    """From the 1st to the 99th percentile of a head's brain, spreads."""
    low, high = np.percentile(from_slices(head.shown.cpu())[_brain(head)], (1.0, 99.0))
    return max(float(high - low), float(np.finfo(np.float32).tiny))


def _figures(
    answers: NetworkAnswers,
    number: int,
    values: Array,
    answer: HeadAnswer,
    healthy: HeadAnswer,
) -> HeadFigures:
    """What every row with a network has, of a map and of what was repainted."""
    head, calm = answers.heads.patterned[number], answers.heads.healthy[number]
    brain, truth = answer.brain, _pattern(head)
    volume = _pattern_ml(head)
    apart = brain & (from_slices(head.departure.cpu()) < NO_PATTERN)
    error = mean_error(healthy.reconstruction, calm, healthy.brain)
    return HeadFigures(
        subject=number,
        contrast=answers.contrast,
        pattern_ml=volume,
        ap=precision(np.abs(values), truth, brain) if volume > 0 else None,
        within=mean_error(answer.reconstruction, head, truth),
        outside=mean_error(answer.reconstruction, head, apart),
        healthy=None if error is None else error / normal_range(calm),
    )


def _calibrated_figures(
    denoiser: Denoiser, answers: NetworkAnswers, number: int, method: Method, fit: Calibrated
) -> HeadFigures:
    """The same under a scale and a threshold, and what is found with them."""
    first = answers.patterned[number], answers.healthy[number]
    heads = answers.heads.patterned[number], answers.heads.healthy[number]
    maps = [head_map(one, method.anomaly, fit.scale) for one in first]
    gates = [healing_gate(values, fit.threshold, thick=False) for values in maps]
    shown = list(first)
    if method.second_pass:
        both = zip(heads, first, gates, strict=True)
        shown = [_again(denoiser, head, one, gate, method) for head, one, gate in both]
    known = _figures(answers, number, maps[0], *shown)
    truth = _pattern(heads[0])
    findings, flagged_ml = flagged_volume_ml(HealthyMap(maps[1]), fit.threshold)
    hit = (np.abs(maps[0]) >= fit.threshold)[truth]
    repainted = truth & (gates[0] >= _OPEN)
    return replace(
        known,
        flagged=mean_error(shown[0].reconstruction, heads[0], repainted),
        findings=findings,
        flagged_ml=flagged_ml,
        found=float(hit.mean() >= FOUND_SHARE) if hit.size else None,
    )


def _again(
    denoiser: Denoiser, head: Examples, first: HeadAnswer, gate: Array, method: Method
) -> HeadAnswer:
    """The answer of a second pass over the flagged slices."""
    answer = Reconstruction(as_slices(first.reconstruction), as_slices(first.departure))
    again = second_pass(
        denoiser,
        head.shown.cpu(),
        head.brain.cpu(),
        answer,
        as_slices(gate),
        method.reconstruction,
        seed=_SEED,
        precision=best_precision(denoiser.signal.device),
    )
    return compared(head, again)


def _brain(head: Examples) -> Mask:
    inside: Mask = from_slices(head.brain.cpu()) > 0.5
    return inside


def _pattern(head: Examples) -> Mask:
    inside: Mask = (from_slices(head.departure.cpu()) > 0.5) & _brain(head)
    return inside


def _pattern_ml(head: Examples) -> float:
    return round(float(_pattern(head).sum()) * CANVAS.voxel_volume_ml, 3)
