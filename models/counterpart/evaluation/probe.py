"""Linear probes of the encoder: do its features tell diseased slices from healthy ones?

The classification of arXiv 2406.00772, by logistic regression on frozen features, subjects held out
whole. Patients and healthy subjects come from other scanners, so a probe may tell those apart and
nothing else. Therefore the patients' slices *without* lesion are probed against healthy subjects'
too: what that probe reaches is scanner. Within patients the scanner is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from counterpart.bundle import Model
from counterpart.denoiser import soft_limit
from counterpart.evaluation.lesions import UNSURE_SLICES
from counterpart.evaluation.records import ProbeFigures
from counterpart.grid import canonical_orientation
from counterpart.pose import Pose
from counterpart.posed_scan import pose_scan
from counterpart.results import Result
from counterpart.slices import as_slices

FOLDS = 5
RESAMPLES = 1000
DISEASE = "patients' slices with lesion against healthy subjects' slices"
SCANNER = "patients' slices without lesion against healthy subjects' slices"
WITHIN = "patients' slices with lesion against patients' slices without"
_LEAST_BRAIN_VOXELS = 400
_LEAST_LESION_VOXELS = 5
_STRENGTH = 0.01

Mask = NDArray[np.bool_]
Features = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SliceFeatures:
    """What the encoder sees in the slices of one scan.

    Args:
        subject: Whose scan.
        contrast: Of the scan.
        patient: Whether a patient's.
        features: (S, F) pooled features.
        height_mm: (S,) template height of the slices.
        lesion: (S,) whether a slice holds lesion.
    """

    subject: str
    contrast: str
    patient: bool
    features: Features
    height_mm: NDArray[np.float64]
    lesion: Mask


def slice_features(
    result: Result, lesion: Mask | None, model: Model, subject: str
) -> SliceFeatures | None:
    """The encoder's features of a scan's slices; None where the model has no encoder.

    Slices with hardly any brain are left out, and those just beyond the ends of a lesion.

    Args:
        result: Of the scan; its brain and pose are taken over.
        lesion: (I, J, K) of a patient, on the scan's grid; None of a healthy subject.
        model: Whose encoder.
        subject: Whose scan.
    """
    if model.denoiser.config.encoder is None:
        return None
    turn = canonical_orientation(result.scan.grid)
    brain = turn.forward(result.brain) > 0
    pose = Pose(result.template_from_world, float("nan"))
    posed = pose_scan(turn, turn.forward(result.scan.values), brain, pose=pose)
    filled = posed.inside.sum(axis=(0, 1)) >= _LEAST_BRAIN_VOXELS
    holds = np.zeros_like(filled)
    unsure = np.zeros_like(filled)
    if lesion is not None:
        shown = posed.frame.gather(turn.forward(lesion).astype(np.float32), turn.canonical, order=1)
        holds = ((shown > 0.5) & posed.inside).sum(axis=(0, 1)) >= _LEAST_LESION_VOXELS
        unsure = _beside(holds)
    chosen = np.flatnonzero(filled & ~unsure)
    if not len(chosen):
        return None
    middle = [(n - 1) / 2 for n in posed.frame.shape[:2]]
    centres = np.array([[*middle, k, 1.0] for k in chosen])
    return SliceFeatures(
        subject=subject,
        contrast=result.contrast,
        patient=lesion is not None,
        features=_features(model, as_slices(posed.scaled)[chosen]),
        height_mm=(centres @ posed.frame.template_from_frame.T)[:, 2],
        lesion=holds[chosen],
    )


def probe_figures(scans: Sequence[SliceFeatures]) -> list[ProbeFigures]:
    """Probe the features, contrast by contrast.

    Args:
        scans: Of patients and healthy subjects.

    Returns:
        For each contrast the questions for which there are enough subjects (one for each fold).
    """
    figures = []
    for contrast in sorted({scan.contrast for scan in scans}):
        known = [scan for scan in scans if scan.contrast == contrast]
        patients = [scan for scan in known if scan.patient]
        healthy = [(scan, ~scan.lesion) for scan in known if not scan.patient]
        diseased = [(scan, scan.lesion) for scan in patients]
        spared = [(scan, ~scan.lesion) for scan in patients]
        for question, ones, others in (
            (DISEASE, diseased, healthy),
            (SCANNER, spared, healthy),
            (WITHIN, diseased, spared),
        ):
            found = _probe(contrast, question, ones, others)
            if found is not None:
                figures.append(found)
    return figures


_Chosen = Sequence[tuple[SliceFeatures, Mask]]


def _probe(contrast: str, question: str, ones: _Chosen, others: _Chosen) -> ProbeFigures | None:
    parts = [(1, *one) for one in ones if one[1].any()]
    parts += [(0, *one) for one in others if one[1].any()]
    subjects = [len({s.subject for kind, s, _ in parts if kind == wanted}) for wanted in (1, 0)]
    if min(subjects) < FOLDS:
        return None
    truth = np.concatenate([np.full(int(m.sum()), kind) for kind, _, m in parts])
    names = np.concatenate([np.full(int(m.sum()), s.subject) for _, s, m in parts])
    features = np.concatenate([s.features[m] for _, s, m in parts])
    heights = np.concatenate([s.height_mm[m] for _, s, m in parts])[:, None]
    scores = _held_out_scores(features, truth, names)
    low, high = _interval(scores, truth, names)
    splines = SplineTransformer(n_knots=6)
    by_place = _held_out_scores(splines.fit_transform(heights), truth, names)
    return ProbeFigures(
        contrast=contrast,
        question=question,
        subjects=(subjects[0], subjects[1]),
        slices=(int(truth.sum()), int((1 - truth).sum())),
        auroc=float(roc_auc_score(truth, scores)),
        low=low,
        high=high,
        by_place=float(roc_auc_score(truth, by_place)),
    )


def _held_out_scores(
    features: NDArray[Any], truth: NDArray[np.int_], names: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Log-odds of each slice from a probe that never saw its subject."""
    probe = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=2000),
    )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    scores: NDArray[np.float64] = cross_val_predict(
        probe, features, truth, groups=names, cv=folds, method="decision_function"
    )
    return scores


def _interval(
    scores: NDArray[np.float64], truth: NDArray[np.int_], names: NDArray[np.str_]
) -> tuple[float, float]:
    """95 % interval of the area under the curve, by resampling subjects."""
    rows = [np.flatnonzero(names == name) for name in np.unique(names)]
    generator = np.random.default_rng(0)
    areas = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rows[n] for n in generator.integers(len(rows), size=len(rows))])
        if 0 < truth[drawn].sum() < len(drawn):
            areas.append(float(roc_auc_score(truth[drawn], scores[drawn])))
    low, high = np.quantile(areas, (0.025, 0.975))
    return float(low), float(high)


def _features(model: Model, slices: torch.Tensor) -> Features:
    device = model.denoiser.signal.device
    with torch.inference_mode():
        parts = [
            model.denoiser.encoder.features(soft_limit(part).to(device)).float().cpu()
            for part in slices.split(32)
        ]
    return torch.cat(parts).numpy()


def _beside(holds: Mask) -> Mask:
    """Slices without lesion that lie within a few slices of one with lesion."""
    near = holds.copy()
    for step in range(1, UNSURE_SLICES + 1):
        near[step:] |= holds[:-step]
        near[:-step] |= holds[step:]
    return near & ~holds
