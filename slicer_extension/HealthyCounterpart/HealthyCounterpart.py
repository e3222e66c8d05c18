"""The shell that Slicer loads: it makes the parts of the module and connects them with Slicer."""

import sys

import qt
import slicer
import vtk
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from HealthyCounterpartLib import about, application, self_test
from HealthyCounterpartLib.parameters import ParameterFields
from HealthyCounterpartLib.widget import PanelWidget


class HealthyCounterpart(ScriptedLoadableModule):
    """What Slicer lists: title, category, help."""

    def __init__(self, parent):
        super().__init__(parent)
        about.describe(parent)
        slicer.app.connect("startupCompleted()", application.register_views)


@parameterNodeWrapper
class HealthyCounterpartParameters(ParameterFields):
    """The parameter node; a class of its own, because wrapping changes the class."""


class HealthyCounterpartLogic(ScriptedLoadableModuleLogic):
    """Has the parameter node."""

    def getParameterNode(self):
        """The parameter node of the scene, as the wrapper gives it."""
        return HealthyCounterpartParameters(super().getParameterNode())


class HealthyCounterpartWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel in Slicer's module area."""

    def setup(self):
        """Make the parts and connect them; called once, when the module is first opened."""
        super().setup()
        self.opened = False
        self.ui = application.load_ui(self.resourcePath("UI/HealthyCounterpart.ui"), self.layout)
        self.logic = HealthyCounterpartLogic()
        self.parameters = self.logic.getParameterNode()
        self.controller = application.new_controller(qt, self.parameters)
        self.panel = self.controller.panel = PanelWidget(self.ui, qt, self.controller)
        self.notes = application.new_corner_notes()
        self.timer = application.new_timer(qt, self.controller.tick)
        self.connectParameters()
        scene = slicer.mrmlScene
        # Nothing may be put into a scene that is being closed.
        self.addObserver(scene, scene.StartCloseEvent, lambda *_event: self.timer.stop())
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneChanged)

    def connectParameters(self):
        """Bind widgets and controller to the parameter node."""
        self.guiTag = self.parameters.connectParametersToGui(application.bound_widgets(self.ui))
        self.panel.renew()
        node = self.parameters.parameterNode
        self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)

    def disconnectParameters(self):
        """Let the parameter node go."""
        self.parameters.disconnectGui(self.guiTag)
        self.removeObservers(self.onParametersModified)

    def enter(self):
        """The module is opened: the first time it connects to the last server."""
        self.controller.entered() if self.opened else self.controller.opened()
        self.opened = True

    def exit(self):
        """Another module is opened; a job under way goes on."""
        self.controller.left()

    def cleanup(self):
        """The module is unloaded; a job under way goes on at the server."""
        self.timer.stop()
        self.removeObservers()
        self.controller.close()
        self.notes.close()
        application.unless_gone(self.disconnectParameters)

    def onParametersModified(self, caller=None, event=None):
        """A parameter has another value."""
        self.controller.parameters_changed()

    def onSceneChanged(self, caller=None, event=None):
        """A scene was closed or loaded: its parameters and runs are others."""
        self.disconnectParameters()
        self.parameters = self.logic.getParameterNode()
        self.connectParameters()
        self.controller.use_parameters(self.parameters)
        self.timer.start()

    def onReload(self):
        """Load the package again, too, while developing."""
        for name in [one for one in sys.modules if one.split(".")[0] == "HealthyCounterpartLib"]:
            del sys.modules[name]
        super().onReload()


class HealthyCounterpartTest(ScriptedLoadableModuleTest):
    """The self-test: see `HealthyCounterpartLib.self_test`."""

    def runTest(self, **_options):
        """Check the scene, the panel and, where a test server is named, the whole path."""
        self_test.run(self)
