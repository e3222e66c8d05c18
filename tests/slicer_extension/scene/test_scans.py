from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from made_up_runs import Phantom

from HealthyCounterpartLib.problems import ScanProblem
from HealthyCounterpartLib.scene.scans import active_volume, contrast_in, sendable_scan
from HealthyCounterpartLib.scene.voxels import ijk_to_ras, set_ijk_to_ras, voxels


def test_a_scan_is_sent_as_a_view_of_its_own_voxels(
    a_scene: Any, a_scan: Any, a_phantom: Phantom
) -> None:
    sent = sendable_scan(a_scene, a_scan)
    assert np.shares_memory(sent.values, voxels(a_scan))
    assert sent.values.shape == a_phantom.shape[::-1]
    assert np.array_equal(sent.values.T, a_phantom.values())
    assert np.allclose(sent.ijk_to_ras, a_phantom.affine, atol=1e-12)


def test_voxels_outlive_a_removed_scan(a_scene: Any, a_scan: Any) -> None:
    sent = sendable_scan(a_scene, a_scan)
    expected = sent.values.copy()
    a_scene.RemoveNode(a_scan)
    del a_scan
    assert np.array_equal(sent.values, expected)


def test_geometry_is_sent_without_the_parent_transform(a_scene: Any, a_scan: Any) -> None:
    before = sendable_scan(a_scene, a_scan).ijk_to_ras
    moved = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 50.0)
    moved.SetMatrixTransformToParent(matrix)
    a_scan.SetAndObserveTransformNodeID(moved.GetID())
    assert np.array_equal(sendable_scan(a_scene, a_scan).ijk_to_ras, before)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Mustermann^Max FLAIR 3D", "FLAIR"),
        ("12: t2_flair_sag", "FLAIR"),
        ("t1_flair", "T1"),
        ("sub-01_T1w", "T1"),
        ("BRATS_t1ce", "T1c"),
        ("T1 MPRAGE post Gd", "T1c"),
        ("mprage_km", "T1c"),
        ("T1GD", "T1c"),
        ("T2 TSE ax", "T2"),
        ("t2star_gre", ""),
        ("T2*", ""),
        ("Meyer T10 spine", ""),
        ("DWI b1000", ""),
    ],
)
def test_only_the_contrast_of_a_name_is_sent(
    a_scene: Any, a_scan: Any, name: str, expected: str
) -> None:
    a_scan.SetName(name)
    assert contrast_in(name) == expected
    assert sendable_scan(a_scene, a_scan).name == ("scan_" + expected).rstrip("_")


def test_what_is_no_scan_is_refused_with_its_reason(a_scene: Any, a_scan: Any) -> None:
    empty = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    labels = a_scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    labels.SetAndObserveImageData(a_scan.GetImageData())
    colours = _volume(a_scene, (4, 4, 4), components=3)
    flat = _volume(a_scene, (8, 8, 1))
    reasons = []
    for volume in (None, empty, labels, colours, flat):
        with pytest.raises(ScanProblem) as problem:
            sendable_scan(a_scene, volume)
        assert problem.value.cure
        reasons.append(problem.value.sentence)
    assert len(set(reasons)) == 5


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.__setitem__((0, 3), np.nan),
        lambda m: m.__setitem__((slice(0, 3), 1), 0.0),
        lambda m: m.__setitem__((0, 1), m[0, 1] + 0.3),
    ],
    ids=["not finite", "singular", "sheared"],
)
def test_a_scan_without_a_proper_place_is_refused(a_scene: Any, a_scan: Any, change: Any) -> None:
    matrix = ijk_to_ras(a_scan)
    change(matrix)
    set_ijk_to_ras(a_scan, matrix)
    with pytest.raises(ScanProblem):
        sendable_scan(a_scene, a_scan)


def test_a_frame_of_a_sequence_is_refused(a_scene: Any, a_scan: Any) -> None:
    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    sequence.SetDataNodeAtValue(a_scan, "0")
    browser = a_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(a_scan, sequence, False)
    with pytest.raises(ScanProblem, match="sequence"):
        sendable_scan(a_scene, a_scan)


def test_the_active_volume_is_the_selected_one_or_that_of_a_view(a_scene: Any, a_scan: Any) -> None:
    assert active_volume(a_scene) is None
    composite = slicer.vtkMRMLSliceCompositeNode()
    composite.SetLayoutName("Red")
    a_scene.AddNode(composite)
    composite.SetBackgroundVolumeID(a_scan.GetID())
    assert active_volume(a_scene) is a_scan
    other = _volume(a_scene, (4, 4, 4))
    selection = a_scene.AddNode(slicer.vtkMRMLSelectionNode())
    selection.SetActiveVolumeID(other.GetID())
    assert active_volume(a_scene) is other


def _volume(scene: Any, dimensions: tuple[int, int, int], components: int = 1) -> Any:
    image = vtk.vtkImageData()
    image.SetDimensions(dimensions)
    image.AllocateScalars(vtk.VTK_SHORT, components)
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    volume.SetAndObserveImageData(image)
    return volume
