"""A denoiser with a condition: where its code comes from, and what it changes."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.encoder import EncoderConfig
from counterpart.errors import ModelError

ENCODER = EncoderConfig("basic", (1, 1, 1, 1), (8, 8, 8, 8), code_size=6, norm_groups=4, cells=1)
PLAIN = DenoiserConfig((8, 16), (False, True), residual_blocks=1, head_channels=8, norm_groups=8)
STEP = torch.tensor([5, 300, 700])
BOTH = pytest.mark.parametrize("condition", ["embedding", "cross-attention"])


def config_of(condition: str) -> DenoiserConfig:
    return replace(PLAIN, condition=condition, encoder=ENCODER)


def untrained(condition: str) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(config_of(condition)).eval()


def trained_a_little(denoiser: Denoiser, without: str = "nothing") -> Denoiser:
    """The same denoiser with weights that are nought nowhere, but for those of one part."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, parameter in denoiser.named_parameters():
            if not name.startswith(without):
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return denoiser


def some_slices() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    brain = torch.zeros(3, 1, 16, 24)
    brain[..., 3:13, 4:20] = 1.0
    return torch.randn(brain.shape, generator=generator) * brain, brain


def some_codes(seed: int = 3) -> torch.Tensor:
    return torch.randn((3, 6), generator=torch.Generator().manual_seed(seed))


@BOTH
def test_the_code_changes_the_answer_of_its_own_slice_alone(condition: str) -> None:
    denoiser = trained_a_little(untrained(condition))
    noisy, brain = some_slices()
    code = some_codes()
    other = code.clone()
    other[1] = -code[1]
    with torch.no_grad():
        first, second = (denoiser(noisy, brain, STEP, given) for given in (code, other))
    for one, two in ((first.clean, second.clean), (first.departure, second.departure)):
        assert float((one[1] - two[1]).abs().max()) > 1e-3
        torch.testing.assert_close(one[[0, 2]], two[[0, 2]], atol=1e-5, rtol=0)


@BOTH
def test_a_code_of_noughts_stands_for_none(condition: str) -> None:
    denoiser = trained_a_little(untrained(condition))
    noisy, brain = some_slices()
    with torch.no_grad():
        nothing = denoiser(noisy, brain, STEP)
        noughts = denoiser(noisy, brain, STEP, torch.zeros(3, 6))
        code = denoiser(noisy, brain, STEP, some_codes())
    assert torch.equal(nothing.clean, noughts.clean)
    assert torch.equal(nothing.departure, noughts.departure)
    assert not torch.allclose(nothing.clean, code.clean, atol=1e-3)


@BOTH
def test_codes_are_those_of_its_own_encoder(condition: str) -> None:
    denoiser = trained_a_little(untrained(condition))
    slices, _ = some_slices()
    with torch.no_grad():
        codes = denoiser.codes(slices)
        assert codes is not None
        assert torch.equal(codes, denoiser.encoder(slices))
    assert codes.shape == (3, 6)


def test_without_a_condition_there_are_no_codes_and_no_encoder() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(PLAIN).eval()
    noisy, brain = some_slices()
    assert denoiser.codes(noisy) is None
    assert not any("encoder" in name for name in denoiser.state_dict())
    trained_a_little(denoiser)
    with torch.no_grad():
        first = denoiser(noisy, brain, STEP)
        second = denoiser(noisy, brain, STEP, some_codes())
    assert torch.equal(first.clean, second.clean)


def test_an_embedded_code_has_no_effect_before_training_and_one_after() -> None:
    denoiser = trained_a_little(untrained("embedding"), without="net.class_embedding")
    noisy, brain = some_slices()
    with torch.no_grad():
        nothing = denoiser(noisy, brain, STEP)
        code = denoiser(noisy, brain, STEP, some_codes())
        assert torch.equal(nothing.clean, code.clean)
        assert torch.equal(nothing.departure, code.departure)
        last = denoiser.net.get_submodule("class_embedding.2")
        nn.init.normal_(last.get_parameter("weight"), std=0.2)
        code = denoiser(noisy, brain, STEP, some_codes())
    assert float((nothing.clean - code.clean).abs().max()) > 1e-3


def test_an_embedded_code_can_be_learned_from_the_start() -> None:
    """The last layer begins at nought, and gets a gradient nevertheless."""
    denoiser = trained_a_little(untrained("embedding"), without="net.class_embedding")
    noisy, brain = some_slices()
    denoiser(noisy, brain, STEP, some_codes()).clean.square().sum().backward()
    gradient = denoiser.net.get_parameter("class_embedding.2.weight").grad
    assert gradient is not None
    assert bool(gradient.any())


@BOTH
def test_a_slice_does_not_know_of_the_others(condition: str) -> None:
    denoiser = trained_a_little(untrained(condition))
    noisy, brain = some_slices()
    with torch.no_grad():
        together = denoiser(noisy, brain, STEP, some_codes())
        alone = denoiser(noisy[1:2], brain[1:2], STEP[1:2], some_codes()[1:2])
    torch.testing.assert_close(alone.clean[0], together.clean[1], atol=1e-4, rtol=0)


@BOTH
def test_configuration_with_its_encoder_survives_json(condition: str) -> None:
    config = config_of(condition)
    values = json.loads(json.dumps(config.to_json()))
    assert DenoiserConfig.from_json(values) == config
    with pytest.raises(ModelError, match="unknown DenoiserConfig setting 'colour'"):
        DenoiserConfig.from_json({**values, "colour": 3})
    values["encoder"]["depth"] = 50
    with pytest.raises(ModelError, match="unknown EncoderConfig setting 'depth'"):
        DenoiserConfig.from_json(values)


@pytest.mark.parametrize(
    ("condition", "encoder", "message"),
    [
        ("sum", ENCODER, "none, embedding, cross-attention, got 'sum'"),
        ("none", ENCODER, "'none', so there must be no encoder"),
        ("embedding", None, "'embedding', so there must be an encoder"),
        ("cross-attention", None, "'cross-attention', so there must be an encoder"),
    ],
)
def test_a_condition_and_its_encoder_go_together(
    condition: str, encoder: EncoderConfig | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        replace(PLAIN, condition=condition, encoder=encoder)
    values = {**PLAIN.to_json(), "condition": condition}
    values["encoder"] = None if encoder is None else encoder.to_json()
    with pytest.raises(ModelError, match=message):
        DenoiserConfig.from_json(values)
