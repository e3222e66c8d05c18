"""The shell makes the parts and connects them: parameters, timer, scene, leaving, coming back."""

import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import slicer
from offscreen_qt import OffscreenParameters, application
from offscreen_slicer import MODULE, load_shell

from HealthyCounterpartLib.scene.layouts import ROW_LAYOUT, ROW_VIEWS

MOST_LINES = 120


@pytest.fixture
def the_shell(monkeypatch: pytest.MonkeyPatch, a_scene: Any) -> ModuleType:
    return load_shell(monkeypatch, a_scene)


@pytest.fixture
def a_widget(the_shell: ModuleType) -> Iterator[Any]:
    widget = the_shell.HealthyCounterpartWidget()
    widget.setup()
    yield widget
    widget.cleanup()


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds() and time.monotonic() < until:
        application().processEvents()
        time.sleep(0.01)
    assert holds()


def test_the_shell_is_small() -> None:
    lines = (MODULE / "HealthyCounterpart.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES


def test_slicer_is_told_what_the_module_is(the_shell: ModuleType) -> None:
    parent = SimpleNamespace()
    the_shell.HealthyCounterpart(parent)
    assert parent.title == "Healthy Counterpart" and parent.categories == ["Neuroimaging"]
    assert "research use only" in parent.helpText
    assert "2406.00772" in parent.acknowledgementText and "2601.22663" in parent.acknowledgementText


def test_the_views_of_a_saved_row_are_known_when_slicer_has_started(
    the_shell: ModuleType, a_scene: Any
) -> None:
    layout = a_scene.AddNode(slicer.vtkMRMLLayoutNode())
    the_shell.HealthyCounterpart(SimpleNamespace())
    slicer.app.connected["startupCompleted()"]()
    layout.SetViewArrangement(ROW_LAYOUT)  # as loading a scene does
    assert ROW_VIEWS[0] in layout.GetCurrentLayoutDescription()


def test_opening_takes_the_active_scan_and_asks_the_last_server(
    a_widget: Any, a_scan: Any, a_scene: Any
) -> None:
    # Nobody listens on this port: the answer is a sentence, and nothing else happens.
    a_widget.controller.set_address("127.0.0.1:9")
    composite = a_scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(a_scan.GetID())
    a_widget.enter()
    assert a_widget.parameters.scan is a_scan
    assert a_widget.ui.scanSelector.currentNode() is a_scan
    wait_until(lambda: "⚠" in a_widget.ui.serverLine.text())
    assert "127.0.0.1" in a_widget.ui.serverLine.text()


def test_a_scan_chosen_in_the_panel_reaches_the_parameters(a_widget: Any, a_scan: Any) -> None:
    a_widget.ui.scanSelector.setCurrentNode(a_scan)
    assert a_widget.parameters.scan is a_scan


def test_parameters_that_others_change_reach_the_controller(
    a_widget: Any, a_run: Any, the_counterparts: Any
) -> None:
    a_widget.parameters.run = a_run.name
    a_widget.enter()
    assert a_widget.controller.review.run.id == a_run.id
    a_widget.parameters.hideBelow = 21.0
    assert a_widget.controller.review.overlay.hide_below == 21.0
    assert a_widget.ui.hideBelow.value() == 21.0


def test_a_closed_scene_gives_new_parameters_and_no_runs(
    a_widget: Any, a_run: Any, a_scene: Any
) -> None:
    a_widget.parameters.run = a_run.name
    a_widget.enter()
    assert a_widget.ui.runSelector.count() == 1
    before = a_widget.parameters
    a_scene.Clear(False)
    assert a_widget.parameters is not before
    assert a_widget.parameters.run == ""
    assert a_widget.ui.runSelector.count() == 0
    assert a_widget.timer.isActive()
    a_widget.ui.opacity.setValue(0.3)
    assert a_widget.parameters.opacity == 0.3
    assert before.opacity != 0.3


def test_leaving_lets_go_of_the_original_and_keeps_what_was_typed(a_widget: Any) -> None:
    told = []
    a_widget.controller.hold_original = lambda held: told.append(held)
    a_widget.exit()
    assert told == [False]


def test_after_cleaning_up_nothing_is_called(a_widget: Any, a_scene: Any) -> None:
    a_widget.cleanup()
    assert not a_widget.timer.isActive()
    before = a_widget.parameters
    a_scene.Clear(False)
    assert a_widget.parameters is before
    a_widget.setup()  # for the fixture, which cleans up again


def test_cleaning_up_goes_on_where_the_widgets_are_gone(
    a_widget: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disconnect(_parameters: Any, _tag: int) -> None:
        raise SystemError("disconnect returned NULL without setting an exception")

    monkeypatch.setattr(OffscreenParameters, "disconnectGui", disconnect)
    a_widget.cleanup()
    assert a_widget.controller.panel is None and not a_widget.timer.isActive()


def test_reloading_loads_the_package_again(a_widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"HealthyCounterpartLib": 1, "HealthyCounterpartLib.widget": 2, "other": 3}
    monkeypatch.setattr("sys.modules", modules)
    a_widget.onReload()
    assert modules == {"other": 3} and a_widget.reloaded == 1
