"""Batch inference: every image of the studies, one job after the other, in the server's queue."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from lib.inference.stock_labels import store_labels
from lib.jobs.job import Job, JobOptions
from lib.problems import Problem
from lib.server import Server

logger = logging.getLogger("counterpart.server")

Which = Literal["all", "labeled", "unlabeled"]
_POLL_S = 0.1
_TIME = "%Y-%m-%d %H:%M:%S"


@dataclass
class BatchTask:
    """One run over many images, in the form of MONAI Label's tasks.

    Args:
        request: What was asked for.
        id: Of the task.
        status: ``RUNNING``, ``DONE``, ``ERROR`` or ``STOPPED``.
        start_ts: When it began.
        end_ts: When it ended.
        details: The last lines of what happened.
    """

    request: dict[str, Any]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    status: str = "RUNNING"
    start_ts: str = field(default_factory=lambda: datetime.now().strftime(_TIME))
    end_ts: str | None = None
    details: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    def to_json(self) -> dict[str, Any]:
        """The task as plain values."""
        return {**vars(self), "details": list(self.details)}


class BatchInference:
    """Runs over the studies, one at a time.

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._tasks: list[BatchTask] = []
        self._stop = threading.Event()

    def tasks(self) -> list[BatchTask]:
        """All runs since the server was started, the last one last."""
        return list(self._tasks)

    def start(self, images: list[str], options: JobOptions, request: dict[str, Any]) -> BatchTask:
        """Begin a run.

        Args:
            images: Ids.
            options: For each of them.
            request: What was asked for, to be shown.

        Raises:
            Problem: One is running.
        """
        with self._lock:
            if self._tasks and self._tasks[-1].status == "RUNNING":
                error = "A batch is running already."
                raise Problem(429, error, "Wait for it, or stop it with DELETE /batch/infer.")
            self._stop.clear()
            task = BatchTask(request)
            self._tasks.append(task)
        threading.Thread(
            target=self._run, args=(task, images, options), name="batch", daemon=True
        ).start()
        return task

    def stop(self) -> BatchTask | None:
        """Stop the run after what is being computed was stopped; None if none is running."""
        if not self._tasks or self._tasks[-1].status != "RUNNING":
            return None
        self._stop.set()
        return self._tasks[-1]

    def _run(self, task: BatchTask, images: list[str], options: JobOptions) -> None:
        failed = 0
        try:
            for number, image in enumerate(images, start=1):
                if self._stop.is_set():
                    break
                said = self._one(image, options)
                failed += said != "done"
                task.details.append(f"{number} of {len(images)}: {said}")
            task.status = "STOPPED" if self._stop.is_set() else "ERROR" if failed else "DONE"
        except Exception:
            logger.exception("defect in a batch")
            task.status = "ERROR"
        task.end_ts = datetime.now().strftime(_TIME)

    def _one(self, image: str, options: JobOptions) -> str:
        """Do one image and say how it went."""
        try:
            job: Job = self._server.submit_image(image, options)
            while not job.ended:
                if self._stop.is_set():
                    self._server.queue.cancel(job)
                time.sleep(_POLL_S)
            if job.state == "done":
                store_labels(self._server, job, mask=True)
            return job.state if job.state != "failed" else f"failed: {job.error}"
        except Problem as problem:
            return f"failed: {problem.error}"
