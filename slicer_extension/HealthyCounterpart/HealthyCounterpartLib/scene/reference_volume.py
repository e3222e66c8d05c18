"""Puts the picture of a healthy reference into a run's folder, one for each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from HealthyCounterpartLib.problems import ScanProblem
from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.scene.folders import move_into_folder, remove_item
from HealthyCounterpartLib.scene.map_display import add_display
from HealthyCounterpartLib.scene.voxels import set_ijk_to_ras
from HealthyCounterpartLib.translation import _

if TYPE_CHECKING:
    from HealthyCounterpartLib.reference_files import ReferencePicture
    from HealthyCounterpartLib.scene.runs import Run

_BRIGHT = 99.5  # per cent of the brain's voxels lie below the white of the picture


def add_reference(scene: Any, run: Run, picture: ReferencePicture) -> Any:
    """Put a picture into the scene, in the place of the one that the run had.

    Args:
        scene: Where.
        run: The run, as the scene has it now.
        picture: In the coordinates of the run's scan, whose transform it gets.

    Returns:
        The volume.

    Raises:
        ScanProblem: The run's scan is no longer there; the scene is as it was.
    """
    if run.scan is None:
        raise ScanProblem(
            _("The scan was removed from the scene, so nothing can lie beside it."),
            _("Load it again, and generate again."),
        )
    volume = _new_volume(picture)
    marks.mark(
        volume, {marks.RUN: run.id, marks.ROLE: marks.REFERENCE, marks.REFERENCE_ID: picture.id}
    )
    if run.reference is not None:
        remove_reference(scene, run.reference)
    volume.SetName(scene.GenerateUniqueName(volume.GetName()))
    scene.AddNode(volume)
    volume.SetNodeReferenceID(marks.SCAN, run.scan.GetID())
    volume.SetAndObserveTransformNodeID(run.scan.GetTransformNodeID())
    display = add_display(scene, volume)
    white = _white(picture.values)
    display.SetWindowLevel(white, white / 2)
    move_into_folder(scene, run.id, volume)
    return volume


def remove_reference(scene: Any, volume: Any) -> None:
    """Take a picture away again, with what shows it.

    Args:
        scene: Where.
        volume: From `add_reference`.
    """
    displays = [volume.GetNthDisplayNode(n) for n in range(volume.GetNumberOfDisplayNodes())]
    remove_item(scene, volume)
    for node in (volume, *displays):
        if node is not None and scene.IsNodePresent(node):
            scene.RemoveNode(node)


def _new_volume(picture: ReferencePicture) -> Any:
    image = vtk.vtkImageData()
    image.SetDimensions(picture.values.shape[::-1])
    image.AllocateScalars(vtk.VTK_FLOAT, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = picture.values.ravel()
    volume = slicer.vtkMRMLScalarVolumeNode()
    # Not translated, as the words by which a volume of the model is known.
    volume.SetName(marks.node_name(f"Healthy reference {picture.id}"))
    volume.SetAndObserveImageData(image)
    set_ijk_to_ras(volume, picture.ijk_to_ras)
    return volume


def _white(values: np.ndarray) -> float:
    brain = values[values > 0]
    return float(np.percentile(brain, _BRIGHT)) if brain.size else 1.0
