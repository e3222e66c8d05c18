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
_SEED = 80_000_001


@dataclass(frozen=True)
class Choice:
    """One row of the selection table.

    Args:
        levels: Noise levels of the reconstruction.
        departure_levels: Noise levels of the departure channel.
        powers: Exponents of residual and departure.
        ap: Mean voxel average precision over patterned heads.
    """

    levels: tuple[int, ...]
    departure_levels: tuple[int, ...]
    powers: tuple[float, float]
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
            heads.append(maker.head(_SEED + code, row, contrast, families=families))
    return heads


def choose_settings(
    denoiser: Denoiser, heads: Sequence[Examples], *, progress: Progress | None = None
) -> tuple[ReconstructionConfig, AnomalyConfig, list[Choice]]:
    """Try noise levels and exponents on patterned heads.

    Levels are chosen with the plain product of residual and departure, then the exponents.

    Returns:
        The best settings, and the whole table.
    """
    answers = [_per_level(denoiser, head, progress) for head in heads]
    sets = _level_sets(CANDIDATE_LEVELS)
    table = [
        Choice(levels, levels, powers, _mean_ap(heads, answers, levels, levels, powers))
        for levels in sets
        for powers in ((1.0, 0.0), (0.0, 1.0))
    ]
    by_residual = max((row for row in table if row.powers[1] == 0), key=lambda row: row.ap)
    by_departure = max((row for row in table if row.powers[0] == 0), key=lambda row: row.ap)
    levels, seen = by_residual.levels, by_departure.levels
    for powers in CANDIDATE_POWERS:
        ap = _mean_ap(heads, answers, levels, seen, powers)
        table.append(Choice(levels, seen, powers, ap))
    best = max(table[-len(CANDIDATE_POWERS) :], key=lambda row: row.ap)
    every = tuple(sorted({*levels, *seen}))
    config = ReconstructionConfig(
        levels=every,
        weights=tuple(float(level in levels) for level in every),
        departure_weights=tuple(float(level in seen) for level in every),
    )
    anomaly = AnomalyConfig(residual_power=best.powers[0], departure_power=best.powers[1])
    return config, anomaly, table


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
