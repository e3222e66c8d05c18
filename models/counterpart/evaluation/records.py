"""What an evaluation measures: the figures of each scan, probe and model, as plain values.

Masks of lesions enter these figures and nothing else: no model, threshold, level or size is chosen
by them. A figure that is the best over all thresholds is named *oracle*.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

MAP, RESIDUAL = "anomaly map", "residual"
HEALTHY = "healthy"
_DIGITS = 4


def case_name(group: str, contrast: str, scan: str) -> str:
    """What a scan is called where its name must not stand: set, contrast, digits of a hash.

    Args:
        group: Set of patients, or ``healthy``.
        contrast: Of the scan.
        scan: Its name, of which the digits are the beginning of the sha256.
    """
    return f"{group} {contrast} {hashlib.sha256(scan.encode()).hexdigest()[:_DIGITS]}"


@dataclass(frozen=True)
class FrocPoint:
    """How many lesions a threshold finds, and at what cost.

    Args:
        threshold: Of the score.
        found: Lesions of which a tenth or more is flagged.
        false_positives: Flagged components that touch no lesion.
    """

    threshold: float
    found: int
    false_positives: int


@dataclass(frozen=True)
class ScoreFigures:
    """How well one score finds the lesions of one scan.

    Args:
        ap: Voxel average precision.
        best_dice: Highest Dice coefficient over all thresholds (oracle).
        dice: Dice coefficient of what is flagged: of the anomaly map at its healthy threshold, of
            any other score where it flags as many voxels.
        slice_auroc: Area under the receiver operating characteristic of slices with lesion against
            slices without; None where one of them is missing.
        scan_score: Mean of the brain's highest hundredth, with which whole scans are told apart.
        froc: By rising threshold.
    """

    ap: float
    best_dice: float
    dice: float
    slice_auroc: float | None
    scan_score: float
    froc: tuple[FrocPoint, ...] = ()

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ScoreFigures:
        """Read what `dataclasses.asdict` wrote."""
        return cls(**{**values, "froc": tuple(FrocPoint(**point) for point in values["froc"])})


@dataclass(frozen=True)
class KeepingFigures:
    """How well the counterpart of one scan keeps the patient (`counterpart.evaluation.keeping`).

    Alteration is the absolute difference of scan and counterpart as a share of the scan's normal
    range (1st to 99th percentile in the brain); *altered* is more than 0.02 of it. Figures are None
    where there is nothing to measure them on. All are ours.

    Args:
        altered_outside: Share of altered voxels in the brain more than 6 mm from every finding.
        change_outside: Mean alteration there.
        altered_healthy: Share of altered voxels in the brain more than 6 mm from the lesion; of a
            healthy subject in the whole brain.
        rim_jump: Jump of the counterpart across the border of the altered region over the scan's
            across the same border moved into tissue that was left alone; 1 where no seam is seen.
        rim_jump_before: The same of the scan's own jump: what edge was there before.
        lesion_contrast: Mean of the scan in the lesion less that beside it, share of the normal
            range, signed.
        contrast_removed: Share of that contrast's size which the counterpart lacks: 1 all of it, 0
            none, below 0 more than before; None of a contrast below 0.02.
        edge_left: Jump of the counterpart across the lesion's border over the scan's; 1 where the
            whole edge is there.
        edge_elsewhere: Jump of the scan across the same border on the other side of the head over
            that across the lesion's: what an edge that is wholly gone would leave.
        edge_ring: Mean of the counterpart within 3 mm of the lesion's border less the mean of what
            lies 3 to 9 mm inside and of what lies 3 to 9 mm outside it, over the lesion's contrast:
            above 0 where a ring of the lesion's border was left standing.
    """

    altered_outside: float | None
    change_outside: float | None
    altered_healthy: float | None
    rim_jump: float | None
    rim_jump_before: float | None
    lesion_contrast: float | None = None
    contrast_removed: float | None = None
    edge_left: float | None = None
    edge_elsewhere: float | None = None
    edge_ring: float | None = None


@dataclass(frozen=True)
class Traits:
    """What is known of a patient's scan that may explain its figures.

    Args:
        by_ventricles: Share of the lesion within 6 mm of where healthy heads have ventricles; None
            where the model knows no regions.
        wide_ventricles: Share of the brain 2 to 8 mm beside where healthy heads have lateral
            ventricles, lesion left out, that looks like fluid; None as above.
        like_brain: Share of the lesion no brighter, on T1 no darker, than the outer quarter of the
            brain beside it; None of an unknown contrast.
        pose_overlap: Dice coefficient of the posed brain mask and the template's; None if not told.
    """

    by_ventricles: float | None = None
    wide_ventricles: float | None = None
    like_brain: float | None = None
    pose_overlap: float | None = None


@dataclass(frozen=True)
class PatientFigures:
    """Figures of one patient's scan.

    Args:
        scan: Name of the scan.
        group: Set of patients that it belongs to.
        contrast: Its contrast.
        whole_head: Whether the brain had to be found.
        prevalence: Share of lesion voxels in the region that counts.
        lesion_ml: Lesion volume.
        outside: Share of the lesion that the brain mask misses.
        lesions: Number of lesions of 0.1 ml or more.
        flagged_ml: Volume of the findings.
        at_threshold: Lesions found and false positives at the healthy threshold.
        p_value: Of the scan; None without calibration on healthy scans.
        scores: ``anomaly map``, ``residual`` and, if asked for, the baselines, by name.
        warnings: What the product said about the scan.
        seconds: From the scan in memory to the maps in memory.
        keeping: How well the counterpart keeps the patient.
        traits: What may explain the figures.
    """

    scan: str
    group: str
    contrast: str
    whole_head: bool
    prevalence: float
    lesion_ml: float
    outside: float
    lesions: int
    flagged_ml: float
    at_threshold: FrocPoint
    p_value: float | None
    scores: dict[str, ScoreFigures]
    warnings: tuple[str, ...]
    seconds: float
    keeping: KeepingFigures
    traits: Traits

    @property
    def case(self) -> str:
        """What it is called in documents."""
        return case_name(self.group, self.contrast, self.scan)

    @property
    def map(self) -> ScoreFigures:
        """Figures of the anomaly map."""
        return self.scores[MAP]

    @property
    def baselines(self) -> dict[str, ScoreFigures]:
        """Figures of the plain baselines by name."""
        return {name: one for name, one in self.scores.items() if name not in (MAP, RESIDUAL)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PatientFigures:
        """Read what `dataclasses.asdict` wrote."""
        scores = {name: ScoreFigures.from_json(one) for name, one in values["scores"].items()}
        point = FrocPoint(**values["at_threshold"])
        told: dict[str, Any] = {
            "scores": scores,
            "at_threshold": point,
            "warnings": tuple(values["warnings"]),
            "keeping": KeepingFigures(**values["keeping"]),
            "traits": Traits(**values["traits"]),
        }
        return cls(**{**values, **told})


@dataclass(frozen=True)
class HealthyFigures:
    """Figures of one healthy scan; errors are those of the ungated reconstruction in the brain.

    Args:
        scan: Name of the scan.
        part: Of the cohort's split, empty without one.
        age_years: If known.
        contrast: Its contrast.
        error: Mean absolute error, share of the normal range (1st to 99th percentile).
        psnr_db: Peak signal-to-noise ratio, the normal range being the peak.
        ssim: Mean structural similarity.
        edges_kept: Mean gradient of the reconstruction over that of the scan where the scan's is in
            its upper tenth; 1 keeps all.
        findings: Number of findings.
        flagged_ml: Their volume.
        largest_mass: Of the findings; the statistic of the p-value.
        p_value: Of the scan; None without calibration on healthy scans.
        left_out: Whether the p-value leaves out this scan's own entry in the calibration.
        region_errors: Error by region.
        region_findings: Number of findings by region.
        scan_scores: Mean of the brain's highest hundredth by score.
        warnings: What the product said about the scan.
        seconds: From the scan in memory to the maps in memory.
        keeping: How well the counterpart keeps the subject.
    """

    scan: str
    part: str
    age_years: float | None
    contrast: str
    error: float
    psnr_db: float
    ssim: float
    edges_kept: float
    findings: int
    flagged_ml: float
    largest_mass: float
    p_value: float | None
    left_out: bool
    region_errors: dict[str, float]
    region_findings: dict[str, int]
    scan_scores: dict[str, float]
    warnings: tuple[str, ...]
    seconds: float
    keeping: KeepingFigures

    @property
    def case(self) -> str:
        """What it is called in documents."""
        return case_name(HEALTHY, self.contrast, self.scan)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> HealthyFigures:
        """Read what `dataclasses.asdict` wrote."""
        told: dict[str, Any] = {
            "warnings": tuple(values["warnings"]),
            "keeping": KeepingFigures(**values["keeping"]),
        }
        return cls(**{**values, **told})


@dataclass(frozen=True)
class ProbeFigures:
    """How well a linear probe of the encoder's features tells two kinds of slices apart.

    Args:
        contrast: Of the scans.
        question: In words, such as ``lesion slices against healthy subjects' slices``.
        subjects: Number of subjects of the first and of the second kind.
        slices: Number of slices of the first and of the second kind.
        auroc: Area under the receiver operating characteristic, held-out subjects.
        low: Lower end of its 95 % interval, by resampling subjects.
        high: Upper end.
        by_place: The same area of a probe that knows the slices' height alone.
    """

    contrast: str
    question: str
    subjects: tuple[int, int]
    slices: tuple[int, int]
    auroc: float
    low: float
    high: float
    by_place: float


@dataclass(frozen=True)
class Refusal:
    """A scan that could not be measured, and why."""

    scan: str
    reason: str


@dataclass(frozen=True)
class ModelEvaluation:
    """All figures of one model.

    Args:
        name: Of the model.
        version: Of the model.
        weights_sha256: Of its weights.
        seed: Of the diffusion's noise.
        aims: Healthy threshold and its kind (``healthy scans`` or ``simulation``) by contrast.
        patients: Figures of patients' scans.
        healthy: Figures of healthy scans.
        probe: Of the encoder; empty without one.
        refusals: Scans that are in no figure.
        machines: Those that the seconds were measured on, in words, none twice.
    """

    name: str
    version: str
    weights_sha256: str
    seed: int
    aims: dict[str, tuple[float, str]]
    patients: tuple[PatientFigures, ...]
    healthy: tuple[HealthyFigures, ...]
    probe: tuple[ProbeFigures, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    machines: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name, version and the weights' first digits."""
        return f"{self.name} {self.version} ({self.weights_sha256[:12]})"

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self)
