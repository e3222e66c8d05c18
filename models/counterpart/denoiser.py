"""The diffusion denoiser: from a noisy slice to the clean, healthy slice.

The forward process is the variance preserving one with a cosine schedule of T = 1000 steps,
``noisy = sqrt(a) clean + sqrt(1 - a) noise``. The network is MONAI's `DiffusionModelUNet` on a
pixel-unshuffled slice (4 channels at half size) with the brain mask beside it. It answers

- the clean slice, as ``sqrt(a) * noisy + F``: the network F adds what the noisy slice lacks,
- the logit of *departure*: where the shown slice departs from health.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from monai.networks.nets import DiffusionModelUNet
from monai.networks.schedulers import DDPMScheduler
from torch import nn
from torch.nn import functional

from counterpart.errors import ModelError
from counterpart.plain_config import PlainConfig

STEPS = 1000
_FOLD = 2


@dataclass(frozen=True)
class DenoiserConfig(PlainConfig):
    """Size of the denoiser.

    Args:
        channels: Channels per level, at half the slice's size and below.
        attention: Whether a level has self-attention.
        residual_blocks: Residual blocks per level.
        head_channels: Channels per attention head.
        norm_groups: Groups of the group norms.
    """

    channels: tuple[int, ...] = (64, 96, 128)
    attention: tuple[bool, ...] = (False, False, True)
    residual_blocks: int = 2
    head_channels: int = 32
    norm_groups: int = 16

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.attention):
            raise ModelError(
                f"channels and attention must have one entry per level, got {self.channels} "
                f"and {self.attention}."
            )
        if any(width % self.norm_groups for width in self.channels):
            raise ModelError(f"channels {self.channels} must be multiples of {self.norm_groups}.")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the denoiser says of a batch of slices.

    Args:
        clean: (B, 1, I, J) the clean, healthy slice, spreads.
        departure: (B, 1, I, J) logit that the shown slice departs from health there.
    """

    clean: torch.Tensor
    departure: torch.Tensor


class Denoiser(nn.Module):
    """Predicts the clean slice and where the shown one departs from it."""

    signal: torch.Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        folded = _FOLD**2
        self.net = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=2 * folded,
            out_channels=2 * folded,
            channels=config.channels,
            attention_levels=config.attention,
            num_res_blocks=config.residual_blocks,
            num_head_channels=config.head_channels,
            norm_num_groups=config.norm_groups,
        )
        self.register_buffer("signal", signal_levels(), persistent=False)

    def forward(self, noisy: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        """Denoise.

        Args:
            noisy: (B, 1, I, J) noisy slices, spreads, 0 outside the brain; I and J multiples of 8.
            brain: (B, 1, I, J) brain mask, 0 or 1.
            step: (B,) noise level, 0 to 999.
        """
        shown = functional.pixel_unshuffle(torch.cat((noisy, brain), dim=1), _FOLD)
        shown = shown.contiguous(memory_format=torch.channels_last)
        answer = functional.pixel_shuffle(self.net(shown, step).float(), _FOLD)
        keep = self.signal[step].sqrt()[:, None, None, None]
        clean = keep * noisy.float() + answer[:, :1]
        return Prediction(clean * brain, answer[:, 1:])


def signal_levels() -> torch.Tensor:
    """(1000,) the share a of signal variance at each step, cosine schedule, from MONAI."""
    scheduler = DDPMScheduler(num_train_timesteps=STEPS, schedule="cosine")
    levels: torch.Tensor = scheduler.alphas_cumprod.float()
    return levels


def add_noise(
    clean: torch.Tensor, noise: torch.Tensor, step: torch.Tensor, signal: torch.Tensor
) -> torch.Tensor:
    """The forward process: ``sqrt(a) clean + sqrt(1 - a) noise``.

    Args:
        clean: (B, 1, I, J).
        noise: (B, 1, I, J) unit variance.
        step: (B,) noise level.
        signal: (1000,) from `signal_levels`.
    """
    share = signal[step][:, None, None, None]
    return share.sqrt() * clean + (1.0 - share).sqrt() * noise


def soft_limit(values: torch.Tensor, knee: float = 4.0) -> torch.Tensor:
    """Leave values up to the knee as they are and compress what lies beyond by a logarithm.

    Only the network's input is limited; scans and residuals never are.
    """
    beyond = (values.abs() - knee).clamp(min=0.0)
    return values.clamp(-knee, knee) + values.sign() * torch.log1p(beyond)


def parameter_count(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(math.prod(parameter.shape) for parameter in module.parameters())
