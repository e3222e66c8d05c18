"""Which volume of the scene is meant, and whether it can be sent."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from HealthyCounterpartLib.problems import ScanProblem
from HealthyCounterpartLib.scan_source import SceneScan
from HealthyCounterpartLib.scene.marks import is_reference, is_synthesised, source_scan
from HealthyCounterpartLib.scene.voxels import ijk_to_ras, voxels
from HealthyCounterpartLib.translation import _

# In this order: a T1-weighted FLAIR is T1, and a T1 after contrast agent is T1c.
_NAMES = (
    ("T1", r"t1w?[-_ ]*flair"),
    ("FLAIR", r"flair|dark[-_ ]?fluid"),
    ("T1c", r"t1w?[-_ ]?(c|ce|gd|gad|post|km|\+[-_ ]?c)(?![a-z0-9])"),
    ("T1c", r"(mp2?-?rage|t1w?)[-_ ].*(?<![a-z0-9])(gd|gad[a-z]*|ce|km|post)(?![a-z0-9])"),
    ("T1", r"(?<![a-z0-9])t1w?(?![a-z0-9])|mp2?-?rage"),
    ("T2", r"(?<![a-z0-9])t2w?(?![a-z0-9*]|[-_ ]?(\*|star))"),
)
_SQUARE = 2e-4  # largest cosine between two axes: beyond it NIfTI loses the shear


def sendable_scan(scene: Any, volume: Any) -> SceneScan:
    """The scan as it is sent: a view of its voxels, its geometry, a name without the patient.

    Args:
        scene: Where it lies.
        volume: A volume node, or None.

    Raises:
        ScanProblem: It cannot be sent; says why and what to do.
    """
    _check_kind(scene, volume)
    image = volume.GetImageData()
    if min(image.GetDimensions()) < 2:
        raise ScanProblem(
            _("The chosen scan is a single slice."), _("Choose a scan of the whole head.")
        )
    if image.GetNumberOfScalarComponents() != 1:
        raise ScanProblem(
            _("The chosen volume has colours or several values in a voxel."),
            _("Choose a volume of grey values."),
        )
    matrix = ijk_to_ras(volume)
    _check_geometry(matrix)
    name = "_".join(("scan", contrast_in(volume.GetName() or ""))).rstrip("_")
    return SceneScan(values=voxels(volume), ijk_to_ras=matrix, name=name, owner=image)


def contrast_in(name: str) -> str:
    """The sequence that a volume's name tells.

    Args:
        name: Of the volume.

    Returns:
        ``T1``, ``T1c``, ``T2``, ``FLAIR``, or nothing.
    """
    for contrast, pattern in _NAMES:
        if re.search(pattern, name.lower()):
            return contrast
    return ""


def active_volume(scene: Any) -> Any:
    """The volume that the reader is at: the active one, else what a slice view shows.

    Args:
        scene: Where to look.

    Returns:
        A scan; for a volume that the model made and for a healthy reference, the scan of their run;
        None where there is none.
    """
    selection = scene.GetFirstNodeByClass("vtkMRMLSelectionNode")
    ids = [selection.GetActiveVolumeID()] if selection is not None else []
    composites = scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
    composites.UnRegister(None)
    for index in range(composites.GetNumberOfItems()):
        ids.append(composites.GetItemAsObject(index).GetBackgroundVolumeID())
    for node in (scene.GetNodeByID(one) for one in ids if one):
        found = source_scan(node) if is_synthesised(node) or is_reference(node) else node
        if found is not None and found.IsA("vtkMRMLScalarVolumeNode"):
            return found
    return None


def _check_kind(scene: Any, volume: Any) -> None:
    if volume is None:
        raise ScanProblem(_("No scan is chosen."), _("Load a scan, or choose one of the list."))
    if is_synthesised(volume):
        raise ScanProblem(
            _("The chosen volume was made by the model."), _("Choose the scan itself.")
        )
    if is_reference(volume):
        raise ScanProblem(
            _("The chosen volume is a healthy reference, another person's scan."),
            _("Choose the patient's scan."),
        )
    if volume.IsA("vtkMRMLLabelMapVolumeNode") or not volume.IsA("vtkMRMLScalarVolumeNode"):
        raise ScanProblem(_("The chosen node is not a scan."), _("Choose a volume of grey values."))
    if _is_frame_of_sequence(scene, volume):
        raise ScanProblem(
            _("The chosen volume is one frame of a sequence."),
            _("Clone it in the Data module, and choose the clone."),
        )
    image = volume.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        raise ScanProblem(_("The chosen volume is empty."), _("Load it again, or choose another."))


def _is_frame_of_sequence(scene: Any, volume: Any) -> bool:
    browsers = scene.GetNodesByClass("vtkMRMLSequenceBrowserNode")
    browsers.UnRegister(None)
    found = (browsers.GetItemAsObject(index) for index in range(browsers.GetNumberOfItems()))
    return any(browser.IsProxyNodeID(volume.GetID()) for browser in found)


def _check_geometry(matrix: np.ndarray) -> None:
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or not (lengths > 1e-6).all():
        raise ScanProblem(
            _("The chosen volume's place in space is not defined."),
            _("Load it again, or correct its spacing in the Volumes module."),
        )
    axes = matrix[:3, :3] / lengths
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SQUARE:
        raise ScanProblem(
            _("The chosen volume's axes are not at right angles."),
            _("Resample it first, for example with the module Resample Scalar Volume."),
        )
