"""Follows a stage of training: tells its progress, and stops it at the end of a step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from counterpart.retraining.cancelling import Cancellation
from counterpart.retraining.pace import steps_per_epoch
from counterpart.retraining.telling import Teller
from counterpart.training.watching import Watch

TENSORBOARD = "tensorboard"
_SMOOTHING = 0.95


class Follower(Callback):
    """Tells a stage's steps, loss and time left, and stops it when that is asked for.

    It comes after the callback that writes checkpoints, so a step that is due one has it.

    Args:
        teller: Is told.
        cancellation: Says whether to stop.
        checkpoint: Written before a stop.
    """

    def __init__(self, teller: Teller, cancellation: Cancellation, checkpoint: Path) -> None:
        self._teller = teller
        self._cancellation = cancellation
        self._checkpoint = checkpoint
        self._last_s: float | None = None
        self._pace_s: float | None = None
        self._loss: float | None = None

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Say where the stage begins or goes on."""
        self._tell(trainer)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Tell of a step; stop after it, with a checkpoint, if that is asked for."""
        now = time.monotonic()
        if self._last_s is not None:
            took = now - self._last_s
            self._pace_s = took if self._pace_s is None else _mixed(self._pace_s, took)
        self._last_s = now
        loss = float(outputs["loss"]) if isinstance(outputs, dict) else float(outputs)
        self._loss = loss if self._loss is None else _mixed(self._loss, loss)
        self._tell(trainer)
        if self._cancellation.asked:
            trainer.save_checkpoint(self._checkpoint)
            self._cancellation.check()

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop amid a validation; the checkpoint of its step is there already."""
        self._last_s = None  # a validation is no step's time
        self._cancellation.check()

    def _tell(self, trainer: lightning.Trainer) -> None:
        step, steps = trainer.global_step, trainer.max_steps
        each = steps_per_epoch(steps)
        epochs = -(-steps // each)
        loss = "" if self._loss is None else f", loss {self._loss:.4f}"
        left_s = None if self._pace_s is None else self._pace_s * (steps - step)
        self._teller.share(
            step / steps,
            left_s=left_s,
            epoch=step // each if step < steps else epochs,
            epochs=epochs,
            step=step,
            steps=steps,
            loss=self._loss,
            message=f"step {step} of {steps}{loss}",
        )


def watch_of(
    run: Path, stage: str, checkpoint: Path, teller: Teller, cancellation: Cancellation
) -> Watch:
    """Who follows a stage of a retraining: its progress, and TensorBoard.

    Args:
        run: Folder of the retraining.
        stage: Name of the stage.
        checkpoint: Of the stage.
        teller: Told of its progress.
        cancellation: Says whether to stop.
    """
    logger = TensorBoardLogger(run, name=TENSORBOARD, version=stage)
    return Watch((Follower(teller, cancellation, checkpoint),), (logger,), bar=False)


def _mixed(mean: float, new: float) -> float:
    return _SMOOTHING * mean + (1.0 - _SMOOTHING) * new
