"""Writes a run to files of the reader's choice; the report comes from the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.connection import Connection
from HealthyCounterpartLib.problems import CounterpartProblem
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import GOOD, WAITING, Line, Notice
from HealthyCounterpartLib.words import problem_line
from HealthyCounterpartLib.worker import Broke, Event, Finished

if TYPE_CHECKING:
    from HealthyCounterpartLib.review import Review
    from HealthyCounterpartLib.scene.provenance import RunFacts
    from HealthyCounterpartLib.worker import Work

REPORT = "report"


class Exports:
    """The files that a reader asks for.

    Args:
        collaborators: The worker fetches reports.
        connection: To the server.
        notice: Is told how it went.
    """

    def __init__(
        self, collaborators: Collaborators, connection: Connection, notice: Notice
    ) -> None:
        self._with = collaborators
        self._connection = connection
        self._fetching: Optional[Work] = None
        self._notice = notice

    def write(self, review: Review, kind: str, path: Path) -> None:
        """Write one kind of file.

        Args:
            review: The run that is looked at.
            kind: ``segmentation``, ``maps``, ``table`` or ``report``.
            path: File, or folder for the maps.

        Raises:
            CounterpartProblem: It cannot be written, or the report lies on another server.
            OSError: It cannot be written.
        """
        if review.facts is None:
            return
        if kind == REPORT:
            self._fetch_report(review.facts, path)
        else:
            self._tell(review.export(kind, path))

    def is_mine(self, work: Work) -> bool:
        """Whether this is the last report that was asked for."""
        return self._fetching is not None and work.id == self._fetching.id

    def take(self, event: Event) -> None:
        """The report is there, or cannot be had."""
        if isinstance(event, Finished):
            self._tell([event.value])
        elif isinstance(event, Broke):
            self._notice.line = problem_line(event.problem)

    def _fetch_report(self, facts: RunFacts, path: Path) -> None:
        if facts.server and facts.server != self._connection.url:
            raise CounterpartProblem(
                _("The report lies on the server {url}.").format(url=facts.server),
                _("Connect to it first."),
            )
        client = self._connection.client()

        def fetch(work: Work) -> Path:
            client.fetch(facts.job, REPORT, "html", path, lambda fraction: None, work.stop)
            return path

        self._notice.line = Line(_("Fetching the report …"), WAITING)
        self._fetching = self._with.worker.start(REPORT, fetch)

    def _tell(self, files: list[Path]) -> None:
        names = ", ".join(str(file) for file in files)
        self._notice.line = Line(_("Written: {path}").format(path=names), GOOD)
