"""Calibrates a model on the held-out healthy scans of a cohort.

For each contrast: how large a residual health leaves and the healthy threshold from the part
*validate*, the masses that p-values compare with from the part *calibrate*; a cohort that is too
small for parts is cross-fitted by fold. Contrasts of which the cohort holds no scan are rendered
from *validate*, if it has tissue fractions: their threshold is from simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from counterpart.calibration.conformal import largest_mass
from counterpart.calibration.cross_fitting import cross_fit, cross_fitted_words, refuse_few
from counterpart.calibration.domain import MIN_SCANS, DomainRange, ScanDomain
from counterpart.calibration.healthy_threshold import (
    HealthyMap,
    flagged_in_health,
    healthy_threshold,
)
from counterpart.calibration.record import HEALTHY_SCANS, NO_P_VALUE, SIMULATION, Calibration
from counterpart.cohort import CROSS_FIT, Cohort
from counterpart.denoiser import Denoiser
from counterpart.errors import ModelError
from counterpart.held_out.answers import (
    HeadAnswer,
    cross_fitted_maps,
    fitted_scale,
    head_answer,
    head_map,
)
from counterpart.held_out.heads import Head, cohort_heads, validation_heads
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.template import CANVAS

Progress = Callable[[str], None]
Seen = Callable[[str, str, str, Head], None]
SIMULATED = ("T1", "FLAIR", "T2")


@dataclass(frozen=True)
class CalibrationFigures:
    """How a calibration fares on the scans that it was not fitted on.

    Args:
        contrast: Of the calibration.
        kind: Healthy scans or simulation.
        scans: Number of scans behind these figures.
        findings: Mean number of findings per scan at the threshold.
        flagged_ml: Mean volume flagged per scan.
    """

    contrast: str
    kind: str
    scans: int
    findings: float
    flagged_ml: float


def simulated_calibration(
    answers: Sequence[HeadAnswer], contrast: str, anomaly: AnomalyConfig, weights_sha256: str
) -> tuple[Calibration, CalibrationFigures]:
    """The calibration of a contrast from rendered held-out subjects; it has no p-value."""
    maps = [HealthyMap(values) for values in cross_fitted_maps(answers, anomaly)]
    threshold = healthy_threshold(maps)
    found = Calibration(
        contrast=contrast,
        population=f"{len(answers)} rendered held-out subjects",
        kind=SIMULATION,
        n_scale=len(answers),
        weights_sha256=weights_sha256,
        threshold=threshold,
        threshold_source=f"{len(answers)} rendered held-out subjects, {NO_P_VALUE}",
        scale=fitted_scale(answers, anomaly),
    )
    figures = flagged_in_health(maps, threshold)
    return found, CalibrationFigures(contrast, SIMULATION, len(answers), *figures)


def healthy_calibration(
    denoiser: Denoiser,
    cohort: Cohort,
    reconstruction: ReconstructionConfig,
    anomaly: AnomalyConfig,
    weights_sha256: str,
    *,
    population: str,
    progress: Progress | None = None,
    seen: Seen | None = None,
) -> tuple[Calibration, CalibrationFigures]:
    """The calibration of the cohort's own contrast from its held-out scans as acquired.

    Raises:
        CohortError: The cohort has no part *validate* or *calibrate*, or is too small for folds.
        ModelError: There are too few held-out scans.
    """
    if cohort.cross_fitted:
        return _cross_fitted(
            denoiser,
            cohort,
            reconstruction,
            anomaly,
            weights_sha256,
            population=population,
            progress=progress,
            seen=seen,
        )
    tell = progress or (lambda text: None)
    look = seen or _look_away
    parts: dict[str, list[HeadAnswer]] = {}
    domains: list[ScanDomain] = []
    for name in ("validate", "calibrate"):
        part = cohort.part(name)
        parts[name] = []
        for number, head in enumerate(cohort_heads(part), start=1):
            tell(f"healthy scan {number} of {len(part.subjects)}, part {name}")
            domains.append(head.domain())
            look(cohort.contrast, HEALTHY_SCANS, name, head)
            parts[name].append(head_answer(denoiser, head, reconstruction))
    fitted = parts["validate"]
    threshold = healthy_threshold(
        [HealthyMap(values) for values in cross_fitted_maps(fitted, anomaly)]
    )
    scale = fitted_scale(fitted, anomaly)
    maps = [HealthyMap(head_map(one, anomaly, scale)) for one in parts["calibrate"]]
    found = Calibration(
        contrast=cohort.contrast,
        population=population,
        kind=HEALTHY_SCANS,
        n_scale=len(fitted),
        weights_sha256=weights_sha256,
        threshold=threshold,
        threshold_source=f"{len(fitted)} held-out healthy scans",
        masses=tuple(sorted(largest_mass(one.values, CANVAS, threshold) for one in maps)),
        scale=scale,
        domain=DomainRange.of(domains),
    )
    figures = flagged_in_health(maps, threshold)
    return found, CalibrationFigures(cohort.contrast, HEALTHY_SCANS, len(maps), *figures)


def _cross_fitted(
    denoiser: Denoiser,
    cohort: Cohort,
    reconstruction: ReconstructionConfig,
    anomaly: AnomalyConfig,
    weights_sha256: str,
    *,
    population: str,
    progress: Progress | None,
    seen: Seen | None,
) -> tuple[Calibration, CalibrationFigures]:
    """The calibration of a cohort that is too small for parts; see `cross_fitting`."""
    tell = progress or (lambda text: None)
    part = cohort.part(CROSS_FIT)
    refuse_few(len(part.subjects))
    answers, domains = [], []
    for number, head in enumerate(cohort_heads(part), start=1):
        tell(f"healthy scan {number} of {len(part.subjects)}, to be cross-fitted")
        domains.append(head.domain())
        (seen or _look_away)(cohort.contrast, HEALTHY_SCANS, CROSS_FIT, head)
        answers.append(head_answer(denoiser, head, reconstruction))
    fit = cross_fit(answers, anomaly, progress=tell)
    found = Calibration(
        contrast=cohort.contrast,
        population=cross_fitted_words(population, len(answers)),
        kind=HEALTHY_SCANS,
        n_scale=len(answers),
        weights_sha256=weights_sha256,
        threshold=fit.threshold,
        threshold_source=f"{len(answers)} healthy scans, cross-fitted",
        masses=tuple(fit.masses()),
        scale=fit.scale,
        domain=DomainRange.of(domains),
    )
    flagged = fit.flagged()
    means = [sum(column) / len(flagged) for column in zip(*flagged, strict=True)]
    return found, CalibrationFigures(cohort.contrast, HEALTHY_SCANS, len(flagged), *means)


def calibrate(
    denoiser: Denoiser,
    cohort: Cohort,
    reconstruction: ReconstructionConfig,
    anomaly: AnomalyConfig,
    weights_sha256: str,
    *,
    population: str,
    contrasts: Sequence[str] = SIMULATED,
    simulated_subjects: int = 20,
    progress: Progress | None = None,
    seen: Seen | None = None,
) -> tuple[list[Calibration], list[CalibrationFigures]]:
    """Calibrate a model in every contrast that it can render, and on the cohort's own scans.

    Args:
        denoiser: Of the model.
        cohort: With the parts *validate* and *calibrate*, or small enough to be cross-fitted.
        reconstruction: Noise levels and weights.
        anomaly: How residual and departure become one map.
        weights_sha256: Of the model's weights.
        population: Whose scans the cohort holds, in words.
        contrasts: To render, if the cohort has tissue fractions.
        simulated_subjects: Most rendered subjects per contrast.
        progress: Called with words; may raise to cancel.
        seen: Called with contrast, kind and part of every healthy head, and the head, such as
            `counterpart.familiarity.fitting.SeenHeads.add`.

    Returns:
        The calibrations, and how they fare.

    Raises:
        CohortError: The cohort has no part *validate* or *calibrate*.
        ModelError: There are too few held-out subjects.
    """
    _refuse_few(cohort, simulated_subjects)  # before the work, not after it
    tell = progress or (lambda text: None)
    device = denoiser.signal.device
    rows = []
    part = CROSS_FIT if cohort.cross_fitted else "validate"
    for contrast in contrasts if cohort.has_tissue else ():
        tell(f"rendering {contrast}")
        heads = validation_heads(
            cohort, (contrast,), simulated_subjects, patterned=False, device=device, part=part
        )
        answers = []
        for number, head in enumerate(heads, start=1):
            tell(f"{contrast}, rendered subject {number} of {len(heads)}")
            (seen or _look_away)(contrast, SIMULATION, part, head)
            answers.append(head_answer(denoiser, head, reconstruction))
        rows.append(simulated_calibration(answers, contrast, anomaly, weights_sha256))
    rows.append(
        healthy_calibration(
            denoiser,
            cohort,
            reconstruction,
            anomaly,
            weights_sha256,
            population=population,
            progress=progress,
            seen=seen,
        )
    )
    return [found for found, _ in rows], [figures for _, figures in rows]


def _look_away(contrast: str, kind: str, part: str, head: Head) -> None:
    """Nobody asks for the heads."""


def _refuse_few(cohort: Cohort, simulated_subjects: int) -> None:
    if cohort.cross_fitted:
        return refuse_few(len(cohort.part(CROSS_FIT).subjects))
    held_out = [len(cohort.part(name).subjects) for name in ("validate", "calibrate")]
    if min(held_out[0], simulated_subjects) < 2 or sum(held_out) < MIN_SCANS:
        raise ModelError(
            f"a calibration needs at least two subjects in part 'validate' and {MIN_SCANS} "
            f"held-out subjects in all, got {held_out[0]} ({simulated_subjects} to render) and "
            f"{held_out[1]} in part 'calibrate'. Prepare a cohort with more healthy scans."
        )
