"""What the commands on cohorts and runs do, with progress on the console."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from counterpart.brain_network import BrainNetworkConfig
from counterpart.cohort import read_cohort
from counterpart.denoiser import DenoiserConfig
from counterpart.errors import CounterpartError
from counterpart.training.brain_stage import BrainTraining
from counterpart.training.examples import ExampleConfig
from counterpart.training.head_examples import HeadExampleConfig
from counterpart.training.healing import HealingConfig, HealingModule, healing_losses
from counterpart.training.pattern_page import draw_page
from counterpart.training.stages import train_brain, train_denoiser


def train(
    stage: str,
    cohort: Path,
    run: Path,
    *,
    channels: Sequence[int] | None,
    steps: int | None,
    batch_size: int | None,
    seed: int,
    device: str,
    resume: bool,
) -> int:
    """Train a stage and say where its checkpoint lies; None means the stage's own default."""
    # Lightning announces accelerators that are not there, and products.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    given = {"steps": steps, "batch_size": batch_size}
    chosen = {name: value for name, value in given.items() if value is not None}
    if stage == "brain":
        last = train_brain(
            cohort,
            run,
            network=brain_network_of(channels),
            training=BrainTraining(seed=seed, **chosen),
            examples=HeadExampleConfig(),
            resume=resume,
            device=device,
        )
    else:
        last = train_denoiser(
            cohort,
            run,
            network=network_of(channels),
            healing=HealingConfig(seed=seed, **chosen),
            examples=ExampleConfig(),
            resume=resume,
            device=device,
        )
    Console().print(f"Checkpoint: {last}", soft_wrap=True, highlight=False)
    return 0


def network_of(channels: Sequence[int] | None) -> DenoiserConfig:
    """A denoiser of the given widths, with attention on the lowest level."""
    if channels is None:
        return DenoiserConfig()
    attention = (False,) * (len(channels) - 1) + (True,)
    return DenoiserConfig(channels=tuple(channels), attention=attention)


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


def time_training(cohort: Path, channels: Sequence[int] | None, steps: int, device: str) -> int:
    """Print seconds per step with and without making the examples, measured in one run."""
    place = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    healing = HealingConfig(steps=steps)
    module = HealingModule(network_of(channels), healing, ExampleConfig(), read_cohort(cohort))
    module = module.to(place)
    maker = module.maker("train")
    samples = range(healing.batch_size)
    fixed = maker.make(1, 0, samples)
    optimizer = torch.optim.AdamW(module.denoiser.parameters())
    step = torch.full((healing.batch_size,), 250, device=place)

    def network_step(number: int) -> None:
        with torch.autocast(place.type, torch.bfloat16):
            losses = healing_losses(module.predict(fixed, step), fixed, healing)
        optimizer.zero_grad()
        (losses[0] + losses[1]).backward()
        optimizer.step()

    making = _seconds(lambda number: maker.make(1, number, samples), steps, place)
    network = _seconds(network_step, steps, place)
    Console().print(
        f"{place}: {making + network:.3f} s per step of {healing.batch_size} slices, of which "
        f"{making:.3f} s make the examples (patterns, contrasts); without them {network:.3f} s, "
        f"ratio {(making + network) / network:.2f}",
        highlight=False,
    )
    return 0


def draw_pattern_page(cohort: Path, out: Path, *, seed: int) -> int:
    """Draw the page of fifty target patterns."""
    if out.suffix.lower() != ".png":
        raise CounterpartError(f"{out}: expected a file name that ends in .png.")
    draw_page(read_cohort(cohort), out, seed=seed)
    Console().print(f"Open {out}", soft_wrap=True, highlight=False)
    return 0


def _seconds(work: Callable[[int], object], times: int, place: torch.device) -> float:
    work(0)
    if place.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for number in range(times):
        work(number + 1)
    if place.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / times
