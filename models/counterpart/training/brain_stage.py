"""The brain stage: a network learns to find the brain in whole heads of any contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch.nn import functional

from counterpart.brain_network import BrainNetwork, BrainNetworkConfig
from counterpart.heads import Heads
from counterpart.training.head_examples import HeadExampleConfig, HeadExampleMaker
from counterpart.training.ranks import mean_over_ranks, own_samples
from counterpart.training.schedule import Schedule, optimiser_and_rate

VALIDATION_SEED = 90_000_002
_DICE_SMOOTHING = 1e-5


@dataclass(frozen=True)
class BrainTraining(Schedule):
    """How the brain network is trained; see `Schedule` for the rest."""

    steps: int = 3000
    batch_size: int = 2
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 50
    decay_share: float = 0.4
    ema_decay: float = 0.995
    validate_every: int = 500
    checkpoint_every: int = 100


class BrainModule(lightning.LightningModule):
    """Trains a `BrainNetwork` on heads that are made on the device, step by step."""

    def __init__(
        self,
        network: BrainNetworkConfig,
        training: BrainTraining,
        examples: HeadExampleConfig,
        heads: Heads,
    ) -> None:
        super().__init__()
        self.training_config = training
        self.examples = examples
        self.network = BrainNetwork(network)
        self._heads = heads
        self._makers: dict[str, HeadExampleMaker] = {}
        self._dice: dict[str, list[float]] = {}

    def maker(self, part: str) -> HeadExampleMaker:
        """The heads of one part of the cohort, on this module's device."""
        if part not in self._makers:
            heads = self._heads.part(part)
            self._makers[part] = HeadExampleMaker(heads, self.examples, device=self.device)
        return self._makers[part]

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        """One step; ``batch`` holds the sample numbers, the heads are made here."""
        samples = own_samples(batch.tolist(), self.global_rank, self.trainer.world_size)
        with torch.autocast(self.device.type, enabled=False):  # heads in full precision
            maker = self.maker("train")
            examples = maker.make(self.training_config.seed, self.global_step, samples)
        loss = brain_loss(self.network(examples.head), examples.brain)
        self.log("loss", loss, prog_bar=True, sync_dist=True)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        """Held-out heads: as they are, and as in training, always the same ones."""
        maker, samples = self.maker("validate"), batch.tolist()
        first = batch_idx * len(samples)
        rows = [maker.scans[(first + sample) % len(maker.scans)] for sample in samples]
        with torch.autocast(self.device.type, enabled=False):
            made = maker.make(VALIDATION_SEED, batch_idx, samples)
        for name, examples in (("val_dice_t1", maker.plain(rows)), ("val_dice_made", made)):
            answer = self.network(examples.head) > 0
            scores = [
                dice(found, truth > 0.5)
                for found, truth in zip(answer, examples.brain, strict=True)
            ]
            self._dice.setdefault(name, []).extend(scores)

    def on_validation_epoch_end(self) -> None:
        """Log the mean Dice coefficients."""
        for name, scores in self._dice.items():
            self.log(name, sum(scores) / len(scores), prog_bar=True, sync_dist=True)
        self._dice.clear()

    def configure_optimizers(self) -> Any:
        """AdamW; warm-up, constant rate, linear decay to zero."""
        return optimiser_and_rate(self.network.parameters(), self.training_config)


def brain_loss(logits: torch.Tensor, brain: torch.Tensor) -> torch.Tensor:
    """Soft Dice loss plus cross-entropy of the brain in a step's heads.

    Dice counts the heads of all processes together, so that heads without brain count too: their
    mean over the processes is the loss.

    Args:
        logits: (B, 1, I, J, K) of belonging to the brain.
        brain: (B, 1, I, J, K) the brain, 0 or 1.
    """
    found = logits.float().sigmoid()
    both, either = mean_over_ranks(torch.stack(((found * brain).sum(), (found + brain).sum())))
    overlap = (2.0 * both + _DICE_SMOOTHING) / (either + _DICE_SMOOTHING)
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), brain)
    loss: torch.Tensor = 1.0 - overlap + entropy
    return loss


def dice(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Dice coefficient of two masks; 1 where both are empty."""
    total = int(found.sum() + truth.sum())
    return 2.0 * int((found & truth).sum()) / total if total else 1.0
