"""The healing objective: a denoiser learns to answer the clean slice when shown a patterned one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import lightning
import torch
from torch.nn import functional

from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser, DenoiserConfig, Prediction, soft_limit
from counterpart.diffusion_noise import noise_named
from counterpart.errors import CohortError
from counterpart.seeding import derived_seed
from counterpart.targets import HELD_OUT_FAMILIES
from counterpart.training.examples import ExampleConfig, ExampleMaker, Examples
from counterpart.training.figures import healing_figures
from counterpart.training.ranks import mean_over_ranks, own_samples
from counterpart.training.schedule import Schedule, optimiser_and_rate

VALIDATION_SEED = 90_000_001
VALIDATION_BATCHES = 8
VALIDATION_STEP = 250


@dataclass(frozen=True)
class HealingConfig(Schedule):
    """How the denoiser is trained; see `Schedule` for the rest.

    Args:
        lowest_step: Lowest diffusion step trained on.
        highest_step: Highest diffusion step trained on.
        low_noise: Exponent of the uniform number that says the diffusion step; above 1 low steps
            are trained on more often than high ones.
        pattern_weight: Extra weight of pattern voxels in the L1 loss.
        departure_weight: Weight of the departure channel's cross-entropy.
        code_dropout: Share of the examples whose code is withheld, so that the denoiser can do
            without and the code's effect can be measured.
        encoder_learns: Whether the encoder goes on learning with the denoiser.
        noise: Of the diffusion, one of `counterpart.diffusion_noise.NOISES`.
    """

    lowest_step: int = 20
    highest_step: int = 800
    low_noise: float = 1.0
    pattern_weight: float = 3.0
    departure_weight: float = 1.0
    code_dropout: float = 0.15
    encoder_learns: bool = False
    noise: str = "gaussian"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.lowest_step < self.highest_step < 1000:
            raise CohortError(
                "diffusion steps must satisfy 0 <= lowest < highest < 1000, got "
                f"{self.lowest_step} and {self.highest_step}."
            )
        if not self.low_noise > 0:
            raise CohortError(f"the exponent of the noise must be positive, got {self.low_noise}.")
        if not 0.0 <= self.code_dropout <= 1.0:
            raise CohortError(
                f"the share of withheld codes must lie from 0 to 1, got {self.code_dropout}."
            )
        noise_named(self.noise)

    def diffusion_step(self, time: torch.Tensor) -> torch.Tensor:
        """Diffusion steps (B,) of uniform numbers (B,) in [0, 1)."""
        span = self.highest_step - self.lowest_step
        step: torch.Tensor = self.lowest_step + (span * time**self.low_noise).long()
        return step


class HealingModule(lightning.LightningModule):
    """Trains a `Denoiser` on examples that are made on the device, step by step."""

    def __init__(
        self,
        network: DenoiserConfig,
        healing: HealingConfig,
        examples: ExampleConfig,
        cohort: Cohort,
    ) -> None:
        super().__init__()
        self.healing = healing
        self.examples = examples
        self.denoiser = Denoiser(network).to(memory_format=torch.channels_last)
        if network.encoder is not None:
            self.denoiser.encoder.requires_grad_(healing.encoder_learns)
        self._cohort = cohort
        self._makers: dict[str, ExampleMaker] = {}
        self._shown: list[tuple[Examples, Prediction]] = []

    def maker(self, part: str) -> ExampleMaker:
        """The examples of one part of the cohort, on this module's device."""
        if part not in self._makers:
            config = self.examples
            if part != "train":
                config = replace(config, families=HELD_OUT_FAMILIES)
            self._makers[part] = ExampleMaker(self._cohort.part(part), config, device=self.device)
        return self._makers[part]

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        """One step; ``batch`` holds the sample numbers, the examples are made here."""
        with torch.autocast(self.device.type, enabled=False):  # examples in full precision
            maker = self.maker("train")
            samples = own_samples(batch.tolist(), self.global_rank, self.trainer.world_size)
            examples = maker.make(self.healing.seed, self.global_step, samples)
        step = self.healing.diffusion_step(examples.time)
        examples = self._with_noise(examples, self.global_step)
        keep = examples.chance >= self.healing.code_dropout
        prediction = self.predict(examples, step, keep)
        losses = healing_losses(prediction, examples, self.healing)
        figures = {"clean": losses[0], "departure": losses[1]}
        self.log_dict(figures, prog_bar=True, sync_dist=True)
        return losses[0] + self.healing.departure_weight * losses[1]

    def predict(
        self, examples: Examples, step: torch.Tensor, keep: torch.Tensor | None = None
    ) -> Prediction:
        """Show the network the noisy patterned slices, and the code of those that keep it."""
        shown = soft_limit(examples.shown)
        noisy = self.denoiser.noised(shown, examples.noise, step) * examples.brain
        code = self.denoiser.codes(shown)
        if code is not None and keep is not None:
            code = code * keep[:, None]
        prediction: Prediction = self.denoiser(noisy, examples.brain, step, code)
        return prediction

    def _with_noise(self, examples: Examples, number: int) -> Examples:
        """The examples with the configured noise; what is not Gaussian is one field for all."""
        if self.healing.noise == "gaussian":
            return examples
        generator = torch.Generator().manual_seed(derived_seed(self.healing.seed, number, -7))
        height, width = examples.noise.shape[-2:]
        field = noise_named(self.healing.noise)((height, width), generator)
        return replace(examples, noise=field.to(self.device).expand_as(examples.noise))

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        """Examples of held-out subjects and families, always the same ones."""
        samples = range(self.healing.batch_size)
        with torch.autocast(self.device.type, enabled=False):
            examples = self.maker("validate").make(VALIDATION_SEED, batch_idx, samples)
        examples = self._with_noise(examples, -1 - batch_idx)
        step = torch.full((self.healing.batch_size,), VALIDATION_STEP, device=self.device)
        self._shown.append((examples, self.predict(examples, step)))

    def on_validation_epoch_end(self) -> None:
        """Log the figures over all validation examples together."""
        if self._shown:
            self.log_dict(healing_figures(self._shown), prog_bar=True, sync_dist=True)
        self._shown.clear()

    def configure_optimizers(self) -> Any:
        """AdamW; warm-up, constant rate, linear decay to zero."""
        learning = (part for part in self.denoiser.parameters() if part.requires_grad)
        return optimiser_and_rate(learning, self.healing)


def healing_losses(
    prediction: Prediction, examples: Examples, healing: HealingConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """L1 of the clean slice and cross-entropy of the departure, means over the brain.

    The brain is that of all processes: the mean over them of what each answers is the loss.
    The L1 weighs pattern voxels by ``1 + pattern_weight * membership``.
    """
    area = mean_over_ranks(examples.brain.sum()).clamp(min=1.0)
    weight = examples.brain * (1.0 + healing.pattern_weight * examples.departure)
    target = soft_limit(examples.clean)
    clean = (weight * (prediction.clean - target).abs()).sum() / area
    departure = functional.binary_cross_entropy_with_logits(
        prediction.departure, examples.departure, weight=examples.brain, reduction="sum"
    )
    return clean, departure / area
