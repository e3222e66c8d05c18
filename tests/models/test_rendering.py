"""Rendered contrasts: which tissue is brightest, and how far a rendering strays from its means."""

from dataclasses import fields, replace

import pytest
import torch

from counterpart.rendering import (
    CONTRASTS,
    DRAWS,
    Renderings,
    bias_field,
    brighter_probability,
    corticospinal_tracts,
    draw_renderings,
    limbic_grey,
    render,
)

USUAL_T1 = torch.tensor([-2.2, -0.5, 1.0, 0.2])


def some_renderings(contrast: str, count: int = 64, seed: int = 0) -> Renderings:
    uniform = torch.rand((count, DRAWS), generator=torch.Generator().manual_seed(seed))
    return draw_renderings(uniform, torch.full((count,), CONTRASTS.index(contrast)))


def some_points(batch: int, count: int = 300, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 160 * torch.rand((batch, count, 3), generator=generator) - 80


def some_tissue(batch: int, count: int = 300) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    fractions = torch.rand((batch, 4, count), generator=generator) ** 3
    return fractions / fractions.sum(dim=1, keepdim=True)


def pure_means(renderings: Renderings, inward: float = 60.0) -> torch.Tensor:
    """(B, 4) mean value of pure fluid, grey, white and deep grey matter."""
    batch = len(renderings.gamma)
    points = some_points(batch)
    means = []
    for tissue in range(4):
        fractions = torch.zeros(batch, 4, points.shape[1])
        fractions[:, tissue] = 1.0
        t1 = torch.full(points.shape[:2], float(USUAL_T1[tissue]))
        value = render(renderings, points, t1, fractions, torch.full_like(t1, inward))
        means.append(value.mean(dim=1))
    return torch.stack(means, dim=1)


def plain(renderings: Renderings) -> Renderings:
    """The same renderings without anything that varies within a tissue."""
    zero = torch.zeros_like(renderings.gamma)
    names = ("variation", "mottle", "detail", "caps", "tracts", "plexus", "inflow", "limbic")
    return replace(renderings, vessels=zero, **dict.fromkeys(names, zero))


def test_on_t2_fluid_is_brightest_then_grey_then_white() -> None:
    fluid, grey, white, deep = pure_means(some_renderings("T2")).unbind(dim=1)
    assert float((fluid > grey).float().mean()) > 0.9
    assert bool((torch.minimum(fluid, grey) > white).all())
    assert float(deep.mean()) < float(grey.mean())


def test_on_flair_fluid_is_darkest_and_grey_not_below_white() -> None:
    fluid, grey, white, deep = pure_means(some_renderings("FLAIR")).unbind(dim=1)
    others = torch.stack((grey, white, deep)).amin(dim=0)
    assert bool((fluid < others).all())
    assert float((fluid < 0.75 * others).float().mean()) > 0.9
    assert bool((grey > white - 0.05).all())


def test_on_flair_deep_grey_lies_about_white() -> None:
    _, grey, white, deep = pure_means(some_renderings("FLAIR", 400)).unbind(dim=1)
    assert 0.3 < float((deep > white).float().mean()) < 0.7
    assert float((deep < grey).float().mean()) > 0.85


def test_on_t1_white_is_brightest_and_fluid_darkest() -> None:
    fluid, grey, white, deep = pure_means(some_renderings("T1")).unbind(dim=1)
    assert bool(((fluid < grey) & (grey < deep) & (deep < white)).all())


def test_random_contrasts_take_every_order() -> None:
    order = pure_means(some_renderings("random", 400))[:, :3].argsort(dim=1)
    assert len({tuple(row) for row in order.tolist()}) == 6


def test_t1_is_a_rising_function_of_the_real_t1_alone() -> None:
    renderings = some_renderings("T1", 8)
    t1 = torch.linspace(-3.5, 6, 300).expand(8, 300)
    first = render(renderings, some_points(8), t1, some_tissue(8), t1.abs())
    second = render(renderings, some_points(8, seed=9), t1, some_tissue(8).flip(1), 3 * t1.abs())
    assert torch.equal(first, second)
    assert bool((first.diff(dim=1) > 0).all())
    expected = ((t1 + 4) / 6) ** renderings.gamma[:, None]
    assert torch.allclose(first, expected, atol=1e-5)


def test_without_variation_a_mixture_is_the_weighted_mean_of_its_tissues() -> None:
    renderings = some_renderings("FLAIR", 4)
    renderings = plain(renderings)
    tissue = some_tissue(4)
    found = render(renderings, some_points(4), torch.zeros(4, 300), tissue, torch.zeros(4, 300))
    for row in range(4):
        for at in (0, 17, 299):
            expected = sum(
                float(renderings.means[row, kind] * tissue[row, kind, at]) for kind in range(4)
            )
            assert float(found[row, at]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("contrast", ["T2", "FLAIR", "random"])
def test_a_tissue_varies_by_its_drawn_share(contrast: str) -> None:
    zero = torch.zeros(64)
    renderings = replace(plain(some_renderings(contrast)), variation=zero + 0.04)
    white = torch.zeros(64, 4, 300)
    white[:, 2] = 1.0
    value = render(renderings, some_points(64), zero[:, None].expand(64, 300), white, zero[:, None])
    relative = value / renderings.means[:, 2:3]
    assert float(relative.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(relative.std()) == pytest.approx(0.04, abs=0.008)


def test_detail_of_the_t1_is_added_around_what_its_tissue_explains() -> None:
    renderings = some_renderings("T2", 16)
    renderings = replace(renderings, detail=torch.full((16,), 0.1))
    tissue, points = some_tissue(16), some_points(16)
    explained = torch.einsum("k,bkp->bp", USUAL_T1, tissue)
    inward = torch.full((16, 300), 20.0)
    flat = render(replace(renderings, detail=torch.zeros(16)), points, explained, tissue, inward)
    same = render(renderings, points, explained, tissue, inward)
    more = render(renderings, points, explained + 1.0, tissue, inward)
    assert torch.allclose(same, flat, atol=1e-5)
    gap = (renderings.means[:, 2] - renderings.means[:, 1]).abs()
    gain = 0.1 * (0.25 * gap).clamp(min=0.03)
    assert torch.allclose(more - same, gain[:, None].expand_as(more), atol=1e-5)


def test_caps_brighten_white_matter_near_ventricles_on_flair_and_fainter_on_t2() -> None:
    drawn = some_renderings("FLAIR")
    assert 0.25 < float(drawn.caps.max()) <= 0.35
    assert 0.1 < float(some_renderings("T2").caps.max()) <= 0.15
    renderings = replace(plain(drawn), caps=drawn.caps)
    near, far = (pure_means(renderings, inward) for inward in (0.0, 60.0))
    expected = renderings.means[:, 2] * renderings.caps
    assert torch.allclose((near - far)[:, 2], expected, atol=1e-5)
    midway = (pure_means(renderings, 3.0) - far)[:, 2]
    assert torch.allclose(midway, expected * torch.exp(-3.0 / renderings.cap_mm), atol=1e-5)
    assert torch.allclose(near[:, (0, 1, 3)], far[:, (0, 1, 3)])
    assert not some_renderings("random").caps.any()
    assert not some_renderings("T2").plexus.any()


def test_mottle_is_finer_than_variation_and_of_white_matter_alone() -> None:
    zero = torch.zeros(64)
    bare = plain(some_renderings("FLAIR"))
    start, step = some_points(64), torch.tensor([4.0, 0.0, 0.0])

    def change(renderings: Renderings, tissue: int) -> float:
        fractions = torch.zeros(64, 4, 300)
        fractions[:, tissue] = 1.0
        flat = torch.full((64, 300), float(USUAL_T1[tissue]))
        one, two = (render(renderings, at, flat, fractions, flat) for at in (start, start + step))
        return float((one - two).abs().mean())

    mottled = replace(bare, mottle=zero + 0.04)
    slow = replace(bare, variation=zero + 0.04)
    assert change(mottled, 2) > 2 * change(slow, 2) > 0
    assert change(mottled, 1) == change(mottled, 3) == 0.0


def test_corticospinal_tracts_are_two_thin_columns_and_bright() -> None:
    at = torch.tensor([[[26.0, -24, 34], [-21.0, -23, 15], [9.0, -20, -20], [0.0, -22, 10]]])
    near = corticospinal_tracts(at)[0]
    assert bool((near[:3] > 0.6).all()) and float(near[3]) < 0.1
    anywhere = corticospinal_tracts(some_points(1, 20_000))
    assert 0.0 < float((anywhere > 0.5).float().mean()) < 0.01
    drawn = some_renderings("FLAIR", 1)
    tracts = replace(plain(drawn), tracts=torch.tensor([0.1]))
    white = torch.zeros(1, 4, 4)
    white[:, 2] = 1.0
    far = torch.full((1, 4), 60.0)
    gained = render(tracts, at, far, white, far) - render(plain(drawn), at, far, white, far)
    assert torch.allclose(gained[0], 0.1 * near, atol=1e-6)


def test_fluid_flows_in_brightly_from_below_on_flair() -> None:
    bare = plain(some_renderings("FLAIR", 200))
    flowing = replace(bare, inflow=torch.full((200,), 0.7))
    fluid = torch.zeros(200, 4, 300)
    fluid[:, 0] = 1.0
    flat = torch.full((200, 300), float(USUAL_T1[0]))
    points = some_points(200)
    gained = render(flowing, points, flat, fluid, flat) - render(bare, points, flat, fluid, flat)
    low = points[..., 2] < -30
    assert float(gained.min()) >= 0.0
    assert float(gained[low].mean()) > 10 * float(gained[points[..., 2] > 40].mean())
    assert not some_renderings("T2").inflow.any()


def test_what_a_mask_leaves_around_the_brain_has_a_level_of_its_own() -> None:
    drawn = plain(some_renderings("FLAIR", 64))
    drawn = replace(drawn, surround=torch.full((64,), 0.5))
    nothing, flat = torch.zeros(64, 4, 300), torch.zeros(64, 300)
    value = render(drawn, some_points(64), flat, nothing, flat)
    assert float(value.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(value.std()) > 0.1 and float(value.min()) >= 0.0
    within = render(drawn, some_points(64), flat, some_tissue(64), flat)
    bare = render(plain(drawn), some_points(64), flat, some_tissue(64), flat)
    assert torch.allclose(within, bare, atol=1e-5)


def test_choroid_plexus_is_bright_in_fluid_alone() -> None:
    zero = torch.zeros(64)
    bright = replace(some_renderings("FLAIR"), variation=zero, detail=zero, plexus=zero + 0.8)
    without = replace(bright, plexus=zero)
    gained = pure_means(bright) - pure_means(without)
    assert bool((gained[:, 0] > 0).all())
    assert not gained[:, 1:].any()


def test_bias_lies_around_one_and_is_smooth() -> None:
    renderings = some_renderings("T2")
    points = some_points(64)
    field = bias_field(renderings, points)
    assert float(field.log().mean()) == pytest.approx(0.0, abs=0.02)
    assert float(field.min()) > 0.6 and float(field.max()) < 1.7
    assert float(field.std()) > 0.005
    step = torch.tensor([1.2, -1.2, 1.0])
    assert float((bias_field(renderings, points + step) / field - 1).abs().max()) < 0.02


def test_without_strength_there_is_no_bias() -> None:
    zero = torch.zeros(64)
    renderings = replace(some_renderings("T1"), bias=zero, radial=zero)
    assert torch.equal(bias_field(renderings, some_points(64)), torch.ones(64, 300))


def test_the_middle_of_real_t1_is_mostly_dimmed_and_that_of_others_either_way() -> None:
    at = torch.tensor([[0.0, 0.0, 0.0], [66.0, 0.0, 0.0]])
    for contrast, below in (("T1", (0.75, 0.85)), ("FLAIR", (0.45, 0.55))):
        drawn = some_renderings(contrast, 1000)
        drawn = replace(drawn, bias=torch.zeros(1000))
        field = bias_field(drawn, at.expand(1000, 2, 3))
        dimmed = float((field[:, 0] < field[:, 1]).float().mean())
        assert below[0] < dimmed < below[1]
        assert float(field.log().abs().max()) <= 0.16


def test_drawn_quantities_stay_in_their_ranges() -> None:
    for contrast in CONTRASTS:
        drawn = some_renderings(contrast, 2000)
        assert float(drawn.blur.min()) >= 0 and float(drawn.blur.max()) <= 0.75
        assert float(drawn.noise.min()) >= 0.0199 and float(drawn.noise.max()) <= 0.18
        assert float(drawn.bias.min()) >= 0 and float(drawn.bias.max()) <= 0.12
        assert drawn.gamma.log().abs().max() <= 0.3
        assert float(drawn.variation.min()) >= 0 and float(drawn.variation.max()) <= 0.072
        assert bool((drawn.means[:, 2] > 0).all())


def test_a_rendering_does_not_know_of_the_others_in_its_batch() -> None:
    uniform = torch.rand((4, DRAWS), generator=torch.Generator().manual_seed(3))
    contrast = torch.tensor([0, 1, 2, 3])
    together = draw_renderings(uniform, contrast)
    points, tissue, t1 = some_points(4), some_tissue(4), torch.randn(4, 300)
    values = render(together, points, t1, tissue, t1.abs())
    for row in range(4):
        one = slice(row, row + 1)
        alone = draw_renderings(uniform[one], contrast[one])
        for field in fields(alone):
            value = getattr(alone, field.name)[0]
            assert torch.equal(getattr(together, field.name)[row], value), field.name
        value = render(alone, points[one], t1[one], tissue[one], t1[one].abs())
        assert torch.allclose(value[0], values[row], atol=1e-5)


def test_disease_is_mostly_bright_on_t2_and_flair_and_dark_on_t1() -> None:
    share = dict(zip(CONTRASTS, brighter_probability(torch.arange(4)).tolist(), strict=True))
    assert min(share["T2"], share["FLAIR"]) > 0.5 > share["T1"]


def calm(contrast: str, count: int = 64) -> Renderings:
    """Renderings whose tissues do not vary."""
    return plain(some_renderings(contrast, count))


def rendered(renderings: Renderings, points: torch.Tensor, tissue: int) -> torch.Tensor:
    """(B, P) values of one pure tissue, far from the ventricles."""
    fractions = torch.zeros(len(points), 4, points.shape[1])
    fractions[:, tissue] = 1.0
    t1 = torch.full(points.shape[:2], float(USUAL_T1[tissue]))
    return render(renderings, points, t1, fractions, torch.full_like(t1, 60.0))


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize(
    ("place", "share"),
    [
        ((38.0, 2.0, 0.0), 1.0),  # insula
        ((26.0, -14.0, -18.0), 1.0),  # inner temporal lobe
        ((0.0, -2.0, 34.0), 1.0),  # cingulum, above the middle of the corpus callosum
        ((0.0, 42.0, 8.0), 0.9),  # and before its knee
        ((0.0, -100.0, 0.0), 0.0),
        ((60.0, 0.0, 50.0), 0.0),
        ((0.0, 0.0, -40.0), 0.0),
    ],
)
def test_grey_matter_of_insula_cingulum_and_inner_temporal_lobe_is_limbic(
    place: tuple[float, float, float], share: float, side: float
) -> None:
    point = torch.tensor(place) * torch.tensor([side, 1.0, 1.0])
    assert float(limbic_grey(point[None, None])) == pytest.approx(share, abs=0.1)


def test_limbic_grey_is_brighter_on_flair_alone() -> None:
    flair = replace(calm("FLAIR"), limbic=torch.full((64,), 0.15))
    points = torch.tensor([[38.0, 2.0, 0.0], [60.0, 0.0, 50.0]]).expand(64, 2, 3)
    for tissue in range(4):
        relative = rendered(flair, points, tissue) / rendered(calm("FLAIR"), points, tissue)
        gained = 0.15 if tissue in (1, 3) else 0.0
        assert torch.allclose(relative[:, 0] - 1, torch.full((64,), gained), atol=1e-5)
        assert torch.allclose(relative[:, 1], torch.ones(64), atol=1e-5)
    assert 0.15 < float(some_renderings("FLAIR").limbic.max()) <= 0.2
    for contrast in ("T1", "T2", "random"):
        assert not some_renderings(contrast).limbic.any()


@pytest.mark.parametrize("level", [0.2, 1.8])
def test_vessels_run_as_thin_lines_through_fluid_alone(level: float) -> None:
    plain = calm("FLAIR", 8)
    full = replace(plain, vessels=torch.ones(8), vessel_level=torch.full((8,), level))
    points = some_points(8, 4000)
    fluid = plain.means[:, :1]
    share = (rendered(full, points, 0) - fluid) / (level - fluid)
    assert float(share.min()) > -1e-5 and float(share.max()) < 1 + 1e-5
    assert 0.005 < float((share > 0.5).float().mean()) < 0.1
    half = replace(full, vessels=torch.full((8,), 0.5))
    halved = (rendered(half, points, 0) - fluid) / (level - fluid)
    assert torch.allclose(halved, 0.5 * share, atol=1e-4)
    for tissue in (1, 2, 3):
        same = rendered(full, points, tissue), rendered(plain, points, tissue)
        assert torch.allclose(*same, atol=1e-6)


def test_vessels_are_dark_or_bright_and_not_on_a_real_t1() -> None:
    for contrast in ("T2", "FLAIR", "random"):
        drawn = some_renderings(contrast, 2000)
        assert float(drawn.vessels.min()) == 0.0
        assert 0.95 < float(drawn.vessels.max()) <= 1.0
        assert float((drawn.vessels == 0).float().mean()) == pytest.approx(0.3, abs=0.04)
        dark = drawn.vessel_level <= 0.3
        assert float(dark.float().mean()) == pytest.approx(0.75, abs=0.04)
        assert bool(((drawn.vessel_level >= 1.0) & (drawn.vessel_level < 2.0))[~dark].all())
    assert not some_renderings("T1").vessels.any()
