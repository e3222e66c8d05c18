"""The administrator's section: the healthy cohort, training, and the model's versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.connection import Connection
from HealthyCounterpartLib.problems import CounterpartProblem, ServerProblem
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import BAD, WAITING, AdministratorState, Line
from HealthyCounterpartLib.words import cohort_line, problem_line, training_line

if TYPE_CHECKING:
    from HealthyCounterpartLib.client import ServerClient
    from HealthyCounterpartLib.worker import Work

MARK, COHORT, TRAINING, MODELS = "mark", "cohort", "training", "models"
KINDS = (MARK, COHORT, TRAINING, MODELS)
_EVERY_S = 2.0


class Administration:
    """What an administrator can do at the server.

    Args:
        collaborators: The worker asks.
        connection: Knows the server and who asks.
    """

    def __init__(self, collaborators: Collaborators, connection: Connection) -> None:
        self._with = collaborators
        self._connection = connection
        self._cohort = Line()
        self._training = Line()
        self._progress: Mapping[str, Any] = {}
        self._versions: tuple[tuple[str, bool], ...] = ()
        self._asked: dict[str, Work] = {}
        self._told_by: tuple[str, str] = ("", "")  # server and who asks
        self._look_at = 0.0

    @property
    def allowed(self) -> bool:
        """Whether the token allows it."""
        return self._connection.info is not None and self._connection.info.administers

    @property
    def running(self) -> bool:
        """Whether a training runs."""
        return bool(self._progress.get("alive"))

    def state(self, study: str) -> AdministratorState:
        """What the section shows.

        Args:
            study: The chosen study; empty for none.
        """
        if not self.allowed:
            return AdministratorState()
        fraction = self._progress.get("fraction") if self.running else None
        return AdministratorState(
            visible=True,
            study=study,
            cohort=self._cohort,
            training=self._training,
            fraction=float(fraction) if isinstance(fraction, (int, float)) else None,
            can_start=not self.running,
            can_stop=self.running,
            versions=tuple(version for version, _serves in self._versions),
            serving=_serving(self._versions),
        )

    def look(self) -> None:
        """Ask for training and versions, as when a server has been connected."""
        info = self._connection.info
        told_by = (self._connection.url, info.user if info is not None else "")
        if told_by != self._told_by:
            self._told_by, self._asked = told_by, {}
            self._cohort, self._training, self._progress, self._versions = Line(), Line(), {}, ()
        if self.allowed:
            self._ask(TRAINING, lambda client: client.training())
            self._ask(MODELS, lambda client: client.models())

    def mark(self, study: str, healthy: bool) -> None:
        """Mark a study as healthy, or take it out of the cohort."""
        if not study:
            self._cohort = Line(_("Choose a study of the server first."), BAD)
            return

        def work(client: ServerClient) -> Mapping[str, Any]:
            client.mark_healthy(study, healthy)
            return client.cohort()

        self._cohort = Line(_("Asking …"), WAITING)
        self._ask(MARK, work)

    def show_cohort(self) -> None:
        """Ask what the cohort is."""
        self._cohort = Line(_("Looking at the cohort …"), WAITING)
        self._ask(COHORT, lambda client: client.cohort())

    def start_training(self) -> None:
        """Start a training with the server's defaults."""
        self._training = Line(_("Starting …"), WAITING)
        self._ask(TRAINING, lambda client: client.start_training({}))

    def stop_training(self) -> None:
        """Stop the training; its last checkpoint stays."""
        self._training = Line(_("Stopping …"), WAITING)
        self._ask(TRAINING, lambda client: client.stop_training())

    def roll_back(self, index: int) -> None:
        """Let another version serve."""
        if not 0 <= index < len(self._versions) or self._versions[index][1]:
            return
        version = self._versions[index][0]

        def work(client: ServerClient) -> Mapping[str, Any]:
            client.roll_back(version, "chosen in 3D Slicer")
            return client.models()

        self._ask(MODELS, work)

    def is_mine(self, work: Work) -> bool:
        """Whether this is the last question of its kind."""
        asked = self._asked.get(work.kind)
        return asked is not None and asked.id == work.id

    def answered(self, kind: str, answer: Mapping[str, Any]) -> None:
        """The server has answered one of the questions."""
        self._asked.pop(kind, None)
        if kind in (MARK, COHORT):
            self._cohort = cohort_line(answer)
        elif kind == TRAINING:
            was = self.running
            self._progress = answer
            self._training = training_line(answer)
            self._look_at = self._with.seconds() + _EVERY_S
            if was and not self.running:  # a new version may serve now
                self._ask(MODELS, lambda client: client.models())
                self._connection.connect(quietly=True)
        else:
            before, self._versions = self._versions, self._versions_of(answer)
            if before and before != self._versions:
                self._connection.connect(quietly=True)

    def failed(self, kind: str, problem: CounterpartProblem) -> None:
        """A question has failed."""
        self._asked.pop(kind, None)
        if kind in (MARK, COHORT):
            self._cohort = problem_line(problem)
        else:
            self._training = problem_line(problem)
            self._look_at = self._with.seconds() + 5 * _EVERY_S

    def tick(self) -> None:
        """Look at a running training now and then."""
        due = self._with.seconds() >= self._look_at
        if self.allowed and self.running and due and TRAINING not in self._asked:
            self._ask(TRAINING, lambda client: client.training())

    def _versions_of(self, answer: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
        """Version and whether it serves, newest first, of the model that the server has."""
        info = self._connection.info
        return tuple(
            (str(one.get("version", "")), bool(one.get("serving")))
            for one in reversed(answer.get("models") or ())
            if info is not None and one.get("name") == info.model.name
        )

    def _ask(self, kind: str, question: Callable[[ServerClient], Mapping[str, Any]]) -> None:
        try:
            client = self._connection.client()
        except ServerProblem as problem:
            self.failed(kind, problem)
            return
        self._asked[kind] = self._with.worker.start(kind, lambda work: question(client))


def _serving(versions: tuple[tuple[str, bool], ...]) -> int:
    """Index of the version that serves; -1 for none."""
    return next((index for index, (_version, serves) in enumerate(versions) if serves), -1)
