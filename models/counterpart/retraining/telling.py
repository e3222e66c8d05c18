"""Turns what a stage says of itself into progress of the whole retraining."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Told(Protocol):
    """Whoever is told of changes; see `counterpart.retraining.progress.ProgressFile`."""

    def tell(self, *, at_once: bool = False, **changes: Any) -> None:
        """Something changed."""
        ...


@dataclass(frozen=True)
class Expected:
    """How long a stage is expected to last.

    Args:
        stage: Its name.
        seconds: On two cores.
    """

    stage: str
    seconds: float


class Teller:
    """Tells how far a retraining is, by the time that its stages are expected to take.

    Args:
        file: Is told.
    """

    def __init__(self, file: Told) -> None:
        self.file = file
        self._expected: list[Expected] = [Expected("checks", 1.0)]
        self._number = 0
        self._begun_s = time.monotonic()
        self._slowness = 1.0

    def expect(self, expected: Sequence[Expected]) -> None:
        """Say which stages there are."""
        self._expected = list(expected)

    def begin(self, stage: str, words: str) -> None:
        """A stage begins."""
        self._number = [one.stage for one in self._expected].index(stage)
        self._begun_s = time.monotonic()
        self.file.tell(
            at_once=True,
            stage=stage,
            stage_number=self._number + 1,
            stages=len(self._expected),
            **dict.fromkeys(("epoch", "epochs", "step", "steps"), 0),
            loss=None,
            message=words,
            fraction=self._fraction(0.0),
            seconds_left=self._left(self._present.seconds * self._slowness),
        )

    def say(self, words: str) -> None:
        """A stage that cannot say how far it is says what it does."""
        spent = time.monotonic() - self._begun_s
        share = spent / (spent + self._present.seconds)
        left_s = self._present.seconds * self._slowness * (1.0 - share)
        self.share(share, left_s=left_s, message=words)

    def share(self, share: float, *, left_s: float | None = None, **changes: Any) -> None:
        """A stage says how far it is.

        Args:
            share: Of the stage, 0 to 1.
            left_s: Seconds that the stage still needs, if known.
            changes: Of the progress, besides.
        """
        if left_s is None and share > 0:
            left_s = (time.monotonic() - self._begun_s) * (1.0 - share) / share
        elif left_s is not None and share < 1 and changes.get("steps"):
            # Training has a pace of its own: by it later stages are judged as well.
            usual = self._present.seconds * (1.0 - share)
            self._slowness = min(10.0, max(0.02, left_s / max(usual, 1e-6)))
        left = None if left_s is None else self._left(left_s)
        self.file.tell(fraction=self._fraction(share), seconds_left=left, **changes)

    @property
    def _present(self) -> Expected:
        return self._expected[self._number]

    def _fraction(self, share: float) -> float:
        total = sum(one.seconds for one in self._expected)
        before = sum(one.seconds for one in self._expected[: self._number])
        return round((before + share * self._present.seconds) / total, 5)

    def _left(self, stage_s: float) -> float:
        later = sum(one.seconds for one in self._expected[self._number + 1 :])
        return round(stage_s + later * self._slowness, 1)
