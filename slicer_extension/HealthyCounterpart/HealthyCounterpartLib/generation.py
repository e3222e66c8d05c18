"""Making a counterpart: consent, the job with its progress, and the maps that arrive."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.connection import Connection
from HealthyCounterpartLib.consent import Consent
from HealthyCounterpartLib.jobs import JobProgress
from HealthyCounterpartLib.known_jobs import KnownJobs, RememberedJob
from HealthyCounterpartLib.problems import CounterpartProblem, ScanProblem, ServerProblem
from HealthyCounterpartLib.scan_source import KnownJob, SceneScan, StudyScan
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import GOOD, Line, Notice, Progress
from HealthyCounterpartLib.wanted import Arrived, Wanted, bring
from HealthyCounterpartLib.words import job_progress, problem_line

if TYPE_CHECKING:
    from HealthyCounterpartLib.scene.runs import Run
    from HealthyCounterpartLib.worker import Work

KIND = "generate"
FOLDER_PREFIX = "HealthyCounterpart-"
_OLD_S = 24 * 3600.0
_OVER = ("gone", "refusal")  # after these the server has nothing more to give


def remove_old_folders() -> None:
    """Remove what a Slicer that crashed has left of its jobs: they hold copies of scans."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime > _OLD_S:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # somebody else's


class Generation:
    """One counterpart at a time.

    Args:
        collaborators: Scene, worker, settings.
        connection: To the server.
        notice: Is told how it went.
    """

    def __init__(
        self, collaborators: Collaborators, connection: Connection, notice: Notice
    ) -> None:
        self._with = collaborators
        self._connection = connection
        self._consent = Consent(collaborators.settings)
        self.jobs = KnownJobs(collaborators.settings)
        self.progress: Optional[Progress] = None
        self._notice = notice
        self._asked: Optional[Wanted] = None  # waits for consent
        self._asked_for: Optional[ServerAddress] = None  # where it would go
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
        return self._asked_for.host if self._asked_for is not None else ""

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
        if self.busy or job.url != self._connection.url:
            return
        if job.study:
            known = self._with.scene.study_volume(job.study, job.url)
            self._begin(Wanted(KnownJob(job.id), known, job.study, job.contrast, job.id))
        else:
            self._with_scan(volume, job.contrast, job.id)

    def answer_consent(self, agreed: bool) -> None:
        """The reader says whether the scan may leave this machine for the host."""
        wanted, address = self._asked, self._asked_for
        self.withdraw()
        if wanted is None or address is None:
            return
        if agreed and address == self._connection.address:
            self._consent.give(address.host)
            self._begin(wanted)
        else:
            self._notice.line = Line(_("Nothing was sent."))

    def withdraw(self, unless: Any = None) -> None:
        """Ask for consent no more: another scan or another server was chosen.

        Args:
            unless: Volume; a question about this one stays.
        """
        if self._asked is not None and (unless is None or self._asked.volume is not unless):
            self._asked, self._asked_for = None, None

    def cancel(self) -> None:
        """Stop, on the server too; a job of an earlier session is left to go on there."""
        if self._work is None or self._wanted is None:
            return
        if self._wanted.job:
            self._work.leave()
        else:
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
            run = self._with.scene.add_run(volume, arrived.delivery, self._with.now(), self._url)
        except CounterpartProblem as problem:
            self._notice.line = problem_line(problem)
            return None
        else:
            self._forget()
            self._notice.line = Line(_("The healthy counterpart is there."), GOOD)
            return run
        finally:
            self._end()

    def broke(self, problem: CounterpartProblem) -> None:
        """The work has failed; a job that may still live on the server stays remembered."""
        if isinstance(problem, ServerProblem) and problem.kind in _OVER:
            self._forget()
        self._notice.line = problem_line(problem)
        self._end()

    def cancelled(self, work: Work) -> None:
        """The work has stopped; its job too, unless the server could not be told."""
        if work.goes_on and self._job:
            self._notice.line = Line(_("Stopped here; the job may go on at the server."))
        elif self._job:
            self._forget()
            self._notice.line = Line(_("Cancelled, on the server too."))
        else:
            self._notice.line = Line(_("Cancelled."))
        self._end()

    def leave(self) -> None:
        """Slicer closes: the job goes on at the server, and is found again."""
        if self._work is not None:
            self._work.leave()

    def close(self) -> None:
        """Remove what is left, once no thread works any more."""
        self._end()

    def _with_scan(self, volume: Any, contrast: str, job: str) -> None:
        try:
            scan = self._with.scene.sendable(volume)
        except CounterpartProblem as problem:
            self._notice.line = problem_line(problem)
            return
        wanted = Wanted(scan, volume, "", contrast, job)
        if self._may_leave(wanted):
            self._begin(wanted)
        else:
            self._asked, self._asked_for = wanted, self._connection.address
            self._notice.line = Line()

    def _may_leave(self, wanted: Wanted) -> bool:
        address = self._connection.address
        if wanted.job or not isinstance(wanted.source, SceneScan):
            return True  # nothing is sent
        return address is not None and (address.local or self._consent.given(address.host))

    def _begin(self, wanted: Wanted) -> None:
        try:
            client = self._connection.client()
        except ServerProblem as problem:
            self._notice.line = problem_line(problem)
            return
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        self.withdraw()
        self._wanted, self._folder = wanted, folder
        self._url = self._connection.url
        self._job = wanted.job
        self._notice.line = Line()
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
