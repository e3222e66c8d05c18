"""Figures of one patient's scan: the anomaly map, the residual and the plain baselines alike.

The region that counts is fixed before any score is looked at: the foreground of a stripped scan; of
a whole head the brain mask united with the lesion, so that lesion which the mask misses has the
lowest score and counts as missed, for every score.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.baselines import baseline_scores
from counterpart.brain_extraction import STRIPPED
from counterpart.errors import CounterpartError
from counterpart.evaluation.keeping import keeping_figures
from counterpart.evaluation.lesions import find_lesions, froc_point
from counterpart.evaluation.records import MAP, RESIDUAL, PatientFigures, ScoreFigures
from counterpart.evaluation.scores import Truth, score_figures
from counterpart.evaluation.traits import traits_of
from counterpart.grid import Box, box_around
from counterpart.regions import RegionAtlas
from counterpart.results import Result

MAP_THRESHOLDS = tuple(2.0 ** (step / 2) for step in range(-6, 10))
BASELINE_THRESHOLDS = tuple(np.arange(0.5, 8.1, 0.5).tolist())
_MARGIN = 2

Mask = NDArray[np.bool_]


def set_of(scan: str) -> str:
    """The set of patients that a scan's name begins with: letters up to a number or underscore."""
    return scan.split("_")[0].rstrip("0123456789-")


def patient_figures(
    result: Result,
    lesion: Mask,
    *,
    baselines: bool = True,
    erosion_mm: float = 0.0,
    seconds: float = 0.0,
    atlas: RegionAtlas | None = None,
) -> PatientFigures:
    """Measure one result.

    Args:
        result: On the scan's grid.
        lesion: (I, J, K) lesion mask on the same grid.
        baselines: Whether the plain baselines are measured too.
        erosion_mm: Rim of the brain that the anomaly map leaves out; then every score does.
        seconds: That the result took, for the record.
        atlas: Of the model, to tell lesions at the ventricles.

    Raises:
        CounterpartError: The lesion lies outside the foreground of a stripped scan.
    """
    whole_head = result.provenance.get("brain_source") != STRIPPED
    box, truth = _truth(result, lesion, erosion_mm, whole_head=whole_head)
    scan = result.scan
    volume_ml = scan.grid.voxel_volume_ml
    missed = lesion & ~(result.brain > 0)
    return PatientFigures(
        scan=scan.name,
        group=set_of(scan.name),
        contrast=result.contrast,
        whole_head=whole_head,
        prevalence=float(truth.lesion[truth.region].mean()),
        lesion_ml=float(lesion.sum()) * volume_ml,
        outside=float(missed.sum()) / float(lesion.sum()),
        lesions=truth.lesions.count,
        flagged_ml=float((result.mask > 0).sum()) * volume_ml,
        at_threshold=froc_point(truth.flagged, truth.lesions, result.threshold),
        p_value=result.evidence.p_value,
        scores=_all_scores(result, box, truth, baselines=baselines),
        warnings=result.warnings,
        seconds=seconds,
        keeping=keeping_figures(result, lesion),
        traits=traits_of(result, lesion, atlas),
    )


def _truth(
    result: Result, lesion: Mask, erosion_mm: float, *, whole_head: bool
) -> tuple[Box, Truth]:
    """The truth within the box around all that counts, and that box."""
    grid = result.scan.grid
    values = result.scan.values
    brain = result.brain > 0
    region = brain | lesion if whole_head else values != values[0, 0, 0]
    lesion = lesion & region
    if not lesion.any():
        raise CounterpartError(f"{result.scan.name}: the lesion lies outside the foreground.")
    support = brain & region
    if erosion_mm:
        away = ndimage.distance_transform_edt(brain, sampling=grid.spacing)
        support &= np.asarray(away) > erosion_mm
    box = box_around(region, _MARGIN)
    part = grid.cropped(box)
    found = find_lesions(lesion[box], part)
    flagged = result.mask[box] > 0
    return box, Truth(lesion[box], region[box], support[box], flagged, found, part)


def _all_scores(
    result: Result, box: Box, truth: Truth, *, baselines: bool
) -> dict[str, ScoreFigures]:
    thresholds = [result.threshold * step for step in MAP_THRESHOLDS]
    scores = {
        MAP: score_figures(
            np.abs(result.anomaly[box]), truth, thresholds=thresholds, flagged=truth.flagged
        ),
        RESIDUAL: score_figures(np.abs(result.residual[box]), truth),
    }
    if baselines and truth.support.any():
        plain = baseline_scores(result.scan.values[box], truth.support, truth.grid)
        for name, score in plain.items():
            scores[name] = score_figures(score, truth, thresholds=BASELINE_THRESHOLDS)
    return scores
