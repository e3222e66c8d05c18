"""The scan's section: which scan, consent, *Generate healthy counterpart*, and how far it is."""

from __future__ import annotations

from typing import Any

from HealthyCounterpartLib.panel.setters import Setters, always, index_of
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import ViewState

CONTRASTS = ("", "T1", "T1c", "T2", "FLAIR")  # in the order of the combo box


class ScanSection:
    """Source, contrast, consent, the big button, progress, messages, a job of an earlier session.

    Args:
        ui: Has the widgets by their names.
        controller: Is told what the reader does.
        setters: Set the widgets.
    """

    def __init__(self, ui: Any, controller: Any, setters: Setters) -> None:
        self._controller = controller
        self._set = setters
        self._studies: tuple[str, ...] = ()
        ui.sceneSource.clicked.connect(always(self._choose_source, False))
        ui.serverSource.clicked.connect(always(self._choose_source, True))
        ui.studySelector.currentIndexChanged.connect(self._choose_study)
        ui.contrastSelector.currentIndexChanged.connect(self._choose_contrast)
        ui.generateButton.clicked.connect(always(controller.generate))
        ui.allowButton.clicked.connect(always(controller.allow_sending))
        ui.refuseButton.clicked.connect(always(controller.refuse_sending))
        ui.cancelButton.clicked.connect(always(controller.cancel))
        ui.fetchButton.clicked.connect(always(controller.fetch_known_job))
        ui.forgetButton.clicked.connect(always(controller.forget_known_job))
        self._contrasts = [_("As found"), *CONTRASTS[1:]]

    def show(self, state: ViewState) -> None:
        """Show source, consent, progress and messages."""
        self._show_source(state)
        question = _("Send this scan to {host}? It leaves this computer. You are asked once.")
        self._set.visible("consentFrame", bool(state.consent_host))
        self._set.text("consentQuestion", question.format(host=state.consent_host))
        self._set.enabled("generateButton", state.can_generate and not state.consent_host)
        self._set.words("hintLine", state.hint if state.progress is None else "")
        self._show_progress(state)
        self._set.line("messageLine", state.message)
        self._set.visible("knownJobFrame", bool(state.known_job))
        self._set.text("knownJobLine", state.known_job)

    def _show_source(self, state: ViewState) -> None:
        self._set.checked("sceneSource", not state.from_server)
        self._set.checked("serverSource", state.from_server)
        for name in ("scanLabel", "scanSelector"):
            self._set.visible(name, not state.from_server)
        for name in ("studyLabel", "studySelector"):
            self._set.visible(name, state.from_server)
        self._studies = state.studies
        chosen = state.studies.index(state.study) if state.study in state.studies else -1
        self._set.choices("studySelector", state.studies, chosen)
        if state.contrast is not None:
            known = CONTRASTS.index(state.contrast) if state.contrast in CONTRASTS else 0
            self._set.chosen("contrastSelector", known)

    def _show_progress(self, state: ViewState) -> None:
        self._set.visible("progressFrame", state.progress is not None)
        if state.progress is not None:
            self._set.text("progressLine", state.progress.text)
            self._set.share("progressBar", state.progress.fraction)
            self._set.enabled("cancelButton", state.progress.cancellable)

    def _choose_source(self, from_server: bool) -> None:
        self._set.forget("sceneSource", "serverSource")
        self._controller.choose_source(from_server)

    def _choose_study(self, chosen: Any) -> None:
        index = index_of(chosen, self._studies)
        self._set.know("studySelector", "index", index)
        if 0 <= index < len(self._studies):
            self._controller.choose_study(self._studies[index])

    def _choose_contrast(self, chosen: Any) -> None:
        index = index_of(chosen, self._contrasts)
        self._set.know("contrastSelector", "index", index)
        if 0 <= index < len(CONTRASTS):
            self._controller.set_contrast(CONTRASTS[index])
