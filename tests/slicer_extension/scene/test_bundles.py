"""A run in a scene that was saved as a bundle and read into a fresh one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk
from made_up_runs import Phantom

from HealthyCounterpartLib.overlay import Overlay
from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
from HealthyCounterpartLib.scene.folders import folder_of, hierarchy_of
from HealthyCounterpartLib.scene.map_display import legend_of
from HealthyCounterpartLib.scene.runs import Run
from HealthyCounterpartLib.scene.voxels import ijk_to_ras, voxels

OVERLAY = Overlay(sign="brighter", hide_below=14.0, saturate_above=44.0, opacity=0.6)


@pytest.fixture
def a_worked_run(the_counterparts: Any, a_run: Run) -> Run:
    """A run with states, comments and a display of the reader's choice."""
    the_counterparts.show(a_run, OVERLAY, "row")
    the_counterparts.set_state(a_run, 1, "rejected")
    the_counterparts.set_state(a_run, 2, "accepted")
    the_counterparts.set_comment(a_run, 1, 'artefact, "motion";\ttooth <&> Größe')
    the_counterparts.set_comment(a_run, 2, "= new since 2024")
    return a_run


@pytest.fixture
def loaded(
    a_scene: Any, a_worked_run: Run, new_scene: Callable[[], Any], tmp_path: Path
) -> tuple[Any, CounterpartScene, Run]:
    assert a_scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    fresh = new_scene()
    assert fresh.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    counterparts = CounterpartScene(fresh)
    (run,) = counterparts.runs()
    return fresh, counterparts, run


def test_a_run_is_found_again_with_all_its_nodes(loaded: Any, a_worked_run: Run) -> None:
    _scene, _counterparts, run = loaded
    assert (run.id, run.name) == (a_worked_run.id, a_worked_run.name)
    assert len(run.nodes) == 6
    assert run.scan.GetName() == a_worked_run.scan.GetName()
    for role in marks.SYNTHESISED:
        before, after = getattr(a_worked_run, role), getattr(run, role)
        assert np.array_equal(voxels(before), voxels(after))
        assert np.allclose(ijk_to_ras(before), ijk_to_ras(after), atol=1e-6)
        assert after.GetName() == before.GetName()
        assert after.GetAttribute(marks.WEIGHTS) == before.GetAttribute(marks.WEIGHTS)


def test_states_and_comments_are_found_again(
    loaded: Any, the_counterparts: Any, a_worked_run: Run
) -> None:
    _scene, counterparts, run = loaded
    rows = counterparts.rows(run)
    assert rows == the_counterparts.rows(a_worked_run)
    assert [row.state for row in rows] == ["rejected", "accepted"]
    assert rows[0].comment == "artefact, ”motion”; tooth <&> Größe"


def test_facts_are_found_again(loaded: Any, the_counterparts: Any, a_worked_run: Run) -> None:
    _scene, counterparts, run = loaded
    assert counterparts.facts(run) == the_counterparts.facts(a_worked_run)


def test_colours_are_found_again_also_the_transparent_ones(loaded: Any, a_worked_run: Run) -> None:
    _scene, _counterparts, run = loaded
    before, after = (one.anomaly.GetDisplayNode() for one in (a_worked_run, run))
    tables = [display.GetColorNode().GetLookupTable() for display in (before, after)]
    values = [[table.GetTableValue(step) for step in range(256)] for table in tables]
    assert np.allclose(values[0], values[1], atol=1 / 255)
    alpha = {value[3] for value in values[1]}
    assert alpha == {0.0, 1.0}
    assert tables[1].GetRange() == (0.0, 255.0)
    assert after.GetWindow() == pytest.approx(before.GetWindow(), rel=1e-5)
    assert (after.GetLevel(), after.GetInterpolate(), after.GetAutoWindowLevel()) == (0.0, 0, 0)


def test_the_legend_is_found_again(loaded: Any, a_worked_run: Run) -> None:
    _scene, _counterparts, run = loaded
    legend = legend_of(run.anomaly)
    assert legend.GetTitleText() == legend_of(a_worked_run.anomaly).GetTitleText()
    assert legend.GetPrimaryDisplayNode() is run.anomaly.GetDisplayNode()
    assert legend.GetVisibility() == 1


def test_segments_are_found_again(loaded: Any, a_worked_run: Run) -> None:
    _scene, _counterparts, run = loaded
    before, after = (one.segmentation.GetSegmentation() for one in (a_worked_run, run))
    assert after.GetNumberOfSegments() == 2
    for index in range(2):
        old, new = before.GetNthSegment(index), after.GetNthSegment(index)
        assert after.GetNthSegmentID(index) == before.GetNthSegmentID(index)
        assert new.GetName() == old.GetName()
        assert new.GetColor() == pytest.approx(old.GetColor(), abs=0.01)
        counts = [_count(one) for one in (old, new)]
        assert counts[0] == counts[1] > 50


def test_the_folder_is_found_again(loaded: Any) -> None:
    scene, _counterparts, run = loaded
    hierarchy = hierarchy_of(scene)
    children: list[int] = []
    hierarchy.GetItemChildren(folder_of(scene, run.id), children, False)
    assert {hierarchy.GetItemDataNode(item) for item in children} == {run.scan, *run.nodes}


def test_a_loaded_run_can_be_worked_with(loaded: Any, a_phantom: Phantom, tmp_path: Path) -> None:
    _scene, counterparts, run = loaded
    counterparts.show(run, counterparts.default_overlay(run, "residual"), "four-up")
    counterparts.set_state(run, 1, "open")
    counterparts.select(run, 2)
    again = counterparts.add_run(
        run.scan, a_phantom.delivery(tmp_path / "again", job="job-2"), "2026-03-02 10:00:00"
    )
    assert [one.id for one in counterparts.runs()] == [again.id, run.id]


def test_a_transform_is_found_again(
    a_scene: Any, a_run: Run, new_scene: Callable[[], Any], tmp_path: Path
) -> None:
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 12.0)
    transform.SetMatrixTransformToParent(matrix)
    for node in (a_run.scan, a_run.anomaly):
        node.SetAndObserveTransformNodeID(transform.GetID())
    assert a_scene.WriteToMRB(str(tmp_path / "moved.mrb"))
    fresh = new_scene()
    assert fresh.ReadFromMRB(str(tmp_path / "moved.mrb"), True)
    (run,) = CounterpartScene(fresh).runs()
    assert run.anomaly.GetParentTransformNode() is run.scan.GetParentTransformNode()
    assert run.anomaly.GetParentTransformNode() is not None


def test_a_bundle_that_is_added_to_a_scene_keeps_both_runs(
    a_scene: Any, a_worked_run: Run, new_scene: Callable[[], Any], tmp_path: Path
) -> None:
    assert a_scene.WriteToMRB(str(tmp_path / "first.mrb"))
    second = new_scene()
    phantom = Phantom(name="other T1")
    counterparts = CounterpartScene(second)
    other = counterparts.add_run(
        phantom.scan(second), phantom.delivery(tmp_path / "other"), "2026-03-03 10:00:00"
    )
    assert second.ReadFromMRB(str(tmp_path / "first.mrb"), False)
    found = {run.id: run for run in counterparts.runs()}
    assert set(found) == {other.id, a_worked_run.id}
    assert found[other.id].scan.GetName() == "other T1"
    assert found[a_worked_run.id].scan.GetName() == a_worked_run.scan.GetName()
    assert [row.state for row in counterparts.rows(found[a_worked_run.id])] == [
        "rejected",
        "accepted",
    ]


def _count(segment: Any) -> int:
    from vtk.util.numpy_support import vtk_to_numpy

    image = segment.GetRepresentation("Binary labelmap")
    return int((vtk_to_numpy(image.GetPointData().GetScalars()) == segment.GetLabelValue()).sum())
