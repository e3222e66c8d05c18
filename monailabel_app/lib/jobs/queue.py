"""Does jobs one after the other, in a thread that waits for the process that computes."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from lib.inference.link import ProcessLink
from lib.inference.messages import Cancelled, Task
from lib.jobs.cache import SCAN_FILE, ResultCache
from lib.jobs.job import Job, State
from lib.jobs.references import has_references
from lib.jobs.store import JobStore
from lib.problems import Problem
from lib.state import StateFolder, disk_problem

logger = logging.getLogger("counterpart.server")

Fingerprint = Callable[[], str]


class JobQueue:
    """The queue of one device.

    Args:
        state: The server's folders.
        store: Keeps the jobs.
        cache: Keeps the results.
        compute: The process with the networks.
        desk: The process without.
        fingerprint: What serves at this moment; results of something else are not used.
    """

    def __init__(
        self,
        state: StateFolder,
        store: JobStore,
        cache: ResultCache,
        compute: ProcessLink,
        desk: ProcessLink,
        fingerprint: Fingerprint,
    ) -> None:
        self._state = state
        self._store = store
        self._cache = cache
        self._compute = compute
        self._desk = desk
        self._fingerprint = fingerprint
        self._waiting: deque[Job] = deque(
            sorted((j for j in store.all() if j.state == "queued"), key=lambda job: job.created)
        )
        self._running: Job | None = None
        self._unwanted: set[str] = set()
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def end(self) -> None:
        """Work no more; a job that runs is cancelled, those that wait are done after a restart."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._compute.end()
        self._desk.end()

    def submit(self, job: Job) -> Job:
        """Put a job into the queue, or find that it is there or done already.

        Raises:
            Problem: The disk is full.
        """
        with self._changed:
            known = self._store.find(job.id)
            if known is not None and (not known.ended or self._is_kept(known)):
                return known
            job.key = self.key_of(job)
            self._unwanted.discard(job.id)
            maps = self._cache.find(job.key)
            if maps is None:
                self._store.keep(job)
                self._waiting.append(job)
                self._changed.notify()
                return job
        self._answer_from(maps, job)  # no network is needed, so no other job is waited for
        return job

    def cancel(self, job: Job) -> Job:
        """Stop a job that waits or runs; one that has ended stays as it is."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                self._finish(job, "cancelled", "Cancelled")
            elif job is self._running:
                self._unwanted.add(job.id)
                job.stage = "Stopping"
        return job

    def position(self, job: Job) -> int | None:
        """How many come before a job: 0 for the one that runs; None if it is not in the queue."""
        if job is self._running:
            return 0
        with self._changed:
            return 1 + self._waiting.index(job) if job in self._waiting else None

    def key_of(self, job: Job) -> str:
        """What a job computes: the same scan, by the same weights, by the same choices."""
        chosen = (str(job.options.get("contrast")), str(job.options.get("seed")))
        name = Path(job.path).name  # it may say which sequence this is
        return self._state.keyed("result", job.content, name, self._fingerprint(), *chosen)

    def _is_kept(self, job: Job) -> bool:
        """Whether what a job that has ended had computed can still be had and still holds."""
        same = job.state == "done" and job.key == self.key_of(job)
        return same and self._cache.find(job.key) is not None

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ending:
                    self._changed.wait()
                if self._ending:
                    return
                job = self._running = self._waiting.popleft()
            try:
                self._do(job)
            except Exception:
                logger.exception("defect in the queue of jobs")
                hint = "Tell the administrator; the server's log has the details."
                self._fail(job, Problem(500, "The server has a defect.", hint))
            finally:
                with self._changed:
                    self._running = None
                    self._unwanted.discard(job.id)

    def _do(self, job: Job) -> None:
        job.state, job.started, job.stage = "running", time.time(), "Starting"
        try:
            self._store.keep(job)
            job.key = self.key_of(job)
            maps = self._cache.find(job.key)
            if maps is None:
                maps = self._computed(job)
            self._viewed(job, maps)
            self._finish(job, "done", "Done")
        except Cancelled:
            self._finish(job, "cancelled", "Cancelled")
        except Problem as problem:
            self._fail(job, problem)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._fail(job, disk_problem(error))

    def _answer_from(self, maps: Path, job: Job) -> None:
        job.state, job.started = "running", time.time()
        try:
            self._viewed(job, maps)
            self._finish(job, "done", "Done")
        except Problem as problem:
            self._fail(job, problem)

    def _computed(self, job: Job) -> Path:
        def tell(words: str, fraction: float) -> None:
            if job.id not in self._unwanted:
                job.stage = words
            job.fraction = fraction

        work = self._state.temporary()
        try:
            task = Task(
                "generate",
                {
                    "scan": job.path,
                    "out": str(work),
                    "contrast": job.options.get("contrast"),
                    "seed": job.options.get("seed", 0),
                },
            )
            answer = self._compute.ask(task, tell, lambda: job.id in self._unwanted)
            job.model, job.findings = answer["model"], answer["findings"]
            (work / SCAN_FILE).write_text(self._state.keyed("scan", job.content))
            return self._cache.put(job.key, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _viewed(self, job: Job, maps: Path) -> None:
        """List the findings by another threshold, where one is asked for."""
        job.references = has_references(maps)
        view = view_of(job, self._state)
        if not view:
            job.findings, job.model = _summary(maps)
            return
        out = self._cache.view(job.key, view)
        if not (out / "findings.json").is_file():
            arguments = {"scan": job.path, "result": str(maps), "out": str(out)}
            self._desk.ask(Task("view", arguments | view_arguments(job)))
        job.findings, job.model = _summary(out)

    def _fail(self, job: Job, problem: Problem) -> None:
        job.error, job.hint, job.status = problem.error, problem.hint, problem.status
        logger.warning("a job failed: %d", problem.status)
        self._finish(job, "failed", "Failed")

    def _finish(self, job: Job, state: State, stage: str) -> None:
        job.state, job.stage, job.finished = state, stage, time.time()
        job.fraction = 1.0 if state == "done" else job.fraction
        try:
            self._store.keep(job)
        except Problem as problem:
            logger.error("a job could not be written down: %s", problem)


def view_arguments(job: Job) -> dict[str, float | None]:
    """What a job wants other than the healthy threshold and the usual volume."""
    return {name: job.options.get(name) for name in ("threshold", "minimum_ml")}


def view_of(job: Job, state: StateFolder) -> str:
    """The name of what a job wants to see of its maps; empty for the healthy threshold's."""
    chosen = view_arguments(job)
    if all(value is None for value in chosen.values()):
        return ""
    return state.keyed("view", *(repr(value) for value in chosen.values()))


def _summary(folder: Path) -> tuple[int, dict[str, str]]:
    """How many findings a written result has, and by which model."""
    listed = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    known = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    model = {"name": known["model"], "version": known["version"]}
    return len(listed["findings"]), {**model, "weights_sha256": known["weights_sha256"]}
