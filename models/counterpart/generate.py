"""The main job: from a scan to its healthy counterpart, the maps and the findings."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart import __version__
from counterpart.brain import checked_brain, stripped_brain
from counterpart.bundle import Model, Threshold
from counterpart.contrast import Contrast, contrast_from_name, contrast_from_tissue
from counterpart.findings import find_findings
from counterpart.grid import Grid, Orientation, canonical_orientation
from counterpart.posed_scan import PosedScan, pose_scan
from counterpart.reconstruction import Reconstruction, best_precision, reconstruct
from counterpart.residual import anomaly_map, healing_gate, residual_map, tissue_texture
from counterpart.results import DISCLAIMER, Result
from counterpart.scans import Scan

logger = logging.getLogger(__name__)

Stage = Callable[[str, float], None]
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FrameMaps:
    """The maps in the frame.

    Args:
        residual: Spreads.
        anomaly: Signed anomaly map.
        change: What healing takes from the scan, spreads: ``scan - counterpart``.
    """

    residual: Array
    anomaly: Array
    change: Array


def generate_counterpart(
    scan: Scan,
    model: Model,
    *,
    brain_mask: NDArray[np.bool_] | None = None,
    seed: int = 0,
    stage: Stage | None = None,
) -> Result:
    """Generate the healthy counterpart of a scan.

    Args:
        scan: From `counterpart.scans.read_scan`.
        model: From `counterpart.bundle.load_model`; its device does the work.
        brain_mask: (I, J, K) on the scan's grid; without it the scan must be skull-stripped.
        seed: Of the diffusion's noise.
        stage: Called with what is being done and the share of the whole done; may raise to cancel.

    Returns:
        All maps on the scan's own grid.

    Raises:
        CounterpartError: The scan cannot be used; the message says why.
    """
    tell = stage or (lambda text, share: None)
    turn = canonical_orientation(scan.grid)
    tell("Finding the brain", 0.02)
    brain = find_brain(turn, scan, brain_mask)
    tell("Bringing it into template pose", 0.08)
    posed = pose_scan(turn, scan, brain)
    contrast = contrast_from_name(scan.name) or contrast_from_tissue(
        posed.scaled, posed.inside, posed.frame
    )
    threshold = model.settings.threshold(contrast.name)
    tell("Repainting the brain as healthy", 0.3)
    answer = repaint(posed, model, seed, lambda share: tell("Repainting", 0.3 + 0.5 * share))
    tell("Comparing with the scan", 0.82)
    maps = compare(posed, answer, model, threshold.value, seed)
    tell("Listing the findings", 0.92)
    return _on_scan_grid(scan, posed, maps, contrast, threshold, model, seed)


def find_brain(
    turn: Orientation, scan: Scan, brain_mask: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """The brain on the canonical grid: from the mask that is given, or of a stripped scan."""
    if brain_mask is not None:
        return checked_brain(turn.forward(brain_mask), turn.canonical)
    return stripped_brain(turn.forward(scan.values), turn.canonical)


def repaint(
    posed: PosedScan, model: Model, seed: int, progress: Callable[[float], None] | None = None
) -> Reconstruction:
    """Let the network repaint every slice of the frame."""
    device = model.denoiser.signal.device
    return reconstruct(
        model.denoiser,
        as_slices(posed.scaled),
        as_slices(posed.inside.astype(np.float32)),
        model.settings.reconstruction,
        seed=seed,
        precision=best_precision(device),
        progress=progress,
    )


def compare(
    posed: PosedScan, answer: Reconstruction, model: Model, threshold: float, seed: int
) -> FrameMaps:
    """Residual, anomaly map and what the counterpart changes, in the frame."""
    thick = posed.frame.thick
    residual = residual_map(posed.scaled, from_slices(answer.clean), posed.inside)
    anomaly = anomaly_map(
        residual,
        from_slices(answer.departure),
        posed.inside,
        model.settings.anomaly,
        thick=thick,
    )
    gate = healing_gate(anomaly, threshold, thick=thick)
    texture = tissue_texture(residual, gate, posed.inside, np.random.default_rng(seed))
    change = np.where(posed.inside, gate * (residual - texture), 0.0).astype(np.float32)
    return FrameMaps(residual, anomaly, change)


def as_slices(volume: Array) -> torch.Tensor:
    """(I, J, K) to slices (K, 1, I, J)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(volume, -1, 0)))[:, None]


def from_slices(slices: torch.Tensor) -> Array:
    """Slices (K, 1, I, J) to (I, J, K)."""
    return np.ascontiguousarray(np.moveaxis(slices[:, 0].numpy(), 0, -1))


def _on_scan_grid(
    scan: Scan,
    posed: PosedScan,
    maps: FrameMaps,
    contrast: Contrast,
    threshold: Threshold,
    model: Model,
    seed: int,
) -> Result:
    """Bring the maps back: what the network changed is taken from the scan at its own detail."""
    grid = posed.turn.canonical
    residual = posed.frame.scatter(maps.residual, grid) * posed.brain
    anomaly = posed.frame.scatter(maps.anomaly, grid) * posed.brain
    change = posed.frame.scatter(maps.change, grid) * posed.brain
    findings, numbers = find_findings(anomaly, grid, threshold.value, posed.pose.matrix)
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
        threshold=threshold.value,
        contrast=contrast.name,
        template_from_world=posed.pose.matrix,
        provenance=_provenance(scan, posed, contrast, threshold, model, seed, grid),
    )


def _provenance(
    scan: Scan,
    posed: PosedScan,
    contrast: Contrast,
    threshold: Threshold,
    model: Model,
    seed: int,
    grid: Grid,
) -> dict[str, Any]:
    return {
        "disclaimer": DISCLAIMER,
        "scan": scan.name,
        "model": model.name,
        "version": model.version,
        "weights_sha256": model.weights_sha256,
        "seed": seed,
        "contrast": contrast.name,
        "contrast_source": contrast.source,
        "threshold": threshold.value,
        "threshold_source": threshold.source,
        "reconstruction": model.settings.reconstruction.to_json(),
        "anomaly": model.settings.anomaly.to_json(),
        "location": posed.normalisation.location,
        "spread": posed.normalisation.spread,
        "pose_overlap": round(posed.pose.overlap, 4),
        "template_from_world": posed.pose.matrix.tolist(),
        "spacing_mm": list(grid.spacing),
        "thick_slices": posed.frame.thick,
        "device": str(model.denoiser.signal.device),
        "precision": str(best_precision(model.denoiser.signal.device)),
        "versions": {
            "counterpart": __version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }
