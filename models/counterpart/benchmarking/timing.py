"""Takes times: medians of repeats, works in turn, and the stages of a chain."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a benchmark of a server needs no torch
    import torch

Clock = Callable[[], float]


@dataclass(frozen=True)
class Seconds:
    """How long something takes, over repeats.

    Args:
        median: Seconds.
        least: Seconds.
        most: Seconds.
        times: Number of repeats.
    """

    median: float
    least: float
    most: float
    times: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Seconds:
        """The summary of some repeats.

        Raises:
            ValueError: There are none.
        """
        if not values:
            raise ValueError("expected at least one time.")
        return cls(statistics.median(values), min(values), max(values), len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least a share (0 to 1) of the values do not exceed.

    Raises:
        ValueError: There are no values, or the share lies outside (0, 1].
    """
    if not values or not 0.0 < share <= 1.0:
        raise ValueError(f"expected values and a share in (0, 1], got {len(values)} and {share}.")
    # Rounded, for 0.95 times 20 must not come out above 19.
    return sorted(values)[math.ceil(round(share * len(values), 9)) - 1]


def wait_for(place: torch.device) -> None:
    """Wait until a device has done what it was given; a CPU always has."""
    if place.type == "cuda":
        import torch

        torch.cuda.synchronize(place)


def in_turn(
    works: Mapping[str, Callable[[], object]], repeats: int, place: torch.device
) -> dict[str, Seconds]:
    """Time several works by turns, so that a machine that slows down slows all of them.

    Args:
        works: What to do, by name; each is done once before, untimed.
        repeats: Number of rounds.
        place: The device that does the work.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(repeats):
        for name, work in works.items():
            wait_for(place)
            start = time.perf_counter()
            work()
            wait_for(place)
            taken[name].append(time.perf_counter() - start)
    return {name: Seconds.of(values) for name, values in taken.items()}


class StageClock:
    """Adds up how long each stage of a chain takes; `tell` is a `counterpart.generate.Stage`.

    A stage lasts until another one is told. What is told with the beginning of the running stage's
    own text ("Repainting" during "Repainting the brain as healthy") is its progress.
    """

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self.running: str | None = None
        self._clock = clock
        self._since = 0.0

    def tell(self, text: str, share: float = 0.0) -> None:
        """A stage begins, or goes on."""
        if self.running is None or not self.running.startswith(text):
            self.finish()
            self.running, self._since = text, self._clock()

    def finish(self) -> None:
        """The running stage is over, and none follows."""
        if self.running is not None:
            spent = self._clock() - self._since
            self.seconds[self.running] = self.seconds.get(self.running, 0.0) + spent
        self.running = None


def summarised(runs: Sequence[Mapping[str, float]]) -> dict[str, Seconds]:
    """The seconds of each stage over several runs; a stage that a run lacks took it 0 s."""
    stages = {stage: None for run in runs for stage in run}
    return {stage: Seconds.of([run.get(stage, 0.0) for run in runs]) for stage in stages}
