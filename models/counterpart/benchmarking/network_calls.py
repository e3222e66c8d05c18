"""Overhears how the product evaluates its networks, so that just that can be repeated and timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(eq=False)
class NetworkCalls:
    """The evaluations of a network during a run.

    Args:
        samples: Number of slices that were evaluated, by the stage in which they were.
        batch: Arguments of the first of the largest evaluations; empty before there is one.
        precision: That it was evaluated in.
    """

    samples: Counter[str] = field(default_factory=Counter)
    batch: tuple[torch.Tensor, ...] = ()
    precision: torch.dtype = torch.float32

    @property
    def batch_size(self) -> int:
        """Slices of the batch that is repeated."""
        return len(self.batch[0]) if self.batch else 0

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.batch[0].device

    def smaller(self, count: int) -> tuple[torch.Tensor, ...]:
        """The batch's first samples."""
        return tuple(part[:count] for part in self.batch)


@contextmanager
def overheard(network: nn.Module, stage: Callable[[], str]) -> Iterator[NetworkCalls]:
    """Take note of each evaluation of a network.

    Args:
        network: Takes tensors alone, samples first.
        stage: Says in which stage of the chain an evaluation happens.
    """
    calls = NetworkCalls()

    def note(module: nn.Module, arguments: tuple[torch.Tensor | None, ...]) -> None:
        given = tuple(part for part in arguments if part is not None)
        calls.samples[stage()] += len(given[0])
        if len(given[0]) > calls.batch_size:
            kind = given[0].device.type
            half = torch.is_autocast_enabled(kind)
            calls.precision = torch.get_autocast_dtype(kind) if half else torch.float32
            calls.batch = given

    handle = network.register_forward_pre_hook(note)
    try:
        yield calls
    finally:
        handle.remove()


def evaluate(
    network: nn.Module, batch: tuple[torch.Tensor, ...], precision: torch.dtype
) -> torch.Tensor:
    """Evaluate a network as the product does: without gradient, in a precision."""
    half = precision != torch.float32
    with torch.inference_mode(), torch.autocast(batch[0].device.type, precision, enabled=half):
        answer: torch.Tensor = network(*batch)
    return answer


def operations(
    network: nn.Module, batch: tuple[torch.Tensor, ...], precision: torch.dtype
) -> dict[str, int]:
    """Floating-point operations of each module, by its name within the network; 0 is left out.

    Convolutions and matrix products are counted, a multiplication and an addition as two.
    The network's own are under the empty name.
    """
    with FlopCounterMode(display=False) as counter:
        evaluate(network, batch, precision)
    root = type(network).__name__
    counts = {path: sum(by_kind.values()) for path, by_kind in counter.get_flop_counts().items()}
    inside = {
        path.removeprefix(root).removeprefix("."): count
        for path, count in counts.items()
        if path == root or path.startswith(f"{root}.")
    }
    return {path: int(count) for path, count in inside.items() if count}
