"""Reads the maps that arrived, checks them against the scan, and puts them on its grid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from HealthyCounterpartLib.problems import ArrivalProblem
from HealthyCounterpartLib.scene.nifti import FLOAT32, UINT8, check_nifti
from HealthyCounterpartLib.scene.voxels import flip_in_place, ijk_to_ras, set_ijk_to_ras, voxels
from HealthyCounterpartLib.translation import _

TOLERANCE = 1e-3  # of each entry of voxel to RAS
CORNER_SHARE = 0.1  # of a voxel, by which a corner of the grid may be off
SLAB_VOXELS = 1 << 22


def read_map(path: Path, scan: Any) -> Any:
    """A signed or grey map that belongs to a scan, as a node that is not in the scene yet.

    Args:
        path: Uncompressed NIfTI file, float32.
        scan: Volume node it must fit.

    Raises:
        ArrivalProblem: It does not fit, or holds values that are not finite.
    """
    return _read_on_grid(path, scan, FLOAT32)


def read_mask(path: Path, scan: Any) -> Any:
    """The mask of findings, as a node that is not in the scene yet.

    Args:
        path: Uncompressed NIfTI file, uint8, 1 where a finding is.
        scan: Volume node it must fit.

    Raises:
        ArrivalProblem: It does not fit, or holds other values than 0 and 1.
    """
    volume = _read_on_grid(path, scan, UINT8)
    if any(slab.max() > 1 for slab in slabs(voxels(volume))):
        raise ArrivalProblem(
            _("{name} holds other values than 0 and 1.").format(name=path.name),
            _("Ask the server's administrator to update the server."),
        )
    return volume


def read_volume(path: Path) -> Any:
    """Any volume that Slicer's reader takes, as a node that is not in the scene yet.

    Args:
        path: The file.

    Raises:
        ArrivalProblem: It cannot be read.
    """
    volume = slicer.vtkMRMLScalarVolumeNode()
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetSingleFile(1)
    storage.SetFileName(str(path))
    if not storage.ReadData(volume) or volume.GetImageData() is None:
        raise ArrivalProblem(
            _("Slicer cannot read {name}.").format(name=path.name),
            _("Fetch it again; if it happens again, tell the server's administrator."),
        )
    return volume


def slabs(values: np.ndarray) -> Iterator[np.ndarray]:
    """Parts of an array along its first axis, small enough to compute with.

    Args:
        values: (K, J, I) array.
    """
    step = max(1, SLAB_VOXELS // max(1, values[0].size))
    for start in range(0, len(values), step):
        yield values[start : start + step]


def _read_on_grid(path: Path, scan: Any, kind: int) -> Any:
    path = Path(path)
    check_nifti(path, scan.GetImageData().GetDimensions(), kind)
    volume = read_volume(path)
    expected = (np.float32 if kind == FLOAT32 else np.uint8)().dtype
    if volume.GetImageData().GetDimensions() != scan.GetImageData().GetDimensions():
        raise _elsewhere(path)
    if voxels(volume).dtype != expected:
        raise ArrivalProblem(
            _("{name} holds values of another type than was agreed.").format(name=path.name),
            _("Ask the server's administrator to update the server."),
        )
    _put_on_grid(volume, scan, path)
    return volume


def _put_on_grid(volume: Any, scan: Any, path: Path) -> None:
    """Turn axes back that the reader turned, so that voxels pair up with the scan's."""
    wanted, got = ijk_to_ras(scan), ijk_to_ras(volume)
    values = voxels(volume)
    for axis in range(3):
        if wanted[:3, axis] @ got[:3, axis] < 0:
            got = got @ _turned(axis, values.shape[2 - axis])
            flip_in_place(values, 2 - axis)
    corners = np.array(np.meshgrid(*([0, n - 1] for n in values.shape[::-1]))).reshape(3, -1)
    apart = (got - wanted) @ np.vstack([corners, np.ones(8)])
    smallest = np.linalg.norm(wanted[:3, :3], axis=0).min()
    if np.abs(got - wanted).max() > TOLERANCE or np.abs(apart).max() > CORNER_SHARE * smallest:
        raise _elsewhere(path)
    volume.GetImageData().GetPointData().GetScalars().Modified()
    set_ijk_to_ras(volume, wanted)  # exactly the scan's, so that the layers share one grid


def _turned(axis: int, length: int) -> np.ndarray:
    matrix = np.eye(4)
    matrix[axis, axis] = -1
    matrix[axis, 3] = length - 1
    return matrix


def _elsewhere(path: Path) -> ArrivalProblem:
    return ArrivalProblem(
        _("{name} lies elsewhere in space than the scan.").format(name=path.name),
        _("Generate again; if it happens again, tell the server's administrator."),
    )
