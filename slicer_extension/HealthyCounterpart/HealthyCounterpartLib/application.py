"""Makes the module's parts out of what the running Slicer has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import slicer
import slicer.util

from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.controller import Controller
from HealthyCounterpartLib.corner_notes import CornerNotes
from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
from HealthyCounterpartLib.scene.layouts import register_layouts
from HealthyCounterpartLib.settings import QtSettings
from HealthyCounterpartLib.worker import Worker

TICK_MS = 100
PARAMETER = "SlicerParameterName"  # property of a widget: which parameter it shows


def register_views() -> None:
    """Make the row of views known: a scene that was saved in it would open without any view."""
    register_layouts(slicer.mrmlScene)


def load_ui(path: str, layout: Any) -> Any:
    """Load the panel into the module's place in the window.

    Args:
        path: Of the .ui file.
        layout: Of that place.

    Returns:
        Its named widgets.
    """
    panel = slicer.util.loadUI(path)
    layout.addWidget(panel)
    ui = slicer.util.childWidgetVariables(panel)
    ui.scanSelector.setMRMLScene(slicer.mrmlScene)
    return ui


def bound_widgets(ui: Any) -> dict[str, Any]:
    """The widgets that show a parameter, by its name, for ``connectParametersToGui``.

    ``connectGui`` would find them by itself, but keeps the tag by which they are let go again.

    Args:
        ui: Has the widgets by their names.
    """
    named = [(widget.property(PARAMETER), widget) for widget in vars(ui).values()]
    return {name: widget for name, widget in named if name}


def unless_gone(act: Callable[[], object]) -> None:
    """Do something with widgets where there still are some.

    When Slicer ends, its window and all widgets are gone before the modules are told. PythonQt then
    raises `SystemError` for a signal of theirs, and `ValueError` for the rest.

    Args:
        act: What is done.
    """
    with contextlib.suppress(SystemError, ValueError):
        act()


def new_controller(qt: Any, parameters: Any) -> Controller:
    """The controller for Slicer's scene, settings and threads.

    Args:
        qt: Slicer's module ``qt``.
        parameters: The parameter node, as Slicer's wrapper gives it.
    """
    scene = CounterpartScene(slicer.mrmlScene, slicer.app.applicationLogic())
    settings = QtSettings(qt.QSettings())
    return Controller(Collaborators(scene, Worker(), settings, ServerClient), parameters)


def new_timer(qt: Any, tick: Callable[[], None]) -> Any:
    """A running timer that lets the controller take what its threads bring.

    Args:
        qt: Slicer's module ``qt``.
        tick: Is called ten times a second.
    """
    timer = qt.QTimer()
    timer.setInterval(TICK_MS)
    timer.timeout.connect(tick)
    timer.start()
    return timer


def new_corner_notes() -> LayoutNotes:
    """Notes in the corner of each view that shows a synthesised volume."""
    return LayoutNotes(CornerNotes(slicer.mrmlScene, renderer_of), slicer.app.layoutManager())


def renderer_of(view: str) -> Any:
    """Renderer of a slice view; None where there is none, as without a main window.

    Args:
        view: Its name, such as ``Red``.
    """
    layouts = slicer.app.layoutManager()
    widget = layouts.sliceWidget(view) if layouts is not None else None
    if widget is None:
        return None
    return widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer()


class LayoutNotes:
    """Corner notes that follow the layout: a view may come after the node that says what it shows.

    Args:
        notes: The notes.
        layouts: Slicer's layout manager; None without a main window.
    """

    def __init__(self, notes: CornerNotes, layouts: Any) -> None:
        self._notes = notes
        self._layouts = layouts
        self._follow = self._update  # one object, by which the connection is found again
        if layouts is not None:
            layouts.layoutChanged.connect(self._follow)

    def close(self) -> None:
        """Take all notes away."""
        if self._layouts is not None:
            unless_gone(lambda: self._layouts.layoutChanged.disconnect(self._follow))
        self._notes.close()

    def _update(self, *_layout: Any) -> None:
        self._notes.update()
