"""Sees to it that one process at a time works in a run's folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counterpart.errors import CounterpartError

LOCK = "lock"


class RunLockedError(CounterpartError):
    """Another process is at work in the run's folder."""


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Hold a run's lock; the system lets go of it when this process ends, however it ends.

    The file names the holder's process. A file that a dead process left behind blocks nobody.

    Raises:
        RunLockedError: A living process holds it.
    """
    with (run / LOCK).open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise RunLockedError(
                f"{run}: process {holder} is at work in this folder. Wait until it has ended, or "
                "end it with SIGTERM; it keeps its last checkpoint."
            ) from error
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield


def lock_holder(run: Path) -> int | None:
    """The process that is at work in a run's folder; None if nobody is.

    Args:
        run: The run's folder.
    """
    try:
        with (run / LOCK).open("r") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                words = stream.read().strip()
                return int(words) if words.isdecimal() else 0
    except FileNotFoundError:
        return None
    return None
