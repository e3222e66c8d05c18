"""A work that keeps what it is told, as the user interface would see it, and may act on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.jobs import JobProgress
from HealthyCounterpartLib.scan_source import SceneScan
from HealthyCounterpartLib.worker import Told, Work

ClientOf = Callable[..., ServerClient]
ScanOf = Callable[..., SceneScan]


class Listener:
    """Its ``work`` is for `generate`; ``act`` is called with everything that is told."""

    def __init__(self, act: Callable[[JobProgress], None] = lambda told: None) -> None:
        self.told: list[JobProgress] = []
        self.work = Work(1, "generate", self._hear)
        self._act = act

    def _hear(self, event: Any) -> None:
        assert isinstance(event, Told)
        self.told.append(event.value)
        self._act(event.value)

    @property
    def phases(self) -> list[str]:
        """The phases in their order; one that goes on is named once."""
        names = [told.phase for told in self.told]
        return [name for name, _ in itertools.groupby(names)]

    def fractions(self, phase: str) -> list[float | None]:
        return [told.fraction for told in self.told if told.phase == phase]


def quietly(fraction: float) -> None:
    """Nobody wants to know."""
