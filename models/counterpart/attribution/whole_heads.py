"""Codes of whole heads on the canvas, as they are and repainted from strong noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from counterpart.attribution.flagged_slices import LEVELS_MM, FlaggedCodes, flagged_codes
from counterpart.attribution.reference_index import Array
from counterpart.bundle import ModelSettings
from counterpart.calibration.record import Calibration
from counterpart.denoiser import Denoiser
from counterpart.familiarity.traits import level_codes
from counterpart.held_out.answers import head_answer, head_map
from counterpart.held_out.heads import Head
from counterpart.reconstruction import ReconstructionConfig, best_precision, reconstruct
from counterpart.residual import healing_gate, tissue_texture
from counterpart.slices import from_slices
from counterpart.template import CANVAS


def head_codes(denoiser: Denoiser, head: Head) -> Array:
    """Unit codes (L, C) of every slice of a head on the canvas."""
    return _canvas_codes(denoiser, head.shown, head.brain)


@dataclass(frozen=True, eq=False)
class RepaintedHead:
    """A head that was repainted from strong noise, ungated.

    Args:
        codes: (L, C) unit codes of the answer.
        error: Mean absolute difference from the head within the brain, spreads.
    """

    codes: Array
    error: float


def repainted_head(denoiser: Denoiser, head: Head, step: int, *, seed: int) -> RepaintedHead:
    """Repaint a head from one diffusion step, where little of it is left to be seen.

    Args:
        denoiser: The network.
        head: On the canvas.
        step: Of the diffusion, 0 to 999.
        seed: Of its noise.
    """
    config = ReconstructionConfig((step,), (1.0,), (1.0,))
    precision = best_precision(denoiser.signal.device)
    shown, brain = head.shown.cpu(), head.brain.cpu()
    clean = reconstruct(denoiser, shown, brain, config, seed=seed, precision=precision).clean
    error = float((clean - shown).abs()[brain > 0].mean())
    return RepaintedHead(_canvas_codes(denoiser, clean, brain), error)


def healed_head(
    denoiser: Denoiser, head: Head, settings: ModelSettings, calibration: Calibration
) -> FlaggedCodes:
    """Codes of what is flagged in a head, before and after it is healed, as a scan's are.

    Args:
        denoiser: The network.
        head: On the canvas, with a drawn pattern as a rule.
        settings: Noise levels and map.
        calibration: Of the head's contrast.
    """
    answer = head_answer(denoiser, head, settings.reconstruction)
    anomaly = head_map(answer, settings.anomaly, calibration.scale)
    gate = healing_gate(anomaly, calibration.threshold, thick=False)
    texture = tissue_texture(answer.residual, gate, answer.brain, np.random.default_rng(0))
    scaled = from_slices(head.shown.cpu())
    healed = np.where(answer.brain, scaled - gate * (answer.residual - texture), 0.0)
    return flagged_codes(
        denoiser, scaled, healed.astype(np.float32), answer.brain, gate, CANVAS.affine
    )


def _canvas_codes(denoiser: Denoiser, shown: torch.Tensor, brain: torch.Tensor) -> Array:
    inside = from_slices(brain.cpu()) > 0.5
    return level_codes(denoiser, from_slices(shown.cpu()), inside, CANVAS.affine, LEVELS_MM)
