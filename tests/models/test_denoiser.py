"""The denoiser: its forward process, its start from zero, and its input's soft limit."""

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpart.denoiser import (
    STEPS,
    Denoiser,
    DenoiserConfig,
    add_noise,
    parameter_count,
    signal_levels,
    soft_limit,
)
from counterpart.errors import ModelError

TINY = DenoiserConfig((16, 32), (False, False), residual_blocks=1, norm_groups=8)


@pytest.fixture(scope="module")
def a_denoiser() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(TINY).eval()


def some_slices(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    brain = torch.zeros(batch, 1, 16, 24)
    brain[..., 3:13, 4:20] = 1.0
    return torch.randn(brain.shape, generator=generator) * brain, brain


def test_signal_levels_are_the_cosine_schedule() -> None:
    def cosine(share: float) -> float:
        return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2

    signal = signal_levels()
    assert signal.shape == (STEPS,)
    for step in range(0, STEPS - 1, 37):
        expected = cosine((step + 1) / STEPS) / cosine(0.0)
        assert float(signal[step]) == pytest.approx(expected, abs=2e-3)


def test_signal_falls_from_one_to_nothing() -> None:
    signal = signal_levels()
    assert bool((signal.diff() < 0).all())
    assert float(signal[0]) > 0.999
    assert 0 < float(signal[-1]) < 1e-4


def test_noise_is_added_as_the_formula_says() -> None:
    clean, _ = some_slices()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    step = torch.tensor([0, 400, 999])
    signal = signal_levels()
    noisy = add_noise(clean, noise, step, signal)
    for row, level in enumerate(step.tolist()):
        a = float(signal[level])
        expected = math.sqrt(a) * clean[row] + math.sqrt(1 - a) * noise[row]
        assert torch.allclose(noisy[row], expected, atol=1e-6)


def test_noising_preserves_unit_variance() -> None:
    generator = torch.Generator().manual_seed(3)
    clean, noise = (torch.randn((4, 1, 100, 100), generator=generator) for _ in range(2))
    noisy = add_noise(clean, noise, torch.tensor([10, 250, 500, 900]), signal_levels())
    assert noisy.var(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 4, abs=0.05)


def test_an_untrained_denoiser_answers_the_scaled_noisy_slice(a_denoiser: Denoiser) -> None:
    noisy, brain = some_slices()
    step = torch.tensor([5, 300, 800])
    with torch.no_grad():
        prediction = a_denoiser(noisy, brain, step)
    keep = signal_levels()[step].sqrt()[:, None, None, None]
    assert torch.allclose(prediction.clean, keep * noisy, atol=1e-6)
    assert torch.equal(prediction.departure, torch.zeros_like(noisy))


def trained_a_little(denoiser: Denoiser) -> Denoiser:
    """The same network with weights that are not zero anywhere."""
    other = Denoiser(denoiser.config).eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return other


def test_the_clean_slice_is_zero_outside_the_brain(a_denoiser: Denoiser) -> None:
    noisy, brain = some_slices()
    with torch.no_grad():
        prediction = trained_a_little(a_denoiser)(noisy, brain, torch.tensor([5, 300, 800]))
    assert prediction.clean.shape == prediction.departure.shape == noisy.shape
    assert not prediction.clean[brain == 0].any()
    assert prediction.clean[brain == 1].abs().min() > 0


def test_a_slice_does_not_know_of_the_others_in_its_batch(a_denoiser: Denoiser) -> None:
    noisy, brain = some_slices()
    step = torch.tensor([5, 300, 800])
    network = trained_a_little(a_denoiser)
    with torch.no_grad():
        together = network(noisy, brain, step)
        alone = network(noisy[1:2], brain[1:2], step[1:2])
    assert torch.allclose(together.clean[1], alone.clean[0], atol=1e-4)
    assert torch.allclose(together.departure[1], alone.departure[0], atol=1e-4)


def test_the_noise_level_is_told_to_the_network(a_denoiser: Denoiser) -> None:
    noisy, brain = some_slices(1)
    network = trained_a_little(a_denoiser)
    with torch.no_grad():
        departures = [network(noisy, brain, torch.tensor([s])).departure for s in (20, 700)]
    assert not torch.allclose(*departures, atol=1e-3)


def test_the_schedule_is_no_part_of_the_weights(a_denoiser: Denoiser) -> None:
    assert all(name.startswith("net.") for name in a_denoiser.state_dict())


@settings(max_examples=50, deadline=None)
@given(st.floats(-4.0, 4.0))
def test_soft_limit_is_the_identity_up_to_the_knee(value: float) -> None:
    x = torch.tensor(value, dtype=torch.float64)
    assert float(soft_limit(x)) == pytest.approx(value, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.0, 1e6), st.floats(0.5, 10.0))
def test_soft_limit_beyond_the_knee_is_a_logarithm(beyond: float, knee: float) -> None:
    x = torch.tensor(knee + beyond, dtype=torch.float64)
    assert float(soft_limit(x, knee)) == pytest.approx(knee + math.log1p(beyond), rel=1e-6)


def test_soft_limit_is_odd_and_rises() -> None:
    x = torch.linspace(-50, 50, 2001, dtype=torch.float64)
    limited = soft_limit(x)
    assert torch.allclose(limited, -soft_limit(-x))
    assert bool((limited.diff() > 0).all())
    assert bool((limited.diff() <= x.diff() + 1e-12).all())


def test_configuration_survives_json() -> None:
    values = {**TINY.to_json(), "channels": [16, 32], "attention": [False, False]}
    assert DenoiserConfig.from_json(values) == TINY


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="'colour'"):
        DenoiserConfig.from_json({**TINY.to_json(), "colour": 3})


def test_a_model_of_before_there_were_conditions_still_reads() -> None:
    old = {
        "channels": [16, 32],
        "attention": [False, False],
        "residual_blocks": 1,
        "head_channels": 32,
        "norm_groups": 8,
    }
    assert DenoiserConfig.from_json(old) == TINY
    assert TINY.condition == "none"
    assert TINY.encoder is None
    assert (TINY.fold, TINY.signal_scale) == (2, 1.0)
    assert TINY.shows_brain and TINY.departure and TINY.adds_to_noisy


@pytest.mark.parametrize("values", [{"fold": 0}, {"signal_scale": 0.0}, {"signal_scale": -1.0}])
def test_an_impossible_form_is_refused_with_its_value(values: dict[str, float]) -> None:
    (value,) = values.values()
    with pytest.raises(ModelError, match=f"got .*{value}"):
        replace(TINY, **values)  # type: ignore[arg-type]


def test_levels_that_do_not_match_are_refused() -> None:
    with pytest.raises(ModelError, match=r"one entry per level, got \(16, 32\) and \(False,\)"):
        DenoiserConfig((16, 32), (False,))


def test_channels_that_no_group_norm_can_split_are_refused() -> None:
    with pytest.raises(ModelError, match=r"\(16, 30\) must be multiples of 8"):
        DenoiserConfig((16, 30), (False, False), norm_groups=8)


def test_parameters_are_counted() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Conv2d(2, 4, 3))
    assert parameter_count(module) == (3 * 5 + 5) + (2 * 4 * 9 + 4)


FORMS = [
    {"fold": 1},
    {"shows_brain": False},
    {"departure": False},
    {"adds_to_noisy": False},
    {"signal_scale": 0.2},
    {
        "fold": 1,
        "shows_brain": False,
        "departure": False,
        "adds_to_noisy": False,
        "signal_scale": 0.2,
    },
]


def in_form(form: dict[str, float]) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(replace(TINY, **form)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_answers_slices_and_survives_json(form: dict[str, float]) -> None:
    noisy, brain = some_slices()
    network = trained_a_little(in_form(form))
    with torch.no_grad():
        prediction = network(noisy, brain, torch.tensor([5, 300, 800]))
    assert prediction.clean.shape == prediction.departure.shape == noisy.shape
    assert not prediction.clean[brain == 0].any()
    assert bool(prediction.departure.any()) == network.config.departure
    values = json.loads(json.dumps(network.config.to_json()))
    assert DenoiserConfig.from_json(values) == network.config


@pytest.mark.parametrize(
    ("form", "seen", "answered"),
    [
        ({}, 8, 8),
        ({"fold": 1}, 2, 2),
        ({"shows_brain": False}, 4, 8),
        ({"departure": False}, 8, 4),
        ({"fold": 1, "shows_brain": False, "departure": False}, 1, 1),
        ({"fold": 4}, 32, 32),
    ],
)
def test_blocks_of_voxels_become_channels(form: dict[str, float], seen: int, answered: int) -> None:
    weights = in_form(form).state_dict()
    assert weights["net.conv_in.conv.weight"].shape[1] == seen
    assert weights["net.out.2.conv.weight"].shape[0] == answered


@pytest.mark.parametrize("form", [{}, {"fold": 1}])
def test_the_first_channels_are_the_clean_slice_and_the_rest_its_departure(
    form: dict[str, float],
) -> None:
    noisy, brain = some_slices()
    network = in_form(form)
    bias = network.net.get_parameter("out.2.conv.bias")
    half = len(bias) // 2
    step = torch.tensor([5, 300, 800])
    with torch.no_grad():
        bias[:half], bias[half:] = 3.0, -7.0
        prediction = network(noisy, brain, step)
    keep = signal_levels()[step].sqrt()[:, None, None, None]
    torch.testing.assert_close(prediction.clean, (keep * noisy + 3.0) * brain)
    assert torch.equal(prediction.departure, torch.full_like(noisy, -7.0))


@pytest.mark.parametrize("shows", [True, False])
def test_the_mask_is_seen_only_where_it_is_shown(shows: bool) -> None:
    noisy, brain = some_slices(1)
    network = trained_a_little(in_form({"shows_brain": shows}))
    with torch.no_grad():
        here, everywhere = (
            network(noisy, mask, torch.tensor([300])) for mask in (brain, torch.ones_like(brain))
        )
    alike = torch.allclose(here.clean, everywhere.clean * brain, atol=1e-6)
    assert alike == (not shows)


def test_an_untrained_denoiser_that_answers_all_answers_nothing() -> None:
    noisy, brain = some_slices()
    with torch.no_grad():
        prediction = in_form({"adds_to_noisy": False})(noisy, brain, torch.tensor([5, 300, 800]))
    assert not prediction.clean.any()


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_slices_are_scaled_on_the_way_in_and_out(scale: float) -> None:
    shown, brain = some_slices()
    network = in_form({"signal_scale": scale})
    noise = torch.randn(shown.shape, generator=torch.Generator().manual_seed(2)) * brain
    step = torch.tensor([5, 300, 800])
    noisy = network.noised(shown, noise, step)
    share = signal_levels()[step][:, None, None, None]
    expected = share.sqrt() * scale * shown + (1 - share).sqrt() * noise
    torch.testing.assert_close(noisy, expected)
    with torch.no_grad():
        clean = network(noisy, brain, step).clean
    torch.testing.assert_close(clean, share.sqrt() * noisy / scale)
