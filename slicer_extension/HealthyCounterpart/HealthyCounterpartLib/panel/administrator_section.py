"""The administrator's section: healthy cohort, training, versions of the model."""

from __future__ import annotations

from typing import Any

from HealthyCounterpartLib.panel.setters import Setters, always, index_of
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import ViewState


class AdministratorSection:
    """What the token of an administrator allows; hidden from others.

    Args:
        ui: Has the widgets by their names.
        controller: Is told what the reader does.
        setters: Set the widgets.
    """

    def __init__(self, ui: Any, controller: Any, setters: Setters) -> None:
        self._controller = controller
        self._set = setters
        self._versions: list[str] = []
        self._serving = -1
        self._chosen = -1
        ui.markButton.clicked.connect(always(controller.mark_healthy, True))
        ui.unmarkButton.clicked.connect(always(controller.mark_healthy, False))
        ui.cohortButton.clicked.connect(always(controller.show_cohort))
        ui.startTrainingButton.clicked.connect(always(controller.start_training))
        ui.stopTrainingButton.clicked.connect(always(controller.stop_training))
        ui.versionSelector.currentIndexChanged.connect(self._choose_version)
        ui.rollBackButton.clicked.connect(lambda *_signal: controller.roll_back(self._chosen))

    def show(self, state: ViewState) -> None:
        """Show cohort, training and versions."""
        told = state.administrator
        self._set.visible("administratorSection", told.visible)
        if not told.visible:
            return
        study = _("Study: {study}").format(study=told.study)
        none = _("Choose a study of the server above, to mark it.")
        self._set.text("markedStudyLine", study if told.study else none)
        for name in ("markButton", "unmarkButton"):
            self._set.enabled(name, bool(told.study))
        self._set.line("cohortLine", told.cohort)
        self._set.line("trainingLine", told.training)
        self._set.enabled("startTrainingButton", told.can_start)
        self._set.enabled("stopTrainingButton", told.can_stop)
        self._set.visible("trainingBar", told.can_stop)
        self._set.share("trainingBar", told.fraction)
        self._show_versions(told.versions, told.serving)

    def _show_versions(self, versions: tuple[str, ...], serving: int) -> None:
        """The versions; the choice goes back to the one that serves only when that changes."""
        serves = _("{version} (serves)")
        texts = [
            serves.format(version=version) if index == serving else version
            for index, version in enumerate(versions)
        ]
        if texts != self._versions or serving != self._serving:
            self._versions, self._serving, self._chosen = texts, serving, serving
        self._set.choices("versionSelector", texts, self._chosen)
        self._set.enabled("rollBackButton", self._chosen not in (-1, serving))

    def _choose_version(self, chosen: Any) -> None:
        self._chosen = index_of(chosen, self._versions)
        self._set.know("versionSelector", "index", self._chosen)
        self._set.forget("rollBackButton")
        self._set.enabled("rollBackButton", self._chosen not in (-1, self._serving))
