"""Deterministic sampling in several steps (DDIM; Song, Meng and Ermon, ICLR 2021).

With signal share a and a prediction x₀ of the clean slice, the noise in a noisy slice x is
``e = (x - √a x₀) / √(1 - a)``, and the slice at another level is ``√a' x₀ + √(1 - a') e``.
"""

from __future__ import annotations

from itertools import pairwise

import torch

from counterpart.denoiser import Denoiser, Prediction


def ddim_step(
    noisy: torch.Tensor, clean: torch.Tensor, signal: torch.Tensor, next_signal: torch.Tensor
) -> torch.Tensor:
    """Go from one noise level to another, either way.

    Args:
        noisy: (B, 1, I, J) at the present level.
        clean: (B, 1, I, J) the prediction there, in the same units.
        signal: (B,) share of signal variance at the present level, below 1.
        next_signal: (B,) the same at the next level.
    """
    here, there = (share[:, None, None, None] for share in (signal, next_signal))
    noise = (noisy - here.sqrt() * clean) / (1.0 - here).sqrt()
    return there.sqrt() * clean + (1.0 - there).sqrt() * noise


def falling_steps(step: torch.Tensor, steps: int) -> list[torch.Tensor]:
    """The noise levels (B,) of so many predictions, from a start (B,) evenly down above 0."""
    return [(step * (steps - number)) // steps for number in range(steps)]


def ddim_prediction(
    denoiser: Denoiser,
    noisy: torch.Tensor,
    brain: torch.Tensor,
    step: torch.Tensor,
    code: torch.Tensor | None,
    steps: int,
) -> Prediction:
    """The clean slice after so many steps of DDIM; with one step, the denoiser's own prediction.

    Args:
        denoiser: The network.
        noisy: (B, 1, I, J) slices at their level, in diffusion units.
        brain: (B, 1, I, J) brain mask.
        step: (B,) noise levels.
        code: (B, code_size) or None.
        steps: Number of predictions, at least 1.

    Returns:
        The last prediction of the clean slice, and the first of the departure, which is made of
        what was shown.
    """
    levels = falling_steps(step, steps)
    scale, signal = denoiser.config.signal_scale, denoiser.signal
    first: Prediction = denoiser(noisy, brain, levels[0], code)
    clean = first.clean
    for here, there in pairwise(levels):
        noisy = ddim_step(noisy.float(), scale * clean, signal[here], signal[there]) * brain
        answer: Prediction = denoiser(noisy, brain, there, code)
        clean = answer.clean
    return Prediction(clean, first.departure)
