"""Loads the module's shell without Slicer: stand-ins for the little of the application it touches.

The scene, the panel, the controller and its threads are real.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import slicer
from offscreen_qt import OffscreenParameters, application, child_widgets, load_panel, qt
from plain_settings import PlainSettings

MODULE = Path(__file__).resolve().parents[2] / "slicer_extension/HealthyCounterpart"


class OffscreenApplication:
    """The application without a main window."""

    def __init__(self) -> None:
        self.connected: dict[str, Callable[[], None]] = {}

    def applicationLogic(self) -> None:
        """No slice view has a logic."""

    def layoutManager(self) -> None:
        """Slicer has none without a main window, too."""

    def connect(self, signal: str, slot: Callable[[], None]) -> bool:
        self.connected[signal] = slot
        return True


class ScriptedLoadableModule:
    """What Slicer asks of a module."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleLogic:
    """Keeps one parameter node in each scene."""

    def getParameterNode(self) -> Any:
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode("HealthyCounterpart", "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag("HealthyCounterpart")
            node = scene.AddNode(node)
        return node


class ScriptedLoadableModuleWidget:
    """The module's place in the window."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        application()
        self.parent = parent or qt.QWidget()
        self.layout = qt.QVBoxLayout(self.parent)
        self.reloaded = 0

    def resourcePath(self, name: str) -> str:
        return str(MODULE / "Resources" / name)

    def setup(self) -> None:
        pass

    def onReload(self) -> None:
        self.reloaded += 1


class ScriptedLoadableModuleTest:
    """The self-test's base."""


class KeptSettings(PlainSettings):
    """`QSettings` in memory."""

    def sync(self) -> None:
        pass


def load_shell(patch: pytest.MonkeyPatch, scene: Any) -> ModuleType:
    """The shell, as Slicer would load it.

    Args:
        patch: Puts everything back afterwards.
        scene: The application's scene.
    """
    patch.setattr(slicer, "mrmlScene", scene, raising=False)
    patch.setattr(slicer, "app", OffscreenApplication(), raising=False)
    patch.setattr(slicer.util, "loadUI", lambda path: load_panel(Path(path)))
    patch.setattr(slicer.util, "childWidgetVariables", child_widgets)
    settings = KeptSettings()
    names = {**vars(qt), "QSettings": lambda: settings}
    _add(patch, "qt", names)
    bases = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleTest,
    )
    _add(patch, "slicer.ScriptedLoadableModule", {one.__name__: one for one in bases})
    wrapper = {"parameterNodeWrapper": lambda fields: OffscreenParameters}
    _add(patch, "slicer.parameterNodeWrapper", wrapper)
    spec = importlib.util.spec_from_file_location(MODULE.name, MODULE / "HealthyCounterpart.py")
    shell = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shell)
    return shell


def _add(patch: pytest.MonkeyPatch, name: str, names: dict[str, Any]) -> None:
    module = ModuleType(name)
    vars(module).update(names)
    patch.setitem(sys.modules, name, module)
