"""Runs a training stage: from a cohort folder to checkpoints, with resume."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, Dataset

from counterpart.errors import CohortError
from counterpart.training.schedule import Schedule

logger = logging.getLogger(__name__)


class SampleNumbers(Dataset[int]):
    """The numbers of the samples of every step: what a batch is made from."""

    def __init__(self, steps: int, batch_size: int) -> None:
        self.steps = steps
        self.batch_size = batch_size

    def __len__(self) -> int:
        return self.steps * self.batch_size

    def __getitem__(self, index: int) -> int:
        return index % self.batch_size


class SampleLoader(DataLoader[int]):
    """A loader that can resume anywhere, for its batches are the same at every step.

    What makes steps differ is drawn from the step's number, in `training.examples`.
    """

    def state_dict(self) -> dict[str, Any]:
        """Nothing needs to be remembered."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing needs to be restored."""


def refuse_old_run(run: Path, resume: bool) -> None:
    """Refuse to begin where a run lies already, unless it is to be resumed.

    Raises:
        CohortError: There is one.
    """
    if (run / "checkpoints" / "last.ckpt").exists() and not resume:
        raise CohortError(f"{run}: holds a run already. Add --resume, or choose another folder.")


def fit_stage(
    run: Path,
    settings: dict[str, Any],
    schedule: Schedule,
    validation_batches: int,
    make_module: Callable[[], lightning.LightningModule],
    *,
    device: str,
) -> Path:
    """Fit a module and keep its checkpoints; a run that has some goes on from the last.

    Args:
        run: Folder for checkpoints, figures and the settings.
        settings: What the run is, as plain values; ``cohort`` and ``network`` may not change.
        schedule: Steps, rates, seed.
        validation_batches: Batches of each validation.
        make_module: Makes the module; its weights are drawn from the schedule's seed.
        device: ``auto``, ``cpu`` or ``gpu``.

    Returns:
        The last checkpoint.

    Raises:
        CohortError: The run began with another cohort or network.
    """
    last = run / "checkpoints" / "last.ckpt"
    resume = last.exists()
    run.mkdir(parents=True, exist_ok=True)
    _check_resume(run, settings)
    (run / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)  # the initial weights; all else has its own generators
        module = make_module()
    trainer = _trainer(run, schedule, device, checkpoint_step(last) if resume else 0)
    trainer.fit(
        module,
        _loader(schedule.steps, schedule.batch_size),
        _loader(validation_batches, schedule.batch_size),
        ckpt_path=str(last) if resume else None,
        weights_only=False if resume else None,
    )
    trainer.save_checkpoint(last)
    return last


def load_averaged_weights(checkpoint: Path, prefix: str = "denoiser.") -> dict[str, torch.Tensor]:
    """The averaged (EMA) weights of a run's checkpoint, float32, without the module's prefix.

    Lightning's averaging callback keeps the average in ``state_dict``.

    Raises:
        CohortError: The checkpoint does not exist.
    """
    if not checkpoint.is_file():
        raise CohortError(f"{checkpoint}: no such checkpoint. Train with `counterpart train`.")
    stored: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=False)
    weights: dict[str, torch.Tensor] = stored["state_dict"]
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}


def _check_resume(run: Path, settings: dict[str, Any]) -> None:
    """Refuse to go on with another cohort or another network than the run began with."""
    path = run / "settings.json"
    if not path.is_file():
        return
    before = json.loads(path.read_text())
    now = json.loads(json.dumps(settings))
    for key in ("cohort", "network"):
        if before.get(key) != now[key]:
            raise CohortError(
                f"{run}: began with {key} {before.get(key)}, but is resumed with {now[key]}. "
                "Resume with the same, or start a new run in another folder."
            )


def checkpoint_step(checkpoint: Path) -> int:
    """The optimiser step at which a run's checkpoint was written."""
    return int(torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"])


def _trainer(run: Path, schedule: Schedule, device: str, start: int) -> lightning.Trainer:
    checkpoints = ModelCheckpoint(
        dirpath=run / "checkpoints",
        filename="step-{step}",
        auto_insert_metric_name=False,
        every_n_train_steps=schedule.checkpoint_every,
        save_last=True,
        save_top_k=1,
    )
    return lightning.Trainer(
        max_steps=schedule.steps,
        accelerator=device,
        devices=1,
        precision="bf16-mixed",
        gradient_clip_val=1.0,
        logger=CSVLogger(run, name="figures", version=f"from-step-{start}"),
        callbacks=[
            EMAWeightAveraging(decay=schedule.ema_decay),
            checkpoints,
            RichProgressBar(),
        ],
        val_check_interval=schedule.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(25, schedule.steps),
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _loader(steps: int, batch_size: int) -> SampleLoader:
    return SampleLoader(SampleNumbers(steps, batch_size), batch_size=batch_size, shuffle=False)
