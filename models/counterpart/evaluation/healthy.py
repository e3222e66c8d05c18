"""Figures of one healthy scan: what the network repaints wrongly, and what it flags in vain."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from monai.metrics.regression import compute_ssim_and_cs
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.baselines import baseline_scores
from counterpart.bundle import Model
from counterpart.calibration.conformal import conformal_p
from counterpart.calibration.record import HEALTHY_SCANS
from counterpart.evaluation.keeping import keeping_figures, normal_range
from counterpart.evaluation.records import MAP, RESIDUAL, HealthyFigures
from counterpart.evaluation.scores import top_mean
from counterpart.evaluation.sources import HealthySource
from counterpart.grid import Grid, box_around
from counterpart.regions import REGIONS, RegionAtlas
from counterpart.results import Result

CALIBRATE = "calibrate"
_WINDOW, _WINDOW_SIGMA = 7, 1.5
_EDGE_SHARE = 0.1
_MARGIN = _WINDOW

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


def healthy_figures(
    result: Result,
    source: HealthySource,
    model: Model,
    *,
    baselines: bool = True,
    seconds: float = 0.0,
) -> HealthyFigures:
    """Measure one result of a healthy scan.

    Args:
        result: On the scan's grid.
        source: Whose scan it is.
        model: That made the result.
        baselines: Whether the plain baselines' scan scores are wanted too.
        seconds: That the result took, for the record.
    """
    box = box_around(result.brain > 0, _MARGIN)
    brain, grid = result.brain[box] > 0, result.scan.grid.cropped(box)
    scan = result.scan.values[box].astype(np.float32)
    painted = result.reconstruction[box]
    normal = normal_range(scan, brain)
    error = np.abs(scan - painted) / normal
    scores = {MAP: np.abs(result.anomaly[box]), RESIDUAL: np.abs(result.residual[box])}
    if baselines:
        scores |= baseline_scores(scan, brain, grid)
    p_value, left_out = _p_value(result, source, model)
    volume_ml = result.scan.grid.voxel_volume_ml
    return HealthyFigures(
        scan=result.scan.name,
        part=source.part,
        age_years=source.age_years,
        contrast=result.contrast,
        error=float(error[brain].mean()),
        psnr_db=float(-10.0 * np.log10(max(float((error[brain] ** 2).mean()), 1e-12))),
        ssim=structural_similarity(scan / normal, painted / normal, brain),
        edges_kept=edges_kept(scan, painted, brain, grid),
        findings=len(result.findings),
        flagged_ml=float((result.mask > 0).sum()) * volume_ml,
        largest_mass=result.evidence.largest_mass,
        p_value=p_value,
        left_out=left_out,
        region_errors=_region_errors(error, brain, grid, result, model.regions),
        region_findings=dict(Counter(one.region or "elsewhere" for one in result.findings)),
        scan_scores={name: top_mean(score[brain]) for name, score in scores.items()},
        warnings=result.warnings,
        seconds=seconds,
        keeping=keeping_figures(result),
    )


def structural_similarity(one: Array, other: Array, brain: Mask) -> float:
    """Mean structural similarity (Wang et al. 2004) over the brain, Gaussian window of 7 voxels.

    Args:
        one: (I, J, K) in units of the normal range.
        other: The same.
        brain: (I, J, K) where it counts; at least 3 voxels away from every face.
    """
    pair = [torch.from_numpy(np.ascontiguousarray(part))[None, None] for part in (one, other)]
    found, _ = compute_ssim_and_cs(
        pair[0],
        pair[1],
        spatial_dims=3,
        kernel_size=[_WINDOW] * 3,
        kernel_sigma=[_WINDOW_SIGMA] * 3,
        data_range=1.0,
    )
    rim = _WINDOW // 2
    inner = brain[rim:-rim, rim:-rim, rim:-rim]
    return float(found[0, 0].numpy()[inner].mean())


def edges_kept(scan: Array, painted: Array, brain: Mask, grid: Grid) -> float:
    """Mean gradient of the painted over that of the scan, at the scan's strongest tenth of edges.

    Args:
        scan: (I, J, K), and so are the others.
        painted: The reconstruction.
        brain: Its outermost voxels do not count, for their edges are the mask's.
        grid: Of all arrays.
    """
    inner = ndimage.binary_erosion(brain)
    if not inner.any():
        inner = brain
    real, kept = (_gradient(values, grid)[inner] for values in (scan, painted))
    strong = real >= np.quantile(real, 1.0 - _EDGE_SHARE)
    return float(kept[strong].mean() / max(float(real[strong].mean()), 1e-12))


def _gradient(values: Array, grid: Grid) -> Array:
    parts = np.gradient(values.astype(np.float32), *grid.spacing)
    return np.sqrt(sum(part**2 for part in parts))  # type: ignore[no-any-return]


def _p_value(result: Result, source: HealthySource, model: Model) -> tuple[float | None, bool]:
    """The scan's p-value; a scan of the calibration itself is compared with the others alone.

    Its own entry there is the mass nearest to its own: the calibration measured the same scan.
    """
    evidence = result.evidence
    if evidence.p_value is None or source.part != CALIBRATE:
        return evidence.p_value, False
    known = next(
        one
        for one in model.calibrations
        if one.contrast == result.contrast and one.kind == HEALTHY_SCANS
    )
    others = list(known.masses)
    others.remove(min(others, key=lambda mass: abs(mass - evidence.largest_mass)))
    return conformal_p(evidence.largest_mass, others), True


def _region_errors(
    error: Array, brain: Mask, grid: Grid, result: Result, atlas: RegionAtlas | None
) -> dict[str, float]:
    """Mean error by region; empty where the model knows no regions."""
    if atlas is None:
        return {}
    to_template = result.template_from_world
    points = grid.world(np.argwhere(brain).astype(np.float64))
    codes = atlas.codes_at(points @ to_template[:3, :3].T + to_template[:3, 3])
    values = error[brain]
    names = {region.code: region.name for region in REGIONS}
    return {
        names[int(code)]: float(values[codes == code].mean()) for code in np.unique(codes) if code
    }
