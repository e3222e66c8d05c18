"""The fast group norm is torch's, in every layout, and takes the place of torch's own."""

import pytest
import torch
from torch import nn

from counterpart.group_norm import GroupNorm, use_fast_group_norms

SHAPES = [(2, 8, 6, 5), (1, 16, 40, 48), (3, 8, 1, 1)]


def a_pair(channels: int) -> tuple[nn.GroupNorm, GroupNorm]:
    """torch's norm and ours with the same parameters, none of them trivial."""
    generator = torch.Generator().manual_seed(channels)
    plain, fast = nn.GroupNorm(4, channels, eps=1e-6), GroupNorm(4, channels, eps=1e-6)
    with torch.no_grad():
        plain.weight.copy_(torch.rand(channels, generator=generator) + 0.5)
        plain.bias.copy_(torch.randn(channels, generator=generator))
    fast.load_state_dict(plain.state_dict())
    return plain, fast


def a_map(shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3.0 + torch.randn(shape, generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_answer_is_torch_s_and_keeps_the_layout(
    shape: tuple[int, int, int, int], layout: torch.memory_format
) -> None:
    plain, fast = a_pair(shape[1])
    shown = a_map(shape).contiguous(memory_format=layout)
    with torch.inference_mode():
        found = fast(shown)
        torch.testing.assert_close(found, plain(a_map(shape)), atol=1e-4, rtol=1e-4)
    assert found.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_learns_as_torch_s_does(layout: torch.memory_format) -> None:
    plain, fast = a_pair(8)
    gradients = []
    for norm in (plain, fast):
        shown = a_map((2, 8, 6, 5)).contiguous(memory_format=layout).requires_grad_()
        norm(shown).sin().sum().backward()
        assert shown.grad is not None
        gradients.append((shown.grad, norm.weight.grad, norm.bias.grad))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_other_dimensions_are_normed_too() -> None:
    plain, fast = a_pair(8)
    for shape in ((2, 8), (2, 8, 7), (1, 8, 3, 4, 5)):
        torch.testing.assert_close(fast(a_map(shape)), plain(a_map(shape)))


def test_every_norm_within_a_network_is_replaced_and_keeps_its_parameters() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3), a_pair(8)[0], nn.Sequential(a_pair(8)[0]))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    use_fast_group_norms(network)
    assert [type(part) for part in network] == [nn.Conv2d, GroupNorm, nn.Sequential]
    assert type(network[2][0]) is GroupNorm
    assert network[1].eps == 1e-6
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
