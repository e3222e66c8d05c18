"""Which samples of a step each of several processes makes, and what they add up together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import distributed


def own_samples(batch: Sequence[int], rank: int, ranks: int) -> list[int]:
    """The numbers of the samples that one of several processes makes in a step.

    With B samples per process, process r makes the samples ``r * B`` to ``(r + 1) * B - 1``, so
    that W processes make together what one process would with a batch of ``W * B``.

    Args:
        batch: The sample numbers of a lone process, 0 to B - 1.
        rank: The process' number, 0 to ``ranks - 1``.
        ranks: Number of processes.

    Raises:
        ValueError: The rank is not one of the ranks.
    """
    if not 0 <= rank < ranks:
        raise ValueError(f"expected a rank from 0 to {ranks - 1}, got {rank}.")
    return [rank * len(batch) + int(number) for number in batch]


def mean_over_ranks(value: torch.Tensor) -> torch.Tensor:
    """The mean of a value over all processes; the value itself where there is but one.

    Its gradient is that of the own value. As the gradients of the weights are then averaged over
    the processes, a loss that takes values by their mean gets the gradient of the mean.

    Args:
        value: Of any shape, the same in all processes.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    mean = value.detach().clone()
    distributed.all_reduce(mean)
    mean /= distributed.get_world_size()
    return value + (mean - value.detach()) if value.requires_grad else mean


def is_first_rank() -> bool:
    """Whether this process is the one that speaks for all."""
    together = distributed.is_available() and distributed.is_initialized()
    return not together or distributed.get_rank() == 0
