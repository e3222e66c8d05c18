"""Target patterns: their size, place, sign, and the mass effect."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from counterpart.targets import (
    DRAWS,
    FAMILIES,
    HELD_OUT_FAMILIES,
    REACH_RANGE_MM,
    STRENGTH_RANGE_SPREADS,
    TRAINING_FAMILIES,
    VOLUME_RANGE_ML,
    Patterns,
    displaced,
    draw_patterns,
    membership,
    paint,
)


def some_patterns(
    count: int,
    families: tuple[str, ...] = TRAINING_FAMILIES,
    *,
    seed: int = 0,
    share: float = 1.0,
    brightness: float = 0.5,
) -> Patterns:
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand((count, DRAWS), generator=generator)
    return draw_patterns(
        uniform,
        torch.zeros(count, 3),
        torch.full((count,), brightness),
        share=share,
        families=families,
    )


def tissue_of(points: torch.Tensor, tissue: int = 2) -> torch.Tensor:
    """(B, 4, P) fractions: one tissue everywhere."""
    fractions = torch.zeros(points.shape[0], 4, points.shape[1])
    fractions[:, tissue] = 1.0
    return fractions


def far_from_ventricles(points: torch.Tensor) -> torch.Tensor:
    return torch.full(points.shape[:2], 60.0)


def members(patterns: Patterns, points: torch.Tensor, tissue: int = 2) -> torch.Tensor:
    return membership(patterns, points, tissue_of(points, tissue), far_from_ventricles(points))


def cubes(patterns: Patterns, reach: float = 2.6, count: int = 27) -> torch.Tensor:
    """(B, P, 3) points of a cube around each pattern, ``reach`` radii to each side."""
    axis = torch.linspace(-reach, reach, count)
    unit = torch.cartesian_prod(axis, axis, axis)
    return patterns.centre[:, None] + patterns.radius_mm[:, None, None] * unit


def test_families_are_trained_on_or_held_out_and_never_both() -> None:
    assert set(TRAINING_FAMILIES) | set(HELD_OUT_FAMILIES) == set(FAMILIES)
    assert not set(TRAINING_FAMILIES) & set(HELD_OUT_FAMILIES)
    assert set(HELD_OUT_FAMILIES) == {"wedge", "infiltrate"}


def test_held_out_families_are_never_drawn_in_training() -> None:
    drawn = some_patterns(5000).family.bincount(minlength=len(FAMILIES))
    assert (drawn[:6] / 5000).tolist() == pytest.approx([1 / 6] * 6, abs=0.03)
    assert not drawn[6:].any()


@pytest.mark.parametrize("number", [0.0, 1.0 - 2**-24])
def test_the_ends_of_the_uniform_numbers_can_be_drawn(number: float) -> None:
    patterns = draw_patterns(torch.full((1, DRAWS), number), torch.zeros(1, 3), torch.tensor([0.5]))
    for field in fields(patterns):
        assert bool(getattr(patterns, field.name).isfinite().all()), field.name
    points = cubes(patterns, count=9)
    member = members(patterns, points)
    assert bool(member.isfinite().all())
    assert bool(displaced(patterns, points).isfinite().all())


def test_the_same_numbers_give_the_same_pattern_in_any_batch() -> None:
    uniform = torch.rand((4, DRAWS), generator=torch.Generator().manual_seed(3))
    centre = torch.tensor([[1.0, 2.0, 3.0]]).expand(4, 3)
    together = draw_patterns(uniform, centre, torch.full((4,), 0.5))
    alone = draw_patterns(uniform[2:3], centre[2:3], torch.tensor([0.5]))
    for field in fields(alone):
        assert torch.allclose(getattr(together, field.name)[2], getattr(alone, field.name)[0]), (
            field.name
        )


def test_a_pattern_repeated_is_the_first_one_each_time() -> None:
    patterns = some_patterns(3)
    repeated = patterns.repeated(4)
    for field in fields(patterns):
        value = getattr(patterns, field.name)
        assert torch.equal(getattr(repeated, field.name), torch.stack([value[0]] * 4)), field.name


def test_share_is_the_share_of_samples_with_a_pattern() -> None:
    assert float(some_patterns(4000, share=0.7).present.mean()) == pytest.approx(0.7, abs=0.03)
    assert not some_patterns(100, share=0.0).present.any()


def test_drawn_volumes_are_log_uniform() -> None:
    radius = some_patterns(5000, ("blob",)).radius_mm
    volume_ml = 4 / 3 * math.pi * radius**3 / 1000
    low, high = VOLUME_RANGE_ML
    place = (volume_ml / low).log() / math.log(high / low)
    assert place.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist() == pytest.approx(
        [0.1, 0.5, 0.9], abs=0.03
    )
    assert float(place.min()) >= 0 and float(place.max()) <= 1 + 1e-6


@pytest.mark.parametrize("family", ["blob", "ring"])
def test_blobs_have_about_the_drawn_volume(family: str) -> None:
    patterns = some_patterns(120, (family,))
    patterns = replace(patterns, white_only=torch.zeros(120))
    reach, count = 2.6, 27
    member = members(patterns, cubes(patterns, reach, count))
    voxel = (2 * reach / (count - 1)) ** 3
    ratio = member.sum(dim=1) * voxel / (4 / 3 * math.pi)
    assert float(ratio.median()) == pytest.approx(1.0, abs=0.25)
    assert float(ratio.quantile(0.1)) > 0.35
    assert float(ratio.quantile(0.9)) < 2.5


def test_a_smooth_round_blob_is_the_closed_form() -> None:
    patterns = some_patterns(20, ("blob",))
    zero = torch.zeros(20)
    patterns = replace(patterns, roughness=zero, warp=zero, white_only=zero)
    points = cubes(patterns, 1.8, 13)
    local = torch.einsum("bpc,bac->bpa", points, patterns.axes).norm(dim=-1)
    logit = 4 * (1 - local) * (patterns.radius_mm / patterns.border_mm)[:, None]
    expected = ((torch.sigmoid(logit) - 0.05) / 0.9).clamp(0, 1)
    assert torch.allclose(members(patterns, points), expected, atol=1e-5)


def test_axes_are_a_rotation_divided_by_half_lengths_of_the_right_volume() -> None:
    patterns = some_patterns(500, ("blob",))
    product = torch.linalg.det(patterns.axes) * patterns.radius_mm**3
    assert torch.allclose(product, torch.ones(500), rtol=1e-3)
    gram = patterns.axes @ patterns.axes.transpose(1, 2)
    off_diagonal = gram - torch.diag_embed(torch.diagonal(gram, dim1=1, dim2=2))
    assert float((off_diagonal * patterns.radius_mm[:, None, None] ** 2).abs().max()) < 1e-3
    lengths = 1 / (patterns.axes.norm(dim=2) * patterns.radius_mm[:, None])
    assert float(lengths.min()) > math.exp(-1.0)
    assert float(lengths.max()) < math.exp(1.0)


def test_axes_point_everywhere() -> None:
    axes = some_patterns(4000, ("blob",)).axes
    unit = axes / axes.norm(dim=2, keepdim=True)
    assert float(unit.mean(dim=0).abs().max()) < 0.05
    assert float((unit**2).mean(dim=0).sub(1 / 3).abs().max()) < 0.03


@pytest.mark.parametrize("family", FAMILIES)
def test_membership_lies_between_0_and_1_and_is_somewhere_1(family: str) -> None:
    patterns = some_patterns(24, (family,), seed=1)
    points = cubes(patterns, 2.5, 21)
    near = torch.full(points.shape[:2], 2.0)
    member = membership(patterns, points, tissue_of(points), near)
    assert float(member.min()) >= 0 and float(member.max()) <= 1
    # A small window may hold no spot or band at all.
    assert float((member.amax(dim=1) > 0.9).float().mean()) > 0.6


@pytest.mark.parametrize("family", FAMILIES)
def test_there_is_no_pattern_outside_the_brain_nor_where_none_is_present(family: str) -> None:
    patterns = some_patterns(8, (family,))
    points = cubes(patterns, count=9)
    near = torch.full(points.shape[:2], 2.0)
    outside = torch.zeros(8, 4, points.shape[1])
    assert not membership(patterns, points, outside, near).any()
    absent = replace(patterns, present=torch.zeros(8))
    assert not membership(absent, points, tissue_of(points), near).any()


@pytest.mark.parametrize("family", ["band", "periventricular", "halo"])
def test_diffuse_patterns_keep_to_white_matter(family: str) -> None:
    patterns = some_patterns(8, (family,))
    points = cubes(patterns, count=11)
    near = torch.full(points.shape[:2], 2.0)
    white = membership(patterns, points, tissue_of(points, 2), near)
    deep = membership(patterns, points, tissue_of(points, 3), near)
    assert white.any()
    assert torch.allclose(deep, 0.5 * white)
    for tissue in (0, 1):
        assert not membership(patterns, points, tissue_of(points, tissue), near).any()


def test_small_lesions_gather_by_the_ventricles() -> None:
    patterns = some_patterns(8, ("periventricular",))
    points = 80 * torch.rand((8, 5000, 3), generator=torch.Generator().manual_seed(0))
    amounts = [
        float(membership(patterns, points, tissue_of(points), torch.full((8, 5000), d)).mean())
        for d in (0.0, 6.0, 12.0, 40.0)
    ]
    assert amounts == sorted(amounts, reverse=True)
    assert amounts[0] > 0.02
    assert amounts[3] < 0.5 * amounts[0]


def test_their_reach_is_drawn_from_the_ventricles_rim_to_deep_white_matter() -> None:
    patterns = some_patterns(200, ("periventricular",))
    assert REACH_RANGE_MM[0] <= float(patterns.reach_mm.min()) < 10.0
    assert 40.0 < float(patterns.reach_mm.max()) <= REACH_RANGE_MM[1]
    points = 80 * torch.rand((200, 500, 3), generator=torch.Generator().manual_seed(0))
    far = torch.full((200, 500), 30.0)
    shares = membership(patterns, points, tissue_of(points), far).mean(dim=1)
    assert not shares[patterns.reach_mm < 12.0].any()
    assert float(shares[patterns.reach_mm > 40.0].mean()) > 0.01


def test_a_box_has_flat_faces() -> None:
    patterns = some_patterns(30, ("box",))
    patterns = replace(patterns, white_only=torch.zeros(30))
    points = cubes(patterns, 2.0, 15)
    furthest = torch.einsum("bpc,bac->bpa", points, patterns.axes).abs().amax(dim=-1)
    margin = (2.0 * patterns.border_mm / patterns.radius_mm)[:, None]
    member = members(patterns, points)
    assert bool((member[furthest < 1 - margin] > 0.99).all())
    assert bool((member[furthest > 1 + margin] < 0.01).all())
    assert bool((patterns.replacing == 1).all())
    assert not patterns.push_mm.any()


def test_a_wedge_opens_towards_its_direction() -> None:
    patterns = some_patterns(20, ("wedge",))
    patterns = replace(patterns, roughness=torch.zeros(20), white_only=torch.zeros(20))
    along = (patterns.direction * patterns.radius_mm[:, None])[:, None]
    points = torch.cat((along, -along, 3.5 * along), dim=1)
    member = members(patterns, points)
    assert bool((member[:, 0] > 0.9).all())
    assert not member[:, 1:].gt(0.05).any()
    assert torch.allclose(patterns.direction.norm(dim=1), torch.ones(20), atol=1e-5)


def test_fingers_follow_white_matter() -> None:
    patterns = some_patterns(20, ("infiltrate",))
    patterns = replace(patterns, white_only=torch.zeros(20))
    points = cubes(patterns, 2.0, 15)
    white, grey = (members(patterns, points, tissue) for tissue in (2, 1))
    assert bool((white >= grey).all())
    assert float(white.sum()) > 1.5 * float(grey.sum())


@pytest.mark.parametrize(("brightness", "sign"), [(1.0, 1), (0.0, -1)])
def test_sign_follows_brightness(brightness: float, sign: int) -> None:
    strength = some_patterns(500, brightness=brightness).strength
    low, high = STRENGTH_RANGE_SPREADS
    assert bool((strength.sign() == sign).all())
    assert float(strength.abs().min()) >= low - 1e-6
    assert float(strength.abs().max()) <= high + 1e-4


def test_brightness_is_the_share_of_bright_patterns() -> None:
    bright = (some_patterns(4000, brightness=0.3).strength > 0).float()
    assert float(bright.mean()) == pytest.approx(0.3, abs=0.03)


def painted(patterns: Patterns, values: torch.Tensor, member: torch.Tensor) -> torch.Tensor:
    count = len(patterns.family)
    points = cubes(patterns, 0.5, round(values.shape[1] ** (1 / 3)))
    return paint(
        patterns, values, member, points, torch.full((count,), 100.0), torch.full((count,), 12.0)
    )


def plain(patterns: Patterns, replacing: float) -> Patterns:
    """The patterns without texture, adding to or replacing the tissue."""
    zero = torch.zeros_like(patterns.strength)
    return replace(patterns, texture=zero, replacing=zero + replacing)


def test_where_there_is_no_member_nothing_changes() -> None:
    values = torch.rand((6, 27), generator=torch.Generator().manual_seed(0))
    assert torch.equal(painted(some_patterns(6), values, torch.zeros(6, 27)), values)


def test_an_adding_pattern_adds_its_strength_in_spreads() -> None:
    patterns = plain(some_patterns(6, ("blob",)), 0.0)
    values = torch.rand((6, 27), generator=torch.Generator().manual_seed(0))
    member = torch.full((6, 27), 0.25)
    expected = values + 0.25 * 12.0 * patterns.strength[:, None]
    assert torch.allclose(painted(patterns, values, member), expected, atol=1e-4)


def test_a_replacing_pattern_hides_the_tissue() -> None:
    patterns = plain(some_patterns(6, ("blob",)), 1.0)
    values = 300 * torch.rand((6, 27), generator=torch.Generator().manual_seed(0))
    expected = (100.0 + 12.0 * patterns.strength)[:, None].expand(6, 27)
    assert torch.allclose(painted(patterns, values, torch.ones(6, 27)), expected, atol=1e-3)


def test_a_rings_core_differs_from_its_rim_as_drawn() -> None:
    patterns = plain(some_patterns(10, ("ring",)), 0.0)
    where = torch.tensor([0.02, 0.97])
    axis = patterns.axes[:, :1] / patterns.axes[:, :1].norm(dim=2, keepdim=True) ** 2
    points = axis * where[None, :, None]
    zero, one = torch.zeros(10), torch.ones(10)
    changed = paint(patterns, torch.zeros(10, 2), torch.ones(10, 2), points, zero, one)
    relative = changed / patterns.strength[:, None]
    assert torch.allclose(relative[:, 0], patterns.core, atol=0.01)
    assert torch.allclose(relative[:, 1], one, atol=0.06)


def test_texture_scatters_around_the_strength() -> None:
    patterns = plain(some_patterns(12, ("blob",)), 0.0)
    patterns = replace(patterns, texture=torch.full((12,), 0.3))
    points = 200 * torch.rand((12, 4000, 3), generator=torch.Generator().manual_seed(0))
    zero = torch.zeros(12)
    changed = paint(patterns, torch.zeros(12, 4000), torch.ones(12, 4000), points, zero, zero + 1)
    relative = changed / patterns.strength.abs()[:, None]
    assert relative.std(dim=1).tolist() == pytest.approx([0.28] * 12, abs=0.05)
    assert relative.mean(dim=1).abs().tolist() == pytest.approx([1.0] * 12, abs=0.05)


def displacement(patterns: Patterns, points: torch.Tensor) -> torch.Tensor:
    return displaced(patterns, points) - points


def test_displacement_is_the_closed_form_and_points_inwards() -> None:
    patterns = replace(some_patterns(16, ("blob",)), push_mm=torch.linspace(0, 6, 16))
    points = 60 * torch.rand((16, 200, 3), generator=torch.Generator().manual_seed(0)) - 30
    moved = displacement(patterns, points)
    for row in range(16):
        r = points[row].norm(dim=1).numpy()
        ratio = r / float(patterns.radius_mm[row])
        size = float(patterns.push_mm[row]) * ratio * np.exp(1 - ratio)
        expected = -points[row].numpy() / r[:, None] * size[:, None]
        np.testing.assert_allclose(moved[row].numpy(), expected, atol=1e-4)


def test_displacement_is_at_most_the_push_and_reaches_it_at_the_border() -> None:
    patterns = some_patterns(300, ("blob", "ring"))
    direction = torch.tensor([0.6, 0.0, -0.8])
    ratios = torch.linspace(0, 12, 241)
    points = ratios[None, :, None] * patterns.radius_mm[:, None, None] * direction
    size = displacement(patterns, points).norm(dim=-1)
    assert bool((size <= patterns.push_mm[:, None] + 1e-4).all())
    assert torch.allclose(size[:, 20], patterns.push_mm, atol=1e-3)
    assert not size[:, 0].any()
    assert bool((size[:, -1] <= 0.001 * patterns.push_mm + 1e-4).all())
    assert float(patterns.push_mm.max()) <= 7.0
    assert 0.3 < float((patterns.push_mm > 0).float().mean()) < 0.6


def test_absent_patterns_displace_nothing() -> None:
    patterns = some_patterns(5, ("blob",), share=0.0)
    patterns = replace(patterns, push_mm=torch.full((5,), 5.0))
    points = cubes(patterns, count=5)
    assert torch.equal(displaced(patterns, points), points)


@pytest.mark.parametrize("family", FAMILIES)
def test_points_of_a_slab_are_the_same_as_in_a_volume(family: str) -> None:
    patterns = some_patterns(2, (family,), seed=5)
    axis = torch.arange(-12.0, 13.0, 3.0)
    volume = torch.cartesian_prod(axis, axis, axis).expand(2, -1, 3)
    middle = volume[0, :, 2] == 0.0
    near = volume.norm(dim=-1) / 4
    generator = torch.Generator().manual_seed(6)
    tissue = torch.rand((2, 4, volume.shape[1]), generator=generator) / 4
    in_volume = membership(patterns, volume, tissue, near)
    in_slab = membership(patterns, volume[:, middle], tissue[..., middle], near[:, middle])
    assert torch.allclose(in_volume[:, middle], in_slab, atol=1e-5)
    values, zero = torch.zeros_like(near), torch.zeros(2)
    whole = paint(patterns, values, in_volume, volume, zero, zero + 1)
    part = paint(patterns, values[:, middle], in_slab, volume[:, middle], zero, zero + 1)
    assert torch.allclose(whole[:, middle], part, atol=1e-4)
