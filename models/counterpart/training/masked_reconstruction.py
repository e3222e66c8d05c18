"""Learning from hidden patches, beside the contrast: what arXiv 2406.00772's released code does.

Both views of a pair are hidden under the same patches; a light decoder fills them in. The released
code does this by SparK (Tian et al., ICLR 2023) and sparse convolutions; here hidden patches are 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from counterpart.encoder import EncoderConfig
from counterpart.seeding import derived_seed
from counterpart.training.slabs import SLICE_SHAPE

PATCHES = (3, 3)
_NARROWEST = 16


def kept_patches(seed: int, step: int, samples: Sequence[int], kept: int) -> torch.Tensor:
    """(B, 1, I, J) 1 where a slice is shown: so many of its 3 x 3 patches, drawn per sample."""
    count = PATCHES[0] * PATCHES[1]
    masks = []
    for sample in samples:
        generator = torch.Generator().manual_seed(derived_seed(seed, step, sample, -8))
        shown = torch.zeros(count)
        shown[torch.randperm(count, generator=generator)[:kept]] = 1.0
        masks.append(shown.reshape(1, *PATCHES))
    return nn.functional.interpolate(torch.stack(masks), size=SLICE_SHAPE, mode="nearest")


class PatchDecoder(nn.Module):
    """Fills hidden patches in from the encoder's map of features."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = config.map_channels
        for _ in range(4):
            narrower = max(width // 4, _NARROWEST)
            layers += [
                nn.ConvTranspose2d(width, narrower, 4, stride=2, padding=1),
                nn.GroupNorm(config.norm_groups, narrower),
                nn.ReLU(),
            ]
            width = narrower
        self.net = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Slices (B, 1, I, J) from a map of features (B, F, I / 16, J / 16)."""
        filled: torch.Tensor = self.net(features)
        return filled


def hidden_error(filled: torch.Tensor, slices: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Mean squared error of slices (B, 1, I, J) where they were hidden, spreads squared."""
    hidden = 1.0 - kept
    error = (filled.float() - slices).square() * hidden
    return error.sum() / hidden.sum().clamp(min=1.0)
