"""How long and how fast a stage trains: what all stages have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from counterpart.errors import CohortError


@dataclass(frozen=True)
class Schedule:
    """Steps, rates, and when to look and save.

    Args:
        steps: Optimiser steps.
        batch_size: Samples per step and process.
        learning_rate: Of AdamW, after the warm-up.
        weight_decay: Of AdamW.
        warmup_steps: Linear warm-up.
        decay_share: Share of the steps, at the end, over which the rate falls to zero.
        second_moment: Decay of AdamW's mean of squared gradients.
        ema_decay: Of the exponential moving average of the weights.
        validate_every: Steps between validations.
        checkpoint_every: Steps between checkpoints.
        seed: Of everything random.
    """

    steps: int = 20_000
    batch_size: int = 16
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warmup_steps: int = 200
    decay_share: float = 0.25
    second_moment: float = 0.99
    ema_decay: float = 0.998
    validate_every: int = 1000
    checkpoint_every: int = 250
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise CohortError(
                f"training needs at least one step and one sample per step, got {self.steps} "
                f"steps of {self.batch_size}."
            )


def learning_rate_factor(step: int, schedule: Schedule) -> float:
    """Share of the learning rate at a step: linear up, constant, linear down to zero."""
    rising = (step + 1) / max(schedule.warmup_steps, 1)
    falling = (schedule.steps - step) / max(schedule.decay_share * schedule.steps, 1.0)
    return max(0.0, min(1.0, rising, falling))


def optimiser_and_rate(
    parameters: Iterable[torch.nn.Parameter], schedule: Schedule
) -> dict[str, Any]:
    """AdamW and its rate, in the form that Lightning wants."""
    optimizer = torch.optim.AdamW(
        parameters,
        lr=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        betas=(0.9, schedule.second_moment),
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, schedule)
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "interval": "step"}}
