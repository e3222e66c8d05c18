"""Repainting with a condition, in several steps, and with other noise than Gaussian."""

import pytest
import torch
from torch import nn

from counterpart.ddim import ddim_prediction
from counterpart.denoiser import Denoiser, DenoiserConfig, Prediction, soft_limit
from counterpart.diffusion_noise import simplex_noise
from counterpart.encoder import EncoderConfig
from counterpart.reconstruction import ReconstructionConfig, level_noise, reconstruct
from counterpart.seeding import derived_seed

SHAPE = (5, 1, 16, 24)
ENCODER = EncoderConfig("basic", (1, 1, 1, 1), (8, 8, 8, 8), code_size=6, norm_groups=4, cells=1)
BOTH = pytest.mark.parametrize("condition", ["embedding", "cross-attention"])


def config_of(condition: str) -> DenoiserConfig:
    return DenoiserConfig(
        (8, 16),
        (False, True),
        residual_blocks=1,
        head_channels=8,
        norm_groups=8,
        condition=condition,
        encoder=ENCODER,
    )


def a_network(condition: str) -> Denoiser:
    torch.manual_seed(0)
    network = Denoiser(config_of(condition))
    for name, parameter in network.named_parameters():
        if not name.startswith("encoder."):
            way_in = name.startswith(("net.class_embedding", "tokens"))
            nn.init.normal_(parameter, std=0.5 if way_in else 0.08)
    return network.eval().to(memory_format=torch.channels_last)


def a_stack() -> tuple[torch.Tensor, torch.Tensor]:
    """Slices and brain; the second and the last slice have no brain."""
    brain = torch.zeros(SHAPE)
    brain[[0, 2, 3], :, 3:13, 4:20] = 1.0
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) * brain, brain


class AnswersCode(Denoiser):
    """Its code is the mean of the slice, and its answer is its code."""

    def __init__(self) -> None:
        super().__init__(config_of("embedding"))
        self.coded: list[torch.Tensor] = []

    def codes(self, shown: torch.Tensor) -> torch.Tensor:
        self.coded.append(shown)
        return shown.mean(dim=(1, 2, 3))[:, None].expand(-1, 6)

    def forward(
        self,
        noisy: torch.Tensor,
        brain: torch.Tensor,
        step: torch.Tensor,
        code: torch.Tensor | None = None,
    ) -> Prediction:
        assert code is not None
        clean = code[:, 0, None, None, None] * brain
        return Prediction(clean, torch.zeros_like(clean))


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_codes_are_those_of_the_softly_limited_slices_without_noise(batch_size: int) -> None:
    slices, brain = a_stack()
    slices = 20.0 * slices + 3.0 * brain
    denoiser = AnswersCode()
    found = reconstruct(denoiser, slices, brain, ReconstructionConfig(), batch_size=batch_size)
    expected = soft_limit(slices).mean(dim=(1, 2, 3))[:, None, None, None] * brain
    torch.testing.assert_close(found.clean, expected)
    coded = torch.cat(denoiser.coded)
    torch.testing.assert_close(coded, soft_limit(slices)[[0, 2, 3]])
    assert max(len(batch) for batch in denoiser.coded) <= batch_size


@BOTH
@pytest.mark.parametrize(
    ("precision", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
)
def test_the_batch_size_hardly_matters_with_a_condition(
    condition: str, precision: torch.dtype, tolerance: float
) -> None:
    slices, brain = a_stack()
    network = a_network(condition)
    answers = [
        reconstruct(
            network, slices, brain, ReconstructionConfig(), batch_size=size, precision=precision
        )
        for size in (1, 2, 16)
    ]
    assert float(answers[0].clean.abs().max()) > 0.1
    for answer in answers[1:]:
        torch.testing.assert_close(answer.clean, answers[0].clean, atol=tolerance, rtol=0)
        torch.testing.assert_close(answer.departure, answers[0].departure, atol=tolerance, rtol=0)


@BOTH
def test_the_code_has_an_effect_on_what_is_repainted(condition: str) -> None:
    slices, brain = a_stack()
    network = a_network(condition)
    own = reconstruct(network, slices, brain, ReconstructionConfig())
    nn.init.normal_(network.encoder.code.bias, std=100.0)  # another code
    other = reconstruct(network, slices, brain, ReconstructionConfig())
    assert float((own.clean - other.clean).abs().max()) > 1e-3


@BOTH
def test_the_same_seed_gives_the_same_answer_and_another_seed_another(condition: str) -> None:
    slices, brain = a_stack()
    network = a_network(condition)
    first, again, other = (
        reconstruct(network, slices, brain, ReconstructionConfig(), seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(first.clean, again.clean)
    assert torch.equal(first.departure, again.departure)
    assert float((first.clean - other.clean).abs().max()) > 0.1


@pytest.mark.parametrize("steps", [1, 3])
def test_each_level_is_left_in_as_many_steps_of_ddim_as_asked(steps: int) -> None:
    slices, brain = a_stack()
    network = a_network("embedding")
    config = ReconstructionConfig(
        (300, 700), (1.0, 3.0), (3.0, 1.0), draws=2, ddim_steps=steps, noise="simplex"
    )
    found = reconstruct(network, slices, brain, config, seed=5, batch_size=3)
    shown = soft_limit(slices)
    clean, departure = torch.zeros(SHAPE), torch.zeros(SHAPE)
    with torch.inference_mode():
        for row in (0, 2, 3):
            one = slice(row, row + 1)
            code = network.codes(shown[one])
            for level, weight in ((300, 0.125), (700, 0.375)):
                for draw in range(2):
                    noise = level_noise(5, row, level, draw, slices.shape, "simplex")[None]
                    step = torch.tensor([level])
                    noisy = network.noised(shown[one], noise, step) * brain[one]
                    answer = ddim_prediction(network, noisy, brain[one], step, code, steps)
                    clean[one] += weight * answer.clean
                    departure[one] += (0.5 - weight) * torch.sigmoid(answer.departure) * brain[one]
    torch.testing.assert_close(found.clean, clean, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.departure, departure, atol=1e-5, rtol=0)


def test_more_steps_give_another_answer_and_the_same_departure() -> None:
    slices, brain = a_stack()
    network = a_network("embedding")
    one, many = (
        reconstruct(network, slices, brain, ReconstructionConfig(ddim_steps=steps))
        for steps in (1, 4)
    )
    assert float((one.clean - many.clean).abs().max()) > 1e-3
    torch.testing.assert_close(one.departure, many.departure)


def test_simplex_noise_is_drawn_for_each_seed_slice_level_and_draw() -> None:
    shape = torch.Size((5, 1, 16, 24))
    drawn = level_noise(1, 2, 250, 3, shape, "simplex")
    generator = torch.Generator().manual_seed(derived_seed(1, 2, 250, 3))
    assert torch.equal(drawn[0], simplex_noise((16, 24), generator))
    for numbers in ((0, 2, 250, 3), (1, 0, 250, 3), (1, 2, 500, 3), (1, 2, 250, 0)):
        assert not torch.allclose(level_noise(*numbers, shape, "simplex"), drawn, atol=0.1)
    assert not torch.allclose(level_noise(1, 2, 250, 3, shape), drawn, atol=0.1)
