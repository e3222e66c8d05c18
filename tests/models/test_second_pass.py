"""The second pass: which slices are repainted once more, and what the network is shown of them."""

import pytest
import torch

from counterpart.denoiser import Denoiser, DenoiserConfig, Prediction, soft_limit
from counterpart.reconstruction import (
    Reconstruction,
    ReconstructionConfig,
    reconstruct,
    second_pass,
)

SHAPE = (4, 1, 16, 24)
TINY = DenoiserConfig((8, 16), (False, False), residual_blocks=1, head_channels=8, norm_groups=8)
LOWEST = ReconstructionConfig((0,), (1.0,), (1.0,))


class Echo(Denoiser):
    """Answers what it is shown, and remembers it."""

    def __init__(self) -> None:
        super().__init__(TINY)
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
        return Prediction(noisy / share.sqrt() * brain, torch.ones_like(noisy))


def a_stack() -> tuple[torch.Tensor, torch.Tensor]:
    brain = torch.zeros(SHAPE)
    brain[..., 3:13, 4:20] = 1.0
    return 3 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) * brain, brain


def a_first_answer(brain: torch.Tensor) -> Reconstruction:
    generator = torch.Generator().manual_seed(1)
    return Reconstruction(
        torch.randn(SHAPE, generator=generator) * brain,
        torch.rand(SHAPE, generator=generator) * brain,
    )


def a_gate(*rows: int, value: float = 1.0) -> torch.Tensor:
    gate = torch.zeros(SHAPE)
    gate[list(rows), :, 5:9, 6:12] = value
    return gate


@pytest.mark.parametrize("value", [0.0, 0.3, 0.49])
def test_where_nothing_is_flagged_nothing_is_done(value: float) -> None:
    slices, brain = a_stack()
    first = a_first_answer(brain)
    denoiser = Echo()
    gate = a_gate(0, 1, 2, 3, value=value)
    assert second_pass(denoiser, slices, brain, first, gate, LOWEST) is first
    assert not denoiser.shown


def test_slices_without_a_flag_are_kept_exactly() -> None:
    slices, brain = a_stack()
    first = a_first_answer(brain)
    before = first.clean.clone(), first.departure.clone()
    found = second_pass(Echo(), slices, brain, first, a_gate(1, 3), LOWEST)
    assert torch.equal(found.clean[[0, 2]], before[0][[0, 2]])
    assert float((found.clean[[1, 3]] - before[0][[1, 3]]).abs().max()) > 1.0
    assert torch.equal(found.departure, before[1])
    assert torch.equal(first.clean, before[0])


@pytest.mark.parametrize("value", [0.5, 0.75, 1.0])
def test_the_network_is_shown_the_patient_outside_the_gate_and_the_first_answer_within(
    value: float,
) -> None:
    slices, brain = a_stack()
    first = a_first_answer(brain)
    gate = a_gate(1, 3, value=value)
    found = second_pass(Echo(), slices, brain, first, gate, LOWEST)
    noise = 5 * float((1 - Echo().signal[0]).sqrt())  # of the lowest level
    for row in (1, 3):
        within = gate[row] > 0
        outside = (gate[row] == 0) & (brain[row] > 0)
        mixed = (1 - value) * slices[row] + value * first.clean[row]
        for place, expected in ((outside, slices[row]), (within, mixed)):
            error = found.clean[row][place] - soft_limit(expected)[place]
            assert float(error.abs().max()) < noise


def test_its_noise_is_not_that_of_the_first_pass() -> None:
    slices, brain = a_stack()
    config = ReconstructionConfig((700,), (1.0,), (1.0,))
    first, second = Echo(), Echo()
    answer = reconstruct(first, slices, brain, config, seed=3, batch_size=1)
    gate = a_gate(0)
    again = Reconstruction(slices, answer.departure)  # so that the same slices are shown
    second_pass(second, slices, brain, again, gate, config, seed=3, batch_size=1)
    noises = torch.stack([one.shown[0][brain[:1] > 0] for one in (first, second)])
    assert len(second.shown) == 1
    assert not torch.allclose(noises[0], noises[1], atol=0.5)


def test_the_same_seed_gives_the_same_second_answer_and_another_seed_another() -> None:
    slices, brain = a_stack()
    first, gate = a_first_answer(brain), a_gate(0, 2)
    config = ReconstructionConfig()
    one, again, other = (
        second_pass(Echo(), slices, brain, first, gate, config, seed=seed).clean
        for seed in (3, 3, 4)
    )
    assert torch.equal(one, again)
    assert float((one - other)[[0, 2]].abs().max()) > 0.1


def test_a_second_answer_does_not_depend_on_the_other_flags() -> None:
    slices, brain = a_stack()
    first = a_first_answer(brain)
    config = ReconstructionConfig()
    alone = second_pass(Echo(), slices, brain, first, a_gate(2), config)
    beside = second_pass(Echo(), slices, brain, first, a_gate(0, 1, 2), config, batch_size=2)
    torch.testing.assert_close(alone.clean[2], beside.clean[2], atol=1e-5, rtol=0)
