"""The module without its widgets: what each press of a button does, and what the panel then shows.

The main thread alone calls it. What takes time goes to the worker; a timer calls `tick`, which
takes what the worker brings.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from HealthyCounterpartLib.administration import KINDS as ADMINISTRATION
from HealthyCounterpartLib.administration import Administration
from HealthyCounterpartLib.collaborators import Collaborators, Panel, Parameters, Taker
from HealthyCounterpartLib.connection import KIND as CONNECT
from HealthyCounterpartLib.connection import Connection
from HealthyCounterpartLib.exports import Exports
from HealthyCounterpartLib.finding_row import ACCEPTED, REJECTED
from HealthyCounterpartLib.generation import KIND as GENERATE
from HealthyCounterpartLib.generation import Generation, remove_old_folders
from HealthyCounterpartLib.panel_state import state_of_parts
from HealthyCounterpartLib.problems import CounterpartProblem
from HealthyCounterpartLib.reference_pictures import ReferencePictures
from HealthyCounterpartLib.review import Review
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import BAD, Line, Notice, ViewState
from HealthyCounterpartLib.waiting_job import WaitingJob
from HealthyCounterpartLib.words import problem_line
from HealthyCounterpartLib.worker import Broke, Cancelled, Event, Finished, Told

if TYPE_CHECKING:
    from HealthyCounterpartLib.wanted import Arrived

_LOG = logging.getLogger(__name__)
_BREATH_S = 0.03  # in which the threads work, where the application holds the interpreter


class Controller:
    """Does what the panel asks for.

    Args:
        collaborators: Scene, worker, settings, clients.
        parameters: The module's parameter node.
        panel: Shows the state; may be set later.
    """

    def __init__(
        self, collaborators: Collaborators, parameters: Parameters, panel: Optional[Panel] = None
    ) -> None:
        self._with = collaborators
        self._parameters = parameters
        self.panel = panel
        self.connection = Connection(collaborators)
        self._notice = Notice()
        self.generation = Generation(collaborators, self.connection, self._notice)
        self.review = Review(collaborators, parameters)
        self.waiting = WaitingJob(collaborators, self.connection, self.generation.jobs)
        self.exports = Exports(collaborators, self.connection, self._notice)
        self.administration = Administration(collaborators, self.connection)
        self.references = ReferencePictures(collaborators, self.connection, self.review)
        self._takers: tuple[Taker, ...] = (self.waiting, self.exports, self.references)
        self._from_server = False
        self._study = ""
        self._entered = True
        self._setting = False

    @property
    def news(self) -> str:
        """What happened last, in words."""
        return self._notice.line.text

    # -- what the application says

    def opened(self) -> None:
        """The module is opened for the first time: connect to the last server."""
        remove_old_folders()
        self.connection.connect()
        self.entered()

    def entered(self) -> None:
        """The module is opened again: take the active scan, and find the scene's runs."""
        self._entered = True
        self.scene_opened()

    def left(self) -> None:
        """Another module is opened; a job under way goes on."""
        self._finish_typing()
        self.hold_original(False)
        self._entered = False

    def scene_opened(self) -> None:
        """A scene was opened or changed; the views are another module's while this one is left."""
        if self._entered:
            self._do(self._look_around)

    def use_parameters(self, parameters: Parameters) -> None:
        """Another parameter node, as after a scene was closed."""
        self._parameters = parameters
        self.review.use(parameters)
        self.scene_opened()

    def parameters_changed(self) -> None:
        """The parameter node has changed: by the panel, by undo, by another module."""
        if not self._setting:
            self.generation.withdraw(unless=self._parameters.scan)
            self._do(self.review.recolour)

    def tick(self) -> None:
        """Take what the worker brings; a timer calls this about ten times a second."""
        events = self._with.worker.drain(_BREATH_S)
        for event in events:
            self._do(lambda event=event: self._take(event), show=False)
        self.connection.tick()
        self.administration.tick()
        if events or self.generation.busy or not self.connection.ready:
            self._show()

    def close(self) -> None:
        """The module goes away; what the server is doing goes on."""
        self.panel = None
        self.references.close()
        self.generation.leave()
        self._with.worker.close()
        self.generation.close()

    # -- the server

    def set_address(self, text: str) -> None:
        """The address was typed."""
        self.generation.withdraw()
        self._do(lambda: self.connection.set_address(text))

    def set_token(self, text: str) -> None:
        """The token was typed; it stays in memory."""
        self._do(lambda: self.connection.set_token(text))

    def connect(self) -> None:
        """Ask the server what it is."""
        self._do(self.connection.connect)

    # -- the scan

    def choose_source(self, from_server: bool) -> None:
        """Take a study of the server, or a volume of the scene."""
        self.generation.withdraw()
        self._from_server = bool(from_server)
        self._show()

    def choose_study(self, study: str) -> None:
        """Choose a study of the server."""
        self._study = study
        self._show()

    def set_contrast(self, contrast: str) -> None:
        """Say the sequence; empty leaves it to the server."""
        self._parameters.contrast = contrast

    # -- the counterpart

    def generate(self) -> None:
        """Make a healthy counterpart of the chosen scan."""
        if self._why_not():
            return
        study = self._chosen_study() if self._from_server else ""
        volume, contrast = self._parameters.scan, self._parameters.contrast
        self._do(lambda: self.generation.ask(volume, study, contrast))

    def allow_sending(self) -> None:
        """The scan may be sent to this host, now and later."""
        self._do(lambda: self.generation.answer_consent(True))

    def refuse_sending(self) -> None:
        """The scan may not be sent."""
        self._do(lambda: self.generation.answer_consent(False))

    def cancel(self) -> None:
        """Stop the work under way, here and on the server."""
        self._do(self.generation.cancel)

    def fetch_known_job(self) -> None:
        """Fetch the counterpart that an earlier session asked for."""
        job = self.waiting.job
        if job is not None:
            self._do(lambda: self.generation.fetch(job, self._parameters.scan))

    def forget_known_job(self) -> None:
        """Do not offer it again; on the server it stays."""
        self._do(self.waiting.forget)

    # -- the picture

    def choose_run(self, index: int) -> None:
        """Show one of the scene's runs."""
        self._finish_typing()
        self._do(lambda: self.review.choose(index))

    def set_map(self, name: str) -> None:
        """Show the calibrated score or the residual."""
        self._do(lambda: self.review.set_map(name))

    def set_sign(self, name: str) -> None:
        """Show both directions, brighter only, darker only."""
        self._do(lambda: self.review.set_sign(name))

    def set_range(self, hide_below: float, saturate_above: float) -> None:
        """The slider with two ends was moved."""
        self._do(lambda: self.review.set_range(hide_below, saturate_above))

    def reset_threshold(self) -> None:
        """The healthy threshold again."""
        self._do(self.review.reset)

    def set_layout(self, name: str) -> None:
        """Arrange the views."""
        self._do(lambda: self.review.set_layout(name))

    def hold_original(self, held: bool) -> None:
        """Show the scan alone while a button is held."""
        self._do(lambda: self.review.hold_original(held))

    # -- the findings

    def select_finding(self, row: int) -> None:
        """Jump to a finding and outline it."""
        self._do(lambda: self.review.select(row))

    def next_finding(self) -> None:
        """Jump to the next finding of the table."""
        self._do(lambda: self.review.step(1))

    def previous_finding(self) -> None:
        """Jump to the previous finding of the table."""
        self._do(lambda: self.review.step(-1))

    def sort_findings(self, by: str) -> None:
        """Order the table by ``volume`` or ``peak``."""
        self._do(lambda: self.review.sort(by))

    def accept_finding(self) -> None:
        """Accept the selected finding; once more takes it back."""
        self._do(lambda: self.review.judge(ACCEPTED))

    def reject_finding(self) -> None:
        """Reject the selected finding, which stays; once more takes it back."""
        self._do(lambda: self.review.judge(REJECTED))

    def comment_finding(self, text: str) -> None:
        """Say something of the selected finding."""
        self._do(lambda: self.review.comment(text))

    def choose_reference(self, row: int) -> None:
        """Show a healthy reference beside the scan."""
        self._do(lambda: self.references.choose(row))

    def cancel_reference(self) -> None:
        """Fetch the healthy reference no more."""
        self._do(self.references.cancel)

    def export(self, kind: str, path: Path) -> None:
        """Write the segmentation, the maps, the table, or the server's report.

        Args:
            kind: ``segmentation``, ``maps``, ``table`` or ``report``.
            path: File, or folder for the maps.
        """
        self._do(lambda: self.exports.write(self.review, kind, Path(path)))

    # -- the administrator

    def mark_healthy(self, healthy: bool) -> None:
        """Mark the chosen study as healthy, or take it out of the cohort."""
        self._do(lambda: self.administration.mark(self._chosen_study(), healthy))

    def show_cohort(self) -> None:
        """Ask what the healthy cohort is."""
        self._do(self.administration.show_cohort)

    def start_training(self) -> None:
        """Calibrate or retrain on the healthy cohort."""
        self._do(self.administration.start_training)

    def stop_training(self) -> None:
        """Stop the training."""
        self._do(self.administration.stop_training)

    def roll_back(self, index: int) -> None:
        """Let another version serve."""
        self._do(lambda: self.administration.roll_back(index))

    # -- inside

    def _take(self, event: Event) -> None:
        """One event of the worker goes to whom it belongs; what is out of date goes nowhere."""
        kind, work = event.work.kind, event.work
        if kind == CONNECT and self.connection.is_mine(work):
            self._take_connection(event)
        elif kind == GENERATE and self.generation.is_mine(work):
            self._take_generation(event)
        elif kind in ADMINISTRATION and self.administration.is_mine(work):
            if isinstance(event, Finished):
                self.administration.answered(kind, event.value)
            elif isinstance(event, Broke):
                self.administration.failed(kind, event.problem)
        for one in self._takers:
            if one.is_mine(work):
                one.take(event)

    def _take_connection(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.connection.answered(event.value)
            self.waiting.look()
            self.administration.look()
        elif isinstance(event, Broke):
            self.connection.failed(event.problem)

    def _take_generation(self, event: Event) -> None:
        if isinstance(event, Told):
            self.generation.told(event.value)
            return
        if isinstance(event, Cancelled) or event.work.stop.is_set():
            self.generation.cancelled(event.work)
        elif isinstance(event, Finished):
            self._take_run(event.value)
        elif isinstance(event, Broke):
            self.generation.broke(event.problem)
        self.waiting.look()

    def _take_run(self, arrived: Arrived) -> None:
        self._finish_typing()
        run = self.generation.finished(arrived)
        if run is not None:
            self.review.open(run)
            self._parameters.scan = run.scan

    def _chosen_study(self) -> str:
        return self._study if self._study in self.connection.studies else ""

    def _why_not(self) -> str:
        """Why no counterpart can be made; empty if one can."""
        if not self.connection.ready:
            return _("Connect to a server first.")
        if self.generation.busy:
            return _("A counterpart is being made.")
        if self._from_server and not self._chosen_study():
            return _("Choose a study of the server.")
        if not self._from_server and self._parameters.scan is None:
            return _("Choose a scan of the scene.")
        return ""

    def _show(self) -> None:
        if self.panel is None:
            return
        why_not = self._why_not()
        self.panel.show(
            ViewState(
                from_server=self._from_server,
                study=self._chosen_study(),
                contrast=self._parameters.contrast,
                can_generate=not why_not,
                hint=why_not,
                known_job=self.waiting.words if not self.generation.busy else "",
                message=self._notice.line,
                administrator=self.administration.state(self._chosen_study()),
                **state_of_parts(self.connection, self.generation, self.review, self.references),
            )
        )

    def _look_around(self) -> None:
        if not self._with.scene.holds(self._parameters.scan):
            self._parameters.scan = self._with.scene.active_volume()
        self.review.find_runs()

    def _finish_typing(self) -> None:
        if self.panel is not None:
            self.panel.finish_typing()

    def _do(self, act: Any, *, show: bool = True) -> None:
        """Do something; what goes wrong becomes a line of the panel and harms nothing else."""
        setting, self._setting = self._setting, True
        try:
            act()
        except CounterpartProblem as problem:
            self._notice.line = problem_line(problem)
        except OSError as error:
            said = _("It could not be written or read: {why}. Choose another place.")
            self._notice.line = Line(said.format(why=error.strerror or error), BAD)
        except Exception as error:
            _LOG.exception("Healthy Counterpart")
            self._notice.line = Line(
                _("Something unexpected happened ({why}); the log has more.").format(why=error), BAD
            )
        finally:
            self._setting = setting
        if show:
            self._show()
