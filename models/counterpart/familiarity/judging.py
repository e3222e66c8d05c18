"""Asks the record of the healthy cohort about a scan in its frame."""

from __future__ import annotations

from counterpart.bundle import Model
from counterpart.contrast import Contrast
from counterpart.familiarity.record import Verdict
from counterpart.familiarity.traits import brain_size, frame_traits
from counterpart.posed_scan import PosedScan

TISSUE_MEANS = "tissue means"
CANNOT_TELL = (
    "The model has no record of its healthy cohort: whether the scan lies far outside it cannot be "
    "told. Calibrate the model again."
)


def judge_scan(posed: PosedScan, model: Model, contrast: Contrast) -> Verdict:
    """Warn of a scan that is unlike the model's healthy cohort, refuse one that lies far outside.

    Args:
        posed: The scan in its frame.
        model: With the record; without one nothing can be told, and the verdict says so.
        contrast: The sequence and how it is known.

    Raises:
        UnfamiliarScanError: The scan lies far outside; the message says in what.
    """
    known = model.familiarity
    if known is None or known.weights_sha256 != model.weights_sha256:
        return Verdict(CANNOT_TELL)
    traits = frame_traits(
        model.denoiser,
        posed.scaled,
        posed.inside,
        posed.frame.template_from_frame,
        thick=posed.frame.thick,
        overlap=posed.pose.overlap,
    )
    size = brain_size(posed.brain, posed.turn.canonical, posed.pose.matrix)
    guessed = contrast.source == TISSUE_MEANS
    return known.judge(traits, size, contrast.name, guessed=guessed)
