"""Has a counterpart generated, from the scan to the files of the result, through lost connections.

It runs in a thread of `worker.Worker` and touches neither the scene nor the user interface.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

from HealthyCounterpartLib.arrivals import check_findings, check_provenance, check_references
from HealthyCounterpartLib.client import MOST_FILE_BYTES, ServerClient
from HealthyCounterpartLib.problems import CounterpartProblem, ScanProblem, ServerProblem
from HealthyCounterpartLib.scan_files import SUFFIX, file_bytes, write_scan
from HealthyCounterpartLib.scan_source import KnownJob, SceneScan, Source, StudyScan
from HealthyCounterpartLib.server_facts import CANCELLED, DONE, FAILED, RUNNING, JobStatus
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.worker import Stopped, Work

logger = logging.getLogger(__name__)

WRITING, UPLOADING, WAITING = "writing", "uploading", "waiting"
IN_WORK, FETCHING, LOST = "running", "fetching", "lost"
RESULTS = ("counterpart", "residual", "anomaly", "mask")
_REFERENCES = "references"
_NOT_FOUND = 404
_POLL_S, _SLOW_POLL_S, _SLOW_AFTER_S = 0.25, 1.0, 20.0
_FIRST_PAUSE_S, _PAUSE_GROWTH, _LONGEST_PAUSE_S = 0.5, 1.5, 10.0
_PATIENCE_S = 600.0
_CANCEL_TRIES = 3
Value = TypeVar("Value")


@dataclass(frozen=True)
class JobProgress:
    """How far a counterpart is.

    Args:
        phase: ``writing``, ``uploading``, ``waiting``, ``running``, ``fetching`` or ``lost``.
        fraction: Done of the phase, 0 to 1; None where nobody knows.
        stage: In the server's words; for ``lost`` what is wrong.
        position: In the queue; 0 runs.
        seconds_left: Of the computation; None where there is no estimate.
        job_id: Empty as long as there is no job.
        retry_s: For ``lost``: until the next try, s.
    """

    phase: str
    fraction: Optional[float] = None
    stage: str = ""
    position: Optional[int] = None
    seconds_left: Optional[float] = None
    job_id: str = ""
    retry_s: float = 0.0


@dataclass(frozen=True)
class Delivery:
    """What a job came to.

    Args:
        job: The job, done.
        files: By name: ``counterpart``, ``residual``, ``anomaly``, ``mask``, as ``.nii``.
        findings: As the server lists them, checked.
        provenance: As the server wrote it down, checked.
        references: Most similar healthy references, as the server lists them, checked; empty where
            it offers none.
        scan_sha256: Hash of the scan that was sent; empty for a study of the server.
    """

    job: JobStatus
    files: Mapping[str, Path]
    findings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    references: Mapping[str, Any] = field(default_factory=dict)
    scan_sha256: str = ""


def generate(
    client: ServerClient, source: Source, options: Mapping[str, object], folder: Path, work: Work
) -> Delivery:
    """Have a healthy counterpart generated and fetch what it came to.

    A lost connection is tried again with growing pauses. What the server has lost, because it was
    killed or keeps results for a while only, is asked for once more. Once ``work`` is cancelled,
    the job is cancelled on the server too; if its worker is closed, the job goes on there.

    Args:
        client: Of the server.
        source: A scan of the scene, a study of the server, or a known job.
        options: ``contrast``, ``seed``, ``threshold``, ``minimum_ml``; those of a known job are
            needed only where the server has lost its result.
        folder: An existing folder of this job alone.
        work: Is told `JobProgress`.

    Raises:
        CounterpartProblem: It did not come to anything, and why.
        Stopped: ``work.stop`` was set.
    """
    return _Generation(client, source, options, folder, work).run()


class _GoneError(Exception):
    """The server has lost a job or its result.

    Args:
        problem: In a person's words.
    """

    def __init__(self, problem: CounterpartProblem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem


class _Generation:
    """One counterpart on its way."""

    def __init__(
        self,
        client: ServerClient,
        source: Source,
        options: Mapping[str, object],
        folder: Path,
        work: Work,
    ) -> None:
        self._client = client
        self._source = source
        self._options = options
        self._folder = folder
        self._work = work
        self._job: Optional[JobStatus] = None
        self._sha256 = ""

    def run(self) -> Delivery:
        """From the scan to the files."""
        try:
            job = self._ask()
            try:
                return self._awaited(job)
            except _GoneError:
                if not self._can_ask_again(job):
                    raise
                job = self._ask_again(job)
            return self._awaited(job)
        except _GoneError as gone:
            raise gone.problem from gone
        except Stopped:
            if self._work.cancelled:
                self._work.goes_on = not self._cancel_on_server()
            raise

    def _ask(self) -> JobStatus:
        source = self._source
        if isinstance(source, SceneScan):
            self._write(source)
            return self._ask_for_scan(source)
        if isinstance(source, StudyScan):
            return self._submit(image=source.image)
        return self._begun(lambda: self._client.job(source.id, self._work.stop))

    def _can_ask_again(self, job: JobStatus) -> bool:
        return not isinstance(self._source, KnownJob) or bool(job.image or job.scan)

    def _ask_again(self, job: JobStatus) -> JobStatus:
        """Ask once more for what the server has lost; of a known job it may still have the scan."""
        if isinstance(self._source, SceneScan):
            return self._ask_for_scan(self._source)
        return self._submit(image=job.image, scan=job.scan)

    def _ask_for_scan(self, scan: SceneScan) -> JobStatus:
        """Send the scan, unless the server has it from an earlier time, and ask."""
        self._patiently(lambda: self._send(f"{scan.name}{SUFFIX}"))
        return self._submit(scan=self._sha256)

    def _submit(self, *, image: str = "", scan: str = "") -> JobStatus:
        return self._begun(
            lambda: self._client.submit(image=image, scan=scan, options=self._options)
        )

    def _begun(self, ask: Callable[[], JobStatus]) -> JobStatus:
        self._job = job = self._patiently(ask)
        self._tell_job(job)
        return job

    def _write(self, scan: SceneScan) -> None:
        self._tell(WRITING)
        size, limit = file_bytes(scan), self._patiently(self._client.info).upload_mb
        if size > limit << 20:
            raise ScanProblem(
                _("The scan has {size} MB, and the server takes {limit} MB at most.").format(
                    size=-(-size >> 20), limit=limit
                ),
                _("Crop the volume, or ask the administrator to raise the limit for uploads."),
            )
        self._sha256 = write_scan(scan, self._path, self._work.stop)

    def _send(self, name: str) -> None:
        if self._client.knows_scan(self._sha256):
            return
        self._tell(UPLOADING, 0.0)
        received = self._client.upload(
            self._path, name, lambda part: self._tell(UPLOADING, part), self._work.stop
        )
        if received != self._sha256:
            raise ServerProblem(
                "lost",
                _("The scan was damaged on its way to the server."),
                _("Try again; if it happens again, look after the network."),
            )

    @property
    def _path(self) -> Path:
        return self._folder / f"scan{SUFFIX}"

    def _awaited(self, first: JobStatus) -> Delivery:
        """Wait for the job's end and fetch its results.

        Raises:
            _GoneError: The server has lost the job or its results.
        """
        try:
            job = self._ended(first)
            if job.state == FAILED:
                self._raise_failed(job)
            if job.state == CANCELLED:
                self._raise_cancelled(first)
            return self._fetched(job)
        except ServerProblem as problem:
            if problem.kind == "gone":
                raise _GoneError(problem) from problem
            raise

    def _ended(self, job: JobStatus) -> JobStatus:
        def asked() -> JobStatus:
            return self._client.job(job.id, self._work.stop)

        begun = time.monotonic()
        while not job.ended:
            slow = time.monotonic() - begun > _SLOW_AFTER_S
            self._pause(_SLOW_POLL_S if slow else _POLL_S)
            job = self._job = self._patiently(asked)
            self._tell_job(job)
        return job

    def _raise_failed(self, job: JobStatus) -> None:
        """Say why a job failed; one that was cut short by the server's end is lost, not failed."""
        said = job.error or _("The server could not make a counterpart of this scan.")
        problem = ServerProblem("refusal", said[:1].upper() + said[1:], job.hint)
        try:
            self._client.fetch_json(job.id, "findings", self._work.stop)
        except ServerProblem as asked:
            if asked.status == 503:
                raise _GoneError(problem) from asked
        raise problem

    def _raise_cancelled(self, first: JobStatus) -> None:
        problem = ServerProblem(
            "refusal",
            _("The job was cancelled on the server."),
            _("Generate the counterpart again if that was a mistake."),
        )
        # Who asks again right after a cancellation is answered with the job that is just ending.
        if not isinstance(self._source, KnownJob) and first.state == RUNNING:
            raise _GoneError(problem)
        raise problem

    def _cancel_on_server(self) -> bool:
        """Whether no job is under way there any more."""
        job = self._job
        for attempt in range(_CANCEL_TRIES):
            if job is None or job.ended:
                return True
            try:
                self._client.cancel(job.id)
                return True
            except ServerProblem as problem:
                logger.warning("a job could not be cancelled on the server: %s", problem)
                if not problem.passes:
                    return problem.kind == "gone"
                time.sleep(_FIRST_PAUSE_S * attempt)
        return False

    def _fetched(self, job: JobStatus) -> Delivery:
        self._tell(FETCHING, 0.0)
        findings = self._patiently(lambda: self._json(job, "findings"))
        provenance = self._patiently(lambda: self._json(job, "provenance"))
        check_findings(findings)
        check_provenance(provenance, job.model)
        references = self._references(job)
        files = {}
        for number, name in enumerate(RESULTS):
            files[name] = self._folder / f"{name}.nii"
            self._patiently(partial(self._fetch, job, name, files[name], number))
        sha256 = self._sha256 or job.scan
        return Delivery(job, files, findings, provenance, references, sha256)

    def _references(self, job: JobStatus) -> Mapping[str, Any]:
        """The healthy references; where there are none after all, that costs no map."""
        if _REFERENCES not in job.results:
            return {}
        try:
            references = self._patiently(lambda: self._json(job, _REFERENCES))
        except ServerProblem as problem:
            if problem.status != _NOT_FOUND:
                raise
            return {}
        check_references(references)
        return references

    def _json(self, job: JobStatus, name: str) -> dict[str, Any]:
        return self._client.fetch_json(job.id, name, self._work.stop)

    def _fetch(self, job: JobStatus, name: str, path: Path, number: int) -> None:
        def tell(part: float) -> None:
            self._tell(FETCHING, (number + part) / len(RESULTS))

        most = MOST_FILE_BYTES
        if isinstance(self._source, SceneScan):  # float64 is the widest that a map could have
            most = 8 * self._source.values.size + (1 << 20)
        self._client.fetch(job.id, name, "nii", path, tell, self._work.stop, most_bytes=most)

    def _patiently(self, ask: Callable[[], Value]) -> Value:
        """Ask until there is an answer, with growing pauses while the server is away."""
        pause_s, since = _FIRST_PAUSE_S, time.monotonic()
        while True:
            self._check_stop()
            try:
                return ask()
            except ServerProblem as problem:
                away = problem.passes or (self._job is not None and problem.kind == "unknown_host")
                if not away or time.monotonic() - since > _PATIENCE_S:
                    raise
                logger.info("lost (%s), asked again in %.1f s", problem.kind, pause_s)
                self._wait_for_server(problem, pause_s)
            pause_s = min(pause_s * _PAUSE_GROWTH, _LONGEST_PAUSE_S)

    def _wait_for_server(self, problem: ServerProblem, pause_s: float) -> None:
        until = time.monotonic() + pause_s
        while (left := until - time.monotonic()) > 0:
            self._tell(LOST, stage=problem.sentence, retry_s=left)
            self._pause(min(left, 1.0))

    def _pause(self, seconds: float) -> None:
        self._work.stop.wait(seconds)
        self._check_stop()

    def _check_stop(self) -> None:
        if self._work.stop.is_set():
            raise Stopped

    def _tell(self, phase: str, fraction: Optional[float] = None, **more: Any) -> None:
        job_id = self._job.id if self._job is not None else ""
        self._work.tell(JobProgress(phase, fraction, job_id=job_id, **more))

    def _tell_job(self, job: JobStatus) -> None:
        if job.state == DONE:
            self._tell(FETCHING, 0.0)
        if job.ended:
            return
        self._tell(
            IN_WORK if job.state == RUNNING else WAITING,
            job.fraction,
            stage=job.stage,
            position=job.position,
            seconds_left=job.seconds_left,
        )
