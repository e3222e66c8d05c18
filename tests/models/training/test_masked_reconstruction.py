"""Hidden patches: how many and which are kept, what fills them in, and what that costs."""

import pytest
import torch

from counterpart.encoder import Encoder, EncoderConfig
from counterpart.training.masked_reconstruction import PatchDecoder, hidden_error, kept_patches

TINY = EncoderConfig("basic", (1, 1, 1, 1), (8, 8, 8, 16), code_size=6, norm_groups=4, cells=1)


def cells_of(masks: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3) the masks at the middles of their patches."""
    return masks[:, 0][:, [13, 40, 67]][:, :, [16, 48, 80]]


@pytest.mark.parametrize("kept", [1, 3, 9])
def test_as_many_of_nine_patches_are_kept_as_asked(kept: int) -> None:
    masks = kept_patches(1, 2, range(5), kept)
    assert masks.shape == (5, 1, 80, 96)
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    assert cells_of(masks).sum(dim=(1, 2)).tolist() == [kept] * 5


def test_patches_are_ninths_of_the_slice_with_straight_borders() -> None:
    masks = kept_patches(1, 2, range(20), 3)
    whole = cells_of(masks).repeat_interleave(torch.tensor([27, 27, 26]), dim=1)
    whole = whole.repeat_interleave(32, dim=2)
    assert torch.equal(masks[:, 0], whole)
    assert masks.mean(dim=(1, 2, 3)).tolist() == pytest.approx([1 / 3] * 20, abs=0.02)


def test_every_patch_is_kept_as_often_as_any_other() -> None:
    share = cells_of(kept_patches(1, 0, range(600), 3)).mean(dim=0)
    assert share.ravel().tolist() == pytest.approx([1 / 3] * 9, abs=0.08)


def test_seed_step_and_sample_say_which_patches_are_kept() -> None:
    masks = kept_patches(1, 2, range(40), 3)
    torch.manual_seed(5)
    assert torch.equal(kept_patches(1, 2, [7, 30], 3), masks[[7, 30]])
    assert not torch.equal(kept_patches(2, 2, range(40), 3), masks)
    assert not torch.equal(kept_patches(1, 3, range(40), 3), masks)
    assert len({tuple(row.tolist()) for row in cells_of(masks).flatten(1)}) > 20


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_the_decoder_answers_whole_slices(block: str) -> None:
    config = EncoderConfig(block, (1, 1, 1, 1), (8, 8, 8, 32), norm_groups=8)
    features = Encoder(config).feature_map(torch.randn(2, 1, 80, 96))
    assert PatchDecoder(config)(features).shape == (2, 1, 80, 96)


def test_only_what_was_hidden_costs() -> None:
    generator = torch.Generator().manual_seed(0)
    filled, slices = torch.randn((2, 4, 1, 80, 96), generator=generator)
    kept = kept_patches(1, 2, range(4), 3)
    hidden = kept == 0
    expected = float(((filled - slices)[hidden] ** 2).mean())
    assert float(hidden_error(filled, slices, kept)) == pytest.approx(expected, rel=1e-5)
    elsewhere = filled + 100.0 * kept
    assert float(hidden_error(elsewhere, slices, kept)) == pytest.approx(expected, rel=1e-5)
    assert float(hidden_error(slices, slices, kept)) == 0.0
    assert float(hidden_error(slices + 2.0, slices, kept)) == pytest.approx(4.0, rel=1e-5)


def test_where_nothing_is_hidden_nothing_is_lost() -> None:
    slices = torch.ones(2, 1, 80, 96)
    assert float(hidden_error(0 * slices, slices, kept_patches(1, 2, range(2), 9))) == 0.0


def test_the_decoder_learns_to_fill_in() -> None:
    torch.manual_seed(0)
    encoder, decoder = Encoder(TINY), PatchDecoder(TINY)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
    rising = torch.linspace(-1, 1, 80)[:, None].expand(80, 96)
    slices = torch.stack((rising, -rising, rising + 1))[:, None]
    kept = kept_patches(1, 0, range(3), 3)
    losses = []
    for _ in range(40):
        loss = hidden_error(decoder(encoder.feature_map(slices * kept)), slices, kept)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
