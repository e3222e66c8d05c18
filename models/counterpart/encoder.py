"""The encoder: from a slice to a short code of what healthy and diseased slices share.

MONAI's `ResNet` in 2-D on one channel. Its batch norms are replaced by group norms, so that a
slice's code depends on that slice alone, in training too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.networks.nets import ResNet
from torch import nn

from counterpart.errors import ModelError
from counterpart.group_norm import GroupNorm
from counterpart.plain_config import PlainConfig

BLOCKS = ("basic", "bottleneck")


@dataclass(frozen=True)
class EncoderConfig(PlainConfig):
    """Size of the encoder.

    Args:
        block: ``basic`` or ``bottleneck`` residual blocks.
        layers: Blocks per level.
        channels: Channels per level; bottleneck blocks answer four times as many.
        code_size: Length of the code.
        norm_groups: Groups of the group norms.
        cells: Cells per side of the grid over which features are pooled; 1 pools the whole slice.
            Slices lie in template pose, so that cells keep where something is.
    """

    block: str = "basic"
    layers: tuple[int, ...] = (2, 2, 2, 2)
    channels: tuple[int, ...] = (24, 48, 96, 192)
    code_size: int = 128
    norm_groups: int = 8
    cells: int = 3

    def __post_init__(self) -> None:
        if self.block not in BLOCKS:
            raise ModelError(f"expected a block of {', '.join(BLOCKS)}, got {self.block!r}.")
        if len(self.layers) != 4 or len(self.channels) != 4:
            raise ModelError(
                f"the encoder has four levels, got layers {self.layers} and channels "
                f"{self.channels}."
            )
        if any(width % self.norm_groups for width in self.channels):
            raise ModelError(f"channels {self.channels} must be multiples of {self.norm_groups}.")
        if self.code_size < 1 or self.cells < 1:
            raise ModelError(
                f"expected a code of at least one number and at least one cell, got "
                f"{self.code_size} and {self.cells}."
            )

    @property
    def map_channels(self) -> int:
        """Channels of the map of features before it is pooled."""
        return self.channels[-1] * (4 if self.block == "bottleneck" else 1)

    @property
    def features(self) -> int:
        """Number of pooled features."""
        return self.map_channels * self.cells**2


class Encoder(nn.Module):
    """Answers a slice's code."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.net = ResNet(
            config.block,
            list(config.layers),
            list(config.channels),
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_size=5,
            conv1_t_stride=2,
            no_max_pool=True,
            feed_forward=False,
        )
        _use_group_norms(self.net, config.norm_groups)
        self.code = nn.Linear(config.features, config.code_size)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Codes (B, code_size), float32, of softly limited slices (B, 1, I, J), spreads.

        They are scaled to length ``sqrt(code_size)``, so that their numbers are of size 1.
        """
        features = self.features(slices)
        code = nn.functional.normalize(self.code(features).float(), dim=1)
        scaled: torch.Tensor = code * self.config.code_size**0.5
        return scaled

    def features(self, slices: torch.Tensor) -> torch.Tensor:
        """Pooled features (B, F) of slices (B, 1, I, J)."""
        return self.pooled(self.feature_map(slices))

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """Means (B, F) of a map of features (B, C, H, W) over the cells."""
        return nn.functional.adaptive_avg_pool2d(features, self.config.cells).flatten(1)

    def feature_map(self, slices: torch.Tensor) -> torch.Tensor:
        """Features (B, F, I / 16, J / 16) of slices (B, 1, I, J)."""
        net = self.net
        shown = slices.contiguous(memory_format=torch.channels_last)
        shown = net.act(net.bn1(net.conv1(shown)))
        found: torch.Tensor = net.layer4(net.layer3(net.layer2(net.layer1(shown))))
        return found


def _use_group_norms(module: nn.Module, groups: int) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, GroupNorm(groups, child.num_features))
        else:
            _use_group_norms(child, groups)
