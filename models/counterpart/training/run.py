"""Runs a training stage: from a cohort folder to checkpoints, with resume."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EMAWeightAveraging, RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, Dataset

from counterpart.errors import CohortError, CounterpartError
from counterpart.training.last_checkpoint import LastCheckpoint, WholeCheckpoints
from counterpart.training.machines import Machines, require_all_processes
from counterpart.training.schedule import Schedule
from counterpart.training.watching import UNWATCHED, Watch
from counterpart.whole_file import write_whole

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
    machines: Machines,
    watch: Watch = UNWATCHED,
) -> Path:
    """Fit a module and keep its checkpoints; a run that has some goes on from the last.

    Args:
        run: Folder for checkpoints, figures and the settings.
        settings: What the run is, as plain values; ``cohort`` and ``network`` may not change.
        schedule: Steps, rates, seed.
        validation_batches: Batches of each validation.
        make_module: Makes the module; its weights are drawn from the schedule's seed.
        machines: Device, number of processes and precision.
        watch: Who follows.

    Returns:
        The last checkpoint.

    Raises:
        CohortError: The run began with another cohort or network.
        CounterpartError: There are no such devices, or not as many processes.
    """
    last = run / "checkpoints" / "last.ckpt"
    resume = last.exists()
    kept = _resumed(run, settings)
    settings = kept if resume else settings
    begin = checkpoint_step(last) if resume else 0
    trainer = _trainer(run, schedule, machines, begin, watch)
    if trainer.is_global_zero:
        _write_settings(run, settings, machines, trainer.world_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)  # the initial weights; all else has its own generators
        module = make_module()
    trainer.fit(
        module,
        _loader(schedule.steps, schedule.batch_size),
        _loader(validation_batches, schedule.batch_size),
        ckpt_path=str(last) if resume else None,
        weights_only=False if resume else None,
    )
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


def _resumed(run: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings to go on with: the run keeps what it began with, whatever serves by now.

    Raises:
        CohortError: The run began with another cohort or another network.
    """
    path = run / "settings.json"
    if not path.is_file():
        return settings
    before = json.loads(path.read_text())
    now = json.loads(json.dumps(settings))
    for key in ("cohort", "network"):
        if before.get(key) != now[key]:
            raise CohortError(
                f"{run}: began with {key} {before.get(key)}, but is resumed with {now[key]}. "
                "Resume with the same, or start a new run in another folder."
            )
    return settings | {"start": before["start"]} if "start" in before else settings


def checkpoint_step(checkpoint: Path) -> int:
    """The optimiser step at which a run's checkpoint was written."""
    return int(torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"])


def _write_settings(
    run: Path, settings: dict[str, Any], machines: Machines, processes: int
) -> None:
    used = asdict(machines) | {"precision": machines.chosen_precision(), "processes": processes}
    content = json.dumps(settings | {"machines": used}, indent=1) + "\n"
    write_whole(run / "settings.json", lambda file: file.write(content.encode()))


def _trainer(
    run: Path, schedule: Schedule, machines: Machines, start: int, watch: Watch
) -> lightning.Trainer:
    # SLURM's requeueing is left to SLURM: what is resumed is the run's last checkpoint alone.
    slurm = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    try:
        trainer = lightning.Trainer(
            max_steps=schedule.steps,
            gradient_clip_val=1.0,
            logger=[_figures(run, start), *watch.loggers],
            callbacks=[
                EMAWeightAveraging(decay=schedule.ema_decay),
                LastCheckpoint(run / "checkpoints" / "last.ckpt", schedule.checkpoint_every),
                *((RichProgressBar(),) if watch.bar else ()),
                *watch.callbacks,
            ],
            enable_progress_bar=watch.bar,
            plugins=[WholeCheckpoints(), *slurm],
            default_root_dir=run,
            val_check_interval=schedule.validate_every,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            log_every_n_steps=min(25, schedule.steps),
            enable_model_summary=False,
            use_distributed_sampler=False,
            **machines.trainer_options(),
        )
    except (MisconfigurationException, ValueError) as error:
        raise CounterpartError(f"cannot train with {machines}: {error}") from error
    require_all_processes(trainer.world_size)
    return trainer


def _figures(run: Path, start: int) -> CSVLogger:
    version = _figures_of(run, start)
    return CSVLogger(run, name="figures", version=version, flush_logs_every_n_steps=1)


def _figures_of(run: Path, start: int) -> str:
    """A name for the figures from a step on that no earlier start from that step has."""
    name = f"from-step-{start}"
    again = 2
    while (run / "figures" / name).exists():
        name = f"from-step-{start}-again-{again}"
        again += 1
    return name


def _loader(steps: int, batch_size: int) -> SampleLoader:
    return SampleLoader(SampleNumbers(steps, batch_size), batch_size=batch_size, shuffle=False)
