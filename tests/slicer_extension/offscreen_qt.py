"""Loads the panel under PySide6 without a display, with stand-ins for Slicer's own widgets.

The stand-ins have the real classes' names, properties, slots and signals, as far as the panel uses
them, so that the same code runs in Slicer.
"""

import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from HealthyCounterpartLib.parameters import ParameterFields

UI = (
    Path(__file__).resolve().parents[2]
    / "slicer_extension/HealthyCounterpart/Resources/UI/HealthyCounterpart.ui"
)
PARAMETER = "SlicerParameterName"

# Slicer's `qt` is one module with the classes of all of Qt's.
qt = SimpleNamespace(
    **{
        name: getattr(module, name)
        for module in (QtCore, QtGui, QtWidgets)
        for name in dir(module)
        if name.startswith("Q")
    }
)


class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801
    """A widget that knows a scene."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene


class ctkCollapsibleButton(QtWidgets.QAbstractButton):  # noqa: N801
    """A section that folds away under its own head."""

    contentsCollapsed = QtCore.Signal(bool)  # noqa: N815
    HEAD = 24

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, self.HEAD, 0, 0)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Preferred, policy.Minimum)
        self.toggled.connect(self._fold)

    def _collapsed(self) -> bool:
        return not self.isChecked()

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, _collapsed, _set_collapsed)

    def childEvent(self, event: Any) -> None:
        super().childEvent(event)
        if event.type() == QtCore.QEvent.Type.ChildPolished and self._collapsed():
            self._fold(False)

    def _fold(self, shown: bool) -> None:
        for child in self.findChildren(QtWidgets.QWidget, "", _DIRECT):
            child.setVisible(shown)
        self.updateGeometry()
        self.contentsCollapsed.emit(not shown)

    def hitButton(self, position: Any) -> bool:
        return position.y() < self.HEAD

    def sizeHint(self) -> Any:
        layout = self.layout()
        if self._collapsed() or layout is None:
            return QtCore.QSize(100, self.HEAD)
        return layout.totalSizeHint()

    def hasHeightForWidth(self) -> bool:
        layout = self.layout()
        return layout is not None and layout.hasHeightForWidth() and not self._collapsed()

    def heightForWidth(self, width: int) -> int:
        return self.layout().totalHeightForWidth(width)

    def minimumSizeHint(self) -> Any:
        layout = self.layout()
        if self._collapsed() or layout is None:
            return QtCore.QSize(0, self.HEAD)
        return layout.totalMinimumSize()

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        head = QtCore.QRect(0, 0, self.width(), self.HEAD - 2)
        painter.fillRect(head, self.palette().button())
        painter.setPen(self.palette().buttonText().color())
        sign = "▸" if self._collapsed() else "▾"
        flags = QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawText(head.adjusted(6, 0, 0, 0), flags, f"{sign}  {self.text()}")
        painter.end()


class ctkDoubleRangeSlider(QtWidgets.QWidget):  # noqa: N801
    """A slider with two ends."""

    valuesChanged = QtCore.Signal(float, float)  # noqa: N815

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._range, self._values, self._step = (0.0, 99.0), (0.0, 99.0), 1.0
        self._orientation = QtCore.Qt.Orientation.Vertical
        self.setMinimumHeight(18)

    def _set_range(self, low: float, high: float) -> None:
        self._range = (low, high)
        self.setValues(*self._values)

    def _set_step(self, step: float) -> None:
        if 0 < step <= self._range[1] - self._range[0]:  # the real one ignores others, too
            self._step = step

    def _set_orientation(self, orientation: Any) -> None:
        self._orientation = orientation

    minimum = QtCore.Property(
        float, lambda self: self._range[0], lambda self, low: self._set_range(low, self._range[1])
    )
    maximum = QtCore.Property(
        float, lambda self: self._range[1], lambda self, high: self._set_range(self._range[0], high)
    )
    singleStep = QtCore.Property(float, lambda self: self._step, _set_step)  # noqa: N815
    minimumValue = QtCore.Property(float, lambda self: self._values[0])  # noqa: N815
    maximumValue = QtCore.Property(float, lambda self: self._values[1])  # noqa: N815
    orientation = QtCore.Property(
        QtCore.Qt.Orientation, lambda self: self._orientation, _set_orientation
    )

    @QtCore.Slot(float, float)
    def setValues(self, low: float, high: float) -> None:
        least, most = self._range
        values = tuple(min(max(one, least), most) for one in sorted((low, high)))
        if values != self._values:
            self._values = values
            self.update()
            self.valuesChanged.emit(*values)

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        width = max(self._range[1] - self._range[0], 1e-12)
        ends = [
            int(6 + (self.width() - 12) * (one - self._range[0]) / width) for one in self._values
        ]
        middle = self.height() // 2
        painter.fillRect(6, middle - 2, self.width() - 12, 4, self.palette().mid())
        painter.fillRect(ends[0], middle - 2, ends[1] - ends[0], 4, self.palette().highlight())
        for end in ends:
            painter.fillRect(end - 4, middle - 7, 8, 14, self.palette().buttonText())
        painter.end()


class qMRMLNodeComboBox(QtWidgets.QComboBox):  # noqa: N801
    """The scene's nodes of one kind; it follows the scene."""

    currentNodeChanged = QtCore.Signal(object)  # noqa: N815

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._node: Any = None
        self._nodes: list[Any] = []
        self._flags: dict[str, Any] = {"nodeTypes": [], "noneEnabled": False}
        self.activated.connect(lambda index: self.setCurrentNode(self._nodes[index]))

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent):
            scene.AddObserver(event, lambda *_event: self._fill())
        self._fill()

    def _fill(self) -> None:
        found = [
            node
            for kind in self.property("nodeTypes") or []  # as the .ui file says
            for node in _every(self._scene, kind)
            if not node.GetHideFromEditors() and node.GetClassName() == kind
        ]
        self._nodes = [None, *found]
        self.clear()
        self.addItems(["None", *(node.GetName() for node in found)])
        there = self._node if any(self._node is one for one in found) else None
        self.setCurrentNode(there)

    def currentNode(self) -> Any:
        return self._node

    @QtCore.Slot(object)
    def setCurrentNode(self, node: Any) -> None:
        known = [index for index, one in enumerate(self._nodes) if one is node]
        self.setCurrentIndex(known[0] if known else 0)
        if node is not self._node:
            self._node = node
            self.currentNodeChanged.emit(node)


def _flag(name: str, kind: Any) -> Any:
    return QtCore.Property(
        kind,
        lambda self: self._flags.get(name),
        lambda self, value: self._flags.__setitem__(name, value),
    )


for _name in ("showChildNodeTypes", "addEnabled", "removeEnabled", "noneEnabled"):
    setattr(qMRMLNodeComboBox, _name, _flag(_name, bool))
qMRMLNodeComboBox.nodeTypes = _flag("nodeTypes", "QStringList")
_DIRECT = QtCore.Qt.FindChildOption.FindDirectChildrenOnly
STAND_INS = (qMRMLWidget, ctkCollapsibleButton, ctkDoubleRangeSlider, qMRMLNodeComboBox)


class OffscreenParameters:
    """The parameter node as Slicer's wrapper of `ParameterFields` behaves.

    Every change of a value tells the observers; values of a wrong type are refused. The values are
    kept here; the node is only told that there was a change.

    Args:
        node: A ``vtkMRMLScriptedModuleNode``; without one, a new one that is in no scene.
    """

    def __init__(self, node: Any = None) -> None:
        kinds = get_type_hints(ParameterFields)
        values = {name: getattr(ParameterFields, name, None) for name in kinds}
        node = slicer.vtkMRMLScriptedModuleNode() if node is None else node
        vars(self).update(parameterNode=node, _kinds=kinds, _values=values)
        vars(self).update(_observers={}, _connected={}, _tags=itertools.count(), _busy=False)

    def __getattr__(self, name: str) -> Any:
        values = vars(self)["_values"]
        if name not in values:
            raise AttributeError(name)
        return values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._values:
            raise AttributeError(name)
        kind = self._kinds[name]
        allowed = (int, float) if kind is float else kind
        if not isinstance(value, allowed) and not (value is None and kind not in (float, str)):
            raise TypeError(f"expected {kind.__name__} for {name}, got {value!r}")
        if value is not self._values[name] and value != self._values[name]:
            self._values[name] = value
            self.Modified()

    def AddObserver(self, event: Any, callback: Callable[..., None]) -> int:
        tag = max(self._observers, default=0) + 1
        self._observers[tag] = callback
        return tag

    def RemoveObserver(self, tag: int) -> None:
        self._observers.pop(tag, None)

    def Modified(self) -> None:
        self._write_to_widgets()
        self.parameterNode.Modified()
        for callback in list(self._observers.values()):
            callback(self, "ModifiedEvent")

    def connectGui(self, ui: Any) -> None:
        """Bind each widget that bears the name of a parameter; keeps the tag, as Slicer does."""
        named = {widget.property(PARAMETER): widget for widget in vars(ui).values()}
        self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: Mapping[str, Any]) -> int:
        """Bind these widgets, as Slicer's connectors do; gives the tag that lets them go."""
        tag = next(self._tags)
        self._connected[tag] = dict(mapping)
        for name, widget in mapping.items():
            changed = getattr(widget, "valueChanged", None) or widget.currentNodeChanged
            if isinstance(widget, QtWidgets.QDoubleSpinBox):
                # The real connector takes the limits away where the field has none.
                widget.setRange(float("-inf"), float("inf"))
            changed.connect(lambda value, name=name: self._read(tag, name, value))
        self._write_to_widgets()
        return tag

    def disconnectGui(self, tag: Any) -> None:
        """Leave the widgets to another; a tag that was never given is passed over."""
        self._connected.pop(tag, None)

    def _read(self, tag: int, name: str, value: Any) -> None:
        if not self._busy and tag in self._connected:
            setattr(self, name, value)

    def _write_to_widgets(self) -> None:
        if self._busy:
            return
        vars(self)["_busy"] = True
        try:
            for name, widget in [one for gui in self._connected.values() for one in gui.items()]:
                if isinstance(widget, QtWidgets.QDoubleSpinBox):
                    widget.setValue(self._values[name])
                else:
                    widget.setCurrentNode(self._values[name])
        finally:
            vars(self)["_busy"] = False


def application() -> QtWidgets.QApplication:
    """The application, which Qt has once in a process."""
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["counterpart"])


def load_panel(path: Path = UI) -> QtWidgets.QWidget:
    """The panel of a .ui file."""
    application()
    loader = QtUiTools.QUiLoader()
    for stand_in in STAND_INS:
        loader.registerCustomWidget(stand_in)
    panel = loader.load(str(path))
    if panel is None:
        raise RuntimeError(loader.errorString())
    return panel


def child_widgets(panel: QtWidgets.QWidget) -> SimpleNamespace:
    """The named widgets, as `slicer.util.childWidgetVariables` gives them."""
    children = panel.findChildren(QtWidgets.QWidget)
    return SimpleNamespace(**{one.objectName(): one for one in children if one.objectName()})


def _every(scene: Any, kind: str) -> list[Any]:
    count = scene.GetNumberOfNodesByClass(kind) if scene is not None else 0
    return [scene.GetNthNodeByClass(index, kind) for index in range(count)]
