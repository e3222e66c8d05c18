"""What is overheard of a network, and the operations that are counted in it."""

import pytest
import torch
from monai.networks.blocks import SABlock
from torch import nn

from counterpart.benchmarking.network_calls import evaluate, operations, overheard


class Adder(nn.Module):
    """Takes two arguments, the second of which may be missing."""

    def forward(self, values: torch.Tensor, code: torch.Tensor | None = None) -> torch.Tensor:
        return values if code is None else values + code


def test_evaluations_are_counted_by_stage_and_the_largest_is_kept() -> None:
    network, stage = Adder(), ["first"]
    with overheard(network, lambda: stage[0]) as calls:
        network(torch.zeros(2, 3), torch.ones(2, 3))
        network(torch.full((4, 3), 5.0), torch.ones(4, 3))
        stage[0] = "second"
        network(torch.full((4, 3), 6.0), torch.ones(4, 3))
        network(torch.zeros(1, 3), None)
    assert dict(calls.samples) == {"first": 6, "second": 5}
    assert calls.batch_size == 4
    assert [part.unique().tolist() for part in calls.batch] == [[5.0], [1.0]]
    assert [len(part) for part in calls.smaller(3)] == [3, 3]
    network(torch.zeros(9, 3))
    assert calls.samples.total() == 11


@pytest.mark.parametrize("half", [True, False])
def test_the_precision_is_that_of_the_evaluation(half: bool) -> None:
    network = nn.Linear(3, 3)
    with overheard(network, str) as calls, torch.autocast("cpu", torch.bfloat16, enabled=half):
        answer = network(torch.zeros(2, 3))
    assert calls.precision == (torch.bfloat16 if half else torch.float32)
    assert evaluate(network, calls.batch, calls.precision).dtype == answer.dtype


def test_nothing_is_overheard_of_a_network_that_was_not_asked() -> None:
    with overheard(nn.Identity(), str) as calls:
        pass
    assert (calls.batch_size, calls.samples.total()) == (0, 0)


def test_operations_are_those_of_the_formulas() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(8 * 6 * 5, 7)
    )
    batch = 4
    convolution = 2 * batch * 8 * 6 * 5 * 3 * 3 * 3
    linear = 2 * batch * 8 * 6 * 5 * 7
    for precision in (torch.float32, torch.bfloat16):
        found = operations(network, (torch.zeros(batch, 3, 6, 5),), precision)
        assert found == {"": convolution + linear, "0": convolution, "3": linear}


def test_operations_of_attention_hold_its_projections_and_products() -> None:
    batch, places, width, heads = 2, 12, 16, 4
    network = nn.Sequential(SABlock(width, heads, use_combined_linear=False))
    found = operations(network, (torch.zeros(batch, places, width),), torch.float32)
    projections = 4 * 2 * batch * places * width * width
    products = 2 * 2 * batch * places * places * width
    assert found[""] == found["0"] == projections + products
