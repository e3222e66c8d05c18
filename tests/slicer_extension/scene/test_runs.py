from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from made_up_runs import WEIGHTS, Phantom, Place

from HealthyCounterpartLib.problems import ArrivalProblem, CounterpartProblem, ScanProblem
from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.scene.folders import folder_of, hierarchy_of
from HealthyCounterpartLib.scene.map_display import legend_of
from HealthyCounterpartLib.scene.runs import Run, every_node
from HealthyCounterpartLib.scene.voxels import ijk_to_ras, voxels

LATER = "2026-03-01 11:00:00"


def test_a_run_has_all_its_nodes(a_run: Run, a_scan: Any, a_phantom: Phantom) -> None:
    assert a_run.scan is a_scan
    assert len(a_run.nodes) == 6
    for role in marks.SYNTHESISED:
        volume = getattr(a_run, role)
        assert "AI-generated, research use only" in volume.GetName()
        assert np.array_equal(ijk_to_ras(volume), ijk_to_ras(a_scan))
    assert np.array_equal(voxels(a_run.anomaly).T, a_phantom.anomaly())


def test_each_node_says_where_it_comes_from(a_run: Run) -> None:
    for node in a_run.nodes:
        assert node.GetAttribute(marks.JOB) == "job-1"
        assert node.GetAttribute(marks.MODEL) == "healthy-brain"
        assert node.GetAttribute(marks.WEIGHTS) == WEIGHTS
        assert node.GetAttribute(marks.RUN) == a_run.id
        assert marks.source_scan(node) is a_run.scan


def test_facts_tell_evidence_threshold_and_model(the_counterparts: Any, a_run: Run) -> None:
    facts = the_counterparts.facts(a_run)
    assert facts.threshold == 12.9
    assert facts.evidence["p_value"] == 0.04
    assert facts.warnings == ("thick slices",)
    assert facts.model.weights_sha256 == WEIGHTS
    assert facts.provenance["seed"] == 2**40
    assert (facts.job, facts.contrast, facts.when) == ("job-1", "FLAIR", "2026-03-01 10:00:00")


def test_the_folder_of_a_run_holds_its_scan_and_its_nodes(a_scene: Any, a_run: Run) -> None:
    assert _in_folder(a_scene, a_run) == {a_run.scan, *a_run.nodes}


def test_a_scan_in_a_study_stays_there_and_the_folder_goes_beside_it(
    a_scene: Any, the_counterparts: Any, a_scan: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    hierarchy = hierarchy_of(a_scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    study = hierarchy.CreateStudyItem(patient, "study")
    item = hierarchy.CreateItem(study, a_scan)
    run = the_counterparts.add_run(a_scan, a_phantom.delivery(tmp_path / "d"), LATER)
    assert hierarchy.GetItemParent(item) == study
    assert hierarchy.GetItemParent(folder_of(a_scene, run.id)) == study
    assert _in_folder(a_scene, run) == set(run.nodes)


def test_a_second_run_makes_a_second_folder_and_leaves_the_first(
    a_scene: Any,
    the_counterparts: Any,
    a_run: Run,
    a_scan: Any,
    a_phantom: Phantom,
    tmp_path: Path,
) -> None:
    before = _in_folder(a_scene, a_run)
    delivery = a_phantom.delivery(tmp_path / "d", job="job-2")
    again = the_counterparts.add_run(a_scan, delivery, LATER)
    assert [run.id for run in the_counterparts.runs()] == [again.id, a_run.id]
    assert _in_folder(a_scene, a_run) == before
    assert _in_folder(a_scene, again) == set(again.nodes)
    hierarchy = hierarchy_of(a_scene)
    parents = [hierarchy.GetItemParent(folder_of(a_scene, run.id)) for run in (a_run, again)]
    assert parents == [hierarchy.GetSceneItemID()] * 2


def test_runs_of_one_second_have_different_names(
    the_counterparts: Any, a_run: Run, a_scan: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    for number in (2, 3):
        delivery = a_phantom.delivery(tmp_path / str(number))
        the_counterparts.add_run(a_scan, delivery, "2026-03-01 10:00:00")
    assert len({run.name for run in the_counterparts.runs()}) == 3


def test_a_run_keeps_its_name_when_its_scan_is_renamed(the_counterparts: Any, a_run: Run) -> None:
    a_run.scan.SetName("another")
    assert the_counterparts.runs()[0].name == a_run.name


@pytest.mark.parametrize("role", [*marks.ROLES, "scan"])
def test_a_node_that_the_reader_removed_is_missed_but_breaks_nothing(
    a_scene: Any, the_counterparts: Any, a_run: Run, role: str, tmp_path: Path
) -> None:
    a_scene.RemoveNode(getattr(a_run, role))
    (found,) = the_counterparts.runs()
    assert getattr(found, role) is None
    assert len([node for node in (*found.nodes, found.scan) if node is not None]) == 6
    overlay = the_counterparts.default_overlay(a_run, "score")
    for shown in (found, a_run):
        the_counterparts.show(shown, overlay, "row")
        the_counterparts.recolour(shown, overlay)
        the_counterparts.hold_original(shown, True, overlay)
        the_counterparts.select(shown, 1)
        assert the_counterparts.facts(shown).threshold == 12.9
        assert the_counterparts.slider_maximum(shown, "residual") > 0
    assert [row.number for row in the_counterparts.rows(a_run)] == [1, 2]


def test_a_run_of_which_nothing_is_left_is_gone(
    a_scene: Any, the_counterparts: Any, a_run: Run
) -> None:
    for node in a_run.nodes:
        a_scene.RemoveNode(node)
    assert the_counterparts.runs() == []
    assert the_counterparts.rows(a_run) == []
    the_counterparts.show(a_run, the_counterparts.default_overlay(a_run, "score"), "four-up")
    with pytest.raises(CounterpartProblem):
        the_counterparts.set_state(a_run, 1, "accepted")


def test_a_copy_that_the_reader_made_does_not_replace_the_original(
    a_scene: Any, the_counterparts: Any, a_run: Run
) -> None:
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.Copy(a_run.anomaly)
    a_scene.AddNode(copy)
    (found,) = the_counterparts.runs()
    assert found.anomaly is a_run.anomaly


def _break(name: str, phantom: Phantom, folder: Path) -> Any:
    delivery = phantom.delivery(folder)
    if name == "a map of another head":
        other = replace(phantom, affine=np.diag([2.0, 2.0, 2.0, 1.0]))
        delivery.files["anomaly"] = other.files(folder / "other")["anomaly"]
    elif name == "no mask":
        del delivery.files["mask"]
    elif name == "a finding elsewhere":
        delivery.findings["findings"][1]["centre_ras_mm"] = [500.0, 0.0, 0.0]
    elif name == "findings of another form":
        delivery.findings["findings"] = [{"number": "one"}]
    return delivery


@pytest.mark.parametrize(
    "name",
    ["a map of another head", "no mask", "a finding elsewhere", "findings of another form"],
)
def test_what_is_wrong_leaves_the_scene_as_it_was(
    a_scene: Any,
    the_counterparts: Any,
    a_scan: Any,
    a_phantom: Phantom,
    name: str,
    tmp_path: Path,
) -> None:
    before = _state(a_scene)
    with pytest.raises(ArrivalProblem):
        the_counterparts.add_run(a_scan, _break(name, a_phantom, tmp_path), LATER)
    assert _state(a_scene) == before


@pytest.mark.parametrize("after", range(0, 17, 4))
def test_a_failure_within_the_scene_leaves_it_as_it_was(
    a_scene: Any,
    the_counterparts: Any,
    a_scan: Any,
    a_phantom: Phantom,
    after: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from HealthyCounterpartLib.scene import arrival

    hierarchy = hierarchy_of(a_scene)
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_scan)
    before = _state(a_scene)
    calls: list[Any] = []

    def fail_later(self: Any, node: Any) -> None:
        self._added.append(node)
        calls.append(node)
        if len(calls) > after:
            raise MemoryError

    def fail(*_arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(arrival._Arrival, "_remember", fail_later)
    if after == 16:
        monkeypatch.setattr(arrival, "draw_outlines", fail)
    with pytest.raises(MemoryError):
        the_counterparts.add_run(a_scan, a_phantom.delivery(tmp_path), LATER)
    assert _state(a_scene) == before


def test_a_failure_after_the_folder_was_made_leaves_the_scan_where_it_was(
    a_scene: Any,
    the_counterparts: Any,
    a_scan: Any,
    a_phantom: Phantom,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from HealthyCounterpartLib.scene import arrival, folders

    hierarchy = hierarchy_of(a_scene)
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_scan)
    before = _state(a_scene)

    def fail_at_the_end(*arguments: Any) -> None:
        folders.add_folder(*arguments)
        raise MemoryError

    monkeypatch.setattr(arrival, "add_folder", fail_at_the_end)
    with pytest.raises(MemoryError):
        the_counterparts.add_run(a_scan, a_phantom.delivery(tmp_path), LATER)
    assert _state(a_scene) == before


def test_a_synthesised_volume_cannot_be_sent_and_stands_for_its_scan(
    a_scene: Any, the_counterparts: Any, a_run: Run
) -> None:
    with pytest.raises(ScanProblem, match="made by the model"):
        the_counterparts.sendable(a_run.counterpart)
    selection = a_scene.AddNode(slicer.vtkMRMLSelectionNode())
    selection.SetActiveVolumeID(a_run.counterpart.GetID())
    assert the_counterparts.active_volume() is a_run.scan


def test_results_go_under_the_transform_of_their_scan(
    a_scene: Any, the_counterparts: Any, a_scan: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(1, 3, 30.0)
    transform.SetMatrixTransformToParent(matrix)
    a_scan.SetAndObserveTransformNodeID(transform.GetID())
    run = the_counterparts.add_run(a_scan, a_phantom.delivery(tmp_path / "d"), LATER)
    for node in (run.counterpart, run.residual, run.anomaly, run.segmentation):
        assert node.GetParentTransformNode() is transform


def test_a_scan_without_findings_has_an_empty_table_and_segmentation(
    a_scene: Any, the_counterparts: Any, tmp_path: Path
) -> None:
    healthy = Phantom(places=())
    scan = healthy.scan(a_scene)
    run = the_counterparts.add_run(scan, healthy.delivery(tmp_path / "d"), LATER)
    assert the_counterparts.rows(run) == []
    assert run.segmentation.GetSegmentation().GetNumberOfSegments() == 0
    the_counterparts.show(run, the_counterparts.default_overlay(run, "score"), "single")


def test_words_of_the_server_cannot_spoil_the_scene(
    a_scene: Any, the_counterparts: Any, a_scan: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    delivery = a_phantom.delivery(tmp_path / "d")
    delivery.provenance["model"] = 'x"/><evil a="\n\x01' + "y" * 5000
    delivery.findings["findings"][0]["region"] = 'lobe"\n\t<b>'
    run = the_counterparts.add_run(a_scan, delivery, LATER)
    model = run.anomaly.GetAttribute(marks.MODEL)
    assert len(model) <= 200
    assert model.isprintable()
    assert the_counterparts.rows(run)[0].region == "lobe” <b>"


def test_a_study_of_the_server_becomes_a_volume(
    a_scene: Any, the_counterparts: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    path = a_phantom.files(tmp_path)["counterpart"]
    volume = the_counterparts.add_study(path, "../sub-01\n_FLAIR", "http://server:8000")
    assert volume.GetScene() is a_scene
    assert volume.GetName() == "../sub-01 _FLAIR"
    assert volume.GetDisplayNode() is not None
    assert volume.GetStorageNode() is None
    before = _state(a_scene)
    (tmp_path / "broken.nii.gz").write_bytes(b"nothing")
    with pytest.raises(ArrivalProblem):
        the_counterparts.add_study(tmp_path / "broken.nii.gz", "x", "http://server:8000")
    assert _state(a_scene) == before


def test_a_study_is_found_again_by_its_id_and_server(
    a_scene: Any, the_counterparts: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    path = a_phantom.files(tmp_path)["counterpart"]
    volume = the_counterparts.add_study(path, "sub-01", "http://server:8000")
    assert the_counterparts.study_volume("sub-01", "http://server:8000") is volume
    assert the_counterparts.study_volume("sub-01", "http://other:8000") is None
    assert the_counterparts.holds(volume)
    a_scene.RemoveNode(volume)
    assert not the_counterparts.holds(volume)
    assert the_counterparts.study_volume("sub-01", "http://server:8000") is None


def test_the_maps_have_a_legend_with_a_unit(a_run: Run) -> None:
    assert "score" in legend_of(a_run.anomaly).GetTitleText()
    assert "spreads" in legend_of(a_run.residual).GetTitleText()


def test_a_thousand_nodes_do_not_hide_a_run(
    a_scene: Any, the_counterparts: Any, a_run: Run
) -> None:
    for number in range(1000):
        a_scene.AddNewNodeByClass("vtkMRMLTextNode", f"note {number}")
    assert [run.id for run in the_counterparts.runs()] == [a_run.id]


def test_a_large_scan_is_neither_copied_when_sent_nor_kept_twice(
    a_scene: Any, the_counterparts: Any, tmp_path: Path
) -> None:
    places = (Place((10, 10, 10), (20, 20, 20), 40.0), Place((60, 60, 60), (66, 66, 66), -40.0))
    phantom = Phantom(shape=(96, 96, 96), affine=np.eye(4), places=places)
    run = the_counterparts.add_run(phantom.scan(a_scene), phantom.delivery(tmp_path / "d"), LATER)
    segments = run.segmentation.GetSegmentation()
    labelmap = segments.GetNthSegment(0).GetRepresentation("Binary labelmap")
    assert labelmap is segments.GetNthSegment(1).GetRepresentation("Binary labelmap")
    assert labelmap.GetDimensions() == (57, 57, 57)  # the box round the findings alone


def _in_folder(scene: Any, run: Run) -> set[Any]:
    hierarchy = hierarchy_of(scene)
    children: list[int] = []
    hierarchy.GetItemChildren(folder_of(scene, run.id), children, False)
    return {hierarchy.GetItemDataNode(item) for item in children}


def _state(scene: Any) -> Any:
    nodes = [(node.GetID(), node.GetName()) for node in every_node(scene)]
    hierarchy = hierarchy_of(scene)
    items: list[int] = []
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    placed = [(item, hierarchy.GetItemParent(item)) for item in items]
    return [one for one in nodes if "SubjectHierarchy" not in one[0]], placed
