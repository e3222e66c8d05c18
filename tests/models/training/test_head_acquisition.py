"""What the scanner does to a head, one thing at a time, on small volumes."""

import numpy as np
import pytest
import torch

from counterpart.training.head_acquisition import acquire_head, replace_brain, smooth_field

SHAPE = (32, 36, 40)
U = {  # where in the uniform numbers each thing is drawn
    "bias": 0,
    "axis": 5,
    "in_plane": 6,
    "thickness": 7,
    "noise": 8,
    "rician": 9,
    "floor": 10,
    "below": 11,
    "above": 12,
}
BARE = {"rician": 0.9, "floor": 0.9}


def uniform(**drawn: float) -> torch.Tensor:
    """Numbers that change nothing, but for those that are named."""
    u = torch.zeros(18)
    for name, value in {**BARE, **drawn}.items():
        u[U[name]] = value
    return u


def a_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_brain() -> torch.Tensor:
    axes = [torch.arange(n) - (n - 1) / 2 for n in SHAPE]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    return (x / 10) ** 2 + (y / 12) ** 2 + (z / 9) ** 2 <= 1.0


def a_head() -> torch.Tensor:
    value = torch.rand(SHAPE, generator=a_generator(3))
    return 0.2 + 0.5 * value + 0.2 * a_brain()


def acquired(
    u: torch.Tensor, *, thick: bool = False, cut: bool = False, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    return acquire_head(a_head(), a_brain(), u, a_generator(seed), thick=thick, cut=cut)


def test_where_nothing_is_drawn_the_head_stays_as_it_is() -> None:
    value, covered = acquired(uniform())
    assert torch.equal(value, a_head())
    assert bool(covered.all())


def test_the_same_numbers_give_the_same_head() -> None:
    u = torch.rand(18, generator=a_generator(1))
    first, second = (acquired(u, thick=True, cut=True) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(acquired(u, thick=True, cut=True, seed=1)[0], first[0])


def test_bias_is_smooth_and_positive() -> None:
    value, _ = acquired(uniform(bias=1.0))
    gain = value / a_head()
    assert bool((gain > 0).all())
    assert float(gain.std()) > 0.02
    for axis in range(3):
        assert float(gain.log().diff(dim=axis).abs().max()) < 0.1


@pytest.mark.parametrize("thickness", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("kind", [{"axis": 0.1}, {"axis": 0.9, "in_plane": 0.7}])
def test_thick_slices_keep_the_mean(thickness: float, kind: dict[str, float]) -> None:
    value, _ = acquired(uniform(thickness=thickness, **kind), thick=True)
    assert float(value.mean()) == pytest.approx(float(a_head().mean()), rel=0.01)
    assert float(value.std()) < 0.9 * float(a_head().std())


@pytest.mark.parametrize(
    ("drawn", "axis"),
    [
        ({"axis": 0.79}, 2),
        ({"axis": 0.8, "in_plane": 0.0}, 0),
        ({"axis": 0.8, "in_plane": 0.99}, 1),
    ],
)
def test_thick_slices_blur_across_the_slices_alone(drawn: dict[str, float], axis: int) -> None:
    u = uniform(thickness=1.0, **drawn)
    for other in range(3):
        shape = [1, 1, 1]
        shape[other] = SHAPE[other]
        stripes = (torch.arange(SHAPE[other]) % 2).float().reshape(shape).expand(SHAPE)
        value, _ = acquire_head(
            stripes.contiguous(), a_brain(), u, a_generator(), thick=True, cut=False
        )
        blurred = float(value.std()) < 0.3 * float(stripes.std())
        assert blurred is (other == axis)
        if other != axis:
            torch.testing.assert_close(value, stripes.contiguous(), atol=1e-5, rtol=0)


def test_slices_are_thin_unless_asked_for() -> None:
    assert torch.equal(acquired(uniform(thickness=1.0))[0], a_head())


def test_noise_grows_and_is_positive_where_it_is_a_magnitude() -> None:
    spread = []
    for level in (0.0, 0.5, 1.0):
        value, _ = acquired(uniform(noise=level, rician=0.0))
        assert bool((value >= 0).all())
        spread.append(float((value - a_head()).std()))
    assert spread[0] == pytest.approx(0.0, abs=1e-6)
    assert spread[2] == pytest.approx(4 * spread[1], rel=0.1)
    assert spread[2] == pytest.approx(0.06 * float(a_head().max()), rel=0.1)


def test_dark_voxels_may_be_set_to_zero() -> None:
    value = a_head()
    value[:4] = 0.01
    floored, _ = acquire_head(
        value, a_brain(), uniform(floor=0.0), a_generator(), thick=False, cut=False
    )
    assert not floored[:4].any()
    assert torch.equal(floored[4:], value[4:])


@pytest.mark.parametrize(("below", "above"), [(0.0, 0.0), (0.99, 0.0), (0.0, 0.99), (0.99, 0.99)])
def test_what_is_not_covered_is_whole_slices_below_and_above(below: float, above: float) -> None:
    value, covered = acquired(uniform(below=below, above=above), cut=True)
    planes = covered.flatten(0, 1)
    assert bool((planes.all(dim=0) == planes.any(dim=0)).all())
    there = planes.all(dim=0).nonzero()[:, 0]
    assert there.tolist() == list(range(int(there[0]), int(there[-1]) + 1))
    assert not value[~covered].any()
    assert torch.equal(value[covered], a_head()[covered])
    levels = a_brain().any(dim=0).any(dim=0).nonzero()[:, 0]
    assert bool(there[0] > levels[0]) is (below > 0.7)
    assert bool(there[-1] < levels[-1]) is (above > 0.7)


def test_a_cut_leaves_most_of_the_brain() -> None:
    generator, brain = a_generator(5), a_brain()
    for _ in range(50):
        _, covered = acquired(torch.rand(18, generator=generator), cut=True)
        assert (brain & covered).sum() > 0.1 * brain.sum()


def test_without_a_brain_nothing_is_cut() -> None:
    nothing = torch.zeros(SHAPE, dtype=torch.bool)
    u = uniform(below=0.99, above=0.99)
    value, covered = acquire_head(a_head(), nothing, u, a_generator(), thick=False, cut=True)
    assert bool(covered.all())
    assert torch.equal(value, a_head())


@pytest.mark.parametrize("kind", [0.1, 0.6, 0.95], ids=["replaced", "phantom", "noise"])
def test_a_replaced_brain_leaves_an_empty_mask(kind: float) -> None:
    u = torch.tensor([kind, 0.5, 0.5])
    value, brain = replace_brain(a_head(), a_brain(), u, a_generator())
    assert value.shape == SHAPE
    assert brain.shape == SHAPE
    assert brain.dtype == torch.bool
    assert not brain.any()
    assert bool(value.isfinite().all())
    assert float(value.std()) > 0.0
    again, _ = replace_brain(a_head(), a_brain(), u, a_generator())
    other, _ = replace_brain(a_head(), a_brain(), u, a_generator(1))
    assert torch.equal(again, value)
    assert not torch.equal(other, value)


def test_only_the_brain_and_its_rim_are_replaced() -> None:
    value, _ = replace_brain(a_head(), a_brain(), torch.tensor([0.1, 0.5, 0.5]), a_generator())
    changed = value != a_head()
    assert bool(changed[a_brain()].all())
    away = torch.from_numpy(np.argwhere(changed.numpy()))
    centre = (torch.tensor(SHAPE) - 1) / 2
    reach = ((away - centre) / (torch.tensor([10.0, 12.0, 9.0]) + 3.5)).square().sum(dim=1)
    assert float(reach.max()) <= 1.0


def test_the_filling_shows_nothing_of_the_brain() -> None:
    u = torch.tensor([0.1, 0.5, 0.5])
    first, _ = replace_brain(a_head(), a_brain(), u, a_generator())
    second, _ = replace_brain(a_head() + 3.0 * a_brain(), a_brain(), u, a_generator())
    assert torch.equal(first, second)


def test_a_field_is_smooth_and_its_window_decides_which() -> None:
    like, offset = torch.zeros((48, 48, 48)), torch.tensor([0.1, 0.6, 0.3])
    coarse, fine = smooth_field(like, offset, 80.0), smooth_field(like, offset, 20.0)
    assert torch.equal(smooth_field(like, offset, 80.0), coarse)
    assert not torch.allclose(smooth_field(like, offset + 0.2, 80.0), coarse, atol=0.1)
    steps = [float(field.diff(dim=2).abs().mean()) for field in (coarse, fine)]
    assert 2.0 * steps[0] < steps[1]
    assert steps[1] < 0.3
    assert bool((coarse.abs() < 6.0).all())
