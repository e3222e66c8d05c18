"""What the scanner does to a head: bias, blur, thick slices, coverage, noise; and empty heads."""

from __future__ import annotations

import torch
from torch.nn import functional

from counterpart.brain_network import SPACING_MM
from counterpart.noise import noise_field

_FIELD_STEP = 4


def acquire_head(
    value: torch.Tensor,
    brain: torch.Tensor,
    u: torch.Tensor,
    generator: torch.Generator,
    *,
    thick: bool,
    cut: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bias field, slice profile, coverage and noise.

    Args:
        value: (I, J, K) intensities, about 0 to 1.
        brain: (I, J, K) brain mask.
        u: 18 uniform numbers.
        generator: Of the noise.
        thick: Slices of 3 to 8 mm.
        cut: Slices are missing above or below.

    Returns:
        Intensities, 0 where nothing was acquired, and where something was.
    """
    value = value * torch.exp(0.6 * u[0] * smooth_field(value, u[1:4], 50.0 + 60.0 * float(u[4])))
    if thick:
        axis = 2 if u[5] < 0.8 else int(u[6] * 2)
        value = _thick_slices(value, axis, float(3.0 + 5.0 * u[7]) / SPACING_MM)
    noise = 0.06 * u[8] ** 2 * value.amax()
    first, second = (
        torch.randn(value.shape, generator=generator).to(value.device) for _ in range(2)
    )
    if u[9] < 0.6:
        value = ((value + noise * first) ** 2 + (noise * second) ** 2).sqrt()  # Rician
    if u[10] < 0.3:
        value = torch.where(value < 0.04 * value.amax(), torch.zeros_like(value), value)
    covered = torch.ones_like(brain)
    if cut:
        levels = brain.any(dim=0).any(dim=0).nonzero()[:, 0]
        if len(levels):
            low = int(levels[0]) + int((u[11] - 0.7) * 50.0 / SPACING_MM)
            high = int(levels[-1]) - int((u[12] - 0.7) * 40.0 / SPACING_MM)
            covered[:, :, : max(low, 0)] = False
            covered[:, :, max(high, 1) :] = False
    return value * covered, covered


def replace_brain(
    value: torch.Tensor, brain: torch.Tensor, u: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A head without a brain, a phantom, or noise; and the empty mask.

    Args:
        value: (I, J, K) intensities.
        brain: (I, J, K) brain mask.
        u: Three uniform numbers: which kind, and its parameters.
        generator: Of its texture.
    """
    offset = torch.rand(3, generator=generator)
    level = float(0.8 * u[1] + 0.05)
    field = smooth_field(value, offset, 12.0 + 30.0 * float(u[2]))
    filling = level * (1.0 + 0.25 * float(u[2]) * field)
    grown = functional.max_pool3d(brain.float()[None, None], 5, stride=1, padding=2)[0, 0]
    if u[0] < 0.4:
        replaced = torch.where(grown > 0.5, filling, value)
    elif u[0] < 0.75:
        replaced = _phantom(value, generator) * filling
    else:
        replaced = torch.randn(value.shape, generator=generator).to(value.device).abs() * level
    return replaced, torch.zeros_like(brain)


def smooth_field(value: torch.Tensor, offset: torch.Tensor, scale_mm: float) -> torch.Tensor:
    """A smooth random field (I, J, K), evaluated coarsely and interpolated."""
    coarse = [max(2, size // _FIELD_STEP) for size in value.shape]
    axes = [
        torch.linspace(0.0, SPACING_MM * (size - 1), steps, device=value.device)
        for size, steps in zip(value.shape, coarse, strict=True)
    ]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(1, -1, 3)
    scale = torch.full((1,), float(scale_mm), device=value.device)
    field = noise_field(points, offset[None].to(value.device), scale).reshape(1, 1, *coarse)
    shape = list(value.shape)
    return functional.interpolate(field, shape, mode="trilinear", align_corners=True)[0, 0]


def _thick_slices(value: torch.Tensor, axis: int, voxels: float) -> torch.Tensor:
    """Average along an axis over the slice and interpolate between slices again."""
    shape = list(value.shape)
    fewer = list(shape)
    fewer[axis] = max(8, round(shape[axis] / voxels))
    averaged = functional.interpolate(value[None, None], fewer, mode="area")
    return functional.interpolate(averaged, shape, mode="trilinear")[0, 0]


def _phantom(value: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A few nested ellipsoids or cylinders, 0 outside."""
    axes = [
        SPACING_MM * (torch.arange(n, device=value.device) - (n - 1) / 2.0) for n in value.shape
    ]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    result = torch.zeros_like(value)
    count = int(torch.randint(1, 6, (1,), generator=generator))
    for number in range(count):
        draw = torch.rand(8, generator=generator)
        half = (45.0 + 45.0 * draw[:3]) * (1.0 if number == 0 else 0.5)
        middle = (draw[3:6] - 0.5) * (10.0 if number == 0 else 60.0)
        ratio = ((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2
        along = ((z - middle[2]) / half[2]).abs()
        inside = (ratio < 1.0) & (along < 1.0) if draw[6] < 0.4 else ratio + along**2 < 1.0
        result = torch.where(inside, 0.3 + draw[7], result)
    return result
