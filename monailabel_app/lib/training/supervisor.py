"""Starts a training in a process of its own, finds it again after a restart, and stops it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from counterpart.errors import CounterpartError
from counterpart.retraining.plan import PLAN, Plan, write_plan
from counterpart.retraining.progress import read_progress
from counterpart.retraining.run_lock import lock_holder
from lib.cohort.marks import marked_scans
from lib.problems import Problem, bad_request, conflict
from lib.server import Server

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
_START_S = 20.0
_POLL_S = 0.1
_INTERRUPTED = "The training was interrupted; start it with resume to go on from its checkpoint."
# What a request may choose of a plan; all else is the server's to say.
CHOICES = ("mode", "start", "population", "seed", "steps", "force", "reason", "publish", "version")


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        folder: With plan, progress, log, report.
        alive: Whether its process is at work.
    """

    folder: Path
    alive: bool

    def progress(self) -> dict[str, Any]:
        """How far it is; a run whose process is gone is not said to run."""
        try:
            values = read_progress(self.folder) or {}
        except ValueError:
            values = {}
        if not self.alive and values.get("state", RUNNING) == RUNNING:
            values = {**values, "state": FAILED, "error": values.get("error") or _INTERRUPTED}
        return {"run": self.folder.name, "state": RUNNING, **values}

    def log(self, lines: int = 20) -> list[str]:
        """The last lines that it printed."""
        try:
            text = (self.folder / "console.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return text.splitlines()[-lines:]


class TrainingSupervisor:
    """The trainings of a server: one at a time.

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._turn = threading.Lock()
        self._child: tuple[Path, subprocess.Popen[bytes]] | None = None

    def latest(self) -> Run | None:
        """The run that was started last; None if there never was one."""
        runs = [path for path in self._server.state.runs.iterdir() if (path / PLAN).is_file()]
        if not runs:
            return None
        newest = max(runs, key=lambda path: path.name)
        return Run(newest, lock_holder(newest) is not None or self._is_starting(newest))

    def start(self, params: dict[str, Any], by: str) -> Run:
        """Start a training, or go on with the last one; returns once its process is at work.

        Args:
            params: What is chosen of the plan; ``resume`` goes on with the last run.
            by: Who asks.

        Raises:
            Problem: One is running, no scan is marked, or a choice cannot be used.
        """
        with self._turn:
            return self._started(params, by)

    def _started(self, params: dict[str, Any], by: str) -> Run:
        latest = self.latest()
        if latest is not None and latest.alive:
            raise Problem(
                429,
                "A training is running already.",
                "Wait for it, or stop it with DELETE /counterpart/training.",
            )
        chosen = dict(params)
        if chosen.pop("resume", False):
            if latest is None or latest.progress()["state"] == DONE:
                raise conflict("There is no training to go on with.", "Start a new one.")
            return self._spawned(latest.folder)
        unknown = sorted(set(chosen) - set(CHOICES))
        if unknown:
            hint = f"The choices are {', '.join((*CHOICES, 'resume'))}."
            raise bad_request(f"The choice {unknown[0]!r} is unknown.", hint)
        return self._spawned(self._planned(chosen, by))

    def stop(self) -> Run | None:
        """Ask the training to stop; its last checkpoint stays. None if none is running."""
        latest = self.latest()
        if latest is None or not latest.alive:
            return None
        holder = lock_holder(latest.folder)
        if holder:
            os.kill(holder, signal.SIGTERM)
        elif self._child is not None:
            self._child[1].terminate()
        return latest

    def _is_starting(self, folder: Path) -> bool:
        """Whether our own process for a run is there, though it has not come to its lock yet."""
        return (
            self._child is not None and self._child[0] == folder and self._child[1].poll() is None
        )

    def _planned(self, chosen: dict[str, Any], by: str) -> Path:
        """A new run's folder with its plan."""
        scans = marked_scans(self._server.studies)
        if not scans:
            raise conflict(
                "No scan is marked as healthy.",
                "Mark scans with PUT /datastore/image/info or `counterpart cohort add`.",
            )
        settings = self._server.settings
        device = "gpu" if settings.device.startswith("cuda") else "cpu"
        values = {
            "format": 1,
            "model": settings.model,
            "device": device,
            "by": by,
            **chosen,
            "scans": [
                {"subject": one.subject, "path": str(one.path), "contrast": one.contrast}
                for one in scans
            ],
        }
        try:
            plan = Plan.from_json(json.loads(json.dumps(values)))
        except CounterpartError as error:
            raise bad_request(str(error), "The page /docs says what may be chosen.") from error
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
        folder = self._server.state.runs / f"{stamp}-{secrets.token_hex(2)}"
        folder.mkdir()
        write_plan(folder, plan)
        return folder

    def _spawned(self, folder: Path) -> Run:
        """Start the process; it outlives the server."""
        with (folder / "console.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "counterpart.retraining", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "TERM": "dumb", "NO_COLOR": "1"},
            )
        self._child = (folder, process)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and process.poll() is None:
            if lock_holder(folder) is not None:
                break
            time.sleep(_POLL_S)
        if process.poll() not in (None, 0):
            said = Run(folder, False).log(1)
            error = (said[-1] if said else "The training did not start.").strip()
            raise conflict(error, "Correct it and start again.")
        return Run(folder, process.poll() is None)
