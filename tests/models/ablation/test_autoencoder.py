"""The autoencoder stands in the denoiser's place, without noise and without a second channel."""

import pytest
import torch

from counterpart.ablation.autoencoder import Autoencoder, AutoencoderModule
from counterpart.ablation.rows import AUTOENCODER, Sizes, ablation_rows
from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.reconstruction import ReconstructionConfig, reconstruct

SIZES = Sizes(channels=(8, 16), steps=2, batch_size=2)
METHOD = next(row.method for row in ablation_rows(SIZES) if row.name == AUTOENCODER)
ONE_LOOK = ReconstructionConfig((0,), (1.0,), (1.0,))


@pytest.fixture
def an_autoencoder() -> Autoencoder:
    assert METHOD is not None
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return Autoencoder(METHOD.network).eval()


def slices() -> torch.Tensor:
    return torch.randn((3, 1, 80, 96), generator=torch.Generator().manual_seed(1))


def test_it_answers_slices_within_the_brain_and_no_departure(an_autoencoder: Autoencoder) -> None:
    brain = torch.zeros((3, 1, 80, 96))
    brain[..., 20:60, 20:70] = 1.0
    found = an_autoencoder(slices() * brain, brain, torch.zeros(3, dtype=torch.long))
    assert found.clean.shape == (3, 1, 80, 96)
    assert found.clean[brain > 0].std() > 0
    assert not found.clean[brain == 0].any()
    assert not found.departure.any()


def test_it_sees_no_noise_so_its_answer_has_no_seed(an_autoencoder: Autoencoder) -> None:
    brain = torch.ones((3, 1, 80, 96))
    one, other = (
        reconstruct(an_autoencoder, slices(), brain, ONE_LOOK, seed=seed) for seed in (1, 2)
    )
    torch.testing.assert_close(one.clean, other.clean, rtol=0, atol=0)
    step = torch.full((3,), 999)
    assert torch.equal(an_autoencoder.noised(slices(), torch.randn(3, 1, 80, 96), step), slices())


def test_everything_passes_the_bottleneck(an_autoencoder: Autoencoder) -> None:
    """A change of the slice's far corner moves the answer only through an eighth of its size."""
    codes: list[torch.Tensor] = []
    bottleneck = an_autoencoder.net.encode[-1]
    bottleneck.register_forward_hook(lambda module, given, answer: codes.append(answer))
    an_autoencoder(slices(), torch.ones((3, 1, 80, 96)), torch.zeros(3, dtype=torch.long))
    assert codes[0].shape == (3, 16, 10, 12)


def test_its_network_is_no_diffusion_network(an_autoencoder: Autoencoder) -> None:
    names = set(an_autoencoder.state_dict())
    assert METHOD is not None
    assert not names & set(Denoiser(METHOD.network).state_dict())
    assert names


def test_its_training_is_the_denoiser_s(a_cohort: Cohort) -> None:
    assert METHOD is not None
    module = AutoencoderModule(METHOD.network, METHOD.healing, METHOD.examples, a_cohort)
    assert isinstance(module.denoiser, Autoencoder)
    examples = module.maker("train").make(1, 0, range(2))
    assert not examples.departure.any()
    shown = module.predict(examples, torch.zeros(2, dtype=torch.long))
    shown.clean.abs().mean().backward()
    assert all(part.grad is not None for part in module.denoiser.parameters())


def test_a_width_for_each_level_is_needed() -> None:
    network = Autoencoder(DenoiserConfig((8, 16, 16), (False,) * 3, norm_groups=8, head_channels=8))
    found = network(torch.zeros(1, 1, 80, 96), torch.ones(1, 1, 80, 96), torch.zeros(1).long())
    assert found.clean.shape == (1, 1, 80, 96)
