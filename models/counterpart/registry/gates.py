"""What a model has to pass before it may serve: functions of candidate, serving model and cohort.

The gates that look at the candidate alone are here; those that compare it with what serves are in
`counterpart.registry.comparing_gates`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from counterpart.bundle import CARD, METADATA, WEIGHTS, Model, checked_digests
from counterpart.cohort import Cohort
from counterpart.errors import ModelError
from counterpart.held_out.heads import Head
from counterpart.metadata_schema import check_metadata
from counterpart.reconstruction import Reconstruction, best_precision, reconstruct
from counterpart.registry.comparing_gates import ComparingGates, Incumbent, Progress, Share
from counterpart.registry.memorisation_gate import MemorisationGate
from counterpart.registry.verdict import Verdict as Verdict
from counterpart.training.slabs import SLICE_SHAPE

Gate = Callable[[Model, Model | None, Cohort | None], Verdict]

BUNDLE_GATE = "sound_bundle"


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
    lost = f"; {', '.join(gone)} stays with the version that serves it now" if gone else ""
    served = ", ".join(f"{one.contrast} ({one.kind})" for one in found)
    reason = f"every calibration is bound to these weights: {served}{lost}."
    return Verdict("bound_calibration", True, reason, figures)


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


def made_up_slice() -> Slices:
    """One slice of noise in an elliptical brain, always the same."""
    generator = torch.Generator().manual_seed(7)
    rows, columns = (torch.linspace(-1.2, 1.2, size) for size in SLICE_SHAPE)
    brain = ((rows[:, None] ** 2 + columns[None] ** 2) < 1.0).float()[None, None]
    return Slices(torch.randn(brain.shape, generator=generator) * brain, brain)


def gates_with(
    progress: Progress | None = None,
    incumbent: Incumbent | None = None,
    share: Share | None = None,
) -> tuple[Gate, ...]:
    """All gates but that of the files, in their order.

    Args:
        progress: Called with words before each head that is looked at; may raise to cancel.
        incumbent: Which model serves a contrast now; else the serving model, if it knows it.
        share: Called before each head with the share of the gate that is done.
    """
    comparing = ComparingGates(progress, incumbent, share)
    return (
        finite_answers,
        bound_calibration,
        comparing.healthy_error,
        comparing.healthy_flagged,
        comparing.pattern_precision,
        MemorisationGate(progress).memorisation,
    )


GATES: tuple[Gate, ...] = gates_with()
