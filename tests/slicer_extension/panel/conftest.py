"""What the tests of the panel share."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("PySide6", reason="needs PySide6: pip install -e '.[test,slicer]'")

from offscreen_qt import application, child_widgets, load_panel, qt

from HealthyCounterpartLib.finding_row import ACCEPTED, FindingRow
from HealthyCounterpartLib.overlay import Overlay
from HealthyCounterpartLib.view_state import GOOD, Line, ViewState
from HealthyCounterpartLib.widget import PanelWidget


class KeepingController:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *values: self.told.append((name, *values))


class APanel:
    """The panel of the .ui file, with a controller that keeps what it is told."""

    def __init__(self) -> None:
        self.root = load_panel()
        self.ui = child_widgets(self.root)
        self.controller = KeepingController()
        self.asked: list[str] = []
        self.widget = PanelWidget(self.ui, qt, self.controller, self._ask)
        self.path = "/somewhere/file"

    def _ask(self, kind: str) -> str:
        self.asked.append(kind)
        return self.path

    def told(self) -> list[tuple[Any, ...]]:
        """What the controller was told since the last time."""
        told, self.controller.told = self.controller.told, []
        return told

    def open(self) -> None:
        """Put it on the screen, so that keys and the focus reach it."""
        self.root.resize(420, 1600)
        self.root.show()
        self.root.activateWindow()
        application().processEvents()


@pytest.fixture
def a_panel() -> APanel:
    panel = APanel()
    yield panel
    panel.root.close()


@pytest.fixture
def three_findings() -> tuple[FindingRow, ...]:
    centre = (1.0, 2.0, 3.0)
    return (
        FindingRow(1, "brighter", 12.34, 51.2, 30.0, 0.012, "left", "frontal lobe", centre),
        FindingRow(
            2, "darker", 3.2, 30.1, 20.0, None, "right", "temporal lobe", centre, ACCEPTED, "old"
        ),
        FindingRow(3, "brighter", 0.04, 14.1, 13.0, 0.0004, "midline", "", centre),
    )


@pytest.fixture
def a_run_state(three_findings: tuple[FindingRow, ...]) -> ViewState:
    """A run that is looked at, on a connected server."""
    return ViewState(
        address="http://127.0.0.1:8000",
        server=Line("Connected.", GOOD),
        can_generate=True,
        runs=("newest", "oldest"),
        run=0,
        evidence=Line("2 findings."),
        findings=three_findings,
        selected=0,
        overlay=Overlay(hide_below=12.9, saturate_above=44.5),
        slider_maximum=60.0,
        unit="score",
    )
