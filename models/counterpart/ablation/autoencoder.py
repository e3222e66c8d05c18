"""An autoencoder in the place of the denoiser: the oldest way to repaint a slice as healthy.

It sees the slice itself, without noise, squeezes it through a bottleneck and is trained on healthy
slices alone, so that it has no words for what it never saw. It answers as a `Denoiser` does, and so
is trained, applied and measured by the same code.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from monai.networks.nets import AutoEncoder

from counterpart.cohort import Cohort, read_cohort
from counterpart.denoiser import Denoiser, DenoiserConfig, Prediction
from counterpart.training.examples import ExampleConfig
from counterpart.training.healing import VALIDATION_BATCHES, HealingConfig, HealingModule
from counterpart.training.machines import ONE_DEVICE, Machines
from counterpart.training.run import fit_stage, refuse_old_run
from counterpart.training.watching import UNWATCHED, Watch


class Autoencoder(Denoiser):
    """MONAI's `AutoEncoder`, halving the slice at each of its levels and once more.

    Args:
        config: Its widths count, and its groups; the last width is that of the bottleneck too.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__(config)
        widths = (*config.channels, config.channels[-1])
        net = AutoEncoder(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            channels=widths,
            strides=(2,) * len(widths),
            norm=("group", {"num_groups": config.norm_groups}),
        )
        self.add_module("net", net)  # in the place of the denoiser's

    def noised(self, shown: torch.Tensor, noise: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """The slices as they are."""
        return shown

    def forward(
        self,
        noisy: torch.Tensor,
        brain: torch.Tensor,
        step: torch.Tensor,
        code: torch.Tensor | None = None,
    ) -> Prediction:
        """The slices (B, 1, I, J) after the bottleneck; I and J multiples of 16, no departure."""
        shown = noisy.contiguous(memory_format=torch.channels_last)
        clean = self.net(shown).float() * brain
        return Prediction(clean, torch.zeros_like(clean))


class AutoencoderModule(HealingModule):
    """Trains an `Autoencoder` with the denoiser's steps, examples and loss."""

    def __init__(
        self,
        network: DenoiserConfig,
        healing: HealingConfig,
        examples: ExampleConfig,
        cohort: Cohort,
    ) -> None:
        super().__init__(network, healing, examples, cohort)
        self.denoiser = Autoencoder(network).to(memory_format=torch.channels_last)


def train_autoencoder(
    cohort_folder: Path,
    run: Path,
    *,
    network: DenoiserConfig,
    healing: HealingConfig,
    examples: ExampleConfig,
    resume: bool = False,
    machines: Machines = ONE_DEVICE,
    watch: Watch = UNWATCHED,
) -> Path:
    """Train an autoencoder and keep its checkpoints.

    Args:
        cohort_folder: From ``counterpart prepare``.
        run: Folder for checkpoints, figures and the settings.
        network: Widths.
        healing: Steps, rates, loss.
        examples: What the examples are made of: no patterns, if it is to be what it is known as.
        resume: Go on from the run's last checkpoint, if there is one.
        machines: Device, number of processes and precision.
        watch: Who follows.

    Returns:
        The last checkpoint.

    Raises:
        CohortError: The cohort cannot be used, or the run exists and ``resume`` is not given.
    """
    refuse_old_run(run, resume)
    cohort = read_cohort(cohort_folder)
    settings = {
        "stage": "autoencoder",
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
        lambda: AutoencoderModule(network, healing, examples, cohort),
        machines=machines,
        watch=watch,
    )
