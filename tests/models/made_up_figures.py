"""What an evaluation records of scans and models, made up as a test needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from counterpart.calibration.record import HEALTHY_SCANS
from counterpart.evaluation.patients import set_of
from counterpart.evaluation.records import (
    MAP,
    RESIDUAL,
    FrocPoint,
    HealthyFigures,
    KeepingFigures,
    ModelEvaluation,
    PatientFigures,
    ScoreFigures,
    Traits,
)

WEIGHTS = "abcdef" * 10 + "0123"


def froc(*points: tuple[int, int]) -> tuple[FrocPoint, ...]:
    """A curve of (lesions found, false positives), by rising threshold."""
    return tuple(FrocPoint(float(n), *point) for n, point in enumerate(points, start=1))


def score(ap: float, **others: Any) -> ScoreFigures:
    """Figures of a score; its Dice coefficients are half its average precision."""
    known = ScoreFigures(ap, ap / 2, ap / 2, slice_auroc=None, scan_score=1.0)
    return replace(known, **others)


def patient(
    scan: str = "glioma-01_FLAIR",
    ap: float = 0.5,
    baselines: Mapping[str, float] | None = None,
    *,
    scores: Mapping[str, ScoreFigures] | None = None,
    **others: Any,
) -> PatientFigures:
    """A scan with two lesions, both found; of baselines the average precision is given."""
    plain = {name: score(one) for name, one in (baselines or {}).items()}
    known = PatientFigures(
        scan=scan,
        group=set_of(scan),
        contrast=scan.rsplit("_", 1)[1],
        whole_head=False,
        prevalence=0.02,
        lesion_ml=20.0,
        outside=0.0,
        lesions=2,
        flagged_ml=20.0,
        at_threshold=FrocPoint(0.5, 2, 0),
        p_value=None,
        scores={MAP: score(ap), RESIDUAL: score(ap / 2), **plain, **(scores or {})},
        warnings=(),
        seconds=1.0,
        keeping=keeping(lesion_contrast=0.3, contrast_removed=0.9, edge_left=0.4),
        traits=Traits(by_ventricles=0.1, wide_ventricles=0.1, pose_overlap=0.95),
    )
    return replace(known, **others)


def keeping(**others: Any) -> KeepingFigures:
    """Of a counterpart that alters nothing outside the findings and has no seam."""
    known = KeepingFigures(0.0, 0.0, 0.01, 1.0, 1.5)
    return replace(known, **others)


def healthy(scan: str = "healthy-01_FLAIR", **others: Any) -> HealthyFigures:
    """A healthy scan that meets every aim."""
    known = HealthyFigures(
        scan=scan,
        part="test",
        age_years=30.0,
        contrast=scan.rsplit("_", 1)[1],
        error=0.01,
        psnr_db=35.0,
        ssim=0.97,
        edges_kept=0.95,
        findings=0,
        flagged_ml=0.0,
        largest_mass=0.0,
        p_value=0.5,
        left_out=False,
        region_errors={},
        region_findings={},
        scan_scores={MAP: 0.0, RESIDUAL: 0.0},
        warnings=(),
        seconds=1.0,
        keeping=keeping(),
    )
    return replace(known, **others)


def evaluation(
    patients: Sequence[PatientFigures] = (), healthy: Sequence[HealthyFigures] = (), **others: Any
) -> ModelEvaluation:
    """Of a model whose contrasts FLAIR and T1 are calibrated on healthy scans."""
    aims = {"FLAIR": (0.5, HEALTHY_SCANS), "T1": (0.4, HEALTHY_SCANS)}
    known = ModelEvaluation("tiny", "1.0.0", WEIGHTS, 0, aims, tuple(patients), tuple(healthy))
    return replace(known, **others)
