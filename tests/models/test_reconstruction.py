"""Repainting: against the exact posterior mean of Gaussian data, and with a real small network."""

import json
import math

import pytest
import torch
from stand_ins import TINY_NETWORK
from torch import nn

from counterpart.denoiser import (
    Denoiser,
    Prediction,
    add_noise,
    signal_levels,
    soft_limit,
)
from counterpart.errors import ModelError
from counterpart.reconstruction import (
    Reconstruction,
    ReconstructionConfig,
    best_precision,
    level_noise,
    reconstruct,
)

SHAPE = (5, 1, 16, 24)


class GaussianDenoiser(Denoiser):
    """The exact posterior mean where every voxel of a healthy slice is N(mean, variance).

    The logit of departure is a thousandth of the step minus a half.
    """

    def __init__(self, mean: float, variance: float) -> None:
        super().__init__(TINY_NETWORK)
        self.mean, self.variance = mean, variance
        self.shown: list[torch.Tensor] = []

    def forward(
        self,
        noisy: torch.Tensor,
        brain: torch.Tensor,
        step: torch.Tensor,
        code: torch.Tensor | None = None,
    ) -> Prediction:
        self.shown.append(noisy)
        share = self.signal[step][:, None, None, None]
        gain = self.variance * share.sqrt() / (self.variance * share + 1 - share)
        clean = self.mean + gain * (noisy - share.sqrt() * self.mean)
        logit = (step / 1000.0 - 0.5)[:, None, None, None].expand_as(noisy)
        return Prediction(clean * brain, logit)

    def shrinkage(self, level: int) -> float:
        """How much of a slice's distance from the mean is kept, on average over the noise."""
        share = float(self.signal[level])
        return self.variance * share / (self.variance * share + 1 - share)


def a_stack(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Slices and brain; the last slice has no brain."""
    generator = torch.Generator().manual_seed(seed)
    brain = torch.zeros(SHAPE)
    brain[:4, :, 3:13, 4:20] = 1.0
    return torch.randn(SHAPE, generator=generator) * brain, brain


@pytest.fixture(scope="module")
def a_small_network() -> Denoiser:
    torch.manual_seed(0)
    network = Denoiser(TINY_NETWORK)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.08)
    return network.eval().to(memory_format=torch.channels_last)


def run(
    denoiser: nn.Module,
    slices: torch.Tensor,
    brain: torch.Tensor,
    config: ReconstructionConfig | None = None,
    **options: object,
) -> Reconstruction:
    return reconstruct(denoiser, slices, brain, config or ReconstructionConfig(), **options)  # type: ignore[arg-type]


def test_it_is_the_weighted_mean_of_the_posterior_means() -> None:
    slices, brain = a_stack()
    denoiser = GaussianDenoiser(0.4, 0.6)
    config = ReconstructionConfig((100, 600), (3.0, 1.0), (1.0, 1.0), draws=2)
    found = run(denoiser, slices, brain, config, seed=7, batch_size=3).clean
    for number in range(len(slices)):
        expected = torch.zeros(SHAPE[1:])
        for level, weight in ((100, 0.75), (600, 0.25)):
            share = float(denoiser.signal[level])
            for draw in range(2):
                noise = level_noise(7, number, level, draw, slices.shape)
                noisy = math.sqrt(share) * slices[number] + math.sqrt(1 - share) * noise
                gain = 0.6 * math.sqrt(share) / (0.6 * share + 1 - share)
                posterior = 0.4 + gain * (noisy - math.sqrt(share) * 0.4)
                expected += weight / 2 * posterior * brain[number]
        torch.testing.assert_close(found[number], expected, atol=1e-5, rtol=0)


def test_many_draws_approach_the_closed_form() -> None:
    slices, brain = a_stack()
    denoiser = GaussianDenoiser(-0.3, 0.8)
    config = ReconstructionConfig((250, 750), (1.0, 2.0), (1.0, 1.0), draws=150)
    found = run(denoiser, slices, brain, config).clean
    kept = (denoiser.shrinkage(250) + 2 * denoiser.shrinkage(750)) / 3
    expected = (-0.3 + kept * (slices + 0.3)) * brain
    assert float((found - expected)[brain > 0].square().mean().sqrt()) < 0.05
    assert abs(float((found - expected)[brain > 0].mean())) < 0.005


def test_a_level_of_weight_nought_changes_nothing() -> None:
    slices, brain = a_stack()
    denoiser = GaussianDenoiser(0.0, 1.0)
    alone = run(denoiser, slices, brain, ReconstructionConfig((250,), (1.0,), (1.0,)))
    beside = run(denoiser, slices, brain, ReconstructionConfig((250, 500), (5.0, 0.0), (5.0, 0.0)))
    torch.testing.assert_close(alone.clean, beside.clean)
    torch.testing.assert_close(alone.departure, beside.departure)


def test_departure_is_the_weighted_mean_of_the_probabilities_in_the_brain() -> None:
    slices, brain = a_stack()
    config = ReconstructionConfig((100, 900), (1.0, 1.0), (1.0, 3.0))
    found = run(GaussianDenoiser(0.0, 1.0), slices, brain, config).departure
    expected = 0.25 / (1 + math.exp(0.4)) + 0.75 / (1 + math.exp(-0.4))
    torch.testing.assert_close(found, expected * brain)


def test_the_network_is_shown_softly_limited_slices_without_surroundings() -> None:
    slices, brain = a_stack()
    slices = 30.0 * slices + 5.0
    denoiser = GaussianDenoiser(0.0, 1e9)
    found = run(denoiser, slices, brain, ReconstructionConfig((0,), (1.0,), (1.0,))).clean
    torch.testing.assert_close(found, soft_limit(slices) * brain, atol=0.1, rtol=0)
    for noisy in denoiser.shown:
        assert not noisy[:, :, :3].any()


def test_each_slice_is_shown_once_per_level_and_draw() -> None:
    slices, brain = a_stack()
    denoiser = GaussianDenoiser(0.0, 1.0)
    run(denoiser, slices, brain, ReconstructionConfig(draws=2), batch_size=7)
    sizes = [len(noisy) for noisy in denoiser.shown]
    assert sizes == [7, 7, 7, 3]


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(
    a_small_network: Denoiser,
) -> None:
    slices, brain = a_stack()
    first = run(a_small_network, slices, brain, seed=3)
    second = run(a_small_network, slices, brain, seed=3)
    other = run(a_small_network, slices, brain, seed=4)
    assert torch.equal(first.clean, second.clean)
    assert torch.equal(first.departure, second.departure)
    assert float((first.clean - other.clean).abs().max()) > 0.1


@pytest.mark.parametrize(
    ("precision", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
)
def test_the_batch_size_hardly_matters(
    a_small_network: Denoiser, precision: torch.dtype, tolerance: float
) -> None:
    slices, brain = a_stack()
    answers = [
        run(a_small_network, slices, brain, batch_size=size, precision=precision)
        for size in (1, 3, 16)
    ]
    for answer in answers[1:]:
        torch.testing.assert_close(answer.clean, answers[0].clean, atol=tolerance, rtol=0)
        torch.testing.assert_close(answer.departure, answers[0].departure, atol=tolerance, rtol=0)


def test_the_answer_is_float32_whatever_the_precision(a_small_network: Denoiser) -> None:
    slices, brain = a_stack()
    exact = run(a_small_network, slices, brain)
    rounded = run(a_small_network, slices, brain, precision=torch.bfloat16)
    assert rounded.clean.dtype == rounded.departure.dtype == torch.float32
    torch.testing.assert_close(rounded.clean, exact.clean, atol=5e-2, rtol=0)


def test_a_slice_does_not_depend_on_the_others(a_small_network: Denoiser) -> None:
    slices, brain = a_stack()
    every = run(a_small_network, slices, brain)
    alone = brain.clone()
    alone[[0, 1, 3, 4]] = 0.0
    single = run(a_small_network, slices, alone)
    torch.testing.assert_close(single.clean[2], every.clean[2], atol=1e-5, rtol=0)
    assert not single.clean[[0, 1, 3, 4]].any()


def test_outside_the_brain_the_answer_is_nought(a_small_network: Denoiser) -> None:
    slices, brain = a_stack()
    brain[3] = 0.0
    brain[3, :, 5, 4:20] = 1.0  # 16 voxels are too few to be shown
    answer = run(a_small_network, slices, brain)
    assert not answer.clean[brain == 0].any()
    assert not answer.departure[brain == 0].any()
    assert not answer.clean[3:].any()
    assert answer.clean[:3].any()


def test_a_stack_without_brain_is_all_nought() -> None:
    answer = run(GaussianDenoiser(1.0, 1.0), torch.randn(SHAPE), torch.zeros(SHAPE))
    assert not answer.clean.any()
    assert not answer.departure.any()


def test_progress_rises_to_one() -> None:
    slices, brain = a_stack()
    shares: list[float] = []
    run(GaussianDenoiser(0.0, 1.0), slices, brain, batch_size=5, progress=shares.append)
    assert shares == pytest.approx([5 / 12, 10 / 12, 1.0])


def test_raising_in_progress_cancels() -> None:
    slices, brain = a_stack()
    denoiser = GaussianDenoiser(0.0, 1.0)

    def cancel(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(denoiser, slices, brain, batch_size=2, progress=cancel)
    assert len(denoiser.shown) == 1


def test_the_inputs_are_left_as_they_were() -> None:
    slices, brain = a_stack()
    before = slices.clone(), brain.clone()
    run(GaussianDenoiser(0.0, 1.0), slices, brain)
    assert torch.equal(slices, before[0])
    assert torch.equal(brain, before[1])


def test_noise_has_unit_variance_and_is_new_for_every_seed_slice_level_and_draw() -> None:
    shape = torch.Size((9, 1, 64, 64))
    fields = [
        level_noise(*numbers, shape).ravel()
        for numbers in ((0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    ]
    together = torch.corrcoef(torch.stack(fields)) - torch.eye(5)
    assert float(together.abs().max()) < 0.06
    for field in fields:
        assert abs(float(field.mean())) < 0.05
        assert abs(float(field.var()) - 1) < 0.08


def test_noise_depends_on_nothing_drawn_before() -> None:
    shape = torch.Size((9, 1, 4, 6))
    first = level_noise(2, 3, 250, 1, shape)
    torch.manual_seed(99)
    level_noise(0, 0, 0, 0, shape)
    assert torch.equal(level_noise(2, 3, 250, 1, shape), first)
    assert first.shape == (1, 4, 6)


def test_the_forward_process_keeps_unit_variance() -> None:
    clean, noise = torch.randn(2, 8, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    step = torch.tensor([0, 100, 200, 400, 500, 700, 900, 999])
    noisy = add_noise(clean, noise, step, signal_levels())
    torch.testing.assert_close(noisy.var(dim=(1, 2, 3)), torch.ones(8), atol=0.1, rtol=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"levels": ()}, r"levels \(\)"),
        ({"weights": (1.0, 1.0)}, r"\(1.0, 1.0\)"),
        ({"departure_weights": (1.0,)}, r"\(1.0,\)"),
        ({"levels": (250, 500, 1000)}, "1000"),
        ({"levels": (-1, 500, 750)}, "-1"),
        ({"weights": (-1.0, 2.0, 1.0)}, "-1.0"),
        ({"weights": (0.0, 0.0, 0.0)}, r"\(0.0, 0.0, 0.0\)"),
        ({"departure_weights": (-1.0, 2.0, 1.0)}, "-1.0"),
        ({"departure_weights": (0.0, 0.0, 0.0)}, r"\(0.0, 0.0, 0.0\)"),
        ({"draws": 0}, "got 0 and 1"),
        ({"ddim_steps": 0}, "got 1 and 0"),
        ({"noise": "perlin"}, "'perlin'"),
    ],
)
def test_an_impossible_setting_is_refused_with_its_value(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        ReconstructionConfig(**values)  # type: ignore[arg-type]


def test_settings_survive_json() -> None:
    config = ReconstructionConfig((60, 400), (1.0, 0.5), (0.0, 1.0), draws=3)
    assert ReconstructionConfig.from_json(config.to_json()) == config
    slow = ReconstructionConfig(ddim_steps=4, second_pass=True, noise="simplex")
    assert ReconstructionConfig.from_json(json.loads(json.dumps(slow.to_json()))) == slow
    lists = {"levels": [60, 400], "weights": [1.0, 0.5], "departure_weights": [0.0, 1.0]}
    assert ReconstructionConfig.from_json({**lists, "draws": 3}) == config


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ModelError, match="'sampler'"):
        ReconstructionConfig.from_json({"draws": 1, "sampler": "ddim"})


def test_the_precision_of_a_processor_is_one_that_it_has() -> None:
    assert best_precision(torch.device("cpu")) in (torch.float32, torch.bfloat16)
