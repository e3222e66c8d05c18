"""Where the voxels of training slices lie in template space, and how poses are jittered."""

from __future__ import annotations

import torch

from counterpart.template import CANVAS, SPACING_MM

SLICE_SHAPE = (CANVAS.shape[0], CANVAS.shape[1])


def canvas_world(index: torch.Tensor) -> torch.Tensor:
    """Template position (..., 3) in mm of canvas voxel indices (..., 3)."""
    origin = torch.tensor(CANVAS.affine[:3, 3], device=index.device, dtype=torch.float32)
    return SPACING_MM * index.float() + origin


def slab_points(level: torch.Tensor, slices: int) -> torch.Tensor:
    """(B, slices * I * J, 3) template positions of the voxels of a slab around a level."""
    device = level.device
    i, j = (torch.arange(size, device=device, dtype=torch.float32) for size in SLICE_SHAPE)
    x = 2.0 * i + float(CANVAS.affine[0, 3])
    y = 2.0 * j + float(CANVAS.affine[1, 3])
    offsets = 2.0 * (torch.arange(slices, device=device) - (slices - 1) / 2.0)
    z = level[:, None] + offsets
    batch = len(level)
    shape = (batch, slices, *SLICE_SHAPE)
    grid = torch.stack(
        (
            x[None, None, :, None].expand(shape),
            y[None, None, None, :].expand(shape),
            z[:, :, None, None].expand(shape),
        ),
        dim=-1,
    )
    return grid.reshape(batch, -1, 3)


def pose_jitter(uniform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Small random in-plane turns, scales, shifts and left-right flips: (B, 3, 3) and (B, 3)."""
    angle = 0.3 * (uniform[:, 6] - 0.5)
    scale_x, scale_y = (1.0 + 0.12 * (uniform[:, k] - 0.5) for k in (7, 8))
    flip = torch.where(uniform[:, 9] < 0.5, 1.0, -1.0)
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    matrix = torch.stack(
        (
            torch.stack((flip * scale_x * angle.cos(), -flip * scale_x * angle.sin(), zero), 1),
            torch.stack((scale_y * angle.sin(), scale_y * angle.cos(), zero), 1),
            torch.stack((zero, zero, one), 1),
        ),
        dim=1,
    )
    shift = torch.stack((8 * (uniform[:, 10] - 0.5), 8 * (uniform[:, 11] - 0.5), zero), dim=1)
    return matrix, shift
