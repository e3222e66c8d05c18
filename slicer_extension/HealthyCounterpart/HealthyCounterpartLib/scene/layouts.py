"""The layouts: overlay in four-up, views in a row, one large view, scan and reference."""

from __future__ import annotations

from typing import Any

import slicer

from HealthyCounterpartLib.overlay import BESIDE, FOUR_UP, ROW, SINGLE
from HealthyCounterpartLib.scene.runs import every_node
from HealthyCounterpartLib.translation import _

ROW_LAYOUT = 5610
BESIDE_LAYOUT = 5611
ROW_GROUP = 5610  # of all our views: they move together
SCAN_VIEW, HEALTHY_VIEW = "CounterpartScan", "CounterpartHealthy"
OVERLAY_VIEW = "CounterpartOverlay"
REFERENCE_VIEW = "CounterpartReference"
FOUR_UP_VIEWS = ("Red", "Yellow", "Green")
SINGLE_VIEWS = ("Red",)
ROW_VIEWS = (SCAN_VIEW, HEALTHY_VIEW, OVERLAY_VIEW)
BESIDE_VIEWS = (SCAN_VIEW, REFERENCE_VIEW)
VIEWS = {
    FOUR_UP: FOUR_UP_VIEWS,
    ROW: ROW_VIEWS,
    SINGLE: SINGLE_VIEWS,
    BESIDE: BESIDE_VIEWS,
}
OURS = {ROW: (ROW_LAYOUT, ROW_VIEWS), BESIDE: (BESIDE_LAYOUT, BESIDE_VIEWS)}
_COLOURS = {
    SCAN_VIEW: "#7F7F7F",
    HEALTHY_VIEW: "#4C9A6A",
    OVERLAY_VIEW: "#D65400",
    REFERENCE_VIEW: "#3E6FB0",
}


def register_layouts(scene: Any) -> None:
    """Make our own rows of views known to Slicer's layout node, once for each scene.

    Args:
        scene: Where the layout node is.
    """
    node = layout_node(scene)
    for number, views in OURS.values() if node is not None else ():
        if not node.IsLayoutDescription(number):
            node.AddLayoutDescription(number, _row_description(views))


def arrange(scene: Any, layout: str) -> None:
    """Switch to a layout; its views and their layers are there afterwards.

    Args:
        scene: Where the layout node is.
        layout: ``four-up``, ``row``, ``single`` or ``beside``.
    """
    register_layouts(scene)
    node = layout_node(scene)
    if node is not None:
        number = {
            FOUR_UP: node.SlicerLayoutFourUpView,
            ROW: ROW_LAYOUT,
            BESIDE: BESIDE_LAYOUT,
            SINGLE: node.SlicerLayoutOneUpRedSliceView,
        }[layout]
        # Also where the number is the same: a scene may have been loaded before it was known.
        node.SetViewArrangement(number)
    for name in VIEWS[layout]:
        composite_of(scene, name)
    if layout in OURS:
        _link(scene, VIEWS[layout])


def show_same_place(scene: Any, leader: str, follower: str) -> None:
    """Let a view show the place that another shows, as large.

    Args:
        scene: Where the views are.
        leader: Name of the view that stays as it is.
        follower: Name of the other one.
    """
    nodes = {node.GetLayoutName(): node for node in every_node(scene, "vtkMRMLSliceNode")}
    first, second = nodes.get(leader), nodes.get(follower)
    if first is None or second is None:
        return
    wide, _high, deep = first.GetFieldOfView()
    pixel = wide / max(first.GetDimensions()[0], 1)
    across, along = second.GetDimensions()[:2]
    second.GetSliceToRAS().DeepCopy(first.GetSliceToRAS())
    second.SetFieldOfView(max(across, 1) * pixel, max(along, 1) * pixel, deep)
    second.SetXYZOrigin(*first.GetXYZOrigin())
    second.UpdateMatrices()


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


def _link(scene: Any, views: tuple[str, ...]) -> None:
    for name in views:
        composite = composite_of(scene, name)
        composite.SetLinkedControl(1)
        composite.SetHotLinkedControl(1)


def _row_description(names: tuple[str, ...]) -> str:
    labels = {
        SCAN_VIEW: _("Scan"),
        HEALTHY_VIEW: _("Healthy"),
        OVERLAY_VIEW: _("Overlay"),
        REFERENCE_VIEW: _("Reference"),
    }
    views = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{_escaped(labels[name])}</property>'
        f'<property name="viewcolor" action="default">{_COLOURS[name]}</property>'
        f'<property name="viewgroup" action="default">{ROW_GROUP}</property>'
        "</view></item>"
        for name in names
    )
    return f'<layout type="horizontal" split="true">{views}</layout>'


def _escaped(text: str) -> str:
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, name)
    return text
