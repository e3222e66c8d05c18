"""Turns SIGTERM and Ctrl-C into a cancellation: at once, or at the end of a step of training."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from counterpart.retraining.exit_codes import EXIT_INTERRUPTED, EXIT_TERMINATED

_CODES = {signal.SIGTERM: EXIT_TERMINATED, signal.SIGINT: EXIT_INTERRUPTED}


class CancelledError(BaseException):
    """The retraining was cancelled; no `Exception`, so that nothing that goes on catches it.

    Args:
        code: The exit code that follows.
    """

    def __init__(self, code: int) -> None:
        super().__init__("cancelled")
        self.code = code


class Cancellation:
    """What a signal has asked for."""

    def __init__(self) -> None:
        self.code: int | None = None
        self._waits = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Within this, a signal is only noted, for `check` to raise; a second one raises."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        self.check()

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self.code is not None

    def check(self) -> None:
        """Go no further if a signal came.

        Raises:
            CancelledError: It did.
        """
        if self.code is not None:
            raise CancelledError(self.code)

    def notice(self, number: int, frame: FrameType | None) -> None:
        """What happens when a signal comes.

        Raises:
            CancelledError: Nothing is to be finished first.
        """
        waited = self.code is not None
        self.code = _CODES[signal.Signals(number)]
        if waited or not self._waits:
            raise CancelledError(self.code)


@contextmanager
def cancellable() -> Iterator[Cancellation]:
    """Hear SIGTERM and SIGINT; before and afterwards they do what they did."""
    cancellation = Cancellation()
    if threading.current_thread() is not threading.main_thread():
        yield cancellation  # signals come to the main thread alone
        return
    before = {number: signal.signal(number, cancellation.notice) for number in _CODES}
    try:
        yield cancellation
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
