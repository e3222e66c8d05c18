"""The network that finds the brain in a whole head of any contrast.

A 3-D residual U-Net (MONAI's `SegResNet`) on the head at 2 mm, folded: each 2 x 2 x 2 block of
voxels becomes 8 channels at 4 mm, and the answer is unfolded again. So the whole head fits into one
evaluation of well under a second on two cores, at 2 mm detail.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from monai.networks.nets import SegResNet
from torch import nn

from counterpart.plain_config import PlainConfig

SPACING_MM = 2.0
CANVAS_SHAPE = (96, 112, 96)
_FOLD = 2


@dataclass(frozen=True)
class BrainNetworkConfig(PlainConfig):
    """Size of the brain network.

    Args:
        channels: Channels at 4 mm; doubled at each level below.
        blocks_down: Residual blocks per level on the way down.
        blocks_up: Residual blocks per level on the way up.
    """

    channels: int = 16
    blocks_down: tuple[int, ...] = (1, 2, 2, 2)
    blocks_up: tuple[int, ...] = (1, 1, 1)


class BrainNetwork(nn.Module):
    """Says for each voxel of a head how likely it belongs to the brain."""

    def __init__(self, config: BrainNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.net = SegResNet(
            spatial_dims=3,
            init_filters=config.channels,
            in_channels=_FOLD**3,
            out_channels=_FOLD**3,
            blocks_down=config.blocks_down,
            blocks_up=config.blocks_up,
        )

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        """Find the brain.

        Args:
            heads: (B, 1, I, J, K) from `scale_heads`, 2 mm, axes to right, anterior, superior;
                sizes multiples of 16.

        Returns:
            (B, 1, I, J, K) logit of belonging to the brain.
        """
        folded = rearrange(
            heads, "b 1 (i x) (j y) (k z) -> b (x y z) i j k", x=_FOLD, y=_FOLD, z=_FOLD
        )
        answer = self.net(folded).float()
        logits: torch.Tensor = rearrange(
            answer, "b (x y z) i j k -> b 1 (i x) (j y) (k z)", x=_FOLD, y=_FOLD, z=_FOLD
        )
        return logits


def scale_heads(heads: torch.Tensor) -> torch.Tensor:
    """Bring heads of any unit to about 0 (background) to 1 (brightest tissue), softly limited.

    Args:
        heads: (B, 1, I, J, K) scan values.

    Returns:
        The same, from the 1st percentile (0) to the 99th of what lies above it by a tenth of the
        range (1), limited to 0 and 1.5.
    """
    flat = heads.flatten(1)[:, ::7].float()
    low = torch.quantile(flat, 0.01, dim=1, keepdim=True)
    top = flat.amax(dim=1, keepdim=True)
    foreground = flat > low + 0.1 * (torch.quantile(flat, 0.995, dim=1, keepdim=True) - low)
    shown = torch.where(foreground, flat, torch.full_like(flat, torch.nan))
    high = torch.nanquantile(shown, 0.98, dim=1, keepdim=True)
    high = torch.where(high.isfinite(), high, top)
    shape = (-1, 1, 1, 1, 1)
    span = (high - low).clamp(min=torch.finfo(torch.float32).tiny)
    return ((heads - low.reshape(shape)) / span.reshape(shape)).clamp(0.0, 1.5)
