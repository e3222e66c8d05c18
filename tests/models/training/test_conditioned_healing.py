"""Healing with a condition: whose code is withheld, whether the encoder learns, which noise."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from counterpart.cohort import Cohort
from counterpart.denoiser import DenoiserConfig, Prediction, soft_limit
from counterpart.diffusion_noise import simplex_noise
from counterpart.encoder import EncoderConfig
from counterpart.training.examples import ExampleConfig, Examples
from counterpart.training.healing import HealingConfig, HealingModule, healing_losses
from counterpart.training.machines import Machines
from counterpart.training.run import load_averaged_weights
from counterpart.training.stages import train_denoiser

ENCODER = EncoderConfig("basic", (1, 1, 1, 1), (8, 8, 8, 8), code_size=6, norm_groups=4, cells=1)
NETWORK = DenoiserConfig(
    (8, 16),
    (False, False),
    residual_blocks=1,
    head_channels=8,
    norm_groups=8,
    condition="embedding",
    encoder=ENCODER,
)
HEALING = HealingConfig(
    steps=1, batch_size=4, warmup_steps=0, decay_share=0.0, code_dropout=0.5, ema_decay=0.5
)


def module_of(cohort: Cohort, **changed: object) -> HealingModule:
    """A module whose weights are nought nowhere, so that everything has an effect."""
    module = HealingModule(NETWORK, replace(HEALING, **changed), ExampleConfig(), cohort)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.denoiser.net.named_parameters():
            scale = 0.5 if "class_embedding" in name else 0.1
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return module


def some_examples(batch: int = 4) -> Examples:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, 1, 16, 24)
    brain = torch.zeros(shape)
    brain[..., 2:14, 3:21] = 1.0
    shown, clean = (2 * torch.randn(shape, generator=generator) * brain for _ in range(2))
    departure = (torch.rand(shape, generator=generator) > 0.7) * brain
    noise = torch.randn(shape, generator=generator)
    time, chance = torch.rand((2, batch), generator=generator)
    return Examples(shown, clean, brain, departure, noise, time, chance)


def test_a_withheld_code_is_no_code(a_cohort: Cohort) -> None:
    module, examples = module_of(a_cohort), some_examples()
    step = torch.tensor([100, 300, 500, 700])
    with torch.no_grad():
        mixed = module.predict(examples, step, torch.tensor([True, False, True, False]))
        own = module.predict(examples, step)
        none = module.predict(examples, step, torch.zeros(4, dtype=torch.bool))
        shown = soft_limit(examples.shown)
        noisy = module.denoiser.noised(shown, examples.noise, step) * examples.brain
        expected = module.denoiser(noisy, examples.brain, step, module.denoiser.encoder(shown))
        without = module.denoiser(noisy, examples.brain, step)
    torch.testing.assert_close(own.clean, expected.clean)
    torch.testing.assert_close(none.clean, without.clean)
    assert bool(((own.clean - none.clean).abs().amax(dim=(1, 2, 3)) > 1e-3).all())
    for row, chosen in enumerate((own, none, own, none)):
        torch.testing.assert_close(mixed.clean[row], chosen.clean[row], atol=1e-5, rtol=0)


class Watching(HealingModule):
    """Remembers what its steps predict from, and is a lone process of its own."""

    def watch(self) -> list[tuple[Examples, torch.Tensor, torch.Tensor | None]]:
        self.seen: list[tuple[Examples, torch.Tensor, torch.Tensor | None]] = []
        return self.seen

    def predict(
        self, examples: Examples, step: torch.Tensor, keep: torch.Tensor | None = None
    ) -> Prediction:
        self.seen.append((examples, step, keep))
        return super().predict(examples, step, keep)

    def log_dict(self, *arguments: object, **options: object) -> None:  # type: ignore[override]
        pass

    trainer = SimpleNamespace(world_size=1)  # type: ignore[assignment]
    global_step = 0  # type: ignore[assignment]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_codes_are_withheld_by_each_examples_own_chance(a_cohort: Cohort, share: float) -> None:
    module = Watching(NETWORK, replace(HEALING, code_dropout=share), ExampleConfig(), a_cohort)
    seen = module.watch()
    module.training_step(torch.arange(4), 0)
    ((examples, step, keep),) = seen
    assert keep is not None
    assert keep.tolist() == [chance >= share for chance in examples.chance.tolist()]
    if share in (0.0, 1.0):
        assert keep.tolist() == [share == 0.0] * 4
    expected = [20 + int(780 * time) for time in examples.time.tolist()]
    assert step.tolist() == expected


def test_in_validation_every_slice_has_its_code(a_cohort: Cohort) -> None:
    module = Watching(NETWORK, replace(HEALING, code_dropout=1.0), ExampleConfig(), a_cohort)
    seen = module.watch()
    module.validation_step(torch.arange(4), 0)
    ((_, step, keep),) = seen
    assert keep is None
    assert step.tolist() == [250] * 4


@pytest.mark.parametrize("name", ["gaussian", "simplex"])
def test_simplex_noise_is_one_field_for_the_batch_and_new_at_each_step(
    a_cohort: Cohort, name: str
) -> None:
    module = Watching(NETWORK, replace(HEALING, noise=name), ExampleConfig(), a_cohort)
    seen = module.watch()
    module.training_step(torch.arange(4), 0)
    module.training_step(torch.arange(4), 0)
    module.global_step = 1
    module.training_step(torch.arange(4), 0)
    module.global_step = 0
    module.validation_step(torch.arange(4), 0)
    first, again, later, held_out = (examples.noise for examples, _, _ in seen)
    shared = bool((first == first[:1]).all())
    assert shared == (name == "simplex")
    assert torch.equal(first, again)
    for other in (later, held_out):
        assert not torch.allclose(first, other, atol=0.5)
    assert first.std(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 4, abs=0.03)
    beside = float((first * first.roll(1, 2)).mean())
    example = simplex_noise((80, 96), torch.Generator().manual_seed(0))
    expected = float((example * example.roll(1, 0)).mean()) if shared else 0.0
    assert beside == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("learns", [False, True])
def test_the_encoder_learns_only_where_it_may(a_cohort: Cohort, learns: bool) -> None:
    module, examples = module_of(a_cohort, encoder_learns=learns), some_examples()
    chosen = module.configure_optimizers()
    before = {name: value.clone() for name, value in module.denoiser.state_dict().items()}
    prediction = module.predict(examples, torch.tensor([100, 300, 500, 700]))
    clean, departure = healing_losses(prediction, examples, module.healing)
    (clean + departure).backward()
    chosen["optimizer"].step()
    for name, parameter in module.denoiser.named_parameters():
        of_encoder = name.startswith("encoder.")
        assert parameter.requires_grad == (learns or not of_encoder), name
        if of_encoder and not learns:
            assert parameter.grad is None, name
            assert torch.equal(parameter, before[name]), name
    moved = {
        name.split(".")[0]
        for name, value in module.denoiser.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == ({"net", "encoder"} if learns else {"net"})
    optimised = sum(len(group["params"]) for group in chosen["optimizer"].param_groups)
    count = len(list(module.denoiser.parameters()))
    frozen = 0 if learns else len(list(module.denoiser.encoder.parameters()))
    assert optimised == count - frozen


@pytest.mark.slow
def test_a_frozen_encoder_leaves_a_run_as_it_came(a_cohort_folder: Path, tmp_path: Path) -> None:
    last = train_denoiser(
        a_cohort_folder,
        tmp_path,
        network=NETWORK,
        healing=replace(HEALING, steps=3, batch_size=2),
        examples=ExampleConfig(),
        machines=Machines(device="cpu", precision="float32"),
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(HEALING.seed)
        start = HealingModule(NETWORK, HEALING, ExampleConfig(), cohort=None).denoiser  # type: ignore[arg-type]
    found = load_averaged_weights(last)
    changed = set()
    for name, value in start.state_dict().items():
        if name.startswith("encoder."):
            torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0, msg=name)
        elif not torch.allclose(found[name], value, atol=1e-6):
            changed.add(name)
    assert "net.class_embedding.2.weight" in changed
