"""The diffusion denoiser: from a noisy slice to the clean, healthy slice.

The forward process is the variance preserving one with a cosine schedule of T = 1000 steps,
``noisy = sqrt(a) clean + sqrt(1 - a) noise``. The network is MONAI's `DiffusionModelUNet` on a
pixel-unshuffled slice (4 channels at half size) with the brain mask beside it. It answers

- the clean slice, as ``sqrt(a) * noisy + F``: the network F adds what the noisy slice lacks,
- the logit of *departure*: where the shown slice departs from health.

A denoiser may be conditioned on the code of the shown slice, from its own `Encoder`
(arXiv 2406.00772). A code of zeros stands for no code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from monai.networks.nets import DiffusionModelUNet
from monai.networks.schedulers import DDPMScheduler
from torch import nn
from torch.nn import functional

from counterpart.encoder import Encoder, EncoderConfig
from counterpart.errors import ModelError
from counterpart.group_norm import use_fast_group_norms
from counterpart.plain_config import PlainConfig

STEPS = 1000
CONDITIONS = ("none", "embedding", "cross-attention")
_TOKENS, _TOKEN_SIZE = 4, 64


@dataclass(frozen=True)
class DenoiserConfig(PlainConfig):
    """Size and form of the denoiser.

    Args:
        channels: Channels per level, the first at the folded slice's size.
        attention: Whether a level has self-attention.
        residual_blocks: Residual blocks per level.
        head_channels: Channels per attention head.
        norm_groups: Groups of the group norms.
        condition: How the code enters: ``none``, by ``embedding`` (added to that of the noise
            level, as in arXiv 2406.00772) or by ``cross-attention`` to four tokens of it.
        encoder: Size of the encoder, where there is a condition.
        fold: Side of the blocks of voxels that are folded into channels; 1 folds none.
        shows_brain: Whether the network sees the brain mask.
        departure: Whether there is a departure channel.
        adds_to_noisy: Whether the network answers what ``sqrt(a) * noisy`` lacks, or all.
        signal_scale: Diffusion units per spread.
    """

    channels: tuple[int, ...] = (64, 96, 128)
    attention: tuple[bool, ...] = (False, False, True)
    residual_blocks: int = 2
    head_channels: int = 32
    norm_groups: int = 16
    condition: str = "none"
    encoder: EncoderConfig | None = None
    fold: int = 2
    shows_brain: bool = True
    departure: bool = True
    adds_to_noisy: bool = True
    signal_scale: float = 1.0

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.attention):
            raise ModelError(
                f"channels and attention must have one entry per level, got {self.channels} "
                f"and {self.attention}."
            )
        if any(width % self.norm_groups for width in self.channels):
            raise ModelError(f"channels {self.channels} must be multiples of {self.norm_groups}.")
        attending = [w for w, on in zip(self.channels, self.attention, strict=True) if on]
        if any(width % self.head_channels for width in [*attending, *self.channels[-1:]]):
            raise ModelError(
                f"channels {self.channels} must be multiples of {self.head_channels} where there "
                "is attention, and at the last level."
            )
        if self.condition not in CONDITIONS:
            known = ", ".join(CONDITIONS)
            raise ModelError(f"expected a condition of {known}, got {self.condition!r}.")
        if (self.condition == "none") != (self.encoder is None):
            raise ModelError(
                f"the condition is {self.condition!r}, so there must be "
                f"{'no' if self.encoder else 'an'} encoder."
            )
        if self.fold < 1 or self.signal_scale <= 0:
            raise ModelError(
                f"expected a fold of at least 1 and a positive signal scale, got {self.fold} and "
                f"{self.signal_scale}."
            )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DenoiserConfig:
        """Read a configuration; an unknown key is an error that names it."""
        encoder = values.get("encoder")
        config: DenoiserConfig = super().from_json({**values, "encoder": None, "condition": "none"})
        return replace(
            config,
            condition=values.get("condition", "none"),
            encoder=None if encoder is None else EncoderConfig.from_json(encoder),
        )


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the denoiser says of a batch of slices.

    Args:
        clean: (B, 1, I, J) the clean, healthy slice, spreads.
        departure: (B, 1, I, J) logit that the shown slice departs from health there; 0 where the
            denoiser has no such channel.
    """

    clean: torch.Tensor
    departure: torch.Tensor


class Denoiser(nn.Module):
    """Predicts the clean slice and where the shown one departs from it."""

    signal: torch.Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.net = _network(config)
        use_fast_group_norms(self.net)
        if config.encoder is not None:
            self.encoder = Encoder(config.encoder)
            size = config.encoder.code_size
            if config.condition == "embedding":
                embedding = code_embedding(size, 4 * config.channels[0])
                self.net.add_module("class_embedding", embedding)
            else:
                self.tokens = nn.Linear(size, _TOKENS * _TOKEN_SIZE)
        self.register_buffer("signal", signal_levels(), persistent=False)

    def codes(self, shown: torch.Tensor) -> torch.Tensor | None:
        """Codes (B, code_size) of softly limited slices (B, 1, I, J); None without a condition."""
        return None if self.config.encoder is None else self.encoder(shown)

    def noised(self, shown: torch.Tensor, noise: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """What the network sees of slices at a noise level: `add_noise` in diffusion units."""
        return add_noise(self.config.signal_scale * shown, noise, step, self.signal)

    def forward(
        self,
        noisy: torch.Tensor,
        brain: torch.Tensor,
        step: torch.Tensor,
        code: torch.Tensor | None = None,
    ) -> Prediction:
        """Denoise.

        Args:
            noisy: (B, 1, I, J) from `noised`, 0 outside the brain; I and J multiples of 8.
            brain: (B, 1, I, J) brain mask, 0 or 1.
            step: (B,) noise level, 0 to 999.
            code: (B, code_size) from `codes`; rows of zeros, or None, stand for no code.
        """
        config = self.config
        shown = torch.cat((noisy, brain), dim=1) if config.shows_brain else noisy
        shown = functional.pixel_unshuffle(shown, config.fold)
        shown = shown.contiguous(memory_format=torch.channels_last)
        answer = self.net(shown, step, **self._condition(code, len(noisy))).float()
        answer = functional.pixel_shuffle(answer, config.fold)
        keep = self.signal[step].sqrt()[:, None, None, None] * float(config.adds_to_noisy)
        clean = (keep * noisy.float() + answer[:, :1]) / config.signal_scale
        departure = answer[:, 1:] if config.departure else torch.zeros_like(clean)
        return Prediction(clean * brain, departure)

    def _condition(self, code: torch.Tensor | None, count: int) -> dict[str, torch.Tensor]:
        if self.config.encoder is None:
            return {}
        if code is None:
            code = torch.zeros((count, self.config.encoder.code_size), device=self.signal.device)
        if self.config.condition == "embedding":
            return {"class_labels": code}
        return {"context": self.tokens(code).reshape(count, _TOKENS, _TOKEN_SIZE)}


def code_embedding(code_size: int, width: int) -> nn.Sequential:
    """Turns a code into what is added to the embedding of the noise level: nothing, at first."""
    last = nn.Linear(width, width)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(code_size, width), nn.SiLU(), last)


def _network(config: DenoiserConfig) -> DiffusionModelUNet:
    folded = config.fold**2
    attends = config.condition == "cross-attention"
    return DiffusionModelUNet(
        spatial_dims=2,
        in_channels=(1 + config.shows_brain) * folded,
        out_channels=(1 + config.departure) * folded,
        channels=config.channels,
        attention_levels=config.attention,
        num_res_blocks=config.residual_blocks,
        num_head_channels=config.head_channels,
        norm_num_groups=config.norm_groups,
        num_class_embeds=1 if config.condition == "embedding" else None,
        with_conditioning=attends,
        cross_attention_dim=_TOKEN_SIZE if attends else None,
        use_flash_attention=True,
    )


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
