"""Denoisers for tests that answer by a rule instead of by weights."""

import torch
from torch import nn

from counterpart.denoiser import Denoiser, DenoiserConfig, Prediction, signal_levels

TINY_NETWORK = DenoiserConfig(
    channels=(8, 16), attention=(False, True), residual_blocks=1, head_channels=8, norm_groups=8
)


class StandInDenoiser(Denoiser):
    """Answers by `answer`, from what it is shown on the scan's own scale."""

    def __init__(self, config: DenoiserConfig | None = None) -> None:
        nn.Module.__init__(self)
        self.config = config or DenoiserConfig()
        self.register_buffer("signal", signal_levels())

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        """The rule; each stand-in has its own."""
        raise NotImplementedError

    def forward(
        self,
        noisy: torch.Tensor,
        brain: torch.Tensor,
        step: torch.Tensor,
        code: torch.Tensor | None = None,
    ) -> Prediction:
        shown = noisy / self.signal[step].sqrt()[:, None, None, None]
        return self.answer(shown, brain, step)
