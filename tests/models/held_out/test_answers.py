"""What a network answers to heads, and maps under scales that were fitted on other heads."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import StandInDenoiser

from counterpart.denoiser import Prediction
from counterpart.errors import ModelError
from counterpart.held_out.answers import (
    HeadAnswer,
    compared,
    cross_fitted_maps,
    fitted_scale,
    head_answer,
    head_map,
)
from counterpart.held_out.heads import HealthyHead
from counterpart.reconstruction import Reconstruction, ReconstructionConfig
from counterpart.residual import AnomalyConfig, anomaly_map, smoothed_residual
from counterpart.slices import as_slices

SHAPE = (32, 40, 24)
PLAIN = AnomalyConfig(median_voxels=1, departure_power=0.0)


class HalfDenoiser(StandInDenoiser):
    """Answers half of what it is shown; departs where that is above 0."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(0.5 * shown * brain, 40.0 * shown)


def a_brain() -> np.ndarray:
    brain = np.zeros(SHAPE, bool)
    brain[3:29, 4:36, 2:22] = True
    return brain


def answer_with(noise: float, seed: int) -> HeadAnswer:
    """A healthy head whose residual is white noise of this standard deviation."""
    rng = np.random.default_rng(seed)
    brain = a_brain()
    residual = np.where(brain, noise * rng.standard_normal(SHAPE), 0.0).astype(np.float32)
    reconstruction = np.where(brain, rng.standard_normal(SHAPE), 0.0).astype(np.float32)
    departure = np.where(brain, 0.5, 0.0).astype(np.float32)
    return HeadAnswer(residual, reconstruction, departure, brain)


@pytest.fixture
def a_head() -> HealthyHead:
    brain = a_brain()
    values = np.where(brain, np.random.default_rng(3).uniform(-2, 2, SHAPE), 0.0)
    shown = as_slices(values.astype(np.float32))
    return HealthyHead(shown, as_slices(brain.astype(np.float32)), 0.95)


def test_an_answer_is_compared_inside_the_brain_alone(a_head: HealthyHead) -> None:
    clean = torch.full(a_head.shown.shape, 0.25)
    departure = torch.rand(a_head.shown.shape, generator=torch.Generator().manual_seed(0))
    found = compared(a_head, Reconstruction(clean, departure))
    brain = a_brain()
    np.testing.assert_array_equal(found.brain, brain)
    for k in range(SHAPE[2]):
        expected = np.where(brain[..., k], a_head.shown[k, 0].numpy() - 0.25, 0.0)
        np.testing.assert_allclose(found.residual[..., k], expected, atol=1e-6)
        np.testing.assert_array_equal(found.departure[..., k], departure[k, 0].numpy())
    assert (found.reconstruction == 0.25).all()


def test_the_network_s_answer_to_a_head(a_head: HealthyHead) -> None:
    config = ReconstructionConfig((0,), (1.0,), (1.0,))
    found = head_answer(HalfDenoiser(), a_head, config)
    shown = np.moveaxis(a_head.shown[:, 0].numpy(), 0, -1)
    np.testing.assert_allclose(found.reconstruction, 0.5 * shown, atol=0.05)
    np.testing.assert_allclose(found.residual, 0.5 * shown, atol=0.05)
    assert (found.departure[shown > 0.5] > 0.99).all()
    assert (found.departure[shown < -0.5] < 0.01).all()
    again = head_answer(HalfDenoiser(), a_head, config)
    np.testing.assert_array_equal(again.residual, found.residual)


def test_without_a_scale_the_map_is_that_of_the_residual() -> None:
    """The residual times the departure, which is a half everywhere."""
    answer, config = answer_with(1.0, 0), AnomalyConfig()
    expected = anomaly_map(answer.residual, answer.departure, answer.brain, config, thick=False)
    np.testing.assert_array_equal(head_map(answer, config, None), expected)
    found = head_map(answer, AnomalyConfig(median_voxels=1), None)
    np.testing.assert_allclose(found, 0.5 * answer.residual, rtol=1e-6)


def test_a_map_under_a_scale_is_in_its_units() -> None:
    answer = answer_with(1.0, 0)
    scale = fitted_scale([answer_with(0.5, 1), answer_with(0.5, 2)], PLAIN)
    found = head_map(answer, PLAIN, scale)
    z = scale.standardised(answer.residual, answer.reconstruction, answer.brain)
    same_sign = np.sign(z) == np.sign(answer.residual)
    np.testing.assert_allclose(found[same_sign], z[same_sign], rtol=1e-6)
    assert not found[~same_sign].any()
    assert found[answer.brain].std() == pytest.approx(2.0, rel=0.1)


def test_the_scale_is_that_of_the_smoothed_residual() -> None:
    answers = [answer_with(1.0, 0), answer_with(1.0, 1)]
    config = AnomalyConfig(median_voxels=3)
    smooth = [smoothed_residual(a.residual, a.brain, config, thick=False) for a in answers]
    expected = np.mean([np.abs(part[a_brain()]).mean() for part in smooth]) * (np.pi / 2) ** 0.5
    scale = fitted_scale(answers, config)
    assert scale.subjects == 2
    assert scale.pooled_scale == pytest.approx(expected, rel=0.01)
    assert scale.pooled_scale < 0.5 * fitted_scale(answers, PLAIN).pooled_scale


def test_cross_fitted_maps_stand_in_units_of_the_other_half() -> None:
    """Heads of little and of much noise take turns, so each half is scaled by the other."""
    answers = [answer_with((0.1, 1.0)[number % 2], number) for number in range(4)]
    spreads = [one[a_brain()].std() for one in cross_fitted_maps(answers, PLAIN)]
    assert spreads == pytest.approx([0.1, 10.0, 0.1, 10.0], rel=0.15)
    own = head_map(answers[0], PLAIN, fitted_scale(answers[::2], PLAIN))
    assert own[a_brain()].std() == pytest.approx(1.0, rel=0.15)


def test_a_head_never_enters_its_own_scale() -> None:
    answers = [answer_with(1.0, number) for number in range(5)]
    before = cross_fitted_maps(answers, PLAIN)
    louder = replace(answers[2], residual=3.0 * answers[2].residual)
    after = cross_fitted_maps([*answers[:2], louder, *answers[3:]], PLAIN)
    for number in (0, 4):
        np.testing.assert_array_equal(after[number], before[number])
    for number in (1, 3):
        assert after[number][a_brain()].std() < 0.9 * before[number][a_brain()].std()
    scale = fitted_scale([answers[1], answers[3]], PLAIN)
    np.testing.assert_array_equal(after[2], head_map(louder, PLAIN, scale))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_heads_cannot_be_mapped(count: int) -> None:
    with pytest.raises(ModelError, match=f"at least two held-out subjects, got {count}"):
        cross_fitted_maps([answer_with(1.0, number) for number in range(count)], PLAIN)
