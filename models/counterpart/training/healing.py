"""The healing objective: a denoiser learns to answer the clean slice when shown a patterned one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import lightning
import torch
from torch.nn import functional

from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser, DenoiserConfig, Prediction, add_noise, soft_limit
from counterpart.errors import CohortError
from counterpart.targets import HELD_OUT_FAMILIES
from counterpart.training.examples import ExampleConfig, ExampleMaker, Examples
from counterpart.training.figures import healing_figures
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
        pattern_weight: Extra weight of pattern voxels in the L1 loss.
        departure_weight: Weight of the departure channel's cross-entropy.
    """

    lowest_step: int = 20
    highest_step: int = 800
    pattern_weight: float = 3.0
    departure_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.lowest_step < self.highest_step < 1000:
            raise CohortError(
                "diffusion steps must satisfy 0 <= lowest < highest < 1000, got "
                f"{self.lowest_step} and {self.highest_step}."
            )


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
            examples = maker.make(self.healing.seed, self.global_step, batch.tolist())
        span = self.healing.highest_step - self.healing.lowest_step
        step = self.healing.lowest_step + (span * examples.time).long()
        prediction = self.predict(examples, step)
        losses = healing_losses(prediction, examples, self.healing)
        self.log_dict({"clean": losses[0], "departure": losses[1]}, prog_bar=True)
        return losses[0] + self.healing.departure_weight * losses[1]

    def predict(self, examples: Examples, step: torch.Tensor) -> Prediction:
        """Show the network the noisy patterned slices."""
        shown = soft_limit(examples.shown)
        noisy = add_noise(shown, examples.noise, step, self.denoiser.signal) * examples.brain
        prediction: Prediction = self.denoiser(noisy, examples.brain, step)
        return prediction

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        """Examples of held-out subjects and families, always the same ones."""
        samples = range(self.healing.batch_size)
        with torch.autocast(self.device.type, enabled=False):
            examples = self.maker("validate").make(VALIDATION_SEED, batch_idx, samples)
        step = torch.full((self.healing.batch_size,), VALIDATION_STEP, device=self.device)
        self._shown.append((examples, self.predict(examples, step)))

    def on_validation_epoch_end(self) -> None:
        """Log the figures over all validation examples together."""
        if self._shown:
            self.log_dict(healing_figures(self._shown), prog_bar=True)
        self._shown.clear()

    def configure_optimizers(self) -> Any:
        """AdamW; warm-up, constant rate, linear decay to zero."""
        return optimiser_and_rate(self.denoiser.parameters(), self.healing)


def healing_losses(
    prediction: Prediction, examples: Examples, healing: HealingConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """L1 of the clean slice and cross-entropy of the departure, means over the brain.

    The L1 weighs pattern voxels by ``1 + pattern_weight * membership``.
    """
    area = examples.brain.sum().clamp(min=1.0)
    weight = examples.brain * (1.0 + healing.pattern_weight * examples.departure)
    target = soft_limit(examples.clean)
    clean = (weight * (prediction.clean - target).abs()).sum() / area
    departure = functional.binary_cross_entropy_with_logits(
        prediction.departure, examples.departure, weight=examples.brain, reduction="sum"
    )
    return clean, departure / area
