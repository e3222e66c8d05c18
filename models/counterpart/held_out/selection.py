"""Chooses noise levels and the anomaly map on held-out subjects.

Choices use subjects of the part *validate* with target patterns of families that were never
trained on. Patients are never looked at.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.average_precision import average_precision
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.calibration.residual_scale import ResidualScale
from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser
from counterpart.held_out.answers import HeadAnswer, compared, fitted_scale, head_answer, head_map
from counterpart.held_out.heads import validation_heads
from counterpart.reconstruction import (
    Reconstruction,
    ReconstructionConfig,
    best_precision,
    reconstruct,
    second_pass,
)
from counterpart.residual import FLAGGED_GATE, AnomalyConfig, healing_gate
from counterpart.slices import as_slices, from_slices
from counterpart.training.examples import Examples

Progress = Callable[[str], None]
SELECTION_CONTRASTS = ("T1", "FLAIR")
CANDIDATE_LEVELS = (20, 40, 60, 120, 250, 400, 600)
CANDIDATE_POWERS = ((1.0, 0.0), (1.0, 0.5), (1.0, 1.0), (1.0, 2.0), (0.5, 1.0), (0.0, 1.0))
CANDIDATE_SMOOTHING_MM = (0.0, 1.5, 3.0)
SAMPLERS: dict[str, dict[str, Any]] = {
    "one step, 1 draw": {},
    "one step, 4 draws": {"draws": 4},
    "DDIM, 4 steps": {"ddim_steps": 4},
}


@dataclass(frozen=True)
class Choice:
    """One row of the selection table; means over patterned heads.

    Args:
        kind: ``levels of r``, ``levels of d``, ``powers`` or ``smoothing``: what was varied.
        levels: Noise levels.
        powers: Exponents of residual and departure.
        error: Absolute error of the reconstruction within the pattern plus that without, spreads;
            NaN where it is not what is chosen by.
        ap: Voxel average precision; NaN where it is not what is chosen by.
    """

    kind: str
    levels: tuple[int, ...]
    powers: tuple[float, float]
    error: float
    ap: float


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out heads of one contrast.

    Args:
        patterned: Each with a pattern of a family that was never trained on.
        healthy: The same subjects without.
    """

    patterned: Sequence[Examples]
    healthy: Sequence[Examples]


def held_out(cohort: Cohort, subjects: int, *, device: torch.device) -> list[HeldOut]:
    """Held-out heads in every contrast that choices are made in."""
    return [
        HeldOut(
            validation_heads(cohort, (name,), subjects, patterned=True, device=device),
            validation_heads(cohort, (name,), subjects, patterned=False, device=device),
        )
        for name in SELECTION_CONTRASTS
    ]


def choose_settings(
    denoiser: Denoiser,
    groups: Sequence[HeldOut],
    *,
    progress: Progress | None = None,
) -> tuple[ReconstructionConfig, AnomalyConfig, list[Choice]]:
    """Try noise levels and exponents on patterned heads.

    The reconstruction's levels are those that heal best: the least error within the pattern plus
    without. The departure channel's levels and then the exponents are those that find best. The
    residual enters in units of what it leaves in the same subjects' heads without a pattern.

    Args:
        denoiser: The network.
        groups: Held-out heads, contrast by contrast.
        progress: Called with words; may raise to cancel.

    Returns:
        The best settings, and the whole table.
    """
    tell = progress or (lambda text: None)
    departs = denoiser.config.departure
    heads = [head for group in groups for head in group.patterned]
    answers = []
    for number, head in enumerate(heads, start=1):
        tell(f"noise levels on patterned head {number} of {len(heads)}")
        answers.append(_per_level(denoiser, head))
    table = [
        Choice("levels of r", levels, (1.0, 0.0), _mean_error(heads, answers, levels), math.nan)
        for levels in _level_sets(CANDIDATE_LEVELS)
    ]
    levels = min(table, key=lambda row: row.error).levels
    seen = levels
    if departs:
        finding = [
            Choice("levels of d", tried, (0.0, 1.0), math.nan, _departure_ap(heads, answers, tried))
            for tried in _level_sets(CANDIDATE_LEVELS)
        ]
        seen = max(finding, key=lambda row: row.ap).levels
        table += finding
    config = _mixed_config(levels, seen)
    tell("residual scale on the same heads without patterns")
    scales = [scale for group in groups for scale in _scales(denoiser, group, config)]
    mixed = [
        (head, compared(head, _mixed(answer, levels, seen)))
        for head, answer in zip(heads, answers, strict=True)
    ]
    mixing = [
        Choice("powers", config.levels, powers, math.nan, _mean_ap(mixed, scales, _map_of(powers)))
        for powers in CANDIDATE_POWERS
        if departs or powers[1] == 0.0
    ]
    anomaly = _map_of(max(mixing, key=lambda row: row.ap).powers)
    anomaly, smoothing = _choose_smoothing(mixed, scales, anomaly, config.levels)
    return config, anomaly, [*table, *mixing, *smoothing]


def _map_of(powers: tuple[float, float]) -> AnomalyConfig:
    return AnomalyConfig(residual_power=powers[0], departure_power=powers[1])


def _choose_smoothing(
    pairs: Sequence[tuple[Examples, HeadAnswer]],
    scales: Sequence[ResidualScale],
    anomaly: AnomalyConfig,
    levels: tuple[int, ...],
) -> tuple[AnomalyConfig, list[Choice]]:
    """The map that finds best of those smoothed by the candidates, and their rows."""
    powers = (anomaly.residual_power, anomaly.departure_power)
    tried = [replace(anomaly, smoothing_mm=width) for width in CANDIDATE_SMOOTHING_MM]
    rows = [
        Choice(
            f"smoothing: {one.smoothing_mm:g} mm",
            levels,
            powers,
            math.nan,
            _mean_ap(pairs, scales, one),
        )
        for one in tried
    ]
    best = max(range(len(tried)), key=lambda number: rows[number].ap)
    return tried[best], rows


def compare_passes(
    denoiser: Denoiser,
    groups: Sequence[HeldOut],
    config: ReconstructionConfig,
    anomaly: AnomalyConfig,
    calibrations: Sequence[Calibration],
) -> list[Choice]:
    """What a second pass over flagged slices brings where the counterpart is repainted.

    Args:
        denoiser: The network.
        groups: Held-out heads, in the order of `SELECTION_CONTRASTS`.
        config: The chosen levels.
        anomaly: The chosen map.
        calibrations: From simulation, one for each of the contrasts.

    Returns:
        Two rows of the kind ``passes``; the error is that of the painted answer within patterns
        where the gate is open, spreads. NaN where no pattern is flagged.
    """
    simulated = {one.contrast: one for one in calibrations if one.kind == SIMULATION}
    errors: list[tuple[float, float]] = []
    for contrast, group in zip(SELECTION_CONTRASTS, groups, strict=True):
        for head in group.patterned:
            found = _pass_errors(denoiser, head, config, anomaly, simulated[contrast])
            errors += [found] if found else []
    means = np.mean(errors, axis=0) if errors else (math.nan, math.nan)
    return [
        Choice(f"passes: {words}", config.levels, (1.0, 0.0), float(mean), math.nan)
        for words, mean in zip(("one", "two"), means, strict=True)
    ]


def _pass_errors(
    denoiser: Denoiser,
    head: Examples,
    config: ReconstructionConfig,
    anomaly: AnomalyConfig,
    calibration: Calibration,
) -> tuple[float, float] | None:
    """Error of the first and of the second pass in the flagged pattern; None if none is flagged."""
    precision = best_precision(denoiser.signal.device)
    shown, brain = head.shown.cpu(), head.brain.cpu()
    first = reconstruct(denoiser, shown, brain, config, seed=1, precision=precision)
    values = head_map(compared(head, first), anomaly, calibration.scale)
    gate = as_slices(healing_gate(values, calibration.threshold, thick=False))
    flagged = (gate >= FLAGGED_GATE) & (head.departure.cpu() > 0.5)
    if not flagged.any():
        return None
    again = second_pass(denoiser, shown, brain, first, gate, config, seed=1, precision=precision)
    clean = head.clean.cpu()
    one, two = (float((a.clean - clean).abs()[flagged].mean()) for a in (first, again))
    return one, two


def _scales(
    denoiser: Denoiser, group: HeldOut, config: ReconstructionConfig
) -> list[ResidualScale]:
    """The residual scale of a contrast, once for each of its patterned heads."""
    calm = [head_answer(denoiser, head, config) for head in group.healthy]
    return [fitted_scale(calm, AnomalyConfig())] * len(group.patterned)


def compare_samplers(
    denoiser: Denoiser,
    heads: Sequence[Examples],
    config: ReconstructionConfig,
    *,
    progress: Progress | None = None,
) -> list[Choice]:
    """What more draws, and several steps of DDIM, would bring at the chosen levels.

    Returns:
        Rows of the kind ``sampler``; the error is that of `choose_settings`.
    """
    rows = []
    for words, changed in SAMPLERS.items():
        if progress:
            progress(f"sampler: {words}")
        tried = replace(config, **changed)
        errors = [_error(head, head_answer(denoiser, head, tried).reconstruction) for head in heads]
        rows.append(
            Choice(f"sampler: {words}", config.levels, (1.0, 0.0), float(np.mean(errors)), math.nan)
        )
    return rows


def _level_sets(levels: Sequence[int]) -> list[tuple[int, ...]]:
    pairs: list[tuple[int, ...]] = list(itertools.combinations(levels, 2))
    triples: list[tuple[int, ...]] = [
        (120, 250, 500),
        (250, 500, 750),
        (250, 400, 600),
        (120, 400, 600),
    ]
    triples = [triple for triple in triples if set(triple) <= set(levels)]
    return [*((level,) for level in levels), *pairs, *triples]


def _mixed_config(levels: Sequence[int], seen: Sequence[int]) -> ReconstructionConfig:
    every = tuple(sorted({*levels, *seen}))
    return ReconstructionConfig(
        levels=every,
        weights=tuple(float(level in levels) for level in every),
        departure_weights=tuple(float(level in seen) for level in every),
    )


def _per_level(denoiser: Denoiser, head: Examples) -> dict[int, Reconstruction]:
    precision = best_precision(denoiser.signal.device)
    return {
        level: reconstruct(
            denoiser,
            head.shown.cpu(),
            head.brain.cpu(),
            ReconstructionConfig((level,), (1.0,), (1.0,)),
            seed=1,
            precision=precision,
        )
        for level in CANDIDATE_LEVELS
    }


def _mixed(
    answers: dict[int, Reconstruction], levels: Sequence[int], departure_levels: Sequence[int]
) -> Reconstruction:
    clean = torch.stack([answers[level].clean for level in levels]).mean(dim=0)
    departure = torch.stack([answers[level].departure for level in departure_levels]).mean(dim=0)
    return Reconstruction(clean, departure)


def _mean_error(
    heads: Sequence[Examples], answers: Sequence[dict[int, Reconstruction]], levels: Sequence[int]
) -> float:
    """Mean over heads of `_error`."""
    errors = [
        _error(head, from_slices(_mixed(answer, levels, levels).clean))
        for head, answer in zip(heads, answers, strict=True)
    ]
    return float(np.mean(errors))


def _error(head: Examples, reconstruction: NDArray[np.float32]) -> float:
    """Mean absolute error of a reconstruction within the pattern plus that without, spreads."""
    member, brain = from_slices(head.departure.cpu()), from_slices(head.brain.cpu()) > 0.5
    error = np.abs(reconstruction - from_slices(head.clean.cpu()))
    places = (brain & (member > 0.5), brain & (member < 0.02))
    return sum(float(error[place].mean()) if place.any() else 0.0 for place in places)


def _departure_ap(
    heads: Sequence[Examples], answers: Sequence[dict[int, Reconstruction]], levels: Sequence[int]
) -> float:
    """Mean voxel average precision of the departure channel as it is."""
    scores = []
    for head, answer in zip(heads, answers, strict=True):
        brain = head.brain.cpu() > 0.5
        truth = head.departure.cpu()[brain] > 0.5
        if truth.any():
            score = _mixed(answer, levels, levels).departure[brain]
            scores.append(float(average_precision(score, truth)))
    return float(np.mean(scores))


def _mean_ap(
    pairs: Sequence[tuple[Examples, HeadAnswer]],
    scales: Sequence[ResidualScale],
    config: AnomalyConfig,
) -> float:
    """Mean voxel average precision of the anomaly maps, each under its contrast's scale."""
    scores = []
    for (head, answer), scale in zip(pairs, scales, strict=True):
        truth = from_slices(head.departure.cpu()) > 0.5
        if truth.any():
            values = np.abs(head_map(answer, config, scale)[answer.brain])
            known = torch.from_numpy(truth[answer.brain])
            scores.append(float(average_precision(torch.from_numpy(values), known)))
    return float(np.mean(scores))
