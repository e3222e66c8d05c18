"""A job of an earlier session that can still be fetched from this server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.connection import Connection
from HealthyCounterpartLib.known_jobs import KnownJobs, RememberedJob
from HealthyCounterpartLib.problems import ServerProblem
from HealthyCounterpartLib.server_facts import CANCELLED, DONE, FAILED, JobStatus
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.worker import Broke, Event, Finished

if TYPE_CHECKING:
    from HealthyCounterpartLib.worker import Work

KIND = "waiting job"


class WaitingJob:
    """The newest job that this computer remembers at the server.

    Args:
        collaborators: The worker asks how far it is.
        connection: To the server.
        jobs: Those that are remembered.
    """

    def __init__(
        self, collaborators: Collaborators, connection: Connection, jobs: KnownJobs
    ) -> None:
        self._with = collaborators
        self._connection = connection
        self._jobs = jobs
        self._asking: Optional[Work] = None
        self._asked: Optional[RememberedJob] = None
        self._job: Optional[RememberedJob] = None
        self._words = ""

    @property
    def job(self) -> Optional[RememberedJob]:
        """The job; None where there is none, or its server is not the one that is connected."""
        job = self._job
        here = job is not None and self._connection.ready and job.url == self._connection.url
        return job if here else None

    @property
    def words(self) -> str:
        """What is said of it; empty without one."""
        return self._words if self.job is not None else ""

    def look(self) -> None:
        """Ask how far the newest remembered job is; without one, nothing is asked."""
        known = self._jobs.at(self._connection.url)
        newest = known[0] if known and self._connection.ready else None
        if newest != self._job:
            self._job, self._words = None, ""
        self._asking, self._asked = None, newest
        if newest is not None:
            client = self._connection.client()
            self._asking = self._with.worker.start(
                KIND, lambda work: (newest, client.job(newest.id))
            )

    def is_mine(self, work: Work) -> bool:
        """Whether this is the last question."""
        return self._asking is not None and work.id == self._asking.id

    def take(self, event: Event) -> None:
        """The server has answered; what it does not know any more is forgotten."""
        if isinstance(event, Finished):
            remembered, status = event.value
            if status.state in (FAILED, CANCELLED):
                self._let_go(remembered)
            else:
                self._job, self._words = remembered, _words(remembered, status)
        elif isinstance(event, Broke) and self._asked is not None:
            problem = event.problem
            if isinstance(problem, ServerProblem) and problem.kind == "gone":
                self._let_go(self._asked)

    def forget(self) -> None:
        """Do not offer it again."""
        if self.job is not None:
            self._let_go(self.job)

    def _let_go(self, job: RememberedJob) -> None:
        self._jobs.forget(job.id, job.url)
        self.look()


def _words(job: RememberedJob, status: JobStatus) -> str:
    if job.study:
        asked = _("A counterpart of study {study} was asked for on {when}").format(
            study=job.study, when=job.when
        )
        how = _("Press Fetch.")
    else:
        asked = _("A counterpart was asked for on {when}").format(when=job.when)
        how = _("Choose its scan and press Fetch.")
    state = _("it is done") if status.state == DONE else _("the server is at work on it")
    return f"{asked}; {state}. {how}"
