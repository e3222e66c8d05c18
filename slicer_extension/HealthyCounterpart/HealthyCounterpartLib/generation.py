"""Making a counterpart: consent, the job with its progress, and the maps that arrive."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.connection import Connection
from HealthyCounterpartLib.consent import Consent
from HealthyCounterpartLib.jobs import JobProgress
from HealthyCounterpartLib.known_jobs import KnownJobs, RememberedJob
from HealthyCounterpartLib.problems import CounterpartProblem, ScanProblem, ServerProblem
from HealthyCounterpartLib.scan_source import KnownJob, SceneScan, StudyScan
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import GOOD, Line, Progress
from HealthyCounterpartLib.wanted import Arrived, Wanted, bring
from HealthyCounterpartLib.words import job_progress, problem_line

if TYPE_CHECKING:
    from HealthyCounterpartLib.scene.runs import Run
    from HealthyCounterpartLib.worker import Work

KIND = "generate"
_OVER = ("gone", "refusal")  # after these the server has nothing more to give


class Generation:
    """One counterpart at a time.

    Args:
        collaborators: Scene, worker, settings.
        connection: To the server.
    """

    def __init__(self, collaborators: Collaborators, connection: Connection) -> None:
        self._with = collaborators
        self._connection = connection
        self._consent = Consent(collaborators.settings)
        self.jobs = KnownJobs(collaborators.settings)
        self.progress: Optional[Progress] = None
        self.message = Line()
        self._asked: Optional[Wanted] = None  # waits for consent
        self._wanted: Optional[Wanted] = None  # under way
        self._work: Optional[Work] = None
        self._folder: Optional[Path] = None
        self._url = ""
        self._job = ""

    @property
    def busy(self) -> bool:
        """Whether a counterpart is being made."""
        return self._work is not None

    @property
    def consent_host(self) -> str:
        """Host for which consent is awaited; empty for none."""
        address = self._connection.address
        return address.host if self._asked is not None and address is not None else ""

    def is_mine(self, work: Work) -> bool:
        """Whether this is the work under way."""
        return self._work is not None and work.id == self._work.id

    def ask(self, volume: Any, study: str, contrast: str) -> None:
        """Make a counterpart of a volume, or of a study of the server.

        Args:
            volume: Of the scene; not looked at where a study is named.
            study: Its id, or empty.
            contrast: As chosen, or empty.
        """
        if self.busy:
            return
        if study:
            known = self._with.scene.study_volume(study, self._connection.url)
            self._begin(Wanted(StudyScan(study), known, study, contrast))
        else:
            self._with_scan(volume, contrast, "")

    def fetch(self, job: RememberedJob, volume: Any) -> None:
        """Fetch a job of an earlier session for the volume that it was asked for.

        Args:
            job: The job.
            volume: Of the scene; not looked at where the job is of a study.
        """
        if self.busy:
            return
        if job.study:
            known = self._with.scene.study_volume(job.study, job.url)
            self._begin(Wanted(KnownJob(job.id), known, job.study, job.contrast, job.id))
        else:
            self._with_scan(volume, job.contrast, job.id)

    def answer_consent(self, agreed: bool) -> None:
        """The reader says whether the scan may leave this machine for the host."""
        host, wanted, self._asked = self.consent_host, self._asked, None
        if wanted is None or not host:
            return
        if agreed:
            self._consent.give(host)
            self._begin(wanted)
        else:
            self.message = Line(_("Nothing was sent."))

    def cancel(self) -> None:
        """Stop, on the server too."""
        if self._work is not None:
            self._work.cancel()
            self.progress = Progress(_("Cancelling …"), None, cancellable=False)

    def told(self, told: JobProgress) -> None:
        """The work says how far it is."""
        if told.job_id and told.job_id != self._job and self._wanted is not None:
            self._forget()
            self._job = told.job_id
            wanted = self._wanted
            self.jobs.remember(
                RememberedJob(self._job, self._url, self._with.now(), wanted.study, wanted.contrast)
            )
        if self.progress is None or self.progress.cancellable:
            self.progress = job_progress(told)

    def finished(self, arrived: Arrived) -> Optional[Run]:
        """The maps are there; they become a run of the scene.

        Returns:
            The run; None if what arrived cannot be used.
        """
        wanted = self._wanted
        try:
            if wanted is None:
                return None
            volume = wanted.volume
            if volume is None and arrived.study_file is not None:
                volume = self._with.scene.add_study(arrived.study_file, wanted.study, self._url)
            if not self._with.scene.holds(volume):
                raise ScanProblem(
                    _("The scan was removed from the scene while its counterpart was made."),
                    _("Load it again, choose it, and press Fetch."),
                )
            run = self._with.scene.add_run(volume, arrived.delivery, self._with.now())
        except CounterpartProblem as problem:
            self.message = problem_line(problem)
            return None
        else:
            self._forget()
            self.message = Line(_("The healthy counterpart is there."), GOOD)
            return run
        finally:
            self._end()

    def broke(self, problem: CounterpartProblem) -> None:
        """The work has failed; a job that may still live on the server stays remembered."""
        if isinstance(problem, ServerProblem) and problem.kind in _OVER:
            self._forget()
        self.message = problem_line(problem)
        self._end()

    def cancelled(self) -> None:
        """The work has stopped, and its job with it."""
        self._forget()
        self.message = Line(_("Cancelled, on the server too."))
        self._end()

    def close(self) -> None:
        """Slicer closes: the job goes on at the server, and is found again."""
        if self._work is not None:
            self._work.leave()
        self._end()

    def _with_scan(self, volume: Any, contrast: str, job: str) -> None:
        try:
            scan = self._with.scene.sendable(volume)
        except CounterpartProblem as problem:
            self.message = problem_line(problem)
            return
        wanted = Wanted(scan, volume, "", contrast, job)
        if self._may_leave(wanted):
            self._begin(wanted)
        else:
            self._asked = wanted
            self.message = Line()

    def _may_leave(self, wanted: Wanted) -> bool:
        address = self._connection.address
        if wanted.job or not isinstance(wanted.source, SceneScan):
            return True  # nothing is sent
        return address is not None and (address.local or self._consent.given(address.host))

    def _begin(self, wanted: Wanted) -> None:
        try:
            client = self._connection.client()
        except ServerProblem as problem:
            self.message = problem_line(problem)
            return
        folder = Path(tempfile.mkdtemp(prefix="HealthyCounterpart-"))
        self._wanted, self._folder, self._asked = wanted, folder, None
        self._url = self._connection.url
        self._job = wanted.job
        self.message = Line()
        self.progress = Progress(_("Preparing the scan"), None)
        self._work = self._with.worker.start(KIND, lambda work: bring(client, wanted, folder, work))

    def _forget(self) -> None:
        if self._job:
            self.jobs.forget(self._job, self._url)

    def _end(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._wanted, self._work, self._folder, self.progress = None, None, None, None
        self._job = ""
