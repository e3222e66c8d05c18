"""The layouts: overlay in four-up, three views in a row, one large view."""

from __future__ import annotations

from typing import Any

import slicer

from HealthyCounterpartLib.overlay import FOUR_UP, ROW, SINGLE
from HealthyCounterpartLib.scene.runs import every_node
from HealthyCounterpartLib.translation import _

ROW_LAYOUT = 5610
ROW_GROUP = 5610
SCAN_VIEW, HEALTHY_VIEW = "CounterpartScan", "CounterpartHealthy"
OVERLAY_VIEW = "CounterpartOverlay"
FOUR_UP_VIEWS = ("Red", "Yellow", "Green")
SINGLE_VIEWS = ("Red",)
ROW_VIEWS = (SCAN_VIEW, HEALTHY_VIEW, OVERLAY_VIEW)
VIEWS = {FOUR_UP: FOUR_UP_VIEWS, ROW: ROW_VIEWS, SINGLE: SINGLE_VIEWS}
_COLOURS = {SCAN_VIEW: "#7F7F7F", HEALTHY_VIEW: "#4C9A6A", OVERLAY_VIEW: "#D65400"}


def register_layouts(scene: Any) -> None:
    """Make the row of three views known to Slicer's layout node, once for each scene.

    Args:
        scene: Where the layout node is.
    """
    node = layout_node(scene)
    if node is not None and not node.IsLayoutDescription(ROW_LAYOUT):
        node.AddLayoutDescription(ROW_LAYOUT, _row_description())


def arrange(scene: Any, layout: str) -> None:
    """Switch to a layout; its views and their layers are there afterwards.

    Args:
        scene: Where the layout node is.
        layout: ``four-up``, ``row`` or ``single``.
    """
    register_layouts(scene)
    node = layout_node(scene)
    if node is not None:
        number = {
            FOUR_UP: node.SlicerLayoutFourUpView,
            ROW: ROW_LAYOUT,
            SINGLE: node.SlicerLayoutOneUpRedSliceView,
        }[layout]
        # Also where the number is the same: a scene may have been loaded before it was known.
        node.SetViewArrangement(number)
    for name in VIEWS[layout]:
        composite_of(scene, name)
    if layout == ROW:
        _link(scene)


def composite_of(scene: Any, view: str) -> Any:
    """The node that says which volumes a view shows; made where no view has made it yet.

    Args:
        scene: Where.
        view: Name of the view.
    """
    for found in every_node(scene, "vtkMRMLSliceCompositeNode"):
        if found.GetLayoutName() == view:
            return found
    composite = slicer.vtkMRMLSliceCompositeNode()
    composite.SetSingletonTag(view)
    composite.SetLayoutName(view)
    return scene.AddNode(composite)


def layout_node(scene: Any) -> Any:
    """Slicer's layout node; None in a program without views."""
    return scene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def _link(scene: Any) -> None:
    for name in ROW_VIEWS:
        composite = composite_of(scene, name)
        composite.SetLinkedControl(1)
        composite.SetHotLinkedControl(1)


def _row_description() -> str:
    labels = {SCAN_VIEW: _("Scan"), HEALTHY_VIEW: _("Healthy"), OVERLAY_VIEW: _("Overlay")}
    views = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{_escaped(labels[name])}</property>'
        f'<property name="viewcolor" action="default">{_COLOURS[name]}</property>'
        f'<property name="viewgroup" action="default">{ROW_GROUP}</property>'
        "</view></item>"
        for name in ROW_VIEWS
    )
    return f'<layout type="horizontal" split="true">{views}</layout>'


def _escaped(text: str) -> str:
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, name)
    return text
