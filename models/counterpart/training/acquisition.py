"""What the scanner and the user's mask do to a slice: blur, noise, and where the brain ends."""

from __future__ import annotations

import torch
from torch.nn import functional

from counterpart.rendering import Renderings
from counterpart.training.slabs import SLICE_SHAPE


def acquire(
    images: torch.Tensor, renderings: Renderings, grain: torch.Tensor, spread: torch.Tensor
) -> torch.Tensor:
    """In-plane blur of all three images; the same noise in the sick and the healthy one."""
    batch = images.shape[0]
    reach = torch.arange(-2, 3, device=images.device, dtype=torch.float32)
    width = renderings.blur.clamp(min=0.05)[:, None]
    kernel = torch.exp(-0.5 * (reach / width) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    flat = images.reshape(1, batch * 3, *SLICE_SHAPE)
    flat = functional.conv2d(flat, kernel[:, None, :, None], padding=(2, 0), groups=batch * 3)
    flat = functional.conv2d(flat, kernel[:, None, None, :], padding=(0, 2), groups=batch * 3)
    blurred = flat.reshape(batch, 3, *SLICE_SHAPE)
    noise = grain * (renderings.noise * spread)[:, None, None, None]
    return torch.cat((blurred[:, :2] + noise, blurred[:, 2:]), dim=1)


def given_mask(
    brain: torch.Tensor, tissue: torch.Tensor, slices: int, uniform: torch.Tensor
) -> torch.Tensor:
    """The mask a user might bring: as it is, a voxel more or less, two less, or without fluid."""
    batch = brain.shape[0]
    shape = (batch, slices, *SLICE_SHAPE)
    full = (brain.reshape(shape).mean(dim=1, keepdim=True) > 0.5).float()
    fluid = tissue[:, 0].reshape(shape).mean(dim=1, keepdim=True)
    outside = 1.0 - full
    one = 1.0 - functional.max_pool2d(outside, 3, stride=1, padding=1)
    two = 1.0 - functional.max_pool2d(outside, 5, stride=1, padding=2)
    rim = functional.max_pool2d(outside, 9, stride=1, padding=4)
    dry = full * (1.0 - rim * (fluid > 0.6).float())
    dry = functional.max_pool2d(-functional.max_pool2d(-dry, 3, 1, 1), 3, 1, 1) * full
    wide = functional.max_pool2d(full, 3, stride=1, padding=1)
    kind = uniform[:, 12][:, None, None, None]
    mask = torch.where(kind < 0.35, full, torch.where(kind < 0.5, one, dry))
    mask = torch.where(kind > 0.82, wide, mask)
    return torch.where(kind > 0.91, two, mask)
