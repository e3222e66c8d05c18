"""Voxels and geometry of a volume node as numpy sees them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy


def voxels(volume: Any) -> np.ndarray:
    """View of a volume's voxels, not a copy.

    Args:
        volume: Volume node with one component.

    Returns:
        (K, J, I) view; it lives as long as the node's image.
    """
    return image_values(volume.GetImageData())


def image_values(image: vtk.vtkImageData) -> np.ndarray:
    """(K, J, I) view of an image's values, which have one component; not a copy."""
    values: np.ndarray = vtk_to_numpy(image.GetPointData().GetScalars())
    return values.reshape(image.GetDimensions()[::-1])


def ijk_to_ras(volume: Any) -> np.ndarray:
    """(4, 4) voxel to RAS mm of a volume, float64, without its parent transform."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return from_vtk(matrix)


def set_ijk_to_ras(volume: Any, matrix: np.ndarray) -> None:
    """Give a volume its (4, 4) voxel to RAS mm."""
    volume.SetIJKToRASMatrix(to_vtk(matrix))


def from_vtk(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """(4, 4) float64 of a VTK matrix."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def to_vtk(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """VTK matrix of a (4, 4) array."""
    made = vtk.vtkMatrix4x4()
    made.DeepCopy([float(value) for value in matrix.ravel()])
    return made


def flip_in_place(values: np.ndarray, axis: int) -> None:
    """Turn an axis round, with one slice of it as the only extra memory.

    Args:
        values: (K, J, I) array that is changed.
        axis: 0 to 2.
    """
    slices = np.moveaxis(values, axis, 0)
    for first in range(len(slices) // 2):
        last = len(slices) - 1 - first
        kept = slices[first].copy()
        slices[first] = slices[last]
        slices[last] = kept


def hash_of(volume: Any) -> str:
    """A hash of a volume's voxels; empty for an empty one.

    Args:
        volume: Volume node.
    """
    image = volume.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        return ""
    return hashlib.sha256(np.ascontiguousarray(image_values(image)).data).hexdigest()
