"""``progress.json``: how far a retraining is, whole at any moment, and all that others read."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from counterpart.registry.serving import now_utc
from counterpart.registry.verdict import Verdict
from counterpart.whole_file import write_whole

PROGRESS = "progress.json"
RESERVE = "reserve"
RESERVE_BYTES = 65536
LEAST_SECONDS = 0.5
RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"


@dataclass(frozen=True)
class Progress:
    """How far a retraining is.

    Args:
        state: ``running``, ``done``, ``failed`` or ``cancelled``.
        mode: ``calibrate`` or ``train``, once it is decided; ``auto`` before.
        stage: Name of the stage.
        stage_number: From 1.
        stages: How many stages there are.
        epoch: Epochs of the stage that are complete; an epoch is a fiftieth of its steps.
        epochs: Of the stage; 0 where there are no steps.
        step: Optimiser steps of the stage that are done.
        steps: Optimiser steps of the stage.
        loss: Of the last steps; None outside of training.
        fraction: Of the whole retraining, 0 to 1, by the time that the stages are expected to take.
        seconds_left: Until all is done, as far as one can tell.
        message: What is being done, in words.
        error: Why it failed, a sentence.
        published: Whether the new version serves; None as long as that is not known, or not asked.
        version: Of the new model.
        verdicts: Of the gates.
        report: Name of the report, once it is written.
        pid: Of the process.
        started: When the process began, ISO 8601, UTC.
        updated: When this was written.
    """

    state: str = RUNNING
    mode: str = "auto"
    stage: str = "checks"
    stage_number: int = 1
    stages: int = 1
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    fraction: float = 0.0
    seconds_left: float | None = None
    message: str = ""
    error: str | None = None
    published: bool | None = None
    version: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    report: str | None = None
    pid: int = 0
    started: str = ""
    updated: str = ""

    def to_json(self) -> dict[str, Any]:
        """The progress as plain values."""
        return {**asdict(self), "verdicts": [one.to_json() for one in self.verdicts]}


Listener = Callable[[Progress], None]


class ProgressFile:
    """Writes a run's progress, at most twice a second but for what must not be missed.

    A small reserve lies beside it, which is given up when the disk is full, so that there is room
    to say so.

    Args:
        run: The run's folder.
        listener: Told of every change, written or not.
    """

    def __init__(self, run: Path, listener: Listener | None = None) -> None:
        self._path = run / PROGRESS
        self._reserve = run / RESERVE
        self._listener = listener
        self._written_s = -LEAST_SECONDS
        self.now = Progress(pid=os.getpid(), started=now_utc())
        with contextlib.suppress(OSError):
            write_whole(self._reserve, lambda file: file.write(b"\0" * RESERVE_BYTES))

    def tell(self, *, at_once: bool = False, **changes: Any) -> None:
        """Change what is known, and write it if it is due or must be known at once."""
        self.now = replace(self.now, **changes)
        if self._listener is not None:
            self._listener(self.now)
        if at_once or time.monotonic() - self._written_s >= LEAST_SECONDS:
            self._write()

    def end(self, state: str, **changes: Any) -> None:
        """Say how it ended, even where the disk is full."""
        self._reserve.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # nothing more can be done; the exit code tells
            self.tell(at_once=True, state=state, seconds_left=None, **changes)

    def _write(self) -> None:
        self.now = replace(self.now, updated=now_utc())
        content = json.dumps(self.now.to_json(), allow_nan=False, ensure_ascii=False) + "\n"
        write_whole(self._path, lambda file: file.write(content.encode()))
        self._written_s = time.monotonic()


def read_progress(run: Path) -> dict[str, Any] | None:
    """What a run's ``progress.json`` says; None before there is one."""
    try:
        values: dict[str, Any] = json.loads((run / PROGRESS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return values
