"""The panel: connects the widgets of the .ui file with the controller, and shows its state.

It runs with Slicer's PythonQt and with PySide6 alike: it calls setters and connects signals, and
reads no property, which the one has as a value and the other as a method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from HealthyCounterpartLib.dialogs import asker
from HealthyCounterpartLib.panel.administrator_section import AdministratorSection
from HealthyCounterpartLib.panel.display_section import DisplaySection
from HealthyCounterpartLib.panel.findings_section import FindingsSection
from HealthyCounterpartLib.panel.references_section import ReferencesSection
from HealthyCounterpartLib.panel.scan_section import ScanSection
from HealthyCounterpartLib.panel.server_section import ServerSection
from HealthyCounterpartLib.panel.setters import Setters
from HealthyCounterpartLib.view_state import ViewState


class PanelWidget:
    """The module's panel.

    Args:
        ui: Has the widgets by their names.
        qt: Qt's classes: Slicer's module ``qt``, or one like it.
        controller: Is told what the reader does.
        ask_path: Asks where to write an export of a kind; by default with Qt's dialogs.
    """

    def __init__(
        self,
        ui: Any,
        qt: Any,
        controller: Any,
        ask_path: Optional[Callable[[str], str]] = None,
    ) -> None:
        self._setters = Setters(ui)
        self._findings = FindingsSection(ui, qt, controller, self._setters, ask_path or asker(qt))
        self._sections = (
            ServerSection(ui, controller, self._setters),
            ScanSection(ui, controller, self._setters),
            DisplaySection(ui, controller, self._setters),
            self._findings,
            ReferencesSection(ui, qt, controller, self._setters),
            AdministratorSection(ui, controller, self._setters),
        )

    def show(self, state: ViewState) -> None:
        """Show a state; what is shown already is left alone, and the controller is not called.

        Args:
            state: The whole panel.
        """
        for section in self._sections:
            section.show(state)

    def renew(self) -> None:
        """Somebody else has set widgets, as ``connectGui`` does: the next state sets all again."""
        self._setters.forget()

    def finish_typing(self) -> None:
        """Tell the controller what was typed, before the module or the scene is left."""
        self._findings.tell()
