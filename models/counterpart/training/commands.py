"""What the commands on cohorts and runs do, with progress on the console."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from counterpart.brain_network import BrainNetworkConfig
from counterpart.bundle import DEFAULT_MODEL
from counterpart.calibration.commands import calibrate_model
from counterpart.cohort import read_cohort
from counterpart.denoiser import DenoiserConfig
from counterpart.errors import CounterpartError
from counterpart.training.brain_stage import BrainTraining
from counterpart.training.configurations import configuration_named
from counterpart.training.head_examples import HeadExampleConfig
from counterpart.training.machines import ONE_DEVICE, Machines
from counterpart.training.pattern_page import draw_page
from counterpart.training.ranks import is_first_rank
from counterpart.training.schedule import Schedule
from counterpart.training.stages import train_brain, train_denoiser, train_encoder
from counterpart.training.warm_start import network_of_model

AnySchedule = TypeVar("AnySchedule", bound=Schedule)


@dataclass(frozen=True)
class TrainOptions:
    """What a stage is trained with; None means the configuration's own.

    Args:
        configuration: Name of one of `configurations.CONFIGURATIONS`.
        channels: Widths of the network.
        steps: Optimiser steps.
        batch_size: Samples per step.
        seed: Of everything random.
        encoder_run: Run of the stage ``encoder``, for the stage ``denoiser``.
        condition: How the code enters the denoiser.
        start_from: Bundle whose weights the denoiser begins with; without an encoder's run, and
            without widths, size and condition are its own too.
        learning_rate: After the warm-up.
        machines: Device, number of processes and precision.
        resume: Go on from the run's last checkpoint.
    """

    configuration: str = "ours"
    channels: Sequence[int] | None = None
    steps: int | None = None
    batch_size: int | None = None
    seed: int = 1
    encoder_run: Path | None = None
    condition: str | None = None
    start_from: str | None = None
    learning_rate: float | None = None
    machines: Machines = ONE_DEVICE
    resume: bool = False

    def schedule(self, default: AnySchedule) -> AnySchedule:
        """A stage's schedule with what was given in place of its own."""
        chosen: dict[str, Any] = {"seed": self.seed}
        if self.steps is not None:
            chosen["steps"] = self.steps
        if self.batch_size is not None:
            chosen["batch_size"] = self.batch_size
        if self.learning_rate is not None:
            chosen["learning_rate"] = self.learning_rate
        return replace(default, **chosen)


def train(stage: str, cohort: Path, run: Path, options: TrainOptions) -> int:
    """Train a stage and say where its checkpoint lies.

    Raises:
        CounterpartError: An option does not fit the stage.
    """
    # Lightning announces accelerators that are not there, and products.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    last = _STAGES[stage](cohort, run, options)
    if is_first_rank():
        Console().print(f"Written: {last}", soft_wrap=True, highlight=False)
    return 0


def _train_brain(cohort: Path, run: Path, options: TrainOptions) -> Path:
    return train_brain(
        cohort,
        run,
        network=brain_network_of(options.channels),
        training=options.schedule(BrainTraining()),
        examples=HeadExampleConfig(),
        resume=options.resume,
        machines=options.machines,
    )


def _train_encoder(cohort: Path, run: Path, options: TrainOptions) -> Path:
    configuration = configuration_named(options.configuration)
    network = configuration.encoder
    if options.channels is not None:
        network = replace(network, channels=tuple(options.channels))
    return train_encoder(
        cohort,
        run,
        network=network,
        training=options.schedule(configuration.encoder_training),
        examples=configuration.pairs,
        resume=options.resume,
        machines=options.machines,
    )


def _train_denoiser(cohort: Path, run: Path, options: TrainOptions) -> Path:
    configuration = configuration_named(options.configuration)
    return train_denoiser(
        cohort,
        run,
        network=network_of(options),
        healing=options.schedule(configuration.healing),
        examples=configuration.examples,
        encoder_run=options.encoder_run,
        start_from=options.start_from,
        configuration=options.configuration,
        resume=options.resume,
        machines=options.machines,
    )


def _calibrate(cohort: Path, run: Path, options: TrainOptions) -> Path:
    """The stage ``calibrate``: the same as the command of this name."""
    device = "cuda" if options.machines.on_gpu() else "cpu"
    calibrate_model(options.start_from or DEFAULT_MODEL, cohort, run, device=device)
    return run


_STAGES = {
    "brain": _train_brain,
    "encoder": _train_encoder,
    "denoiser": _train_denoiser,
    "calibrate": _calibrate,
}


def network_of(options: TrainOptions) -> DenoiserConfig:
    """The denoiser of the options: with a condition only where there is an encoder for it.

    Raises:
        CounterpartError: A condition is asked for, but there is no encoder.
    """
    network = configuration_named(options.configuration).denoiser
    whole = options.encoder_run is None and options.channels is None
    if options.start_from is not None and whole and options.condition is None:
        return network_of_model(options.start_from)
    condition = options.condition or ("none" if options.encoder_run is None else network.condition)
    if condition != "none" and options.encoder_run is None:
        raise CounterpartError(
            f"the condition {condition!r} needs an encoder: train one with `--stage encoder` and "
            "give its run with --encoder."
        )
    if condition == "none" and options.encoder_run is not None:
        raise CounterpartError("--encoder has no use with --condition none; leave one of them out.")
    encoder = None if condition == "none" else network.encoder
    return with_channels(replace(network, condition=condition, encoder=encoder), options.channels)


def with_channels(network: DenoiserConfig, channels: Sequence[int] | None) -> DenoiserConfig:
    """A denoiser of other widths; with another number of levels, the lowest keeps its attention.

    Args:
        network: The denoiser.
        channels: Widths by level; None leaves it as it is.
    """
    if channels is None:
        return network
    attention = network.attention
    if len(channels) != len(attention):
        attention = (False,) * (len(channels) - 1) + (attention[-1],)
    return replace(network, channels=tuple(channels), attention=attention)


def brain_network_of(channels: Sequence[int] | None) -> BrainNetworkConfig:
    """A brain network of the given width.

    Raises:
        CounterpartError: More than one width is given; the levels below double it.
    """
    if channels is None:
        return BrainNetworkConfig()
    if len(channels) != 1:
        raise CounterpartError(
            f"the brain network takes one width, got {list(channels)}; each level doubles it."
        )
    return BrainNetworkConfig(channels=channels[0])


def draw_pattern_page(cohort: Path, out: Path, *, seed: int) -> int:
    """Draw the page of fifty target patterns."""
    if out.suffix.lower() != ".png":
        raise CounterpartError(f"{out}: expected a file name that ends in .png.")
    draw_page(read_cohort(cohort), out, seed=seed)
    Console().print(f"Open {out}", soft_wrap=True, highlight=False)
    return 0


def draw_contrast_page(
    cohort: Path, out: Path, *, real: Sequence[Path], subjects: int, seed: int
) -> int:
    """Draw the page of real and rendered contrasts, and write its figures beside it.

    Args:
        cohort: The cohort's folder; its part *validate* is rendered.
        out: PNG file; the figures are in the file of the same name that ends in ``.csv``.
        real: Folders with real scans.
        subjects: How many subjects are rendered.
        seed: Of the renderings.
    """
    # Reading and posing scans needs libraries that a machine for training may lack.
    from counterpart.brain_extraction import load_brain_model
    from counterpart.training.contrast_comparison import compare_contrasts
    from counterpart.training.contrast_figures import distance_lines, write_table
    from counterpart.training.contrast_heads import find_scans
    from counterpart.training.contrast_page import draw_page as draw_contrasts

    if out.suffix.lower() != ".png":
        raise CounterpartError(f"{out}: expected a file name that ends in .png.")
    scans = [scan for folder in real for scan in find_scans(folder)]
    read = read_cohort(cohort)
    console = Console()
    with console.status("Rendering") as status:
        comparison = compare_contrasts(
            read,
            scans,
            load_brain_model() if scans else None,
            subjects=subjects,
            seed=seed,
            progress=status.update,
        )
    draw_contrasts(comparison, out)
    groups = comparison.groups()
    write_table(groups, out.with_suffix(".csv"))
    for line in distance_lines(groups):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(f"Open {out}", soft_wrap=True, highlight=False, markup=False)
    return 0
