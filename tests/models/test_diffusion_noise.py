"""Simplex noise: against Gustavson's scalar way of writing it, and what makes it simplex noise."""

import math

import numpy as np
import pytest
import torch

from counterpart.diffusion_noise import gaussian_noise, noise_named, simplex, simplex_noise
from counterpart.errors import ModelError

UNSKEW = (3.0 - math.sqrt(3.0)) / 6.0


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_hashes(seed: int = 0) -> torch.Tensor:
    return torch.randperm(256, generator=generator(seed))


def slow_simplex(x: float, y: float, hashes: list[int]) -> float:
    """One point, corner by corner."""
    skew = (x + y) * 0.5 * (math.sqrt(3.0) - 1.0)
    i, j = math.floor(x + skew), math.floor(y + skew)
    back = (i + j) * UNSKEW
    x0, y0 = x - (i - back), y - (j - back)
    middle = (1, 0) if x0 > y0 else (0, 1)
    total = 0.0
    for di, dj in ((0, 0), middle, (1, 1)):
        dx = x0 - di + (di + dj) * UNSKEW
        dy = y0 - dj + (di + dj) * UNSKEW
        fall = 0.5 - dx * dx - dy * dy
        if fall > 0:
            direction = hashes[(i + di + hashes[(j + dj) & 255]) & 255] % 12
            angle = math.radians(30.0 * direction)
            total += fall**4 * (math.cos(angle) * dx + math.sin(angle) * dy)
    return 99.0 * total


def test_it_agrees_with_the_scalar_way_of_writing_it() -> None:
    hashes = some_hashes()
    x, y = 300.0 * torch.rand((2, 500), generator=generator(1), dtype=torch.float64)
    found = simplex(x, y, hashes)
    expected = [
        slow_simplex(float(a), float(b), hashes.tolist()) for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_it_is_nought_at_the_corners_of_the_simplices() -> None:
    i, j = torch.meshgrid(torch.arange(3, 20.0), torch.arange(3, 20.0), indexing="ij")
    i, j = i.double(), j.double()
    x, y = i - (i + j) * UNSKEW, j - (i + j) * UNSKEW
    assert float(simplex(x, y, some_hashes()).abs().max()) < 1e-9
    assert float(simplex(x + 0.3, y, some_hashes()).abs().max()) > 0.3


@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8), (1.0, -0.05)])
def test_it_is_smooth_across_the_edges_of_the_simplices(direction: tuple[float, float]) -> None:
    step = 1e-3
    along = step * torch.arange(30_000, dtype=torch.float64)
    line = simplex(direction[0] * along + 0.37, direction[1] * along + 2.11, some_hashes())
    slope = line.diff() / step
    assert float(line.abs().max()) > 0.5
    assert float(slope.abs().max()) < 8.0
    assert float(slope.diff().abs().max()) < 100.0 * step


def test_it_repeats_after_256_cells_of_the_skewed_grid() -> None:
    hashes = some_hashes()
    x, y = 80.0 + 9.0 * torch.rand((2, 200), generator=generator(2), dtype=torch.float64)
    here = simplex(x, y, hashes)
    one, other = 256.0 * (1.0 - UNSKEW), -256.0 * UNSKEW
    torch.testing.assert_close(simplex(x + one, y + other, hashes), here, atol=1e-9, rtol=0)
    torch.testing.assert_close(simplex(x + other, y + one, hashes), here, atol=1e-9, rtol=0)
    assert not torch.allclose(simplex(x + 64.0, y, hashes), here, atol=0.1)


def test_it_reaches_from_about_minus_one_to_one() -> None:
    axis = torch.arange(0, 40, 0.05, dtype=torch.float64)
    values = simplex(axis[:, None].expand(800, 800), axis[None].expand(800, 800), some_hashes())
    assert 0.8 < float(values.max()) <= 1.01
    assert -0.8 > float(values.min()) >= -1.01
    assert abs(float(values.mean())) < 0.02


def test_octaves_have_twice_the_frequency_and_four_fifths_of_the_strength() -> None:
    shape = (6, 9)
    drawn = generator(5)
    total = np.zeros(shape)
    for octave in range(6):
        hashes = torch.randperm(256, generator=drawn).tolist()
        shift = 256.0 * torch.rand(2, generator=drawn, dtype=torch.float64)
        for row, column in np.ndindex(shape):
            at = [float(s) + 2**octave / 64 * n for s, n in zip(shift, (row, column), strict=True)]
            total[row, column] += 0.8**octave * slow_simplex(at[0], at[1], hashes)
    expected = (total - total.mean()) / total.std(ddof=1)
    np.testing.assert_allclose(simplex_noise(shape, generator(5)).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["gaussian", "simplex"])
def test_noise_is_standardised_and_follows_its_generator(name: str) -> None:
    make = noise_named(name)
    field = make((80, 96), generator())
    assert field.shape == (80, 96)
    assert field.dtype == torch.float32
    assert float(field.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(field.std()) == pytest.approx(1.0, abs=0.03)
    assert float(field.abs().max()) < 6.0
    assert torch.equal(field, make((80, 96), generator()))
    other = make((80, 96), generator(1))
    correlation = torch.corrcoef(torch.stack((field.ravel(), other.ravel())))
    assert abs(float(correlation[0, 1])) < 0.4
    assert not torch.allclose(field, other, atol=0.5)


def test_neighbours_are_alike_in_simplex_noise_alone() -> None:
    for make, low, high in ((simplex_noise, 0.6, 1.0), (gaussian_noise, -0.05, 0.05)):
        field = make((80, 96), generator())
        for axis in (0, 1):
            beside = (field * field.roll(1, axis)).mean()
            assert low < float(beside) < high


def test_an_unknown_noise_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="gaussian, simplex, got 'perlin'"):
        noise_named("perlin")
