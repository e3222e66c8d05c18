"""Trains a denoiser and a brain network; run by `torchrun`, once in each of two processes."""

import sys
from pathlib import Path

from counterpart.brain_network import BrainNetworkConfig
from counterpart.denoiser import DenoiserConfig
from counterpart.training.brain_stage import BrainTraining
from counterpart.training.examples import ExampleConfig
from counterpart.training.head_examples import HeadExampleConfig
from counterpart.training.healing import HealingConfig
from counterpart.training.machines import Machines
from counterpart.training.stages import train_brain, train_denoiser

DENOISER = DenoiserConfig((16, 32), (False, False), residual_blocks=1, norm_groups=8)
BRAIN = BrainNetworkConfig(channels=8, blocks_down=(1, 1, 1, 1), blocks_up=(1, 1, 1))


def train_both(cohort: Path, out: Path, *, processes: int, batch_size: int) -> None:
    """Train both for a few steps, with a batch of the given size in each process."""
    machines = Machines(device="cpu", devices=processes, precision="float32")
    train_denoiser(
        cohort,
        out / "denoiser",
        network=DENOISER,
        healing=HealingConfig(
            steps=4, batch_size=batch_size, warmup_steps=1, validate_every=2, ema_decay=0.5
        ),
        examples=ExampleConfig(),
        machines=machines,
    )
    train_brain(
        cohort,
        out / "brain",
        network=BRAIN,
        training=BrainTraining(
            steps=2, batch_size=batch_size, warmup_steps=1, validate_every=2, ema_decay=0.5
        ),
        examples=HeadExampleConfig(empty_share=0.5),
        machines=machines,
    )


if __name__ == "__main__":
    train_both(Path(sys.argv[1]), Path(sys.argv[2]), processes=2, batch_size=1)
