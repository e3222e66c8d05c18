from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk
from made_up_runs import Phantom
from slice_pictures import SliceViews

from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
from HealthyCounterpartLib.scene.review import GREY, MAGENTA, THICK, THIN, world_place
from HealthyCounterpartLib.scene.runs import Run, every_node
from HealthyCounterpartLib.scene.segmentation import ORANGE, segment_id


def test_selecting_a_finding_moves_every_view_to_it(
    some_views: SliceViews, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    the_counterparts.show(a_run, the_counterparts.default_overlay(a_run, "score"), "row")
    the_counterparts.show(a_run, the_counterparts.default_overlay(a_run, "score"), "four-up")
    for row in the_counterparts.rows(a_run):
        the_counterparts.select(a_run, row.number)
        for view in every_node(some_views.scene, "vtkMRMLSliceNode"):
            assert _distance(view, row.centre_ras_mm) < 1e-3


@pytest.mark.parametrize("kind", ["linear", "grid"])
def test_a_jump_goes_through_the_transform_of_the_scan(
    some_views: SliceViews, the_counterparts: CounterpartScene, a_run: Run, kind: str
) -> None:
    transform = _transform(some_views.scene, kind)
    for node in (a_run.scan, a_run.anomaly):
        node.SetAndObserveTransformNodeID(transform.GetID())
    row = the_counterparts.rows(a_run)[0]
    moved = world_place(a_run.anomaly, row.centre_ras_mm)
    assert np.allclose(np.array(moved) - row.centre_ras_mm, [10.0, -4.0, 7.0], atol=1e-3)
    the_counterparts.select(a_run, 1)
    for view in every_node(some_views.scene, "vtkMRMLSliceNode"):
        assert _distance(view, moved) < 1e-3


def test_a_view_moves_within_its_plane_only_where_the_finding_is_out_of_sight(
    some_views: SliceViews, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    red = some_views["Red"].node
    red.SetFieldOfView(200.0, 200.0, 1.0)
    red.JumpSliceByCentering(0, 0, 0)
    the_counterparts.select(a_run, 1)
    assert _centre(red)[:2] == pytest.approx([0.0, 0.0], abs=1e-6)
    red.JumpSliceByCentering(300, 300, 0)
    the_counterparts.select(a_run, 2)
    place = the_counterparts.rows(a_run)[1].centre_ras_mm
    assert _centre(red) == pytest.approx(list(place), abs=1e-3)


def test_the_selected_finding_stands_out_and_a_rejected_one_recedes(
    the_counterparts: CounterpartScene, a_run: Run
) -> None:
    display = a_run.segmentation.GetDisplayNode()
    assert _look(display, 1) == (ORANGE_SEEN, pytest.approx(0.9), THIN)
    the_counterparts.select(a_run, 1)
    assert _look(display, 1) == (MAGENTA, 1.0, THICK)
    the_counterparts.set_state(a_run, 1, "rejected")
    assert _look(display, 1) == (MAGENTA, 1.0, THICK)
    the_counterparts.select(a_run, None)
    assert _look(display, 1) == (GREY, pytest.approx(0.6), THIN)
    the_counterparts.set_state(a_run, 1, "open")
    assert _look(display, 1)[0] == ORANGE_SEEN
    assert a_run.segmentation.GetSegmentation().GetNumberOfSegments() == 2


def test_a_state_is_kept_and_an_unknown_one_refused(
    the_counterparts: CounterpartScene, a_run: Run
) -> None:
    the_counterparts.set_state(a_run, 2, "accepted")
    assert [row.state for row in the_counterparts.rows(a_run)] == ["open", "accepted"]
    with pytest.raises(ValueError, match="maybe"):
        the_counterparts.set_state(a_run, 2, "maybe")


def test_a_removed_segment_does_not_break_the_others(
    the_counterparts: CounterpartScene, a_run: Run
) -> None:
    a_run.segmentation.GetSegmentation().RemoveSegment(segment_id(1))
    the_counterparts.select(a_run, 1)
    the_counterparts.select(a_run, 2)
    assert _look(a_run.segmentation.GetDisplayNode(), 2)[0] == MAGENTA


def test_selecting_what_is_not_there_moves_nothing(
    some_views: SliceViews, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    before = _centre(some_views["Red"].node)
    the_counterparts.select(a_run, 99)
    assert _centre(some_views["Red"].node) == before


def test_another_run_is_not_outlined_by_the_selection_of_the_first(
    the_counterparts: CounterpartScene, a_run: Run, a_phantom: Phantom, tmp_path: Path
) -> None:
    the_counterparts.select(a_run, 1)
    again = the_counterparts.add_run(
        a_run.scan, a_phantom.delivery(tmp_path / "again"), "2026-03-01 12:00:00"
    )
    the_counterparts.set_state(again, 1, "accepted")
    assert _look(again.segmentation.GetDisplayNode(), 1)[0] == ORANGE_SEEN


ORANGE_SEEN = tuple(pytest.approx(value, abs=1e-6) for value in ORANGE)


def _look(display: Any, number: int) -> tuple[Any, float, int]:
    one = segment_id(number)
    colour = display.GetSegmentColor(one)
    return (
        tuple(colour[index] for index in range(3)),
        display.GetSegmentOpacity2DOutline(one),
        display.GetSliceIntersectionThickness(),
    )


def _distance(view: Any, place: Any) -> float:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(view.GetSliceToRAS())
    matrix.Invert()
    return abs(matrix.MultiplyPoint((*place, 1.0))[2])


def _centre(view: Any) -> list[float]:
    matrix = view.GetSliceToRAS()
    return [matrix.GetElement(row, 3) for row in range(3)]


def _transform(scene: Any, kind: str) -> Any:
    """A shift by (10, -4, 7) mm, as a matrix or as a field."""
    if kind == "linear":
        node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        shift = vtk.vtkTransform()
        shift.Translate(10, -4, 7)
        node.SetMatrixTransformToParent(shift.GetMatrix())
        return node
    from slicer import vtkOrientedGridTransform
    from vtk.util.numpy_support import vtk_to_numpy

    grid = vtk.vtkImageData()
    grid.SetDimensions(5, 5, 5)
    grid.SetOrigin(-200, -200, -200)
    grid.SetSpacing(100, 100, 100)
    grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
    vtk_to_numpy(grid.GetPointData().GetScalars())[:] = [10.0, -4.0, 7.0]
    warp = vtkOrientedGridTransform()
    warp.SetDisplacementGridData(grid)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    node.SetAndObserveTransformToParent(warp)
    return node
