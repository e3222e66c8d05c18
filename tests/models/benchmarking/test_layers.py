"""The layers of a network: which there are, that no time and no operation is lost."""

import pytest
import torch
from torch import nn

from counterpart.benchmarking.layers import (
    BETWEEN,
    NOTABLE_SHARE,
    LayerFigures,
    layer_figures,
    smallest_parts,
)
from counterpart.benchmarking.network_calls import NetworkCalls, operations, overheard
from counterpart.denoiser import Denoiser

Calls = tuple[NetworkCalls, NetworkCalls]


@pytest.fixture
def some_figures(a_tiny_denoiser: Denoiser, some_calls: Calls) -> LayerFigures:
    return layer_figures(a_tiny_denoiser, some_calls[0], 2)


def test_attention_is_one_layer_and_everything_else_has_no_parts(
    a_tiny_denoiser: Denoiser,
) -> None:
    parts = smallest_parts(a_tiny_denoiser.net)
    attention = [name for name, part in parts.items() if type(part).__name__ == "SABlock"]
    assert attention
    assert not [name for name in parts for outer in attention if name.startswith(f"{outer}.")]
    held = {parameter for part in parts.values() for parameter in part.parameters()}
    assert held == set(a_tiny_denoiser.net.parameters())


def test_the_shares_of_all_kinds_are_the_whole(some_figures: LayerFigures) -> None:
    kinds = some_figures.kinds
    assert sum(group.share for group in kinds) == pytest.approx(1.0)
    assert sum(group.seconds for group in kinds) == pytest.approx(some_figures.seconds)
    assert {"convolutions", "group norms", "attention", BETWEEN} <= {one.name for one in kinds}
    assert list(kinds) == sorted(kinds, key=lambda group: -group.seconds)


def test_no_operation_is_lost(
    some_figures: LayerFigures, a_tiny_denoiser: Denoiser, some_calls: Calls
) -> None:
    calls = some_calls[0]
    whole = operations(a_tiny_denoiser, calls.batch, calls.precision)[""]
    assert sum(group.operations for group in some_figures.kinds) == whole
    for group in some_figures.kinds:
        if group.operations:
            assert group.rate == pytest.approx(group.operations / group.seconds)


def test_notable_groups_take_more_than_a_tenth(some_figures: LayerFigures) -> None:
    assert all(group.share > NOTABLE_SHARE for group in some_figures.notable)
    assert some_figures.batch == 3


def test_equal_layers_are_one_group() -> None:
    network = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)))
    with overheard(network, str) as calls:
        network(torch.zeros(2, 4, 32, 32))
    figures = layer_figures(network, calls, 1)
    (group,) = figures.notable
    assert (group.name, group.layers) == ("convolution 3×3, 4 channels to 4×32×32", 3)
    assert group.operations == 3 * 2 * 2 * 4 * 32 * 32 * 4 * 9


def test_a_layer_that_is_used_twice_counts_twice() -> None:
    layer = nn.Linear(6, 6)
    network = nn.Sequential(layer, nn.SiLU(), layer)
    with overheard(network, str) as calls:
        network(torch.zeros(2, 6))
    figures = layer_figures(network, calls, 1)
    (linear,) = [group for group in figures.kinds if group.name == "linear layers"]
    assert sum(group.share for group in figures.kinds) == pytest.approx(1.0)
    assert linear.operations == 2 * (2 * 2 * 6 * 6)
    assert not layer._forward_hooks
