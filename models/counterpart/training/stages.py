"""The stages of training: what each reads, trains and remembers of itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from counterpart.brain_network import BrainNetworkConfig
from counterpart.cohort import read_cohort
from counterpart.denoiser import DenoiserConfig
from counterpart.heads import read_heads
from counterpart.training.brain_stage import BrainModule, BrainTraining
from counterpart.training.examples import ExampleConfig
from counterpart.training.head_examples import HeadExampleConfig
from counterpart.training.healing import VALIDATION_BATCHES, HealingConfig, HealingModule
from counterpart.training.run import fit_stage, refuse_old_run


def train_denoiser(
    cohort_folder: Path,
    run: Path,
    *,
    network: DenoiserConfig,
    healing: HealingConfig,
    examples: ExampleConfig,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """Train a denoiser and keep its checkpoints.

    Args:
        cohort_folder: From ``counterpart prepare``.
        run: Folder for checkpoints, figures and the settings.
        network: Size of the denoiser.
        healing: Steps, rates, loss.
        examples: What the examples are made of.
        resume: Go on from the run's last checkpoint, if there is one.
        device: ``auto``, ``cpu`` or ``gpu``.

    Returns:
        The last checkpoint.

    Raises:
        CohortError: The cohort cannot be used, or the run exists and ``resume`` is not given.
    """
    refuse_old_run(run, resume)
    cohort = read_cohort(cohort_folder)
    settings = {
        "stage": "denoiser",
        "cohort": cohort.content_hash,
        "network": network.to_json(),
        "healing": asdict(healing),
        "examples": asdict(examples),
    }
    return fit_stage(
        run,
        settings,
        healing,
        VALIDATION_BATCHES,
        lambda: HealingModule(network, healing, examples, cohort),
        device=device,
    )


def train_brain(
    cohort_folder: Path,
    run: Path,
    *,
    network: BrainNetworkConfig,
    training: BrainTraining,
    examples: HeadExampleConfig,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """Train a brain network on a cohort's whole heads and keep its checkpoints.

    Args:
        cohort_folder: From ``counterpart prepare``, with whole heads.
        run: Folder for checkpoints, figures and the settings.
        network: Size of the network.
        training: Steps and rates.
        examples: What the examples are made of.
        resume: Go on from the run's last checkpoint, if there is one.
        device: ``auto``, ``cpu`` or ``gpu``.

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
        device=device,
    )
