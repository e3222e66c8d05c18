"""Smooth random fields in space, cheap to evaluate at any set of points, on any device.

One periodic block of band-limited Gaussian noise is made once from a fixed seed; a *field* is a
random window into it: ``field(p) = block((p + offset) / scale)``. So a field costs one trilinear
look-up per point, and three random numbers say which field it is.
"""

from __future__ import annotations

from functools import cache

import torch
from torch.nn import functional

_CELLS = 48
_SMOOTHING_CELLS = 1.0


@cache
def _block() -> torch.Tensor:
    generator = torch.Generator().manual_seed(20260101)
    white = torch.randn((_CELLS,) * 3, generator=generator)
    frequency = torch.fft.fftfreq(_CELLS)
    squared = (
        frequency[:, None, None] ** 2
        + frequency[None, :, None] ** 2
        + frequency[None, None, :] ** 2
    )
    response = torch.exp(-2.0 * (torch.pi * _SMOOTHING_CELLS) ** 2 * squared)
    smooth = torch.fft.ifftn(torch.fft.fftn(white) * response).real
    smooth = (smooth - smooth.mean()) / smooth.std()
    wrapped = functional.pad(smooth[None, None], (0, 1, 0, 1, 0, 1), mode="circular")
    return wrapped.contiguous()


@cache
def _block_on(device: torch.device) -> torch.Tensor:
    return _block().to(device)


def noise_field(points: torch.Tensor, offset: torch.Tensor, scale_mm: torch.Tensor) -> torch.Tensor:
    """Evaluate one smooth field per sample.

    Args:
        points: (B, P, 3) positions, mm.
        offset: (B, 3) which window, each in [0, 1).
        scale_mm: (B,) size of a cell; the field is correlated over about 1.5 cells.

    Returns:
        (B, P) values with mean 0 and variance 1.
    """
    where = points / scale_mm[:, None, None] + _CELLS * offset[:, None, :]
    where = torch.remainder(where, float(_CELLS)) * (2.0 / _CELLS) - 1.0
    batch, count, _ = points.shape
    sampled = functional.grid_sample(
        _block_on(points.device),
        where.reshape(1, batch * count, 1, 1, 3),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return sampled.reshape(batch, count)
