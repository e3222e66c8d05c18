"""The noise field: standardised, smooth, periodic, and each sample's own."""

import itertools

import pytest
import torch

from counterpart.noise import noise_field

CELLS = 48


def points_on_a_grid(count: int, step_mm: float) -> torch.Tensor:
    axis = step_mm * torch.arange(count, dtype=torch.float32)
    return torch.cartesian_prod(axis, axis, axis)[None]


def nodes(offset: torch.Tensor) -> torch.Tensor:
    """The field at its own nodes, where nothing is interpolated: (48, 48, 48)."""
    points = points_on_a_grid(CELLS, 1.0)
    return noise_field(points, offset, torch.ones(1)).reshape(CELLS, CELLS, CELLS)


ZERO = torch.zeros(1, 3)


def test_mean_is_zero_and_variance_one() -> None:
    block = nodes(ZERO)
    assert float(block.mean()) == pytest.approx(0.0, abs=1e-4)
    assert float(block.std()) == pytest.approx(1.0, abs=1e-3)


def test_between_the_nodes_the_variance_stays_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    points = 480 * torch.rand((1, 40_000, 3), generator=generator)
    field = noise_field(points, torch.rand((1, 3), generator=generator), torch.tensor([10.0]))
    assert float(field.mean()) == pytest.approx(0.0, abs=0.1)
    assert 0.75 < float(field.var()) < 1.05


def test_field_is_the_trilinear_mean_of_its_nodes() -> None:
    block = nodes(ZERO)
    generator = torch.Generator().manual_seed(1)
    points = 40 * torch.rand((1, 20, 3), generator=generator)
    found = noise_field(points, ZERO, torch.ones(1))[0]
    for point, value in zip(points[0], found, strict=True):
        low = point.floor().long()
        part = point - low
        expected = sum(
            float(torch.where(torch.tensor(corner) == 1, part, 1 - part).prod())
            * float(block[tuple((low + torch.tensor(corner)).tolist())])
            for corner in itertools.product((0, 1), repeat=3)
        )
        assert float(value) == pytest.approx(expected, abs=1e-4)


def test_an_offset_moves_the_window() -> None:
    points = points_on_a_grid(5, 3.0)
    offset = torch.tensor([[0.25, 0.5, 0.875]])
    scale = torch.tensor([6.0])
    moved = noise_field(points + CELLS * 6.0 * offset[:, None], ZERO, scale)
    assert torch.allclose(noise_field(points, offset, scale), moved, atol=1e-4)


def test_the_field_repeats_after_a_block_also_below_zero() -> None:
    points = points_on_a_grid(6, 7.3)
    offset = torch.tensor([[0.1, 0.2, 0.3]])
    scale = torch.tensor([5.0])
    period = torch.tensor([CELLS * 5.0, -CELLS * 5.0, -2 * CELLS * 5.0])
    here = noise_field(points, offset, scale)
    assert torch.allclose(noise_field(points + period, offset, scale), here, atol=1e-3)


def test_scale_stretches_space() -> None:
    points = points_on_a_grid(5, 2.0)
    offset = torch.tensor([[0.3, 0.1, 0.7]])
    small = noise_field(points, offset, torch.tensor([2.0]))
    large = noise_field(4 * points, offset, torch.tensor([8.0]))
    assert torch.allclose(small, large, atol=1e-5)


def test_neighbours_are_alike_and_far_points_are_not() -> None:
    block = nodes(ZERO)
    correlation = {shift: float((block * block.roll(shift, 0)).mean()) for shift in (1, 2, 3, 4, 8)}
    assert correlation[1] == pytest.approx(torch.tensor(-0.25).exp().item(), abs=0.05)
    assert correlation[2] == pytest.approx(torch.tensor(-1.0).exp().item(), abs=0.05)
    assert abs(correlation[8]) < 0.05


def test_two_windows_are_unrelated() -> None:
    points = points_on_a_grid(24, 2.0)
    scale = torch.tensor([2.0])
    one = noise_field(points, torch.tensor([[0.0, 0.0, 0.0]]), scale)
    two = noise_field(points, torch.tensor([[0.5, 0.5, 0.5]]), scale)
    assert abs(float((one * two).mean())) < 0.1


def test_a_sample_does_not_know_of_the_others() -> None:
    generator = torch.Generator().manual_seed(2)
    points = 100 * torch.rand((3, 50, 3), generator=generator)
    offset = torch.rand((3, 3), generator=generator)
    scale = torch.tensor([3.0, 9.0, 27.0])
    together = noise_field(points, offset, scale)
    for row in range(3):
        alone = noise_field(points[row : row + 1], offset[row : row + 1], scale[row : row + 1])
        assert torch.allclose(together[row], alone[0], atol=1e-5)
