"""Repaints slices as healthy: the weighted mean of one-step predictions at a few noise levels.

Each slice is noised to a few levels and denoised in one step from each (arXiv 2406.00772 takes
t = 250, 500, 750 with equal weights), or in several by DDIM. Noise is drawn on the CPU from
(seed, slice, level, draw), so the answer depends neither on the device nor on how slices are
batched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from counterpart.ddim import ddim_prediction
from counterpart.denoiser import Denoiser, soft_limit
from counterpart.diffusion_noise import noise_named
from counterpart.errors import ModelError
from counterpart.plain_config import PlainConfig
from counterpart.residual import FLAGGED_GATE
from counterpart.seeding import derived_seed

Progress = Callable[[float], None]
BATCH_SIZE = 32  # on two cores a slice takes a tenth longer in batches of 16
_MIN_BRAIN_VOXELS = 20
_SECOND = 2


@dataclass(frozen=True)
class ReconstructionConfig(PlainConfig):
    """How slices are repainted.

    Args:
        levels: Diffusion steps, each from 0 to 999.
        weights: Weight of each level's clean slice; they are normalised.
        departure_weights: Weight of each level's departure channel.
        draws: Noise draws per level.
        ddim_steps: Steps of DDIM from each level down; 1 is the one-step prediction.
        second_pass: Whether flagged slices are repainted once more, from the patient's tissue
            outside the flag and the first answer within.
        noise: Of the diffusion, one of `counterpart.diffusion_noise.NOISES`.
    """

    levels: tuple[int, ...] = (250, 500, 750)
    weights: tuple[float, ...] = (1.0, 1.0, 1.0)
    departure_weights: tuple[float, ...] = (1.0, 1.0, 1.0)
    draws: int = 1
    ddim_steps: int = 1
    second_pass: bool = False
    noise: str = "gaussian"

    def __post_init__(self) -> None:
        if not len(self.levels) == len(self.weights) == len(self.departure_weights) > 0:
            raise ModelError(
                f"expected a weight for each of the levels {self.levels}, got {self.weights} and "
                f"{self.departure_weights}."
            )
        if not all(0 <= level < 1000 for level in self.levels):
            raise ModelError(f"levels must lie from 0 to 999, got {self.levels}.")
        for weights in (self.weights, self.departure_weights):
            if min(weights) < 0 or sum(weights) <= 0:
                raise ModelError(f"weights must not be negative nor all 0, got {weights}.")
        if self.draws < 1 or self.ddim_steps < 1:
            raise ModelError(
                f"expected at least one draw and one step of DDIM, got {self.draws} and "
                f"{self.ddim_steps}."
            )
        noise_named(self.noise)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The network's ungated answer for a stack of slices.

    Args:
        clean: (S, 1, I, J) float32, spreads; 0 outside the brain.
        departure: (S, 1, I, J) float32, probability that the scan departs from health.
    """

    clean: torch.Tensor
    departure: torch.Tensor


def level_noise(
    seed: int, number: int, level: int, draw: int, shape: torch.Size, noise: str = "gaussian"
) -> torch.Tensor:
    """(1, I, J) unit variance noise of one slice, level and draw."""
    generator = torch.Generator().manual_seed(derived_seed(seed, number, level, draw))
    return noise_named(noise)((shape[-2], shape[-1]), generator)[None]


@torch.inference_mode()
def reconstruct(
    denoiser: Denoiser,
    slices: torch.Tensor,
    brain: torch.Tensor,
    config: ReconstructionConfig,
    *,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    precision: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> Reconstruction:
    """Repaint slices as healthy.

    Args:
        denoiser: The network; the work is done on its device.
        slices: (S, 1, I, J) normalised slices, spreads.
        brain: (S, 1, I, J) brain mask, 0 or 1.
        config: Levels, weights, draws.
        seed: Of the noise.
        batch_size: Slices per evaluation.
        precision: ``torch.float32`` or ``torch.bfloat16``.
        progress: Called with the share done after each batch; may raise to cancel.

    Returns:
        The reconstruction on the CPU. Slices without brain come back as 0.
    """
    device = denoiser.signal.device
    filled = [n for n in range(len(slices)) if float(brain[n].sum()) >= _MIN_BRAIN_VOXELS]
    jobs = [
        (number, index, draw)
        for number in filled
        for index in range(len(config.levels))
        for draw in range(config.draws)
    ]
    clean = torch.zeros(slices.shape)
    departure = torch.zeros(slices.shape)
    weights = _normalised(config.weights, config.draws)
    departure_weights = _normalised(config.departure_weights, config.draws)
    shown = soft_limit(slices)
    half = precision == torch.bfloat16
    codes = _codes(denoiser, shown, filled, batch_size, half=half)
    for start in range(0, len(jobs), batch_size):
        batch = jobs[start : start + batch_size]
        noise = torch.stack(
            [
                level_noise(seed, n, config.levels[i], d, slices.shape, config.noise)
                for n, i, d in batch
            ]
        )
        step = torch.tensor([config.levels[i] for _, i, _ in batch], device=device)
        number = torch.tensor([n for n, _, _ in batch])
        mask = brain[number].to(device)
        code = None if codes is None else codes[number.to(device)]
        noisy = denoiser.noised(shown[number].to(device), noise.to(device), step) * mask
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            answer = ddim_prediction(denoiser, noisy, mask, step, code, config.ddim_steps)
        level = torch.tensor([i for _, i, _ in batch])
        scale = weights[level][:, None, None, None]
        clean.index_add_(0, number, answer.clean.float().cpu() * scale)
        scale = departure_weights[level][:, None, None, None]
        sure = torch.sigmoid(answer.departure.float()) * mask
        departure.index_add_(0, number, sure.cpu() * scale)
        if progress:
            progress(min(1.0, (start + len(batch)) / len(jobs)))
    return Reconstruction(clean, departure)


def second_pass(
    denoiser: Denoiser,
    slices: torch.Tensor,
    brain: torch.Tensor,
    first: Reconstruction,
    gate: torch.Tensor,
    config: ReconstructionConfig,
    *,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    precision: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> Reconstruction:
    """Repaint flagged slices once more, from what the first pass left of them.

    What is shown is the patient's own tissue where the gate is 0 and the first answer where it is
    1, so that the lesion no longer leads astray what is painted in its place.

    Args:
        denoiser: The network.
        slices: (S, 1, I, J) normalised slices, spreads.
        brain: (S, 1, I, J) brain mask, 0 or 1.
        first: Answer of the first pass.
        gate: (S, 1, I, J) how much of each voxel the first pass repaints, 0 to 1.
        config: Levels, weights, draws.
        seed: Of the first pass' noise; the second draws its own.
        batch_size: Slices per evaluation.
        precision: ``torch.float32`` or ``torch.bfloat16``.
        progress: Called with the share done after each batch; may raise to cancel.

    Returns:
        The clean slices of the second pass where a slice is flagged, else those of the first; the
        departure is the first's, for the second is shown no lesion.
    """
    flagged = (gate.amax(dim=(1, 2, 3)) >= FLAGGED_GATE)[:, None, None, None]
    if not flagged.any():
        return first
    again = reconstruct(
        denoiser,
        (1.0 - gate) * slices + gate * first.clean,
        brain * flagged,  # all slices keep their numbers, and so their noise
        config,
        seed=derived_seed(seed, _SECOND),
        batch_size=batch_size,
        precision=precision,
        progress=progress,
    )
    clean = torch.where(flagged, again.clean, first.clean)
    return Reconstruction(clean, first.departure)


def _codes(
    denoiser: Denoiser,
    shown: torch.Tensor,
    filled: list[int],
    batch_size: int,
    *,
    half: bool,
) -> torch.Tensor | None:
    """(S, code_size) codes of the slices with brain, 0 for the others; None without a condition."""
    if denoiser.config.encoder is None:
        return None
    device = denoiser.signal.device
    codes = torch.zeros((len(shown), denoiser.config.encoder.code_size), device=device)
    for start in range(0, len(filled), batch_size):
        rows = filled[start : start + batch_size]
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            found = denoiser.codes(shown[rows].to(device))
        if found is not None:
            codes[rows] = found.float()
    return codes


def best_precision(device: torch.device) -> torch.dtype:
    """``bfloat16`` where the device computes with it natively, else ``float32``."""
    if device.type == "cpu":
        native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return torch.bfloat16 if native else torch.float32
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def _normalised(weights: tuple[float, ...], draws: int) -> torch.Tensor:
    values = torch.tensor(weights, dtype=torch.float32)
    return values / (values.sum() * draws)
