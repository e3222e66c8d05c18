"""What a model has to pass before it may serve: functions of candidate, serving model and cohort.

The gates that compare use the cohort's part *validate* alone, with pattern families that were
never trained on; both models see the same heads and the same noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from counterpart.average_precision import average_precision
from counterpart.bundle import CARD, METADATA, WEIGHTS, Model, checked_digests
from counterpart.cohort import Cohort
from counterpart.errors import ModelError
from counterpart.generate import from_slices
from counterpart.held_out.answers import compared, head_map
from counterpart.held_out.heads import Head, validation_heads
from counterpart.metadata_schema import check_metadata
from counterpart.reconstruction import Reconstruction, best_precision, reconstruct
from counterpart.registry.verdict import Verdict as Verdict
from counterpart.rendering import CONTRASTS
from counterpart.training.examples import Examples
from counterpart.training.slabs import SLICE_SHAPE

Gate = Callable[[Model, Model | None, Cohort | None], Verdict]
Score = Callable[[Model, Examples, str], float]

BUNDLE_GATE = "sound_bundle"
SUBJECTS = 4
HEALTHY_TOLERANCE = 0.05
AP_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices without a truth.

    Args:
        shown: (S, 1, I, J) spreads, 0 outside the brain.
        brain: (S, 1, I, J) brain mask, 0 or 1.
    """

    shown: torch.Tensor
    brain: torch.Tensor


def bundle_gate(folder: Path) -> Gate:
    """The gate for the files of a candidate; it cannot be overruled.

    Args:
        folder: The bundle that the candidate was loaded from, strictly.
    """

    def sound_bundle(
        candidate: Model, serving: Model | None = None, cohort: Cohort | None = None
    ) -> Verdict:
        try:
            digests = checked_digests(folder)
            check_metadata(folder / METADATA)
        except ModelError as error:
            fault = str(error).replace(f"{folder}/", "")
            return Verdict(BUNDLE_GATE, False, fault)
        if digests[WEIGHTS] != candidate.weights_sha256 or CARD not in digests:
            reason = f"{CARD} is missing or the weights are not those that were loaded."
            return Verdict(BUNDLE_GATE, False, reason)
        reason = (
            f"all {len(digests)} files are those of the manifest, every weight has its place, and "
            f"{METADATA} is valid by MONAI's schema."
        )
        return Verdict(BUNDLE_GATE, True, reason, {"files": float(len(digests))})

    return sound_bundle


def finite_answers(
    candidate: Model, serving: Model | None = None, cohort: Cohort | None = None
) -> Verdict:
    """Whether all weights are finite, and so is the answer to a made-up slice."""
    for key, value in candidate.denoiser.state_dict().items():
        if not torch.isfinite(value).all():
            return Verdict("finite_answers", False, f"the weight {key} is not finite everywhere.")
    answer = healed(candidate, made_up_slice())
    for what, values in (("clean slice", answer.clean), ("departure", answer.departure)):
        if not torch.isfinite(values).all():
            reason = f"the {what} that the network answers to a made-up slice is not finite."
            return Verdict("finite_answers", False, reason)
    figures = {"largest value": float(answer.clean.abs().max())}
    reason = "all weights are finite, and so is the answer to a made-up slice."
    return Verdict("finite_answers", True, reason, figures)


def healthy_error(candidate: Model, serving: Model | None, cohort: Cohort | None) -> Verdict:
    """Whether held-out healthy heads are kept as well as by the serving model.

    The mean absolute error of the ungated reconstruction in the brain, spreads, per contrast. It
    may be larger than the serving model's by a twentieth of it.
    """
    if cohort is None:
        return _unchecked("healthy_error")
    figures = _scores(healthy_head_error, candidate, serving, cohort, patterned=False)
    bounds = {
        name: (1.0 + HEALTHY_TOLERANCE) * figures[_of_serving(name)] for name in _common(figures)
    }
    worse = [name for name, bound in bounds.items() if not figures[name] <= bound]
    tolerance = f"{HEALTHY_TOLERANCE:.0%} more"
    return _compared("healthy_error", "error in health", figures, worse, tolerance)


def pattern_precision(candidate: Model, serving: Model | None, cohort: Cohort | None) -> Verdict:
    """Whether simulated held-out patterns are found as well as by the serving model.

    The voxel average precision of the anomaly map, the mean over heads, per contrast. It may be
    lower than the serving model's by 0.02.
    """
    if cohort is None:
        return _unchecked("pattern_precision")
    figures = _scores(head_precision, candidate, serving, cohort, patterned=True)
    bounds = {name: figures[_of_serving(name)] - AP_TOLERANCE for name in _common(figures)}
    worse = [name for name, bound in bounds.items() if not figures[name] >= bound]
    tolerance = f"{AP_TOLERANCE:g} less"
    return _compared("pattern_precision", "average precision", figures, worse, tolerance)


def bound_calibration(
    candidate: Model, serving: Model | None = None, cohort: Cohort | None = None
) -> Verdict:
    """Whether there is a healthy threshold, and every calibration is of these very weights."""
    found = candidate.calibrations
    if not found:
        return Verdict("bound_calibration", False, "the model has no healthy threshold.")
    figures = {"calibrations": float(len(found)), "contrasts": float(len(candidate.contrasts))}
    for one in found:
        if one.weights_sha256 != candidate.weights_sha256:
            reason = (
                f"the calibration of {one.contrast} is bound to the weights "
                f"{one.weights_sha256[:12]}, the model's are {candidate.weights_sha256[:12]}; "
                "calibrate it again."
            )
            return Verdict("bound_calibration", False, reason, figures)
    gone = sorted(set(serving.contrasts) - set(candidate.contrasts)) if serving else []
    lost = f"; {', '.join(gone)} would be served no more" if gone else ""
    served = ", ".join(f"{one.contrast} ({one.kind})" for one in found)
    reason = f"every calibration is bound to these weights: {served}{lost}."
    return Verdict("bound_calibration", True, reason, figures)


GATES: tuple[Gate, ...] = (
    finite_answers,
    bound_calibration,
    healthy_error,
    pattern_precision,
)


def gate_name(gate: Gate) -> str:
    """The name of a gate: that of its function."""
    return str(getattr(gate, "__name__", type(gate).__name__))


def healed(model: Model, head: Head) -> Reconstruction:
    """The model's ungated answer to the shown slices of a head, on the CPU."""
    precision = best_precision(model.denoiser.signal.device)
    return reconstruct(
        model.denoiser,
        head.shown.cpu(),
        head.brain.cpu(),
        model.settings.reconstruction,
        seed=1,
        precision=precision,
    )


def healthy_head_error(model: Model, head: Examples, contrast: str) -> float:
    """Mean absolute error of the reconstruction in the brain, spreads; the same in any contrast."""
    brain = head.brain.cpu() > 0.5
    return float((healed(model, head).clean - head.clean.cpu()).abs()[brain].mean())


def head_precision(model: Model, head: Examples, contrast: str) -> float:
    """Voxel average precision of the anomaly map for the pattern."""
    found = compared(head, healed(model, head))
    scales = [one.scale for one in model.calibrations if one.contrast == contrast]
    values = np.abs(head_map(found, model.settings.anomaly, scales[0])[found.brain])
    truth = (from_slices(head.departure.cpu()) > 0.5)[found.brain]
    return float(average_precision(torch.from_numpy(values), torch.from_numpy(truth)))


def made_up_slice() -> Slices:
    """One slice of noise in an elliptical brain, always the same."""
    generator = torch.Generator().manual_seed(7)
    rows, columns = (torch.linspace(-1.2, 1.2, size) for size in SLICE_SHAPE)
    brain = ((rows[:, None] ** 2 + columns[None] ** 2) < 1.0).float()[None, None]
    return Slices(torch.randn(brain.shape, generator=generator) * brain, brain)


def _scores(
    score: Score, candidate: Model, serving: Model | None, cohort: Cohort, *, patterned: bool
) -> dict[str, float]:
    """The mean score per contrast that the candidate serves, of both models where it can be."""
    figures: dict[str, float] = {}
    for contrast in CONTRASTS:
        if contrast not in candidate.contrasts:
            continue
        heads = _heads(cohort, contrast, patterned=patterned)
        if not heads:
            continue
        figures[contrast] = _mean(score(candidate, head, contrast) for head in heads)
        if serving is not None and contrast in serving.contrasts:
            figures[_of_serving(contrast)] = _mean(score(serving, head, contrast) for head in heads)
    return figures


def _heads(cohort: Cohort, contrast: str, *, patterned: bool) -> list[Examples]:
    heads = validation_heads(
        cohort, (contrast,), SUBJECTS, patterned=patterned, device=torch.device("cpu")
    )
    return [head for head in heads if not patterned or bool((head.departure > 0.5).any())]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _of_serving(contrast: str) -> str:
    return f"{contrast}, serving model"


def _common(figures: dict[str, float]) -> list[str]:
    """The contrasts for which there is a figure of both models to compare."""
    return [name for name in figures if math.isfinite(figures.get(_of_serving(name), math.nan))]


def _unchecked(gate: str) -> Verdict:
    return Verdict(gate, True, "not checked: no cohort given.", checked=False)


def _compared(
    gate: str, what: str, figures: dict[str, float], worse: list[str], tolerance: str
) -> Verdict:
    """The verdict on figures, those of the candidate by contrast."""
    for name in CONTRASTS:
        if not math.isfinite(figures.get(name, 0.0)):
            return Verdict(gate, False, f"the {what} on {name} is not a finite number.", figures)
    common = _common(figures)
    if not common:
        reason = "not checked: there is no serving model with a contrast in common."
        return Verdict(gate, True, reason, figures, checked=False)
    parts = (
        f"{figures[name]:.4g} on {name} (serving model {figures[_of_serving(name)]:.4g})"
        for name in worse or common
    )
    reason = f"the {what} is {', '.join(parts)}; {tolerance} is tolerated."
    return Verdict(gate, not worse, reason, figures)
