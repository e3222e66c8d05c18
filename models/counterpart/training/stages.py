"""The stages of training: what each reads, trains and remembers of itself."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from counterpart.brain_network import BrainNetworkConfig
from counterpart.cohort import read_cohort
from counterpart.denoiser import DenoiserConfig
from counterpart.encoder import EncoderConfig
from counterpart.heads import read_heads
from counterpart.training.brain_stage import BrainModule, BrainTraining
from counterpart.training.encoder_stage import (
    VALIDATION_PAIR_BATCHES,
    EncoderModule,
    EncoderTraining,
)
from counterpart.training.examples import ExampleConfig
from counterpart.training.head_examples import HeadExampleConfig
from counterpart.training.healing import VALIDATION_BATCHES, HealingConfig, HealingModule
from counterpart.training.machines import ONE_DEVICE, Machines
from counterpart.training.run import fit_stage, refuse_old_run
from counterpart.training.warm_start import (
    begin_encoder_with,
    begin_with,
    encoder_of_run,
    model_weights,
)
from counterpart.training.watching import UNWATCHED, Watch


def train_denoiser(
    cohort_folder: Path,
    run: Path,
    *,
    network: DenoiserConfig,
    healing: HealingConfig,
    examples: ExampleConfig,
    encoder_run: Path | None = None,
    start_from: str | None = None,
    configuration: str = "ours",
    resume: bool = False,
    machines: Machines = ONE_DEVICE,
    watch: Watch = UNWATCHED,
) -> Path:
    """Train a denoiser and keep its checkpoints.

    Args:
        cohort_folder: From ``counterpart prepare``.
        run: Folder for checkpoints, figures and the settings.
        network: Size of the denoiser; if it has a condition, its encoder is that of the run.
        healing: Steps, rates, loss.
        examples: What the examples are made of.
        encoder_run: Run of the stage ``encoder``, whose encoder the condition comes from.
        start_from: Name or folder of a bundle whose weights to begin with.
        configuration: Name of the configuration, for the export to follow.
        resume: Go on from the run's last checkpoint, if there is one.
        machines: Device, number of processes and precision.
        watch: Who follows.

    Returns:
        The last checkpoint.

    Raises:
        CohortError: The cohort cannot be used, or the run exists and ``resume`` is not given.
        ModelError: What to start from cannot be read or does not fit.
    """
    refuse_old_run(run, resume)
    cohort = read_cohort(cohort_folder)
    starts = () if start_from is None else (model_weights(start_from),)
    if encoder_run is not None:
        config, encoder = encoder_of_run(encoder_run)
        network = replace(network, encoder=config)
        starts = (*starts, encoder)
    settings = {
        "stage": "denoiser",
        "configuration": configuration,
        "cohort": cohort.content_hash,
        "network": network.to_json(),
        "healing": asdict(healing),
        "examples": asdict(examples),
        "start": {name: fact for start in starts for name, fact in start.facts.items()},
    }

    def module() -> HealingModule:
        made = HealingModule(network, healing, examples, cohort)
        begin_with(made.denoiser, starts)
        return made

    return fit_stage(
        run, settings, healing, VALIDATION_BATCHES, module, machines=machines, watch=watch
    )


def train_brain(
    cohort_folder: Path,
    run: Path,
    *,
    network: BrainNetworkConfig,
    training: BrainTraining,
    examples: HeadExampleConfig,
    resume: bool = False,
    machines: Machines = ONE_DEVICE,
) -> Path:
    """Train a brain network on a cohort's whole heads and keep its checkpoints.

    Args:
        cohort_folder: From ``counterpart prepare``, with whole heads.
        run: Folder for checkpoints, figures and the settings.
        network: Size of the network.
        training: Steps and rates.
        examples: What the examples are made of.
        resume: Go on from the run's last checkpoint, if there is one.
        machines: Device, number of processes and precision.

    Returns:
        The last checkpoint.

    Raises:
        CohortError: The cohort cannot be used, or the run exists and ``resume`` is not given.
    """
    refuse_old_run(run, resume)
    heads = read_heads(cohort_folder)
    settings = {
        "stage": "brain",
        "cohort": heads.content_hash,
        "network": network.to_json(),
        "training": asdict(training),
        "examples": asdict(examples),
    }
    heads.part("train")  # refuses before the run has a folder
    held_out = len(heads.part("validate").entries)
    return fit_stage(
        run,
        settings,
        training,
        max(1, held_out // training.batch_size),
        lambda: BrainModule(network, training, examples, heads),
        machines=machines,
    )


def train_encoder(
    cohort_folder: Path,
    run: Path,
    *,
    network: EncoderConfig,
    training: EncoderTraining,
    examples: ExampleConfig,
    start_from: str | None = None,
    resume: bool = False,
    machines: Machines = ONE_DEVICE,
    watch: Watch = UNWATCHED,
) -> Path:
    """Train an encoder by contrast and keep its checkpoints.

    Args:
        cohort_folder: From ``counterpart prepare``.
        run: Folder for checkpoints, figures and the settings.
        network: Size of the encoder.
        training: Steps, rates, loss.
        examples: What the pairs are made of.
        start_from: Name or folder of a bundle whose encoder to begin with.
        resume: Go on from the run's last checkpoint, if there is one.
        machines: Device, number of processes and precision.
        watch: Who follows.

    Returns:
        The last checkpoint.

    Raises:
        CohortError: The cohort cannot be used, or the run exists and ``resume`` is not given.
        ModelError: What to start from cannot be read, has no encoder, or another one.
    """
    refuse_old_run(run, resume)
    cohort = read_cohort(cohort_folder)
    start = None if start_from is None else model_weights(start_from)
    settings = {
        "stage": "encoder",
        "cohort": cohort.content_hash,
        "network": network.to_json(),
        "training": asdict(training),
        "examples": asdict(examples),
        "start": {} if start is None else start.facts,
    }

    def module() -> EncoderModule:
        made = EncoderModule(network, training, examples, cohort)
        if start is not None:
            begin_encoder_with(made.encoder, start)
        return made

    return fit_stage(
        run, settings, training, VALIDATION_PAIR_BATCHES, module, machines=machines, watch=watch
    )
