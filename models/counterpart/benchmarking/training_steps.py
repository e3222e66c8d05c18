"""What a step of training costs, and how much of it goes into making the examples."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch

from counterpart.benchmarking.machine import peak_gpu_memory_mib, peak_memory_mib
from counterpart.benchmarking.timing import Seconds, wait_for
from counterpart.cohort import read_cohort
from counterpart.errors import CounterpartError
from counterpart.heads import read_heads
from counterpart.training.brain_stage import BrainModule, BrainTraining
from counterpart.training.commands import brain_network_of, with_channels
from counterpart.training.configurations import configuration_named
from counterpart.training.encoder_stage import EncoderModule
from counterpart.training.head_examples import HeadExampleConfig
from counterpart.training.healing import HealingModule
from counterpart.training.machines import Machines
from counterpart.training.run import fit_stage
from counterpart.training.schedule import Schedule


@dataclass(frozen=True)
class TrainBench:
    """What is measured.

    Args:
        cohort: From ``counterpart prepare``.
        stage: One of `STAGES`.
        steps: Optimiser steps that count; one more comes before them.
        batch_size: Samples per step; the stage's own if None.
        channels: Widths of the network; the stage's own if None.
        device: One of `counterpart.training.machines.DEVICES`.
    """

    cohort: Path
    stage: str = "denoiser"
    steps: int = 20
    batch_size: int | None = None
    channels: Sequence[int] | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            known = ", ".join(STAGES)
            raise CounterpartError(f"expected a stage of {known}, got {self.stage!r}.")
        if self.steps < 1:
            raise CounterpartError(f"expected at least one step, got {self.steps}.")


@dataclass(frozen=True)
class TrainFigures:
    """What the steps took.

    Args:
        stage: That was trained.
        device: ``cpu`` or ``cuda``.
        precision: Of the network.
        sample: What a sample is, in words.
        batch_size: Samples per step.
        step: Seconds from one step to the next.
        making: Seconds of making the examples, which is part of it.
        network: Seconds of all the rest: the network there and back, the optimiser, averaging.
        ratio: Of the whole step to one that would find its examples made.
        samples_per_second: Batch size by the median step.
        peak_mib: Most resident memory of the process, with the cohort.
        peak_gpu_mib: Most memory of torch's tensors on the GPU.
    """

    stage: str
    device: str
    precision: str
    sample: str
    batch_size: int
    step: Seconds
    making: Seconds
    network: Seconds
    ratio: float
    samples_per_second: float
    peak_mib: float | None
    peak_gpu_mib: float | None


@dataclass(frozen=True)
class _Stage:
    """How a stage is trained: its schedule, its module, and what makes its examples."""

    schedule: Schedule
    module: Callable[[], lightning.LightningModule]
    maker: str
    sample: str


class StepClock(lightning.Callback):
    """Times every step of a fit, and within it the method that makes the examples.

    Args:
        maker: Name of the method of the module's example maker.
    """

    def __init__(self, maker: str) -> None:
        self.ends: list[float] = []
        self.making: list[float] = []
        self._maker = maker

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Put the clock around what makes the examples."""
        maker = pl_module.maker("train")
        make, place = getattr(maker, self._maker), pl_module.device

        def timed(*arguments: object, **options: object) -> object:
            start = _now(place)
            made = make(*arguments, **options)
            self.making.append(_now(place) - start)
            return made

        vars(maker)[self._maker] = timed

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step is over."""
        self.ends.append(_now(pl_module.device))

    def steps(self) -> list[float]:
        """Seconds of each step but the first."""
        return [end - start for start, end in zip(self.ends, self.ends[1:], strict=False)]


def measure_training(bench: TrainBench) -> TrainFigures:
    """Train for a few steps in a folder that is thrown away, as ``counterpart train`` would.

    The denoiser is conditioned on an encoder with random weights, on which the speed does not
    depend. On a GPU the device is waited for before and after the examples are made.

    Raises:
        CohortError: The cohort cannot be used.
        CounterpartError: There is no such device.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    stage = STAGES[bench.stage](bench)
    clock = StepClock(stage.maker)
    machines = Machines(device=bench.device)

    def module() -> lightning.LightningModule:
        made = stage.module()
        vars(made)["configure_callbacks"] = lambda: [clock]
        return made

    with tempfile.TemporaryDirectory(prefix="bench-") as run:
        settings = {"stage": bench.stage, "cohort": "", "network": ""}
        fit_stage(Path(run), settings, stage.schedule, 1, module, machines=machines)
    return _figures(bench, stage, clock, machines)


def _figures(
    bench: TrainBench, stage: _Stage, clock: StepClock, machines: Machines
) -> TrainFigures:
    device = "cuda" if machines.on_gpu() else "cpu"
    steps, making = clock.steps(), clock.making[1:]
    rest = [whole - part for whole, part in zip(steps, making, strict=True)]
    step, network = Seconds.of(steps), Seconds.of(rest)
    return TrainFigures(
        stage=bench.stage,
        device=device,
        precision=machines.chosen_precision(),
        sample=stage.sample,
        batch_size=stage.schedule.batch_size,
        step=step,
        making=Seconds.of(making),
        network=network,
        ratio=step.median / network.median,
        samples_per_second=stage.schedule.batch_size / step.median,
        peak_mib=peak_memory_mib(),
        peak_gpu_mib=peak_gpu_memory_mib(device),
    )


def _schedule(bench: TrainBench, default: Schedule) -> Schedule:
    """The stage's own, for one step more than count, without validation in between."""
    steps = bench.steps + 1
    chosen = replace(default, steps=steps, validate_every=steps + 1)
    return chosen if bench.batch_size is None else replace(chosen, batch_size=bench.batch_size)


def _denoiser(bench: TrainBench) -> _Stage:
    cohort, ours = read_cohort(bench.cohort), configuration_named("ours")
    network = with_channels(ours.denoiser, bench.channels)

    def module() -> HealingModule:
        return HealingModule(network, ours.healing, ours.examples, cohort)

    return _Stage(_schedule(bench, ours.healing), module, "make", "slices")


def _encoder(bench: TrainBench) -> _Stage:
    cohort, ours = read_cohort(bench.cohort), configuration_named("ours")
    network = ours.encoder
    if bench.channels is not None:
        network = replace(network, channels=tuple(bench.channels))

    def module() -> EncoderModule:
        return EncoderModule(network, ours.encoder_training, ours.pairs, cohort)

    return _Stage(_schedule(bench, ours.encoder_training), module, "make_views", "pairs of slices")


def _brain(bench: TrainBench) -> _Stage:
    heads, network = read_heads(bench.cohort), brain_network_of(bench.channels)

    def module() -> BrainModule:
        return BrainModule(network, BrainTraining(), HeadExampleConfig(), heads)

    return _Stage(_schedule(bench, BrainTraining()), module, "make", "heads")


def _now(place: torch.device) -> float:
    wait_for(place)
    return time.perf_counter()


STAGES = {"denoiser": _denoiser, "encoder": _encoder, "brain": _brain}
