"""Reads where a scan's voxels lie from its header alone, in a millisecond or two."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from counterpart.errors import ScanError
from counterpart.formats.nifti_image import NIFTI_SUFFIXES
from counterpart.formats.scan_checks import check_memory, checked_affine, spatial_shape
from counterpart.formats.stored_image import LPS_FROM_RAS
from counterpart.grid import Grid
from counterpart.pose import THICK_SLICE_MM
from counterpart.scans import SCAN_SUFFIXES

_BAD_HEADER = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
)


def header_grid(path: Path) -> Grid | None:
    """The grid of a scan by its header; None for what is told only by reading it (DICOM).

    Args:
        path: Of the file.

    Raises:
        ScanError: The file is not there, its header cannot be read, or it is no head's.
    """
    if not path.exists():
        raise ScanError(f"{path}: no such file.")
    if not path.is_file() or not path.name.lower().endswith(SCAN_SUFFIXES):
        return None
    try:
        stored, affine = _nifti(path) if _is_nifti(path) else _other(path)
    except _BAD_HEADER as error:
        told = str(error).replace(str(path), path.name)
        words = " ".join(told.split()) or type(error).__name__
        raise ScanError(
            f"{path}: the header cannot be read ({words[:120]}). Export the scan again."
        ) from error
    shape = spatial_shape(path, stored)
    check_memory(path, shape)
    return Grid(shape, checked_affine(path, affine))


def slice_thickness_mm(grid: Grid) -> float:
    """Voxel size along the axis that lies nearest to the head's own, as training takes it."""
    towards_head = np.abs(grid.affine[2, :3]) / np.array(grid.spacing)
    return grid.spacing[int(np.argmax(towards_head))]


def refuse_thick(path: Path, grid: Grid) -> None:
    """Refuse slices that a cohort cannot hold, whatever it is for.

    Raises:
        ScanError: They are thicker than 3 mm.
    """
    thickness = slice_thickness_mm(grid)
    if thickness > THICK_SLICE_MM:
        raise ScanError(
            f"{path}: slices of {thickness:.1f} mm; a cohort needs {THICK_SLICE_MM:.0f} mm or "
            "thinner. Mark a series with thinner slices."
        )


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def _nifti(path: Path) -> tuple[tuple[int, ...], np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    image = nib.load(path)
    return tuple(image.shape), np.asarray(image.affine, np.float64)  # type: ignore[attr-defined]


def _other(path: Path) -> tuple[tuple[int, ...], np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    axes = reader.GetDimension()
    direction = np.array(reader.GetDirection()).reshape(axes, axes)
    lps = np.eye(4)
    if axes >= 3:
        lps[:3, :3] = direction[:3, :3] * np.array(reader.GetSpacing()[:3])
        lps[:3, 3] = reader.GetOrigin()[:3]
    return tuple(reader.GetSize()), LPS_FROM_RAS @ lps
