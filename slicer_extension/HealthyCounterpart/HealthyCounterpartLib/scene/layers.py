"""Which volumes the views of a layout show, and in what they lie over each other."""

from __future__ import annotations

from typing import Any

from HealthyCounterpartLib.overlay import SCORE, Overlay
from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.scene.layouts import (
    HEALTHY_VIEW,
    REFERENCE_VIEW,
    SCAN_VIEW,
    VIEWS,
    composite_of,
)
from HealthyCounterpartLib.scene.map_display import legend_of
from HealthyCounterpartLib.scene.runs import Run, every_node
from HealthyCounterpartLib.translation import _


def map_of(run: Run, shown_map: str) -> Any:
    """The volume of a map; None where the reader removed it.

    Args:
        run: The run.
        shown_map: ``score`` or ``residual``.
    """
    return run.anomaly if shown_map == SCORE else run.residual


def fill_views(scene: Any, run: Run, overlay: Overlay, layout: str) -> list[str]:
    """Give each view of a layout its volumes.

    Args:
        scene: Where the views are.
        run: The run.
        overlay: How its map is shown.
        layout: ``four-up``, ``row``, ``single`` or ``beside``.

    Returns:
        Names of the views whose background changed, so that they can be fitted to it.
    """
    changed = []
    shown_instead = {HEALTHY_VIEW: run.counterpart, REFERENCE_VIEW: run.reference}
    for view in VIEWS[layout]:
        composite = composite_of(scene, view)
        background = shown_instead.get(view, run.scan)
        plain = view == SCAN_VIEW or view in shown_instead
        foreground = None if plain else map_of(run, overlay.shown_map)
        if composite.GetBackgroundVolumeID() != _id(background):
            changed.append(view)
        modifying = composite.StartModify()
        composite.SetBackgroundVolumeID(_id(background))
        composite.SetForegroundVolumeID(_id(foreground))
        composite.SetForegroundOpacity(0.0 if plain else overlay.opacity)
        composite.SetCompositing(0)  # alpha: hidden voxels leave the scan's grey as it is
        composite.EndModify(modifying)
        _announce(composite)
    return changed


def change_map(scene: Any, run: Run, overlay: Overlay, held: bool) -> None:
    """Show another map, or more or less of it, where the run's map is shown already.

    Args:
        scene: Where the views are.
        run: The run.
        overlay: How its map is shown.
        held: Whether the map is hidden while the reader looks at the original.
    """
    shown = _id(map_of(run, overlay.shown_map))
    maps = [_id(one) for one in (run.anomaly, run.residual) if one is not None]
    for composite in every_node(scene, "vtkMRMLSliceCompositeNode"):
        if composite.GetForegroundVolumeID() in maps:
            modifying = composite.StartModify()
            composite.SetForegroundVolumeID(shown)
            composite.SetForegroundOpacity(0.0 if held else overlay.opacity)
            composite.EndModify(modifying)


def show_marks(runs: list[Run], run: Run, overlay: Overlay, held: bool) -> None:
    """Show the legend and the outlines of the run in view, and hide those of others.

    Args:
        runs: All runs of the scene.
        run: The one in view.
        overlay: How its map is shown.
        held: Whether the reader looks at the original: then nothing lies over it.
    """
    shown = map_of(run, overlay.shown_map)
    for one in runs:
        for volume in (one.anomaly, one.residual):
            legend = legend_of(volume) if volume is not None else None
            if legend is not None:
                legend.SetVisibility(int(volume is shown and not held))
        display = one.segmentation.GetDisplayNode() if one.segmentation is not None else None
        if display is not None:
            display.SetVisibility(int(one.id == run.id and not held))


def note_of(scene: Any, composite: Any) -> str:
    """What has to be said of a view: that the model made what it shows, or whose it is.

    Args:
        scene: Where the volumes are.
        composite: What the view shows.

    Returns:
        A line for each; empty where the patient's own scan is shown alone.
    """
    shown = [composite.GetBackgroundVolumeID()]
    if composite.GetForegroundOpacity() > 0:
        shown.append(composite.GetForegroundVolumeID())
    if composite.GetLabelOpacity() > 0:
        shown.append(composite.GetLabelVolumeID())
    nodes = (scene.GetNodeByID(one) for one in shown if one)
    there = [node for node in nodes if node is not None]
    noted = [marks.DISCLAIMER] if any(marks.is_synthesised(node) for node in there) else []
    other = _("Healthy reference {id}: another person")
    for node in there:
        if marks.is_reference(node):
            noted.append(other.format(id=node.GetAttribute(marks.REFERENCE_ID) or ""))
    return "\n".join(noted)


def _announce(composite: Any) -> None:
    """Say that the layers changed, as a reader's choice does.

    A view that is younger than a legend draws it from then on only.
    """
    flags = composite.GetInteractionFlags()
    layers = (
        composite.ForegroundVolumeFlag | composite.BackgroundVolumeFlag | composite.LabelVolumeFlag
    )
    composite.SetInteractionFlags(flags | layers)
    composite.Modified()
    composite.SetInteractionFlags(flags)


def _id(node: Any) -> Any:
    return node.GetID() if node is not None else None
