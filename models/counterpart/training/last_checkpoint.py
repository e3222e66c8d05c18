"""Keeps a run's last checkpoint whole, whatever the moment at which the process dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from counterpart.errors import CohortError
from counterpart.training.ranks import mean_over_ranks
from counterpart.whole_file import write_whole


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints by `write_whole`.

    Lightning's own way is whole only within one file system: it writes to the folder for temporary
    files, and moves from there, which is a copy where that is another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint in place of the one that the path names."""
        write_whole(Path(path), lambda file: torch.save(checkpoint, file))


class LastCheckpoint(Checkpoint):
    """Writes the last checkpoint every few steps and after the last, before the average is applied.

    Args:
        path: The checkpoint.
        every: Steps between checkpoints.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path = path
        self.every = every

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Refuse processes that begin at different steps.

        Raises:
            CohortError: They do, for not all of them see the run's folder.
        """
        step = torch.tensor(float(trainer.global_step), device=pl_module.device)
        mean = float(mean_over_ranks(step))
        if mean != trainer.global_step:
            raise CohortError(
                f"{self.path}: process {trainer.global_rank} begins at step {trainer.global_step}, "
                "others do not. The run's folder must be the same one on all machines."
            )

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write a checkpoint if this step is due one; all processes take part, the first writes."""
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps:
            trainer.save_checkpoint(self.path)
