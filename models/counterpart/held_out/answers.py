"""What the network answers to whole heads, and the anomaly maps that follow from it.

A scale that was fitted on a scan makes it look calmer than it is, so healthy heads are mapped under
scales that were fitted on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.calibration.residual_scale import ResidualScale, ScaleSample, fit_residual_scale
from counterpart.denoiser import Denoiser
from counterpart.errors import ModelError
from counterpart.held_out.heads import Head
from counterpart.reconstruction import (
    Reconstruction,
    ReconstructionConfig,
    best_precision,
    reconstruct,
)
from counterpart.residual import AnomalyConfig, anomaly_map, residual_map, smoothed_residual
from counterpart.slices import from_slices

Array = NDArray[np.float32]
_FOLDS = 2


@dataclass(frozen=True, eq=False)
class HeadAnswer:
    """What the network answers to a head, in the frame (I, J, K).

    Args:
        residual: Spreads.
        reconstruction: Spreads.
        departure: Probability.
        brain: Brain mask.
    """

    residual: Array
    reconstruction: Array
    departure: Array
    brain: NDArray[np.bool_]


def head_answer(denoiser: Denoiser, head: Head, config: ReconstructionConfig) -> HeadAnswer:
    """Let the network repaint a head."""
    precision = best_precision(denoiser.signal.device)
    answer = reconstruct(
        denoiser, head.shown.cpu(), head.brain.cpu(), config, seed=1, precision=precision
    )
    return compared(head, answer)


def compared(head: Head, answer: Reconstruction) -> HeadAnswer:
    """A head beside an answer."""
    brain = from_slices(head.brain.cpu()) > 0.5
    clean = from_slices(answer.clean)
    residual = residual_map(from_slices(head.shown.cpu()), clean, brain)
    return HeadAnswer(residual, clean, from_slices(answer.departure), brain)


def fitted_scale(answers: Sequence[HeadAnswer], anomaly: AnomalyConfig) -> ResidualScale:
    """How large a residual these healthy heads leave."""
    return fit_residual_scale(
        [
            ScaleSample(
                smoothed_residual(one.residual, one.brain, anomaly, thick=False),
                one.reconstruction,
                one.brain,
            )
            for one in answers
        ]
    )


def head_map(answer: HeadAnswer, anomaly: AnomalyConfig, scale: ResidualScale | None) -> Array:
    """The anomaly map of a head on the canvas."""

    def standardised(smooth: Array) -> Array:
        if scale is None:
            return smooth
        return scale.standardised(smooth, answer.reconstruction, answer.brain)

    return anomaly_map(
        answer.residual,
        answer.departure,
        answer.brain,
        anomaly,
        thick=False,
        standardise=standardised,
    )


def cross_fitted_maps(answers: Sequence[HeadAnswer], anomaly: AnomalyConfig) -> list[Array]:
    """Anomaly maps, each under a scale that was fitted on the other half of the heads.

    Raises:
        ModelError: There are fewer than two heads.
    """
    if len(answers) < _FOLDS:
        raise ModelError(f"a calibration needs at least two held-out subjects, got {len(answers)}.")
    scales = [
        fitted_scale([one for n, one in enumerate(answers) if n % _FOLDS != fold], anomaly)
        for fold in range(_FOLDS)
    ]
    return [head_map(one, anomaly, scales[n % _FOLDS]) for n, one in enumerate(answers)]
