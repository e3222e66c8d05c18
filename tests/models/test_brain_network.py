"""The brain network: what it is shown, how it folds a head, and what its answer depends on."""

import pytest
import torch
from torch import nn

from counterpart.brain_network import (
    BrainNetwork,
    BrainNetworkConfig,
    scale_heads,
)
from counterpart.errors import ModelError

TINY = BrainNetworkConfig(channels=8, blocks_down=(1, 1, 1, 1), blocks_up=(1, 1, 1))
SHAPE = (32, 48, 16)


class Recorder(nn.Module):
    """Answers what it is shown, and keeps it."""

    def forward(self, folded: torch.Tensor) -> torch.Tensor:
        self.folded = folded
        return folded


def a_network() -> BrainNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BrainNetwork(TINY).eval()


def random_heads(batch: int = 2, seed: int = 0) -> torch.Tensor:
    """Noise on a background at 0, with a brighter block in the middle."""
    generator = torch.Generator().manual_seed(seed)
    heads = 0.02 * torch.rand((batch, 1, *SHAPE), generator=generator)
    heads[:, :, 8:24, 12:36, 4:12] += 0.3 + 0.5 * torch.rand((16, 24, 8), generator=generator)
    return heads


def test_folding_and_unfolding_undo_each_other() -> None:
    network = a_network()
    network.net = Recorder()  # type: ignore[assignment]
    heads = random_heads()
    assert torch.equal(network(heads), heads)


def test_a_block_of_eight_voxels_becomes_eight_channels() -> None:
    network = a_network()
    recorder = Recorder()
    network.net = recorder  # type: ignore[assignment]
    heads = random_heads()
    network(heads)
    assert recorder.folded.shape == (2, 8, 16, 24, 8)
    for channel, (x, y, z) in enumerate((x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)):
        assert torch.equal(recorder.folded[:, channel], heads[:, 0, x::2, y::2, z::2])


def test_the_answer_has_the_heads_shape_in_full_precision() -> None:
    network = a_network()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        answer = network(random_heads())
    assert answer.shape == (2, 1, *SHAPE)
    assert answer.dtype == torch.float32


def test_the_least_multiple_is_accepted() -> None:
    with torch.inference_mode():
        assert a_network()(torch.rand(1, 1, 16, 16, 16)).shape[2:] == (16,) * 3


def test_a_head_is_answered_alike_alone_and_in_company() -> None:
    network, heads = a_network(), random_heads(3)
    with torch.inference_mode():
        together = network(heads)
        turned = network(heads.flip(0)).flip(0)
        alone = torch.cat([network(head[None]) for head in heads])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together, turned, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_a_mirrored_head_is_another_head(axis: int) -> None:
    network, heads = a_network(), random_heads(1)
    with torch.inference_mode():
        difference = network(heads.flip(axis)) - network(heads).flip(axis)
    assert difference.abs().max() > 1e-3


def test_every_voxel_of_a_block_has_its_own_answer() -> None:
    with torch.inference_mode():
        answer = a_network()(random_heads(1))
    blocks = answer.unfold(2, 2, 2).unfold(3, 2, 2).unfold(4, 2, 2).flatten(5)
    assert float(blocks.std(dim=-1).median()) > 1e-3


def test_the_size_survives_json_and_an_unknown_setting_is_named() -> None:
    assert BrainNetworkConfig.from_json(TINY.to_json()) == TINY
    with pytest.raises(ModelError, match="'depth'"):
        BrainNetworkConfig.from_json({**TINY.to_json(), "depth": 3})


@pytest.mark.parametrize(
    ("scale", "shift"), [(0.001, 0.0), (4095.0, 0.0), (1.0, -3.0), (250.0, 40.0), (0.5, -0.2)]
)
def test_the_unit_of_a_scan_does_not_matter(scale: float, shift: float) -> None:
    heads = random_heads()
    torch.testing.assert_close(
        scale_heads(scale * heads + shift), scale_heads(heads), atol=1e-4, rtol=0
    )


def test_each_head_has_its_own_scale() -> None:
    heads = random_heads()
    heads[1] *= 40.0
    expected = torch.cat([scale_heads(head[None]) for head in heads])
    assert torch.equal(scale_heads(heads), expected)
    torch.testing.assert_close(expected[1], scale_heads(heads[1:] / 40.0)[0], atol=1e-4, rtol=0)


def test_background_comes_to_zero_and_bright_tissue_to_one() -> None:
    heads = random_heads()
    scaled = scale_heads(heads)
    assert float(scaled.min()) == 0.0
    assert float(scaled[:, :, :6].mean()) < 0.05
    assert float(scaled[:, :, 8:24, 12:36, 4:12].quantile(0.98)) == pytest.approx(1.0, abs=0.03)


def test_a_few_very_bright_voxels_change_nothing_and_are_limited() -> None:
    heads = random_heads()
    bright = heads.clone()
    bright[:, :, 10, 20, 5:8] = 900.0
    scaled = scale_heads(bright)
    assert float(scaled.max()) == 1.5
    keep = torch.ones(SHAPE, dtype=torch.bool)
    keep[10, 20, 5:8] = False
    torch.testing.assert_close(scaled[..., keep], scale_heads(heads)[..., keep], atol=0.02, rtol=0)


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, 1e-30])
def test_a_constant_head_becomes_nothing(value: float) -> None:
    assert not scale_heads(torch.full((1, 1, *SHAPE), value)).any()


def test_one_bright_voxel_in_nothing_stays_finite() -> None:
    heads = torch.zeros((1, 1, *SHAPE))
    heads[0, 0, 1, 2, 3] = 5.0
    scaled = scale_heads(heads)
    assert bool(scaled.isfinite().all())
    assert 0.0 <= float(scaled.min()) <= float(scaled.max()) <= 1.5


def test_negative_scans_are_scaled_like_others() -> None:
    heads = random_heads()
    scaled = scale_heads(heads - 5.0)
    assert float(scaled.min()) == 0.0
    assert float(scaled.max()) > 0.9
