"""Shows a signed map in its colours, with a legend: the nodes that do it."""

from __future__ import annotations

from typing import Any

import slicer
from vtk.util.numpy_support import vtk_to_numpy

from HealthyCounterpartLib.overlay import Overlay
from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.scene.map_colours import STEPS, colour_table, window_of
from HealthyCounterpartLib.translation import _

LEGEND_LABELS = 5


def add_map_display(scene: Any, volume: Any, remember: Any) -> None:
    """Give a map its colours and its legend.

    Args:
        scene: The map is in it.
        volume: The map.
        remember: Called with each node that was added.
    """
    colours = slicer.vtkMRMLColorTableNode()
    colours.SetName(volume.GetName() + " " + _("colours"))
    colours.SetAttribute(marks.COLOURS, marks.role_of(volume))
    colours.SetTypeToUser()
    colours.SetNumberOfColors(STEPS)
    for step in range(STEPS):
        colours.SetColor(step, str(step), 0.0, 0.0, 0.0, 0.0)
    colours.GetLookupTable().SetRange(0, STEPS - 1)  # else each view copies the table
    remember(scene.AddNode(colours))
    display = add_display(scene, volume)
    remember(display)
    display.SetInterpolate(0)
    display.SetAndObserveColorNodeID(colours.GetID())
    remember(_add_legend(scene, volume))


def add_display(scene: Any, volume: Any) -> Any:
    """Give a volume a display in greys, without the histogram that Slicer's own default takes.

    Args:
        scene: The volume is in it.
        volume: Has no display yet.
    """
    display = slicer.vtkMRMLScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(0)
    scene.AddNode(display)
    display.SetDefaultColorMap()
    volume.SetAndObserveDisplayNodeID(display.GetID())
    return display


def apply_overlay(volume: Any, overlay: Overlay) -> None:
    """Show a map with other limits or another sign; its voxels are not touched.

    Args:
        volume: The map.
        overlay: How it is shown.
    """
    display = volume.GetDisplayNode()
    colours = display.GetColorNode() if display is not None else None
    if colours is None or not colours.GetAttribute(marks.COLOURS):
        return  # taken away or replaced by the reader, whose choice stays
    table = colours.GetLookupTable()
    table.SetNumberOfTableValues(STEPS)
    half = window_of(overlay)
    vtk_to_numpy(table.GetTable())[:] = colour_table(overlay)
    table.GetTable().Modified()
    table.SetRange(0, STEPS - 1)
    modifying = display.StartModify()
    display.SetAutoWindowLevel(0)
    display.SetWindowLevel(2 * half, 0.0)
    display.EndModify(modifying)
    table.Modified()
    colours.StorableModified()
    colours.Modified()
    legend = legend_of(volume)
    if legend is not None:
        legend.SetLabelFormat("%.0f" if half >= 20 else "%.1f" if half >= 2 else "%.2f")
        legend.Modified()  # not every Slicer tells it of the window and the colours


def legend_of(volume: Any) -> Any:
    """The legend of a map; None where it has none."""
    for index in range(volume.GetNumberOfDisplayNodes()):
        display = volume.GetNthDisplayNode(index)
        if display is not None and display.IsA("vtkMRMLColorLegendDisplayNode"):
            return display
    return None


def _add_legend(scene: Any, volume: Any) -> Any:
    legend = scene.AddNewNodeByClass("vtkMRMLColorLegendDisplayNode")
    score = marks.role_of(volume) == marks.ANOMALY
    legend.SetTitleText(_("Anomaly\n(score)") if score else _("Residual\n(spreads)"))
    legend.SetNumberOfLabels(LEGEND_LABELS)
    legend.SetAndObservePrimaryDisplayNode(volume.GetDisplayNode())
    legend.SetVisibility(0)
    volume.AddAndObserveDisplayNodeID(legend.GetID())
    return legend
