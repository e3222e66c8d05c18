"""Layouts: what Slicer knows of the row of views, also in a scene that was loaded."""

from typing import Any

import slicer

from HealthyCounterpartLib.overlay import ROW
from HealthyCounterpartLib.scene.layouts import ROW_LAYOUT, ROW_VIEWS, arrange


def test_a_row_that_was_loaded_before_it_was_known_gets_its_views(a_scene: Any) -> None:
    node = a_scene.AddNode(slicer.vtkMRMLLayoutNode())
    node.SetViewArrangement(ROW_LAYOUT)
    assert not node.GetCurrentLayoutDescription()
    arrange(a_scene, ROW)
    shown = node.GetCurrentLayoutDescription() or ""
    assert all(f'singletontag="{view}"' in shown for view in ROW_VIEWS)
