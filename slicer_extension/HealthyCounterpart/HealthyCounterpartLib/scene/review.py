"""What the reader does with findings: jump to one, outline it, accept, reject, comment."""

from __future__ import annotations

from typing import Any, Optional

import vtk

from HealthyCounterpartLib.finding_row import REJECTED, FindingRow
from HealthyCounterpartLib.scene.findings_table import rows_of
from HealthyCounterpartLib.scene.runs import every_node
from HealthyCounterpartLib.scene.segmentation import segment_id

GREY = (0.8, 0.8, 0.8)
MAGENTA = (1.0, 0.35, 0.95)  # on no map and in no scan
THIN, THICK = 1, 3
FAINT, PLAIN, FULL = 0.6, 0.9, 1.0


def draw_outlines(segmentation: Any, table: Any, selected: Optional[int]) -> None:
    """Outline the findings: the selected one magenta and full, rejected ones grey and faint.

    Args:
        segmentation: Segmentation node.
        table: Table node, or None.
        selected: Number of the selected finding; None for none.
    """
    display = segmentation.GetDisplayNode()
    if display is None:
        return
    modifying = display.StartModify()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetVisibility3D(False)
    display.SetSliceIntersectionThickness(THIN if selected is None else THICK)
    for row in rows_of(table) if table is not None else []:
        _draw_outline(display, segmentation.GetSegmentation(), row, row.number == selected)
    display.EndModify(modifying)


def jump_views(scene: Any, volume: Any, centre_ras_mm: tuple[float, float, float]) -> None:
    """Move all slice views to a place.

    Args:
        scene: Where the views are.
        volume: Node in whose own coordinates the place is told; its parent transforms are applied.
        centre_ras_mm: The place, RAS mm.
    """
    place = world_place(volume, centre_ras_mm)
    for view in every_node(scene, "vtkMRMLSliceNode"):
        if _is_in_sight(view, place):
            view.JumpSliceByOffsetting(*place)
        else:
            view.JumpSliceByCentering(*place)


def world_place(volume: Any, place: tuple[float, float, float]) -> tuple[float, float, float]:
    """A place in a volume's own coordinates, as a place of the world.

    Args:
        volume: Node, perhaps under a transform, linear or not; None leaves the place as it is.
        place: RAS mm.
    """
    transform = volume.GetParentTransformNode() if volume is not None else None
    if transform is None:
        return place
    to_world = vtk.vtkGeneralTransform()
    transform.GetTransformToWorld(to_world)
    right, anterior, superior = to_world.TransformPoint(place)
    return (right, anterior, superior)


def _draw_outline(display: Any, segmentation: Any, row: FindingRow, selected: bool) -> None:
    one = segment_id(row.number)
    if segmentation.GetSegment(one) is None:  # removed by the reader
        return
    rejected = row.state == REJECTED
    if selected:
        display.SetSegmentOverrideColor(one, *MAGENTA)
    elif rejected:
        display.SetSegmentOverrideColor(one, *GREY)
    else:
        display.UnsetSegmentOverrideColor(one)
    display.SetSegmentOpacity2DOutline(one, FULL if selected else FAINT if rejected else PLAIN)


def _is_in_sight(view: Any, place: tuple[float, float, float]) -> bool:
    """Whether a place is within the picture once the view is moved to its plane."""
    to_picture = vtk.vtkMatrix4x4()
    to_picture.DeepCopy(view.GetXYToRAS())
    if not to_picture.Determinant():
        return False
    to_picture.Invert()
    across, along = to_picture.MultiplyPoint((*place, 1.0))[:2]
    width, height = view.GetDimensions()[:2]
    return bool(0 <= across < width and 0 <= along < height)
