"""Showing a healthy reference beside the scan: fetched when a reader chooses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.connection import Connection
from HealthyCounterpartLib.problems import CounterpartProblem
from HealthyCounterpartLib.reference_files import fetch_picture
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import GOOD, Line, Progress
from HealthyCounterpartLib.words import problem_line
from HealthyCounterpartLib.worker import Broke, Event, Finished, Told

if TYPE_CHECKING:
    from HealthyCounterpartLib.reference_files import ReferencePicture
    from HealthyCounterpartLib.review import Review
    from HealthyCounterpartLib.scene.runs import Run
    from HealthyCounterpartLib.worker import Work

KIND = "reference"


class ReferencePictures:
    """One reference at a time, of the run that is looked at.

    Args:
        collaborators: Scene and worker.
        connection: To the server.
        review: The run that is looked at.
    """

    def __init__(
        self, collaborators: Collaborators, connection: Connection, review: Review
    ) -> None:
        self._with = collaborators
        self._connection = connection
        self._review = review
        self._work: Optional[Work] = None
        self._run = ""  # id of the run that the last choice was about
        self._wanted = ""
        self._line = Line()
        self._progress: Optional[Progress] = None

    @property
    def line(self) -> Line:
        """What happened last, of the run that is looked at."""
        return self._line if self._is_of(self._review.run) else Line()

    @property
    def progress(self) -> Optional[Progress]:
        """How far a reference is that is being fetched; None for none."""
        return self._progress

    @property
    def chosen(self) -> str:
        """Pseudonym of the reference that is being fetched or lies beside the scan."""
        return self._wanted if self._work is not None else self._review.shown_reference

    def choose(self, row: int) -> None:
        """Show a reference of the table beside the scan, in the place of another."""
        run, references = self._review.run, self._review.references
        if run is None or references is None or not 0 <= row < len(references.ranked):
            return
        wanted = references.ranked[row].id
        if self._work is not None and (self._wanted, self._run) == (wanted, run.id):
            return
        self._stop()
        self._run, self._wanted, self._line = run.id, wanted, Line()
        if self._with.scene.reference_of(run) == wanted:
            self._show()
        elif references.viewable:
            self._fetch(wanted)

    def cancel(self) -> None:
        """Fetch it no more."""
        if self._work is not None:
            self._stop()
            self._line = Line(_("Cancelled."))

    def close(self) -> None:
        """The module goes away."""
        self._stop()

    def is_mine(self, work: Work) -> bool:
        """Whether this is the work under way."""
        return self._work is not None and work.id == self._work.id

    def take(self, event: Event) -> None:
        """The picture is on its way, there, or cannot be had."""
        if isinstance(event, Told):
            self._progress = Progress(_("Fetching the reference"), event.value)
            return
        self._stop()
        if isinstance(event, Broke):
            self._line = problem_line(event.problem)
        elif isinstance(event, Finished) and self._is_of(self._review.run):
            self._add(event.value)

    def _fetch(self, wanted: str) -> None:
        facts = self._review.facts
        try:
            if facts is None or (facts.server and facts.server != self._connection.url):
                where = facts.server if facts is not None else ""
                raise CounterpartProblem(
                    _("The reference lies on the server {url}.").format(url=where),
                    _("Connect to it first."),
                )
            client = self._connection.client()
        except CounterpartProblem as problem:
            self._line = problem_line(problem)
            return
        job = facts.job
        self._progress = Progress(_("Fetching the reference"), None)
        self._work = self._with.worker.start(
            KIND, lambda work: fetch_picture(client, job, wanted, work)
        )

    def _add(self, picture: ReferencePicture) -> None:
        try:
            if self._review.run is not None:
                self._with.scene.add_reference(self._review.run, picture)
        except CounterpartProblem as problem:
            self._line = problem_line(problem)
        else:
            self._show()

    def _show(self) -> None:
        self._review.show_beside()
        said = _("Healthy reference {id} is shown beside the scan. It is another person's brain.")
        self._line = Line(said.format(id=self._wanted), GOOD)

    def _stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
        self._work, self._progress = None, None

    def _is_of(self, run: Optional[Run]) -> bool:
        return run is not None and run.id == self._run
