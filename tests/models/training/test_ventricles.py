"""Wider and narrower ventricles of training examples."""

import torch

from counterpart.training.ventricles import ventricle_push, widened

MIDDLE = torch.tensor([0.0, -18.0, 12.0])


def some_points(count: int = 500) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return 160 * torch.rand((2, count, 3), generator=generator) - 80


def test_two_fifths_are_wider_a_tenth_narrower_and_half_as_they_are() -> None:
    push = ventricle_push(torch.rand((20_000, 16), generator=torch.Generator().manual_seed(1)))
    assert abs(float((push > 0).float().mean()) - 0.4) < 0.02
    assert abs(float((push < 0).float().mean()) - 0.1) < 0.02
    assert float(push.min()) >= -3.0 and 6.0 < float(push.max()) <= 6.5


def test_without_push_nothing_moves() -> None:
    points = some_points()
    assert torch.equal(widened(points, torch.zeros(2)), points)


def test_wider_ventricles_take_their_tissue_from_nearer_the_middle() -> None:
    points = some_points()
    source = widened(points, torch.tensor([5.0, -3.0]))
    moved = (source - points).norm(dim=-1)
    nearer = (source - MIDDLE).norm(dim=-1) < (points - MIDDLE).norm(dim=-1)
    assert bool(nearer[0].all()) and not bool(nearer[1].any())
    assert 4.0 < float(moved[0].max()) < 10.0
    far = (points[0, :, 0].abs() > 70) & (points[0, :, 2].abs() > 60)
    assert bool(far.any()) and float(moved[0][far].max()) < 1.5


def test_the_order_along_every_ray_is_kept() -> None:
    generator = torch.Generator().manual_seed(2)
    away = torch.randn((200, 1, 3), generator=generator)
    away = away / away.norm(dim=-1, keepdim=True)
    rays = MIDDLE + away * torch.linspace(0.0, 90.0, 400)[None, :, None]
    for push in (6.5, 100.0, -3.0):
        source = widened(rays, torch.full((200,), push))
        along = ((source - MIDDLE) * away).sum(dim=-1)
        assert bool((along.diff(dim=1) > 0).all()), push
