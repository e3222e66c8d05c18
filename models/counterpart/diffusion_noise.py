"""The noise of the diffusion: independent Gaussian, or the simplex noise of other work.

Both have mean 0 and variance 1 and are drawn on the CPU from a generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from counterpart.errors import ModelError

SIMPLEX_OCTAVES = 6
SIMPLEX_PERSISTENCE = 0.8
SIMPLEX_FREQUENCY = 64.0
_SKEW = (math.sqrt(3.0) - 1.0) / 2.0
_UNSKEW = (3.0 - math.sqrt(3.0)) / 6.0
_DIRECTIONS = 12


def gaussian_noise(shape: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """(I, J) independent normal numbers."""
    return torch.randn(shape, generator=generator)


def simplex_noise(shape: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """(I, J) sum of simplex noise over octaves, scaled to mean 0 and variance 1.

    As AnoDDPM (Wyatt et al., CVPR workshops 2022) takes it: six octaves, each with twice the
    frequency and 0.8 times the amplitude of the one before; the first has a cell of 64 voxels.
    """
    rows, columns = (torch.arange(size, dtype=torch.float64) for size in shape)
    total = torch.zeros(shape, dtype=torch.float64)
    for octave in range(SIMPLEX_OCTAVES):
        frequency = 2.0**octave / SIMPLEX_FREQUENCY
        hashes = torch.randperm(256, generator=generator)
        shift = 256.0 * torch.rand(2, generator=generator, dtype=torch.float64)
        x = (rows * frequency + shift[0])[:, None].expand(shape)
        y = (columns * frequency + shift[1])[None].expand(shape)
        total += SIMPLEX_PERSISTENCE**octave * simplex(x, y, hashes)
    total = total - total.mean()
    return (total / total.std()).float()


def simplex(x: torch.Tensor, y: torch.Tensor, hashes: torch.Tensor) -> torch.Tensor:
    """Simplex noise in two dimensions (Perlin 2001; Gustavson, *Simplex noise demystified*).

    Args:
        x: First coordinates, any shape, in cells; at least 0.
        y: Second coordinates, likewise.
        hashes: (256,) a permutation of 0 to 255.

    Returns:
        Smooth values from about -1 to 1; 0 at the corners of the simplices.
    """
    skewed = (x + y) * _SKEW
    i, j = torch.floor(x + skewed), torch.floor(y + skewed)
    unskewed = (i + j) * _UNSKEW
    x0, y0 = x - (i - unskewed), y - (j - unskewed)
    lower = (x0 > y0).to(x.dtype)
    corners = (
        (torch.zeros_like(x), torch.zeros_like(x)),
        (lower, 1.0 - lower),
        (torch.ones_like(x), torch.ones_like(x)),
    )
    total = torch.zeros_like(x)
    for number, (di, dj) in enumerate(corners):
        dx, dy = x0 - di + number * _UNSKEW, y0 - dj + number * _UNSKEW
        column = hashes[torch.remainder(j + dj, 256).long()]
        drawn = hashes[torch.remainder(i + di + column, 256).long()] % _DIRECTIONS
        angle = drawn.to(x.dtype) * (2.0 * math.pi / _DIRECTIONS)
        fall = (0.5 - dx**2 - dy**2).clamp(min=0.0) ** 4
        total = total + fall * (angle.cos() * dx + angle.sin() * dy)
    return 99.0 * total


NOISES: dict[str, Callable[[tuple[int, int], torch.Generator], torch.Tensor]] = {
    "gaussian": gaussian_noise,
    "simplex": simplex_noise,
}


def noise_named(name: str) -> Callable[[tuple[int, int], torch.Generator], torch.Tensor]:
    """The noise of a name.

    Raises:
        ModelError: There is none of this name.
    """
    if name not in NOISES:
        raise ModelError(f"expected a noise of {', '.join(NOISES)}, got {name!r}.")
    return NOISES[name]
