"""The healing objective: its losses, its learning rate, and what the network is shown."""

import math
from dataclasses import replace

import pytest
import torch

from counterpart.cohort import Cohort
from counterpart.denoiser import DenoiserConfig, Prediction, soft_limit
from counterpart.errors import CohortError, ModelError
from counterpart.targets import HELD_OUT_FAMILIES, TRAINING_FAMILIES
from counterpart.training.examples import ExampleConfig, Examples
from counterpart.training.healing import (
    HealingConfig,
    HealingModule,
    healing_losses,
)

TINY = DenoiserConfig((16, 32), (False, False), residual_blocks=1, norm_groups=8)


def some_examples(batch: int = 2) -> Examples:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, 1, 8, 8)
    brain = torch.zeros(shape)
    brain[..., 1:7, 2:8] = 1.0
    departure = torch.rand(shape, generator=generator) * brain
    shown, clean = (6 * torch.randn(shape, generator=generator) * brain for _ in range(2))
    noise = torch.randn(shape, generator=generator)
    time, chance = torch.rand((2, batch), generator=generator)
    return Examples(shown, clean, brain, departure, noise, time, chance)


def some_prediction(examples: Examples) -> Prediction:
    generator = torch.Generator().manual_seed(1)
    clean = torch.randn(examples.clean.shape, generator=generator) * examples.brain
    return Prediction(clean, 3 * torch.randn(examples.clean.shape, generator=generator))


def test_losses_agree_with_a_loop_over_voxels() -> None:
    examples = some_examples()
    prediction = some_prediction(examples)
    healing = HealingConfig(pattern_weight=2.5)
    clean = departure = 0.0
    voxels = torch.argwhere(examples.brain > 0).tolist()
    for at in voxels:
        place = tuple(at)
        member, target = float(examples.departure[place]), float(examples.clean[place])
        limited = math.copysign(
            min(abs(target), 4.0) + math.log1p(max(abs(target) - 4.0, 0.0)), target
        )
        clean += (1 + 2.5 * member) * abs(float(prediction.clean[place]) - limited)
        probability = 1 / (1 + math.exp(-float(prediction.departure[place])))
        departure -= member * math.log(probability) + (1 - member) * math.log(1 - probability)
    found = healing_losses(prediction, examples, healing)
    assert float(found[0]) == pytest.approx(clean / len(voxels), rel=1e-5)
    assert float(found[1]) == pytest.approx(departure / len(voxels), rel=1e-4)


def test_the_perfect_answer_costs_nothing() -> None:
    examples = some_examples()
    examples = replace(examples, departure=(examples.departure > 0.5).float())
    perfect = Prediction(soft_limit(examples.clean), 200 * examples.departure - 100)
    clean, departure = healing_losses(perfect, examples, HealingConfig())
    assert float(clean) == 0.0
    assert float(departure) == pytest.approx(0.0, abs=1e-6)


def test_an_undecided_departure_costs_the_logarithm_of_two() -> None:
    examples = some_examples()
    undecided = Prediction(examples.clean, torch.zeros_like(examples.clean))
    _, departure = healing_losses(undecided, examples, HealingConfig())
    assert float(departure) == pytest.approx(math.log(2), rel=1e-5)


def test_what_lies_outside_the_brain_costs_nothing() -> None:
    examples = some_examples()
    prediction = some_prediction(examples)
    outside = 1 - examples.brain
    wrong = Prediction(prediction.clean + 9 * outside, prediction.departure + 9 * outside)
    for found, expected in zip(
        healing_losses(wrong, examples, HealingConfig()),
        healing_losses(prediction, examples, HealingConfig()),
        strict=True,
    ):
        assert float(found) == pytest.approx(float(expected))


def test_turning_a_slice_upside_down_costs_the_same() -> None:
    examples = some_examples()
    prediction = some_prediction(examples)
    turned = replace(
        examples,
        **{k: getattr(examples, k).flip(2, 3) for k in ("shown", "clean", "brain", "departure")},
    )
    answer = Prediction(prediction.clean.flip(2, 3), prediction.departure.flip(2, 3))
    for found, expected in zip(
        healing_losses(answer, turned, HealingConfig()),
        healing_losses(prediction, examples, HealingConfig()),
        strict=True,
    ):
        assert float(found) == pytest.approx(float(expected))


def test_a_batch_without_brain_has_finite_losses() -> None:
    examples = some_examples()
    nothing = replace(examples, brain=torch.zeros_like(examples.brain))
    for loss in healing_losses(some_prediction(nothing), nothing, HealingConfig()):
        assert bool(loss.isfinite())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 0}, "got 0 steps of 16"),
        ({"batch_size": 0}, "steps of 0"),
        ({"lowest_step": 800}, "got 800 and 800"),
        ({"lowest_step": -1}, "got -1 and 800"),
        ({"highest_step": 1000}, "got 20 and 1000"),
        ({"low_noise": 0.0}, "got 0.0"),
        ({"code_dropout": -0.1}, "from 0 to 1, got -0.1"),
        ({"code_dropout": 1.5}, "from 0 to 1, got 1.5"),
    ],
)
def test_settings_that_cannot_be_trained_with_are_refused(
    setting: dict[str, int], message: str
) -> None:
    with pytest.raises(CohortError, match=message):
        HealingConfig(**setting)


@pytest.fixture
def a_module(a_cohort: Cohort) -> HealingModule:
    return HealingModule(TINY, HealingConfig(batch_size=2), ExampleConfig(), a_cohort)


def test_training_and_validation_see_other_families_and_other_people(
    a_module: HealingModule,
) -> None:
    train, validate = a_module.maker("train"), a_module.maker("validate")
    assert train.config.families == TRAINING_FAMILIES
    assert validate.config.families == HELD_OUT_FAMILIES
    assert (train.subjects, validate.subjects) == (3, 2)
    assert a_module.maker("train") is train


def test_the_network_is_shown_the_limited_patterned_slice(a_module: HealingModule) -> None:
    examples = some_examples()
    step = torch.tensor([0, 0])
    with torch.no_grad():
        prediction = a_module.predict(examples, step)
    signal = a_module.denoiser.signal[0]
    noisy = signal.sqrt() * soft_limit(examples.shown) + (1 - signal).sqrt() * examples.noise
    # An untrained network answers the noisy slice, scaled.
    assert torch.allclose(prediction.clean, signal.sqrt() * noisy * examples.brain, atol=1e-5)


def test_an_unknown_noise_is_refused() -> None:
    with pytest.raises(ModelError, match="got 'perlin'"):
        HealingConfig(noise="perlin")


def test_low_steps_are_trained_on_more_often_where_that_is_asked_for() -> None:
    time = torch.linspace(0.0, 0.9999, 10_000)
    even, low = (HealingConfig(low_noise=power).diffusion_step(time) for power in (1.0, 2.0))
    for steps in (even, low):
        assert int(steps.min()) == 20 and int(steps.max()) == 799
    assert abs(float((even < 215).float().mean()) - 0.25) < 0.01
    assert abs(float((low < 215).float().mean()) - 0.5) < 0.01
