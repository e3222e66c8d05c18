"""The main job: from a scan to its healthy counterpart, the maps and the findings."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart import __version__
from counterpart.attribution.flagged_slices import flagged_codes
from counterpart.attribution.references import References
from counterpart.brain_extraction import BrainModel, find_brain
from counterpart.bundle import Model
from counterpart.calibration.domain import ScanDomain, scan_domain
from counterpart.calibration.frame_statistics import frame_statistics
from counterpart.calibration.record import Calibration
from counterpart.contrast import (
    Contrast,
    contrast_from_tissue,
    contrast_from_user,
    tell_contrast,
)
from counterpart.familiarity.judging import judge_scan
from counterpart.findings import find_findings
from counterpart.grid import box_around, canonical_orientation
from counterpart.posed_scan import PosedScan, pose_scan, rescaled
from counterpart.reconstruction import Reconstruction, best_precision, reconstruct, second_pass
from counterpart.residual import (
    FLAGGED_GATE,
    anomaly_map,
    healing_gate,
    residual_map,
    tissue_texture,
)
from counterpart.results import DISCLAIMER, Evidence, Result
from counterpart.scans import Scan
from counterpart.slices import as_slices, from_slices

logger = logging.getLogger(__name__)

Stage = Callable[[str, float], None]
Choose = Callable[[str], Model]
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FrameMaps:
    """The maps in the frame.

    Args:
        residual: Spreads.
        anomaly: Signed anomaly map.
        gate: How much of each voxel is repainted, 0 to 1.
        change: What healing takes from the scan, spreads: ``scan - counterpart``.
    """

    residual: Array
    anomaly: Array
    gate: Array
    change: Array


@dataclass(frozen=True, eq=False)
class Circumstances:
    """How a result came about, beside the scan and the model.

    Args:
        brain_source: Where the brain mask comes from, in words.
        contrast: The sequence and how it is known.
        calibration: Threshold, residual scale and p-values.
        reason: Why it is this calibration, full sentences.
        warnings: Full sentences for the reader.
        seed: Of the diffusion's noise.
        familiarity: How the scan compares with the healthy cohort, as plain values.
    """

    brain_source: str
    contrast: Contrast
    calibration: Calibration
    reason: str
    warnings: tuple[str, ...]
    seed: int
    familiarity: dict[str, Any]


def generate_counterpart(
    scan: Scan,
    model: Model,
    *,
    brain_model: BrainModel | None = None,
    brain_mask: NDArray[np.bool_] | None = None,
    contrast: str | None = None,
    seed: int = 0,
    stage: Stage | None = None,
    choose: Choose | None = None,
) -> Result:
    """Generate the healthy counterpart of a scan.

    Args:
        scan: From `counterpart.scans.read_scan`.
        model: From `counterpart.bundle.load_model`; its device does the work.
        brain_model: From `counterpart.brain_extraction.load_brain_model`, for whole heads; without
            it, and without a mask, the scan must be skull-stripped.
        brain_mask: (I, J, K) on the scan's grid; overrides the brain model.
        contrast: The sequence, if the caller knows it; one of `counterpart.contrast.CONTRASTS`.
        seed: Of the diffusion's noise.
        stage: Called with what is being done and the share of the whole done; may raise to cancel.
        choose: Names the model for the sequence once that is told, as
            `counterpart.registry.serving_models.ServingModels.for_contrast` does; it then does the
            work instead of ``model``.

    Returns:
        All maps on the scan's own grid.

    Raises:
        CounterpartError: The scan cannot be used; the message says why.
    """
    tell = stage or (lambda text, share: None)
    if contrast is not None:
        contrast_from_user(contrast)  # a wrong word is an error before the work, not after it
    turn = canonical_orientation(scan.grid)
    tell("Finding the brain", 0.02)
    given = None if brain_mask is None else turn.forward(brain_mask)
    values = turn.forward(scan.values)
    found = find_brain(values, turn.canonical, given=given, model=brain_model)
    tell("Bringing it into template pose", 0.12)
    posed = pose_scan(turn, values, found.mask)
    tissue = contrast_from_tissue(posed.scaled, posed.inside, posed.frame)
    sequence, doubts = tell_contrast(contrast, scan.tags, scan.name, tissue)
    model = model if choose is None else choose(sequence.name)
    familiar = judge_scan(posed, model, sequence)
    calibration, reason = model.calibration(sequence.name, _domain(posed))
    posed, answer, maps = _repainted(posed, model, calibration, seed, tell)
    if model.settings.reconstruction.second_pass:
        again = "Repainting what was flagged once more"
        tell(again, 0.86)
        maps = repaint_again(
            posed, answer, maps, model, seed, lambda share: tell(again, 0.86 + 0.05 * share)
        )
    tell("Listing the findings", 0.92)
    warnings = (*scan.warnings, *found.warnings, *doubts, *familiar.warnings)
    circumstances = Circumstances(
        found.source, sequence, calibration, reason, warnings, seed, familiar.to_json()
    )
    result = _on_scan_grid(scan, posed, maps, model, circumstances)
    tell("Asking for healthy references", 0.94)
    if not result.findings:
        maps = replace(maps, gate=np.zeros_like(maps.gate))
    return replace(result, references=_references(posed, maps, model, sequence))


def _references(
    posed: PosedScan, maps: FrameMaps, model: Model, contrast: Contrast
) -> References | None:
    """The healthy references that the flagged slices become more similar to, if any are known."""
    known = model.references
    if known is None or known.weights_sha256 != model.weights_sha256:
        return None
    healed = np.where(posed.inside, posed.scaled - maps.change, 0.0).astype(np.float32)
    flagged = flagged_codes(
        model.denoiser,
        posed.scaled,
        healed,
        posed.inside,
        maps.gate,
        posed.frame.template_from_frame,
    )
    return known.answer(flagged, contrast.name)


def _repainted(
    posed: PosedScan, model: Model, calibration: Calibration, seed: int, tell: Stage
) -> tuple[PosedScan, Reconstruction, FrameMaps]:
    """Answer and maps; once more, on a scale without it, where much of the brain is flagged."""
    tell("Repainting the brain as healthy", 0.3)
    answer = repaint(posed, model, seed, lambda share: tell("Repainting", 0.3 + 0.3 * share))
    tell("Comparing with the scan", 0.62)
    maps = compare(posed, answer, model, calibration, seed)
    without = rescaled(posed, maps.gate >= FLAGGED_GATE)
    if without is None:
        return posed, answer, maps
    words = "Repainting without what was flagged in the intensity scale"
    tell(words, 0.66)
    answer = repaint(without, model, seed, lambda share: tell(words, 0.66 + 0.16 * share))
    return without, answer, compare(without, answer, model, calibration, seed)


def repaint(
    posed: PosedScan, model: Model, seed: int, progress: Callable[[float], None] | None = None
) -> Reconstruction:
    """Let the network repaint every slice of the frame."""
    return reconstruct(
        model.denoiser,
        as_slices(posed.scaled),
        as_slices(posed.inside.astype(np.float32)),
        model.settings.reconstruction,
        seed=seed,
        precision=best_precision(model.denoiser.signal.device),
        progress=progress,
    )


def repaint_again(
    posed: PosedScan,
    answer: Reconstruction,
    maps: FrameMaps,
    model: Model,
    seed: int,
    progress: Callable[[float], None] | None = None,
) -> FrameMaps:
    """The maps with a counterpart that a second pass over the flagged slices has healed.

    Residual and anomaly map stay those of the first pass: they say what was found.
    """
    again = second_pass(
        model.denoiser,
        as_slices(posed.scaled),
        as_slices(posed.inside.astype(np.float32)),
        answer,
        as_slices(maps.gate),
        model.settings.reconstruction,
        seed=seed,
        precision=best_precision(model.denoiser.signal.device),
        progress=progress,
    )
    healed = residual_map(posed.scaled, from_slices(again.clean), posed.inside)
    return replace(maps, change=_change(healed, maps.residual, maps.gate, posed, seed))


def compare(
    posed: PosedScan, answer: Reconstruction, model: Model, calibration: Calibration, seed: int
) -> FrameMaps:
    """Residual, anomaly map and what the counterpart changes, in the frame."""
    thick = posed.frame.thick
    clean = from_slices(answer.clean)
    residual = residual_map(posed.scaled, clean, posed.inside)

    def standardised(smooth: Array) -> Array:
        if calibration.scale is None:
            return smooth
        return calibration.scale.standardised(
            smooth, clean, posed.inside, posed.frame.template_from_frame
        )

    anomaly = anomaly_map(
        residual,
        from_slices(answer.departure),
        posed.inside,
        model.settings.anomaly,
        thick=thick,
        standardise=standardised,
    )
    gate = healing_gate(anomaly, calibration.threshold, thick=thick)
    return FrameMaps(residual, anomaly, gate, _change(residual, residual, gate, posed, seed))


def _change(healed: Array, residual: Array, gate: Array, posed: PosedScan, seed: int) -> Array:
    """What healing takes away: the residual within the gate, less the texture of the tissue."""
    texture = tissue_texture(residual, gate, posed.inside, np.random.default_rng(seed))
    return np.where(posed.inside, gate * (healed - texture), 0.0).astype(np.float32)


def _on_scan_grid(
    scan: Scan, posed: PosedScan, maps: FrameMaps, model: Model, how: Circumstances
) -> Result:
    """Bring the maps back: what the network changed is taken from the scan at its own detail."""
    grid = posed.turn.canonical
    residual, anomaly, change = (
        _scattered(part, posed) for part in (maps.residual, maps.anomaly, maps.change)
    )
    calibration = how.calibration
    findings, numbers = find_findings(
        anomaly, grid, calibration.threshold, posed.pose.matrix, atlas=model.regions
    )
    statistics = frame_statistics(maps.anomaly, posed, calibration.threshold)
    masses = statistics.masses_of(numbers, grid, len(findings))
    findings = [
        replace(finding, p_value=calibration.p_value(mass))
        for finding, mass in zip(findings, masses, strict=True)
    ]
    spread = np.float32(posed.normalisation.spread)
    back = posed.turn.backward
    residual = back(residual)
    return Result(
        scan=scan,
        reconstruction=scan.values - spread * residual,
        counterpart=scan.values - spread * back(change),
        residual=residual,
        anomaly=back(anomaly),
        brain=back(posed.brain.astype(np.uint8)),
        mask=back((numbers > 0).astype(np.uint8)),
        findings=findings,
        threshold=calibration.threshold,
        contrast=how.contrast.name,
        template_from_world=posed.pose.matrix,
        provenance=_provenance(scan, posed, model, how),
        evidence=Evidence(
            p_value=calibration.p_value(statistics.largest),
            p_floor=calibration.p_floor,
            healthy_scans=calibration.n,
            source=calibration.threshold_source,
            reason=how.reason,
            largest_mass=statistics.largest,
        ),
        warnings=how.warnings,
    )


def _domain(posed: PosedScan) -> ScanDomain:
    return scan_domain(
        posed.scaled,
        posed.inside,
        thick=posed.frame.thick,
        pose_overlap=posed.pose.overlap,
    )


def _scattered(values: Array, posed: PosedScan) -> Array:
    """A map in the frame on the canonical grid, 0 outside the brain."""
    grid = posed.turn.canonical
    box = box_around(posed.brain, 0)
    full = np.zeros(grid.shape, np.float32)
    full[box] = posed.frame.scatter(values, grid.cropped(box)) * posed.brain[box]
    return full


def _provenance(scan: Scan, posed: PosedScan, model: Model, how: Circumstances) -> dict[str, Any]:
    device = model.denoiser.signal.device
    return {
        "disclaimer": DISCLAIMER,
        "scan": scan.name,
        "model": model.name,
        "version": model.version,
        "weights_sha256": model.weights_sha256,
        "seed": how.seed,
        "contrast": how.contrast.name,
        "contrast_source": how.contrast.source,
        "threshold": how.calibration.threshold,
        "threshold_source": how.calibration.threshold_source,
        "calibration": how.reason,
        "calibration_kind": how.calibration.kind,
        "calibration_population": how.calibration.population,
        "calibration_scans": how.calibration.n,
        "familiarity": how.familiarity,
        "brain_source": how.brain_source,
        "reconstruction": model.settings.reconstruction.to_json(),
        "anomaly": model.settings.anomaly.to_json(),
        "location": posed.normalisation.location,
        "spread": posed.normalisation.spread,
        "pose_overlap": round(posed.pose.overlap, 4),
        "pose_information": round(posed.pose.information, 4),
        "template_from_world": posed.pose.matrix.tolist(),
        "spacing_mm": list(posed.turn.canonical.spacing),
        "thick_slices": posed.frame.thick,
        "warnings": list(how.warnings),
        "device": str(device),
        "precision": str(best_precision(device)),
        "versions": {
            "counterpart": __version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }
