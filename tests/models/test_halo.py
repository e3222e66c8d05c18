"""The pattern family around the ventricles: where it lies, how far it reaches, and how it fades."""

import pytest
import torch

from counterpart.targets import DRAWS, FAMILIES, Patterns, draw_patterns, membership
from counterpart.targets import TRAINING_FAMILIES as TRAINED

SAMPLES = 12


def some_halos(seed: int = 0, centre: float = 0.0) -> Patterns:
    uniform = torch.rand((SAMPLES, DRAWS), generator=torch.Generator().manual_seed(seed))
    place = torch.full((SAMPLES, 3), centre)
    return draw_patterns(uniform, place, torch.full((SAMPLES,), 0.5), share=1.0, families=("halo",))


def some_points(count: int = 3000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 200 * torch.rand((SAMPLES, count, 3), generator=generator) - 100


def members(patterns: Patterns, inward_mm: float, tissue: int = 2) -> torch.Tensor:
    points = some_points()
    fractions = torch.zeros(SAMPLES, 4, points.shape[1])
    fractions[:, tissue] = 1.0
    return membership(patterns, points, fractions, torch.full(points.shape[:2], inward_mm))


def widths_mm(patterns: Patterns) -> torch.Tensor:
    return (0.35 * patterns.radius_mm + 1.5).clamp(2.0, 14.0)


def test_halos_are_trained_on() -> None:
    assert "halo" in TRAINED


def test_two_families_lie_around_the_ventricles() -> None:
    uniform = torch.rand((len(FAMILIES), DRAWS), generator=torch.Generator().manual_seed(0))
    uniform[:, 0] = (torch.arange(len(FAMILIES)) + 0.5) / len(FAMILIES)
    count = len(FAMILIES)
    drawn = draw_patterns(uniform, torch.zeros(count, 3), torch.ones(count), families=FAMILIES)
    around = dict(zip(FAMILIES, drawn.around_ventricles().tolist(), strict=True))
    assert {name for name, value in around.items() if value} == {"periventricular", "halo"}


def test_a_halo_is_whole_at_the_ventricles_and_fades_outwards() -> None:
    halos = some_halos()
    amounts = [float(members(halos, distance).mean()) for distance in (0.0, 4.0, 8.0, 16.0, 30.0)]
    assert amounts == sorted(amounts, reverse=True)
    assert amounts[0] > 0.8
    assert 0.0 < amounts[3] < 0.3


def test_a_halo_is_bounded() -> None:
    halos = some_halos()
    reach = 3.5 * float(widths_mm(halos).max())
    assert not members(halos, reach + 12.0).any()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_half_of_a_halos_border_lies_beyond_its_width(seed: int) -> None:
    """The border wanders symmetrically around the width."""
    halos = some_halos(seed)
    at_width = torch.stack(
        [members(halos, float(width))[row] for row, width in enumerate(widths_mm(halos))]
    )
    inside = (at_width > 0.5).float().mean(dim=1)
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.06)
    assert float(at_width.mean()) == pytest.approx(0.5, abs=0.06)


def test_larger_halos_are_wider() -> None:
    halos = some_halos()
    order = halos.radius_mm.argsort()
    covered = torch.stack([members(halos, d).mean(dim=1) for d in range(0, 40, 2)]).sum(dim=0)
    assert float(covered[order[-4:]].mean()) > 2 * float(covered[order[:4]].mean())


def test_a_halo_does_not_know_of_its_centre() -> None:
    here, there = (members(some_halos(centre=centre), 5.0) for centre in (0.0, 40.0))
    assert torch.equal(here, there)
    assert here.any()


def test_a_halo_keeps_to_white_matter_and_pushes_nothing_away() -> None:
    halos = some_halos()
    assert bool((halos.white_only == 1).all())
    assert not halos.push_mm.any()
    assert members(halos, 2.0, tissue=2).any()
    assert not members(halos, 2.0, tissue=0).any()
    assert not members(halos, 2.0, tissue=1).any()
