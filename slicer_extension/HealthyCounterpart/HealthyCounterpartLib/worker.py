"""Does pieces of work in threads of their own; what they tell waits until the main thread asks."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

from HealthyCounterpartLib.problems import CounterpartProblem
from HealthyCounterpartLib.translation import _

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """A piece of work was asked to stop, and has."""


class Work:
    """One piece of work, as both its thread and the main thread see it.

    Args:
        id: Its number.
        kind: What it is, for whoever drains the events.
        send: Takes its events.
    """

    def __init__(self, id: int, kind: str, send: Callable[[Event], None]) -> None:
        self.id = id
        self.kind = kind
        self.stop = threading.Event()
        self.cancelled = False
        self.goes_on = False  # what it began elsewhere may still be under way there
        self._send = send

    def tell(self, value: object) -> None:
        """Say how far it is; from its own thread."""
        self._send(Told(self, value))

    def cancel(self) -> None:
        """Ask it to stop because its result is not wanted; what it began elsewhere ends too."""
        self.cancelled = True
        self.stop.set()

    def leave(self) -> None:
        """Ask it to stop here; what it began elsewhere goes on there."""
        self.goes_on = True
        self.stop.set()


@dataclass(frozen=True)
class Told:
    """How far a work is."""

    work: Work
    value: Any


@dataclass(frozen=True)
class Finished:
    """What a work came to."""

    work: Work
    value: Any


@dataclass(frozen=True)
class Broke:
    """Why a work came to nothing."""

    work: Work
    problem: CounterpartProblem


@dataclass(frozen=True)
class Cancelled:
    """A work has stopped, because it was asked to."""

    work: Work


Event = Union[Told, Finished, Broke, Cancelled]


class Worker:
    """Starts pieces of work; made, drained and closed by the main thread."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._threads: dict[Work, threading.Thread] = {}

    def start(self, kind: str, work: Callable[[Work], object]) -> Work:
        """Begin a piece of work in a thread of its own.

        Args:
            kind: What it is, for whoever drains the events.
            work: Is called with its `Work`; looks at ``stop`` now and then, and raises `Stopped`.
        """
        begun = Work(next(self._numbers), kind, self._events.put)
        thread = threading.Thread(target=_do, args=(begun, work), name=kind, daemon=True)
        self._threads[begun] = thread
        thread.start()
        return begun

    def drain(self, breath_s: float = 0.0) -> list[Event]:
        """What was told since the last time, in that order.

        Args:
            breath_s: For which the caller waits first while something is under way. An application
                that embeds Python may hold the interpreter between its events; the threads then
                work in these pauses alone.
        """
        self._threads = {work: one for work, one in self._threads.items() if one.is_alive()}
        if self._threads and breath_s > 0:
            time.sleep(breath_s)
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    def close(self, timeout_s: float = 2.0) -> None:
        """Leave all work, and wait until it has stopped; what hangs dies with the process.

        Args:
            timeout_s: Longest wait for all of it.
        """
        for work in self._threads:
            work.leave()
        until = time.monotonic() + timeout_s
        for thread in self._threads.values():
            thread.join(max(until - time.monotonic(), 0.0))


def _do(work: Work, do: Callable[[Work], object]) -> None:
    """Do a work and tell how it ended: what was asked to stop is cancelled, whatever it came to."""
    try:
        value = do(work)
        event: Event = Finished(work, value)
    except Stopped:
        event = Cancelled(work)
    except CounterpartProblem as problem:
        event = Broke(work, problem)
    except Exception as error:
        if not work.stop.is_set():
            logger.exception("%s broke", work.kind)
        event = Broke(work, _problem_of(error))
    work._send(Cancelled(work) if work.stop.is_set() else event)


def _problem_of(error: Exception) -> CounterpartProblem:
    if isinstance(error, OSError):
        return CounterpartProblem(
            _("A file on this machine cannot be read or written ({why}).").format(
                why=error.strerror or type(error).__name__
            ),
            _("Make sure that the disk has space and that the folder may be written to."),
        )
    if isinstance(error, MemoryError):
        return CounterpartProblem(
            _("This machine has too little memory for the scan."),
            _("Close other scenes and programs, and try again."),
        )
    return CounterpartProblem(
        _("The module has a defect ({what}).").format(what=type(error).__name__),
        _("Try again; if it happens again, report it with what the Python console shows."),
    )
