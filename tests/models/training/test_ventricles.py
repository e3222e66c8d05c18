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
    assert float(push.min()) >= -3.0 and 8.5 < float(push.max()) <= 9.0


def test_without_push_nothing_moves() -> None:
    points = some_points()
    assert torch.equal(widened(points, torch.zeros(2)), points)


def test_wider_ventricles_take_their_tissue_from_nearer_the_middle() -> None:
    points = some_points()
    source = widened(points, torch.tensor([8.0, -3.0]))
    moved = (source - points).norm(dim=-1)
    shift = (source - points) * (points - MIDDLE)
    assert bool((shift[0] <= 0).all()) and bool((shift[1] >= 0).all())
    assert 6.0 < float(moved[0].max()) < 18.0


def test_the_cortex_hardly_moves() -> None:
    far = some_points()
    far = far[
        :, (((far - MIDDLE) / torch.tensor([65.0, 87.0, 62.0])).norm(dim=-1) > 1.0).all(dim=0)
    ]
    assert far.shape[1] > 50
    moved = (widened(far, torch.full((2,), 9.0)) - far).norm(dim=-1)
    assert float(moved.median()) < 0.5 and float(moved.max()) < 4.0


def test_the_septum_keeps_its_place_and_its_thickness() -> None:
    middle = torch.zeros((1, 5, 3))
    middle[0, :, 0] = torch.tensor([-1.5, -0.7, 0.0, 0.7, 1.5])
    moved = widened(middle, torch.tensor([9.0]))
    assert torch.equal(moved[..., 0], middle[..., 0])
    assert bool((widened(middle * 6, torch.tensor([9.0]))[0, ::4, 0].abs() < 8.0).all())


def test_a_wall_15_mm_from_the_middle_comes_to_lie_as_far_out_as_in_the_old() -> None:
    line = MIDDLE + torch.linspace(0.0, 60.0, 601)[None, :, None] * torch.tensor([1.0, 0.0, 0.0])
    wall = {}
    for push in (4.0, 9.0):
        source = widened(line, torch.tensor([push]))[0, :, 0]
        wall[push] = float(line[0, int((source < 15.0).sum()), 0])
    assert 18.0 < wall[4.0] < wall[9.0] < 30.0


def test_both_hemispheres_widen_alike() -> None:
    points = some_points()
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    push = torch.tensor([8.0, -2.0])
    assert torch.allclose(widened(points * mirror, push), widened(points, push) * mirror)


def test_the_order_along_every_ray_is_kept() -> None:
    generator = torch.Generator().manual_seed(2)
    away = torch.randn((200, 1, 3), generator=generator)
    away = away / away.norm(dim=-1, keepdim=True)
    rays = MIDDLE + away * torch.linspace(0.0, 90.0, 400)[None, :, None]
    for push in (9.0, 100.0, -3.0):
        source = widened(rays, torch.full((200,), push))
        along = ((source - MIDDLE) * away).sum(dim=-1)
        assert bool((along.diff(dim=1) > 0).all()), push
