"""A healthy reference beside the scan: where it lies, what is said of it, and what is kept."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import slicer
import vtk
from made_up_runs import Phantom
from slice_pictures import SliceViews

from HealthyCounterpartLib.corner_notes import CornerNotes
from HealthyCounterpartLib.healthy_references import read_references
from HealthyCounterpartLib.overlay import BESIDE, Overlay
from HealthyCounterpartLib.problems import ArrivalProblem, ScanProblem
from HealthyCounterpartLib.reference_files import ReferencePicture
from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
from HealthyCounterpartLib.scene.folders import folder_of, hierarchy_of
from HealthyCounterpartLib.scene.layouts import REFERENCE_VIEW, SCAN_VIEW
from HealthyCounterpartLib.scene.nifti import read_grey_volume
from HealthyCounterpartLib.scene.runs import Run, every_node
from HealthyCounterpartLib.scene.voxels import ijk_to_ras, voxels

OVERLAY = Overlay(hide_below=12.9, saturate_above=60.0)
ANNA, BELA = "reference-0a1b2c3d4e", "reference-1a1b2c3d4e"
SHEARED = np.array(
    [[2.0, 0.3, 0.0, -25.0], [0.1, 2.2, 0.2, -25.0], [0.0, 0.4, 2.1, -20.0], [0, 0, 0, 1.0]]
)
TOLD = {
    "references": [
        {"id": ANNA, "similarity": 0.8123, "rise": 0.0312},
        {"id": "=BELA", "similarity": 0.7, "rise": 0.01},
    ],
    "largest_similarity": 0.8123,
    "p_value": 0.21,
    "held_out": 60,
    "withdrawn": 2,
    "note": "",
    "viewable": True,
}


def a_picture(id: str = ANNA, level: float = 3.0) -> ReferencePicture:
    values = np.zeros((20, 26, 24), np.float32)
    values[2:-2, 2:-2, 2:-2] = level
    values[8, 10, 12] = 2 * level
    return ReferencePicture(id, values, SHEARED)


def references_in(scene: Any) -> list[Any]:
    return [node for node in every_node(scene) if marks.is_reference(node)]


def children(scene: Any, run: Run) -> set[Any]:
    hierarchy = hierarchy_of(scene)
    items: list[int] = []
    hierarchy.GetItemChildren(folder_of(scene, run.id), items, False)
    return {hierarchy.GetItemDataNode(item) for item in items}


def test_a_reference_lies_where_the_file_says_in_the_folder_of_its_run(
    a_scene: Any, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    assert the_counterparts.reference_of(a_run) == ""
    the_counterparts.add_reference(a_run, a_picture())
    assert the_counterparts.reference_of(a_run) == ANNA
    (volume,) = references_in(a_scene)
    assert volume.GetName() == f"Healthy reference {ANNA}"
    np.testing.assert_allclose(ijk_to_ras(volume), SHEARED, atol=1e-6)
    np.testing.assert_array_equal(voxels(volume), a_picture().values)
    assert volume in children(a_scene, a_run)
    assert marks.source_scan(volume) is a_run.scan
    (run,) = the_counterparts.runs()
    assert run.reference is volume and len(run.nodes) == 6


def test_another_reference_takes_the_place_of_the_first(
    a_scene: Any, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    the_counterparts.add_reference(a_run, a_picture())
    count = a_scene.GetNumberOfNodes()
    the_counterparts.add_reference(a_run, a_picture(BELA, 7.0))
    assert the_counterparts.reference_of(a_run) == BELA
    assert [one.GetName() for one in references_in(a_scene)] == [f"Healthy reference {BELA}"]
    assert a_scene.GetNumberOfNodes() == count, "nor does a display stay behind"
    assert None not in children(a_scene, a_run)


def test_it_goes_under_the_transform_of_the_scan(
    a_scene: Any, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(1, 3, 30.0)
    transform.SetMatrixTransformToParent(matrix)
    a_run.scan.SetAndObserveTransformNodeID(transform.GetID())
    the_counterparts.add_reference(a_run, a_picture())
    assert references_in(a_scene)[0].GetParentTransformNode() is transform


def test_without_the_scan_nothing_can_lie_beside_it(
    a_scene: Any, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    a_scene.RemoveNode(a_run.scan)
    count = a_scene.GetNumberOfNodes()
    with pytest.raises(ScanProblem, match="removed"):
        the_counterparts.add_reference(a_run, a_picture())
    assert a_scene.GetNumberOfNodes() == count


def test_scan_and_reference_are_shown_side_by_side_at_one_place(
    a_scene: Any, some_views: SliceViews, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    notes = CornerNotes(a_scene, some_views.renderer_of)
    the_counterparts.add_reference(a_run, a_picture())
    the_counterparts.show(a_run, OVERLAY, BESIDE)
    the_counterparts.select(a_run, 1)
    finding = the_counterparts.rows(a_run)[0].centre_ras_mm
    scan, reference = some_views[SCAN_VIEW], some_views[REFERENCE_VIEW]
    assert scan.place_in_picture(finding) == reference.place_in_picture(finding)
    inside = np.linalg.inv(SHEARED) @ [*finding, 1.0]
    level = a_picture().values[tuple(inside[2::-1].round().astype(int))]
    assert level > 0 and reference.pixel_at(finding)[0] == 255
    assert np.ptp(scan.pixel_at(finding).astype(int)) == 0, "the scan without a map"
    for view in (SCAN_VIEW, REFERENCE_VIEW):
        offset = some_views[view].node.GetSliceOffset()
        assert offset == pytest.approx(finding[2], abs=0.1)
        assert some_views[view].logic.GetSliceCompositeNode().GetLinkedControl()
    props = some_views.renderer_of(REFERENCE_VIEW).GetViewProps()
    texts = [props.GetItemAsObject(index) for index in range(props.GetNumberOfItems())]
    said = [one.GetInput() for one in texts if isinstance(one, vtk.vtkTextActor)]
    assert said == [f"Healthy reference {ANNA}: another person", "R", "L"]
    notes.close()


def test_a_reference_is_never_taken_for_the_patients_scan(
    a_scene: Any, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    the_counterparts.add_reference(a_run, a_picture())
    (volume,) = references_in(a_scene)
    with pytest.raises(ScanProblem, match="another person's scan"):
        the_counterparts.sendable(volume)
    selection = a_scene.AddNode(slicer.vtkMRMLSelectionNode())
    selection.SetActiveVolumeID(volume.GetID())
    assert the_counterparts.active_volume() is a_run.scan


def test_a_run_of_which_the_reference_alone_is_left_is_gone(
    a_scene: Any, the_counterparts: CounterpartScene, a_run: Run
) -> None:
    the_counterparts.add_reference(a_run, a_picture())
    for node in a_run.nodes:
        a_scene.RemoveNode(node)
    assert the_counterparts.runs() == [] and the_counterparts.reference_of(a_run) == ""


def naming_run(
    the_counterparts: CounterpartScene, scan: Any, phantom: Phantom, folder: Path, told: Any
) -> Run:
    delivery = phantom.delivery(folder)
    delivery.references = told
    return the_counterparts.add_run(scan, delivery, "2026-03-01 10:00:00")


def test_references_and_the_picture_are_found_again_in_a_saved_scene(
    a_scene: Any,
    the_counterparts: CounterpartScene,
    a_scan: Any,
    a_phantom: Phantom,
    new_scene: Callable[[], Any],
    tmp_path: Path,
) -> None:
    run = naming_run(the_counterparts, a_scan, a_phantom, tmp_path / "d", TOLD)
    the_counterparts.add_reference(run, a_picture())
    saved = tmp_path / "case.mrb"
    assert a_scene.WriteToMRB(str(saved))
    again = new_scene()
    assert again.ReadFromMRB(str(saved))
    other = CounterpartScene(again)
    (found,) = other.runs()
    assert other.facts(found).references == TOLD
    assert other.reference_of(found) == ANNA
    np.testing.assert_allclose(ijk_to_ras(found.reference), SHEARED, atol=1e-4)
    np.testing.assert_array_equal(voxels(found.reference), a_picture().values)


def test_a_run_from_before_keeps_the_list_that_it_has(
    the_counterparts: CounterpartScene, a_run: Run
) -> None:
    told = json.loads(a_run.provenance.GetText())
    old = [{"id": "healthy-1", "similarity": 0.9}]
    for kept, ids in ((old, ["healthy-1"]), ([], None), (None, None)):
        a_run.provenance.SetText(json.dumps({**told, "references": kept}))
        read = read_references(the_counterparts.facts(a_run).references)
        assert (None if read is None else [one.id for one in read.ranked]) == ids
    del told["references"]
    a_run.provenance.SetText(json.dumps(told))
    assert read_references(the_counterparts.facts(a_run).references) is None


def test_references_go_with_the_exports(
    the_counterparts: CounterpartScene, a_scan: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    run = naming_run(the_counterparts, a_scan, a_phantom, tmp_path / "d", TOLD)
    files = the_counterparts.export_table(run, tmp_path / "findings.csv")
    assert [one.name for one in files] == ["findings.csv", "findings_references.csv"]
    with files[1].open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Reference"] for row in rows] == [ANNA, "'=BELA"]
    assert (rows[0]["Similarity"], rows[0]["Rise"]) == ("0.8123", "0.0312")
    assert (rows[1]["p-value of the scan"], rows[1]["Withdrawn subjects"]) == ("0.21", "2")
    assert rows[0]["Note"] == "AI-generated, research use only"
    maps = the_counterparts.export_maps(run, tmp_path / "maps")
    assert json.loads(maps[-1].read_text())["references"] == TOLD
    assert not any("eference" in one.name for one in maps), "another person's scan stays here"


def test_neither_table_is_written_where_one_is_there_already(
    the_counterparts: CounterpartScene, a_scan: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    run = naming_run(the_counterparts, a_scan, a_phantom, tmp_path / "d", TOLD)
    (tmp_path / "f_references.csv").write_text("mine")
    with pytest.raises(FileExistsError):
        the_counterparts.export_table(run, tmp_path / "f.csv")
    assert not (tmp_path / "f.csv").exists()


def test_a_run_whose_server_gave_a_reason_alone_exports_the_reason(
    the_counterparts: CounterpartScene, a_scan: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    told = {**TOLD, "references": [], "p_value": None, "note": "Nothing was flagged."}
    run = naming_run(the_counterparts, a_scan, a_phantom, tmp_path / "d", told)
    _, beside = the_counterparts.export_table(run, tmp_path / "f.csv")
    assert "Nothing was flagged." in beside.read_text(encoding="utf-8-sig")


def write_nifti(path: Path, **changed: Any) -> Path:
    values = np.moveaxis(a_picture().values, 0, -1).swapaxes(0, 1)
    image = nibabel.Nifti1Image(changed.get("values", values), SHEARED)
    if changed.get("nowhere"):
        image.set_sform(None, code=0)
    nibabel.save(image, path)
    return path


def test_a_picture_is_read_as_it_lies_in_the_file(tmp_path: Path) -> None:
    values, affine = read_grey_volume(write_nifti(tmp_path / "r.nii"))
    np.testing.assert_array_equal(values, a_picture().values)
    np.testing.assert_allclose(affine, SHEARED, atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"nowhere": True}, "does not say where it lies"),
        ({"values": np.full((3, 3, 3), np.nan, np.float32)}, "not numbers"),
        ({"values": np.ones((3, 3, 3), np.int16)}, "another type"),
        ({"values": np.ones((3, 3), np.float32)}, "not a volume"),
    ],
)
def test_a_picture_that_cannot_be_used_is_told(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArrivalProblem, match=words):
        read_grey_volume(write_nifti(tmp_path / "r.nii", **changed))


def test_a_picture_that_broke_off_is_told(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "r.nii")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArrivalProblem, match="in part only"):
        read_grey_volume(path)
