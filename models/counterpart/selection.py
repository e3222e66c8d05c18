"""Chooses noise levels, the anomaly map and the healthy thresholds on held-out subjects.

Choices use subjects of the part *validate* with target patterns of families that were never
trained on; thresholds use the same subjects in health. Patients are never looked at.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.average_precision import average_precision
from counterpart.bundle import Threshold
from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser
from counterpart.errors import ModelError
from counterpart.findings import MIN_VOLUME_ML, find_findings
from counterpart.generate import from_slices
from counterpart.reconstruction import (
    Reconstruction,
    ReconstructionConfig,
    best_precision,
    reconstruct,
)
from counterpart.residual import AnomalyConfig, anomaly_map, residual_map
from counterpart.targets import HELD_OUT_FAMILIES
from counterpart.template import CANVAS
from counterpart.training.examples import ExampleConfig, ExampleMaker, Examples

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]
SIMULATED = ("FLAIR", "T2")
CANDIDATE_LEVELS = (60, 120, 250, 400, 500, 600, 750)
CANDIDATE_POWERS = ((1.0, 0.0), (1.0, 0.5), (1.0, 1.0), (1.0, 2.0), (0.5, 1.0), (0.0, 1.0))
MAX_FINDINGS = 1.0
MAX_FLAGGED_ML = 1.0
MIN_PATTERN_ML = 2.0
_TRIES = 12
_SEED = 80_000_001


@dataclass(frozen=True)
class Choice:
    """One row of the selection table; means over patterned heads.

    Args:
        kind: ``levels of r``, ``levels of d`` or ``powers``: what was varied.
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


def validation_heads(
    cohort: Cohort,
    contrasts: Sequence[str],
    subjects: int,
    *,
    patterned: bool,
    device: torch.device,
) -> list[Examples]:
    """Whole heads of the part *validate*, for each contrast the first so many subjects."""
    maker = ExampleMaker(cohort.part("validate"), ExampleConfig(), device=device)
    families = HELD_OUT_FAMILIES if patterned else None
    count = min(subjects, maker.subjects)
    heads = []
    for code, contrast in enumerate(contrasts):
        for row in range(count):
            heads.append(_head(maker, code, row, contrast, families))
    return heads


def _head(
    maker: ExampleMaker, code: int, row: int, contrast: str, families: Sequence[str] | None
) -> Examples:
    """A head; if it has a pattern, the first draw with one of at least 2 ml."""
    for attempt in range(_TRIES):
        head = maker.head(_SEED + code + 1000 * attempt, row, contrast, families=families)
        volume_ml = float((head.departure > 0.5).sum()) * CANVAS.voxel_volume_ml
        if families is None or volume_ml >= MIN_PATTERN_ML:
            break
    return head


def choose_settings(
    denoiser: Denoiser, heads: Sequence[Examples], *, progress: Progress | None = None
) -> tuple[ReconstructionConfig, AnomalyConfig, list[Choice]]:
    """Try noise levels and exponents on patterned heads.

    The reconstruction's levels are those that heal best: the least error within the pattern plus
    without. The departure channel's levels and then the exponents are those that find best.

    Returns:
        The best settings, and the whole table.
    """
    answers = [_per_level(denoiser, head, progress) for head in heads]
    sets = _level_sets(CANDIDATE_LEVELS)
    healing = [
        Choice("levels of r", levels, (1.0, 0.0), _mean_error(heads, answers, levels), math.nan)
        for levels in sets
    ]
    finding = [
        Choice("levels of d", levels, (0.0, 1.0), math.nan, _departure_ap(heads, answers, levels))
        for levels in sets
    ]
    levels = min(healing, key=lambda row: row.error).levels
    seen = max(finding, key=lambda row: row.ap).levels
    every = tuple(sorted({*levels, *seen}))
    mixing = [
        Choice("powers", every, powers, math.nan, _mean_ap(heads, answers, levels, seen, powers))
        for powers in CANDIDATE_POWERS
    ]
    best = max(mixing, key=lambda row: row.ap)
    config = ReconstructionConfig(
        levels=every,
        weights=tuple(float(level in levels) for level in every),
        departure_weights=tuple(float(level in seen) for level in every),
    )
    anomaly = AnomalyConfig(residual_power=best.powers[0], departure_power=best.powers[1])
    return config, anomaly, [*healing, *finding, *mixing]


def healthy_anomalies(
    denoiser: Denoiser,
    heads: Sequence[Examples],
    config: ReconstructionConfig,
    anomaly: AnomalyConfig,
    *,
    progress: Progress | None = None,
) -> list[NDArray[np.float32]]:
    """Anomaly maps (I, J, K) of whole heads on the canvas."""
    maps = []
    for number, head in enumerate(heads, start=1):
        answer = _reconstruct(denoiser, head, config)
        maps.append(_anomaly(head, answer, anomaly))
        if progress:
            progress(f"healthy head {number} of {len(heads)}")
    return maps


def healthy_threshold(maps: Sequence[NDArray[np.float32]]) -> float:
    """The smallest threshold that leaves healthy heads nearly unflagged.

    On average at most one finding of 0.1 ml or more and at most 1 ml in all per head; four
    digits, rounded up.

    Args:
        maps: Anomaly maps of healthy heads on the canvas.

    Raises:
        ModelError: The maps are 0 everywhere.
    """
    low, high = 0.0, max(float(np.abs(values).max()) for values in maps) * 1.001
    if high == 0:
        raise ModelError("the anomaly maps of all healthy heads are 0: there is no threshold.")
    for _ in range(18):
        middle = 0.5 * (low + high)
        findings, flagged = flagged_in_health(maps, middle)
        if findings <= MAX_FINDINGS and flagged <= MAX_FLAGGED_ML:
            high = middle
        else:
            low = middle
    digits = 3 - math.floor(math.log10(high))
    return round(math.ceil(high * 10.0**digits) / 10.0**digits, digits)


def flagged_in_health(maps: Sequence[NDArray[np.float32]], threshold: float) -> tuple[float, float]:
    """Mean number of findings and mean ml flagged per head at a threshold."""
    counts, volumes = [], []
    for values in maps:
        findings, _ = find_findings(
            values, CANVAS, threshold, np.eye(4), min_volume_ml=MIN_VOLUME_ML
        )
        counts.append(len(findings))
        volumes.append(sum(finding.volume_ml for finding in findings))
    return float(np.mean(counts)), float(np.mean(volumes))


def choose_thresholds(
    denoiser: Denoiser,
    cohort: Cohort,
    config: ReconstructionConfig,
    anomaly: AnomalyConfig,
    *,
    simulated_subjects: int = 12,
    progress: Progress | None = None,
) -> dict[str, Threshold]:
    """Healthy thresholds: T1 from real scans, the other contrasts from rendered ones."""
    device = denoiser.signal.device
    thresholds = {}
    for contrast in ("T1", *SIMULATED):
        subjects = simulated_subjects if contrast in SIMULATED else len(cohort.subjects)
        heads = validation_heads(cohort, (contrast,), subjects, patterned=False, device=device)
        maps = healthy_anomalies(denoiser, heads, config, anomaly, progress=progress)
        kind = (
            "rendered held-out subjects, from simulation"
            if contrast in SIMULATED
            else ("real held-out healthy scans")
        )
        source = f"{len(maps)} {kind}, no p-value"
        thresholds[contrast] = Threshold(healthy_threshold(maps), source)
    return thresholds


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


def _per_level(
    denoiser: Denoiser, head: Examples, progress: Progress | None
) -> dict[int, Reconstruction]:
    if progress:
        progress("trying noise levels on a patterned head")
    return {
        level: _reconstruct(denoiser, head, ReconstructionConfig((level,), (1.0,), (1.0,)))
        for level in CANDIDATE_LEVELS
    }


def _reconstruct(
    denoiser: Denoiser, head: Examples, config: ReconstructionConfig
) -> Reconstruction:
    precision = best_precision(denoiser.signal.device)
    return reconstruct(
        denoiser, head.shown.cpu(), head.brain.cpu(), config, seed=1, precision=precision
    )


def _mixed(
    answers: dict[int, Reconstruction], levels: Sequence[int], departure_levels: Sequence[int]
) -> Reconstruction:
    clean = torch.stack([answers[level].clean for level in levels]).mean(dim=0)
    departure = torch.stack([answers[level].departure for level in departure_levels]).mean(dim=0)
    return Reconstruction(clean, departure)


def _anomaly(head: Examples, answer: Reconstruction, config: AnomalyConfig) -> NDArray[np.float32]:
    brain = from_slices(head.brain.cpu()) > 0.5
    residual = residual_map(from_slices(head.shown.cpu()), from_slices(answer.clean), brain)
    return anomaly_map(residual, from_slices(answer.departure), brain, config, thick=False)


def _mean_error(
    heads: Sequence[Examples], answers: Sequence[dict[int, Reconstruction]], levels: Sequence[int]
) -> float:
    """Mean absolute error of the clean slices within the pattern plus that without, spreads."""
    errors = []
    for head, answer in zip(heads, answers, strict=True):
        member, brain = head.departure.cpu(), head.brain.cpu() > 0.5
        error = (_mixed(answer, levels, levels).clean - head.clean.cpu()).abs()
        for place in (brain & (member > 0.5), brain & (member < 0.02)):
            errors.append(float(error[place].mean()) if place.any() else 0.0)
    return 2.0 * float(np.mean(errors))


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
    heads: Sequence[Examples],
    answers: Sequence[dict[int, Reconstruction]],
    levels: Sequence[int],
    departure_levels: Sequence[int],
    powers: tuple[float, float],
) -> float:
    config = AnomalyConfig(residual_power=powers[0], departure_power=powers[1])
    scores = []
    for head, answer in zip(heads, answers, strict=True):
        truth = from_slices(head.departure.cpu()) > 0.5
        if not truth.any():
            continue
        brain = from_slices(head.brain.cpu()) > 0.5
        values = _anomaly(head, _mixed(answer, levels, departure_levels), config)
        score = torch.from_numpy(np.abs(values[brain]))
        scores.append(float(average_precision(score, torch.from_numpy(truth[brain]))))
    return float(np.mean(scores))
