"""DDIM against the exact denoiser of Gaussian data, whose deterministic map has a closed form."""

import math
from itertools import pairwise

import pytest
import torch

from counterpart.ddim import ddim_prediction, ddim_step, falling_steps
from counterpart.denoiser import Denoiser, DenoiserConfig, Prediction

MEAN, VARIANCE = 0.4, 0.3
CONFIG = DenoiserConfig((8, 16), (False, False), residual_blocks=1, head_channels=8, norm_groups=8)


class GaussianDenoiser(Denoiser):
    """The posterior mean where every voxel is N(mean, variance); the logit says the level."""

    def forward(
        self,
        noisy: torch.Tensor,
        brain: torch.Tensor,
        step: torch.Tensor,
        code: torch.Tensor | None = None,
    ) -> Prediction:
        scale = self.config.signal_scale
        share = self.signal[step][:, None, None, None]
        away = noisy - share.sqrt() * scale * MEAN
        variance = scale**2 * VARIANCE
        gain = variance * share.sqrt() / (variance * share + 1 - share)
        logit = step[:, None, None, None].float().expand_as(noisy)
        return Prediction((MEAN + gain * away / scale) * brain, logit)


def denoiser_of(scale: float = 1.0) -> GaussianDenoiser:
    return GaussianDenoiser(DenoiserConfig(**{**vars(CONFIG), "signal_scale": scale}))


def some_noisy(step: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    brain = torch.ones(len(step), 1, 8, 8)
    brain[..., 6:] = 0.0
    noisy = torch.randn(brain.shape, generator=torch.Generator().manual_seed(seed))
    return noisy * brain, brain


def flow(noisy: torch.Tensor, share: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Where the deterministic flow of N(MEAN, VARIANCE) takes a slice: the same quantile."""
    spread = [(VARIANCE * a + 1 - a).sqrt() for a in (share, there)]
    return there.sqrt() * MEAN + (noisy - share.sqrt() * MEAN) * spread[1] / spread[0]


def test_steps_fall_evenly_and_stay_above_nought() -> None:
    found = torch.stack(falling_steps(torch.tensor([750, 400, 999]), 3))
    assert found.tolist() == [[750, 400, 999], [500, 266, 666], [250, 133, 333]]
    assert [level.tolist() for level in falling_steps(torch.tensor([250]), 1)] == [[250]]


@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_one_step_is_the_plain_prediction(scale: float) -> None:
    denoiser, step = denoiser_of(scale), torch.tensor([100, 700])
    noisy, brain = some_noisy(step)
    found = ddim_prediction(denoiser, noisy, brain, step, None, 1)
    plain = denoiser(noisy, brain, step)
    assert torch.equal(found.clean, plain.clean)
    assert torch.equal(found.departure, plain.departure)


@pytest.mark.parametrize("steps", [2, 3, 7])
def test_a_few_steps_are_the_product_of_their_gains(steps: int) -> None:
    """For Gaussian data every step multiplies the distance from the mean."""
    denoiser = denoiser_of()
    step = torch.tensor([600])
    noisy, brain = some_noisy(step)
    levels = [600 * (steps - n) // steps for n in range(steps)]
    shares = [float(denoiser.signal[level]) for level in levels]
    gains = [VARIANCE * math.sqrt(a) / (VARIANCE * a + 1 - a) for a in shares]
    away = 1.0
    for (here, there), gain in zip(pairwise(shares), gains, strict=False):
        noise = (1 - math.sqrt(here) * gain) / math.sqrt(1 - here)
        away *= math.sqrt(there) * gain + math.sqrt(1 - there) * noise
    expected = MEAN + gains[-1] * away * (noisy - math.sqrt(shares[0]) * MEAN)
    found = ddim_prediction(denoiser, noisy, brain, step, None, steps)
    torch.testing.assert_close(found.clean, expected * brain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_many_steps_approach_the_deterministic_map(scale: float) -> None:
    denoiser, step = denoiser_of(scale), torch.tensor([500, 700])
    noisy, brain = some_noisy(step)
    noisy = noisy * scale
    share = denoiser.signal[step][:, None, None, None]
    spread = (scale**2 * VARIANCE * share + 1 - share).sqrt()
    away = (noisy - share.sqrt() * scale * MEAN) / spread
    expected = (MEAN + math.sqrt(VARIANCE) * away) * brain
    errors = [
        float((ddim_prediction(denoiser, noisy, brain, step, None, n).clean - expected).abs().max())
        for n in (1, 8, 60, 500)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1
    assert errors[-1] < 0.01


def test_the_departure_is_that_of_what_was_shown() -> None:
    step = torch.tensor([300, 800])
    noisy, brain = some_noisy(step)
    found = ddim_prediction(denoiser_of(), noisy, brain, step, None, 4)
    assert torch.equal(found.departure[0], torch.full((1, 8, 8), 300.0))
    assert torch.equal(found.departure[1], torch.full((1, 8, 8), 800.0))


def test_samples_do_not_know_of_each_other() -> None:
    denoiser, step = denoiser_of(), torch.tensor([300, 800, 40])
    noisy, brain = some_noisy(step)
    together = ddim_prediction(denoiser, noisy, brain, step, None, 5)
    for row in range(3):
        one = slice(row, row + 1)
        alone = ddim_prediction(denoiser, noisy[one], brain[one], step[one], None, 5)
        torch.testing.assert_close(alone.clean, together.clean[one])


def test_outside_the_brain_the_answer_stays_nought() -> None:
    step = torch.tensor([700])
    noisy, brain = some_noisy(step)
    found = ddim_prediction(denoiser_of(), noisy, brain, step, None, 6)
    assert not found.clean[brain == 0].any()


def test_the_code_is_given_at_every_step() -> None:
    given: list[torch.Tensor | None] = []

    class Recording(GaussianDenoiser):
        def forward(
            self,
            noisy: torch.Tensor,
            brain: torch.Tensor,
            step: torch.Tensor,
            code: torch.Tensor | None = None,
        ) -> Prediction:
            given.append(code)
            return super().forward(noisy, brain, step, code)

    step, code = torch.tensor([700]), torch.ones(1, 6)
    noisy, brain = some_noisy(step)
    ddim_prediction(Recording(CONFIG), noisy, brain, step, code, 3)
    assert len(given) == 3
    assert all(one is code for one in given)


def test_a_step_keeps_the_noise_and_changes_its_share() -> None:
    generator = torch.Generator().manual_seed(3)
    clean, noise = torch.randn((2, 4, 1, 5, 5), generator=generator)
    here, there = torch.tensor([0.9, 0.5, 0.1, 0.3]), torch.tensor([0.2, 0.99, 0.4, 0.3])
    noisy, expected = (
        share.sqrt() * clean + (1 - share).sqrt() * noise
        for share in (here[:, None, None, None], there[:, None, None, None])
    )
    torch.testing.assert_close(ddim_step(noisy, clean, here, there), expected)
    back = ddim_step(ddim_step(noisy, clean, here, there), clean, there, here)
    torch.testing.assert_close(back, noisy)


def travelled(denoiser: Denoiser, noisy: torch.Tensor, levels: list[int]) -> torch.Tensor:
    brain = torch.ones_like(noisy)
    for here, there in pairwise(levels):
        at, to = torch.tensor([here]), torch.tensor([there])
        clean = denoiser(noisy, brain, at).clean
        noisy = ddim_step(noisy, clean, denoiser.signal[at], denoiser.signal[to])
    return noisy


def test_going_up_and_down_again_closes() -> None:
    denoiser = denoiser_of()
    levels = list(range(20, 701))
    start = torch.randn((1, 1, 8, 8), generator=torch.Generator().manual_seed(4))
    top = travelled(denoiser, start, levels)
    expected = flow(start, denoiser.signal[20], denoiser.signal[700])
    torch.testing.assert_close(top, expected, atol=0.02, rtol=0)
    back = travelled(denoiser, top, levels[::-1])
    torch.testing.assert_close(back, start, atol=0.02, rtol=0)
    assert float((top - start).abs().max()) > 0.5
