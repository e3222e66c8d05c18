"""Says in a slice view whose or whose work it shows, and which side is which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import vtk

from HealthyCounterpartLib.direction_letters import edge_letters, new_letters
from HealthyCounterpartLib.scene.layers import note_of
from HealthyCounterpartLib.scene.layouts import BESIDE_VIEWS, ROW_VIEWS
from HealthyCounterpartLib.scene.runs import every_node
from HealthyCounterpartLib.view_text import RIGHT, TOP, new_view_text

FONT_SIZE = 14
_ROWS = (*ROW_VIEWS, *BESIDE_VIEWS)
_YELLOW = (1.0, 0.85, 0.3)


class CornerNotes:
    """Keeps the note in the top right corner of each view with more than the patient's own scan.

    The letters of the patient's directions stand at such a view's left and right edge.

    Args:
        scene: MRML scene.
        renderer_of: Renderer of the slice view of this name; None where there is none.
    """

    def __init__(self, scene: Any, renderer_of: Callable[[str], Any]) -> None:
        self._scene = scene
        self._renderer_of = renderer_of
        self._notes: dict[str, tuple[Any, tuple[Any, ...]]] = {}
        self._observed: dict[str, tuple[Any, int]] = {}
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent)
        self._tags = [scene.AddObserver(event, self._follow) for event in events]
        self._follow()

    def update(self) -> None:
        """Put the notes where they belong now."""
        composites = {
            one.GetLayoutName(): one for one in every_node(self._scene, "vtkMRMLSliceCompositeNode")
        }
        for view in set(self._notes) - set(composites):
            self._take_away(view)
        for view, composite in composites.items():
            noted = note_of(self._scene, composite)
            # The scan beside its counterpart has sides, too.
            lettered = noted or (view in _ROWS and composite.GetBackgroundVolumeID())
            self._put(view, noted) if lettered else self._take_away(view)
        for node in every_node(self._scene, "vtkMRMLSliceNode"):
            if node.GetLayoutName() in self._notes:
                _note, *letters = self._notes[node.GetLayoutName()][1]
                for actor, letter in zip(letters, edge_letters(node)):
                    actor.SetInput(letter)

    def close(self) -> None:
        """Take all notes away and look at the scene no more."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []
        for node, tag in self._observed.values():
            node.RemoveObserver(tag)
        self._observed = {}
        for view in list(self._notes):
            self._take_away(view)

    def _follow(self, *_event: Any) -> None:
        """Observe the views there are: what they show, and how they lie."""
        kinds = ("vtkMRMLSliceCompositeNode", "vtkMRMLSliceNode")
        there = {node.GetID(): node for kind in kinds for node in every_node(self._scene, kind)}
        for number in set(self._observed) - set(there):
            node, tag = self._observed.pop(number)
            node.RemoveObserver(tag)
        for number in set(there) - set(self._observed):
            tag = there[number].AddObserver(vtk.vtkCommand.ModifiedEvent, self._modified)
            self._observed[number] = (there[number], tag)
        self.update()

    def _modified(self, *_event: Any) -> None:
        self.update()

    def _put(self, view: str, noted: str) -> None:
        renderer = self._renderer_of(view)
        if view in self._notes and self._notes[view][0] is not renderer:
            self._take_away(view)
        if renderer is None:
            return
        if view not in self._notes:
            actors = (_new_note(), *new_letters())
            for actor in actors:
                renderer.AddViewProp(actor)
            self._notes[view] = (renderer, actors)
        note = self._notes[view][1][0]
        note.SetInput(noted)
        note.SetVisibility(bool(noted))

    def _take_away(self, view: str) -> None:
        if view in self._notes:
            renderer, actors = self._notes.pop(view)
            for actor in actors:
                renderer.RemoveViewProp(actor)


def _new_note() -> vtk.vtkTextActor:
    return new_view_text(RIGHT, TOP, FONT_SIZE, _YELLOW)
