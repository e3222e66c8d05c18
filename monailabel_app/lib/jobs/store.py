"""Keeps jobs on the disk, so that a server that was killed still knows them."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable

from lib.jobs.job import Job
from lib.state import StateFolder, write_json

logger = logging.getLogger("counterpart.server")

_INTERRUPTED = "The server was stopped while this job was running."
_AGAIN = "Ask for it again; what it had computed until then is not kept."


class JobStore:
    """All jobs, in memory and one file each.

    Args:
        state: The server's folders.
        lifetime_s: How long a job that has ended is remembered.
    """

    def __init__(self, state: StateFolder, lifetime_s: float) -> None:
        self._state = state
        self._lifetime_s = lifetime_s
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        for path in sorted(state.jobs.glob("*.json")):
            try:
                job = Job.from_json(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError, AttributeError) as error:
                logger.error("a job's file is damaged and left alone (%s)", error)
                continue
            self._jobs[job.id] = job
        self._mark_interrupted()

    def find(self, job_id: str) -> Job | None:
        """A job by its id."""
        return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        """All jobs, the newest first."""
        return sorted(self._jobs.values(), key=lambda job: -job.created)

    def keep(self, job: Job) -> None:
        """Write a job down.

        Raises:
            Problem: The disk is full.
        """
        with self._lock:
            self._jobs[job.id] = job
            write_json(self._state.jobs / f"{job.id}.json", job.to_json())

    def forget(self, jobs: Iterable[Job]) -> None:
        """Remove jobs."""
        with self._lock:
            for job in jobs:
                self._jobs.pop(job.id, None)
                (self._state.jobs / f"{job.id}.json").unlink(missing_ok=True)

    def forget_old(self) -> None:
        """Remove the jobs that ended too long ago."""
        limit = time.time() - self._lifetime_s
        self.forget([job for job in self.all() if job.ended and (job.finished or 0.0) < limit])

    def _mark_interrupted(self) -> None:
        for job in self._jobs.values():
            if job.state == "running":
                job.state, job.error, job.hint, job.status = "failed", _INTERRUPTED, _AGAIN, 503
                job.stage, job.finished = "Failed", time.time()
                self.keep(job)
