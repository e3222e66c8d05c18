"""The whole module, driven by its widgets: panel, controller, scene, slice views, real server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import offscreen_qt
from plain_settings import PlainSettings
from PySide6 import QtCore, QtTest
from slice_pictures import SliceViews

from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.controller import Controller
from HealthyCounterpartLib.corner_notes import CornerNotes
from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
from HealthyCounterpartLib.widget import PanelWidget
from HealthyCounterpartLib.worker import Worker

PATIENCE_S = 120.0
WIDTH = 540  # of Slicer's panel, pixels


class AModule:
    """The module as Slicer would hold it, with a panel that a test can press.

    Args:
        scene: MRML scene.
        settings: Outlive a sitting.
        size: Of each slice view, pixels.
        drawn: Whether the views have windows.
    """

    def __init__(
        self,
        scene: Any,
        settings: PlainSettings | None = None,
        size: tuple[int, int] = (200, 200),
        drawn: bool = False,
    ) -> None:
        self.scene = scene
        self.views = SliceViews(scene, size, drawn)
        self.notes = CornerNotes(scene, self.views.renderer_of)
        self.panel = offscreen_qt.load_panel()
        self.ui = offscreen_qt.child_widgets(self.panel)
        self.panel.setMRMLScene(scene)
        self.ui.scanSelector.setMRMLScene(scene)
        self.parameters = offscreen_qt.OffscreenParameters()
        self.paths: dict[str, Path] = {}  # what the reader answers to the export's question
        self.controller = Controller(
            Collaborators(
                CounterpartScene(scene, self.views.application),
                Worker(),
                settings or PlainSettings(),
                lambda address, token: ServerClient(address, token),
            ),
            self.parameters,
        )
        self.widget = PanelWidget(
            self.ui,
            offscreen_qt.qt,
            self.controller,
            lambda kind: str(self.paths.get(kind, "")),
        )
        self.parameters.connectGui(self.ui)
        self.parameters.AddObserver(
            "ModifiedEvent", lambda *_event: self.controller.parameters_changed()
        )
        self.controller.panel = self.widget
        self.panel.resize(WIDTH, 1100)
        self.panel.show()

    def press(self, name: str) -> None:
        """Click a button of the panel."""
        button = getattr(self.ui, name)
        if not button.isEnabled():
            raise RuntimeError(f"{name} cannot be pressed")
        button.click()

    def type(self, name: str, text: str) -> None:
        """Type into a line of the panel and press Return."""
        edit = getattr(self.ui, name)
        edit.clear()
        QtTest.QTest.keyClicks(edit, text)
        QtTest.QTest.keyClick(edit, QtCore.Qt.Key.Key_Return)

    def text(self, name: str) -> str:
        """What a label says."""
        return str(getattr(self.ui, name).text())

    def shows(self, name: str) -> bool:
        """Whether a widget is there for the reader."""
        return bool(getattr(self.ui, name).isVisibleTo(self.panel))

    def until(self, holds: Callable[[], bool]) -> None:
        """Let the timer tick until something holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.text('messageLine')} / {self.text('serverLine')}")
            self.controller.tick()
            QtCore.QCoreApplication.processEvents()
            time.sleep(0.01)

    def connect(self, url: str, token: str = "") -> None:
        """Type address and token, press Connect, and wait for the answer."""
        self.type("addressEdit", url)
        self.type("tokenEdit", token)
        self.press("connectButton")
        self.until(lambda: "Asking" not in self.text("serverLine"))

    def generate(self) -> None:
        """Press the button and wait for the end."""
        self.press("generateButton")
        self.until(lambda: not self.controller.generation.busy)

    def close(self) -> None:
        """Leave the module."""
        self.controller.close()
        self.notes.close()
        self.panel.close()
        self.views.close()
