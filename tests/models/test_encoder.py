"""The encoder: a slice's code is its own, of one length, and keeps where something is."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from counterpart.encoder import Encoder, EncoderConfig
from counterpart.errors import ModelError

TINY = EncoderConfig("basic", (1, 1, 1, 1), (8, 8, 8, 16), code_size=12, norm_groups=4, cells=2)
DEEP = replace(TINY, block="bottleneck", layers=(1, 2, 1, 1))


def encoder_of(config: EncoderConfig) -> Encoder:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return Encoder(config)


def some_slices(batch: int = 3) -> torch.Tensor:
    return torch.randn((batch, 1, 80, 96), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("config", [TINY, DEEP, replace(TINY, cells=1, code_size=5)])
def test_codes_have_the_length_of_the_root_of_their_size(config: EncoderConfig) -> None:
    codes = encoder_of(config)(some_slices())
    assert codes.shape == (3, config.code_size)
    assert codes.norm(dim=1).tolist() == pytest.approx([config.code_size**0.5] * 3, rel=1e-5)
    assert not torch.allclose(codes[0], codes[1], atol=1e-3)


def test_codes_are_float32_in_half_precision_too() -> None:
    encoder = encoder_of(TINY)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rounded = encoder(some_slices())
    assert rounded.dtype == torch.float32
    assert rounded.norm(dim=1).tolist() == pytest.approx([12**0.5] * 3, rel=1e-5)


@pytest.mark.parametrize("config", [TINY, DEEP])
def test_features_are_of_a_sixteenth_of_the_size(config: EncoderConfig) -> None:
    encoder = encoder_of(config)
    found = encoder.feature_map(some_slices(2))
    assert found.shape == (2, config.map_channels, 5, 6)
    assert encoder.features(some_slices(2)).shape == (2, config.features)
    assert config.map_channels == (64 if config.block == "bottleneck" else 16)


@pytest.mark.parametrize("config", [TINY, DEEP])
def test_in_training_a_code_depends_on_its_slice_alone(config: EncoderConfig) -> None:
    encoder = encoder_of(config).train()
    slices = some_slices()
    together = encoder(slices)
    torch.testing.assert_close(encoder(slices[1:2])[0], together[1], atol=1e-4, rtol=0)
    others = torch.cat((9 * slices[:1], slices[1:2], -slices[2:]))
    torch.testing.assert_close(encoder(others)[1], together[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(encoder.eval()(slices), together, atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", [TINY, DEEP])
def test_every_norm_is_of_groups(config: EncoderConfig) -> None:
    encoder = encoder_of(config)
    norms = [module for module in encoder.modules() if isinstance(module, nn.GroupNorm)]
    batch_norms = nn.modules.batchnorm._BatchNorm
    assert not any(isinstance(module, batch_norms) for module in encoder.modules())
    convolutions = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
    assert len(norms) == len(convolutions)
    assert {norm.num_groups for norm in norms} == {4}
    assert not list(encoder.buffers())


def test_features_are_means_over_cells() -> None:
    encoder = encoder_of(TINY)
    features = torch.randn((2, 16, 4, 6), generator=torch.Generator().manual_seed(2))
    pooled = encoder.pooled(features).reshape(2, 16, 2, 2)
    for row in (0, 1):
        for column in (0, 1):
            cell = features[:, :, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
            torch.testing.assert_close(pooled[:, :, row, column], cell.mean(dim=(2, 3)))


def test_cells_keep_where_something_is_and_one_cell_does_not() -> None:
    features = torch.randn((1, 16, 4, 6), generator=torch.Generator().manual_seed(2))
    mirrored = features.flip(2)
    whole = encoder_of(replace(TINY, cells=1))
    torch.testing.assert_close(whole.pooled(features), whole.pooled(mirrored))
    parts = encoder_of(TINY)
    assert not torch.allclose(parts.pooled(features), parts.pooled(mirrored), atol=1e-2)


def test_every_weight_has_a_part_in_the_code() -> None:
    encoder = encoder_of(TINY)
    encoder(some_slices()).square().cumsum(dim=1).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"block": "dense"}, "basic, bottleneck, got 'dense'"),
        ({"layers": (1, 1, 1)}, r"four levels, got layers \(1, 1, 1\)"),
        ({"channels": (8, 8, 8)}, r"four levels, .* channels \(8, 8, 8\)"),
        ({"channels": (8, 8, 10, 16)}, r"\(8, 8, 10, 16\) must be multiples of 4"),
        ({"code_size": 0}, "got 0 and 2"),
        ({"cells": 0}, "got 12 and 0"),
    ],
)
def test_an_impossible_size_is_refused_with_its_value(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        replace(TINY, **values)  # type: ignore[arg-type]


def test_configuration_survives_json_and_an_unknown_setting_is_named() -> None:
    values = json.loads(json.dumps(DEEP.to_json()))
    assert EncoderConfig.from_json(values) == DEEP
    with pytest.raises(ModelError, match="'width'"):
        EncoderConfig.from_json({**values, "width": 3})
