"""Layouts: what Slicer knows of our rows of views, also in a scene that was loaded."""

from typing import Any

import pytest
import slicer

from HealthyCounterpartLib.overlay import BESIDE, ROW
from HealthyCounterpartLib.scene.layouts import BESIDE_VIEWS, OURS, ROW_VIEWS, VIEWS, arrange


@pytest.mark.parametrize("layout", [ROW, BESIDE])
def test_a_row_that_was_loaded_before_it_was_known_gets_its_views(
    a_scene: Any, layout: str
) -> None:
    node = a_scene.AddNode(slicer.vtkMRMLLayoutNode())
    number, views = OURS[layout]
    node.SetViewArrangement(number)
    assert not node.GetCurrentLayoutDescription()
    arrange(a_scene, layout)
    shown = node.GetCurrentLayoutDescription() or ""
    assert shown.count("<view ") == len(views) and views == VIEWS[layout]
    assert all(f'singletontag="{view}"' in shown for view in views)


def test_the_scan_is_in_the_same_view_beside_a_reference_as_in_the_row() -> None:
    assert len({number for number, _ in OURS.values()}) == 2
    assert BESIDE_VIEWS[0] == ROW_VIEWS[0] and BESIDE_VIEWS[1] not in ROW_VIEWS
