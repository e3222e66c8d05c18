"""Reads brain scans from disk and writes maps back on the same grid, refusing what is no scan."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ScanError
from counterpart.grid import Grid

_UNREADABLE = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    OSError,
    EOFError,
    ValueError,
    zlib.error,
)
NIFTI_SUFFIXES = (".nii.gz", ".nii")
MIN_SLICES = 8
SPACING_RANGE_MM = (0.2, 10.0)


@dataclass(frozen=True, eq=False)
class Scan:
    """One 3-D scan.

    Args:
        values: (I, J, K) float32, scale and offset of the file applied.
        grid: Shape and affine as stored.
        name: File name without extension.
        codes: qform and sform code of the file, kept in everything written for it.
    """

    values: NDArray[np.float32]
    grid: Grid
    name: str
    codes: tuple[int, int] = (1, 1)


def scan_name(path: Path) -> str:
    """The file's name without its NIfTI extension."""
    for suffix in NIFTI_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def is_nifti(path: Path) -> bool:
    """Whether the file's name says that it is NIfTI."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def companion(path: Path, subject: str, kind: str) -> Path | None:
    """The file ``<subject><kind>`` beside a scan (``_brain``, ``_mask``, …), if there is one."""
    for suffix in NIFTI_SUFFIXES:
        beside = path.with_name(subject + kind + suffix)
        if beside.is_file():
            return beside
    return None


def read_scan(path: Path | str) -> Scan:
    """Read a NIfTI scan and check that it can be a brain scan.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.

    Returns:
        The scan on its stored grid.

    Raises:
        ScanError: The file is missing, not NIfTI, truncated, not 3-D, not finite, constant, has
            fewer than 8 slices in some direction, or has an unusable affine.
    """
    path = Path(path)
    image = _open(path)
    shape = _spatial_shape(path, image)
    affine = _checked_affine(path, image)
    values = _load_values(path, image).reshape(shape)
    _check_values(path, values)
    header: Any = image.header
    codes = (int(header["qform_code"]), int(header["sform_code"]))
    return Scan(values, Grid(shape, affine), scan_name(path), codes)


def read_mask(path: Path | str, grid: Grid) -> NDArray[np.bool_]:
    """Read a mask that must lie on ``grid``; every non-zero voxel belongs to it.

    Raises:
        ScanError: The file cannot be read, lies on another grid, or is empty.
    """
    path = Path(path)
    image = _open(path)
    shape = _spatial_shape(path, image)
    affine = _checked_affine(path, image)
    if shape != grid.shape or not np.allclose(affine, grid.affine, atol=1e-3):
        raise ScanError(
            f"{path}: the mask must lie on the scan's grid {grid.shape}, but has shape {shape}"
            f"{' and another affine' if shape == grid.shape else ''}. Resample it to the scan."
        )
    mask: NDArray[np.bool_] = np.nan_to_num(_load_values(path, image).reshape(shape)) != 0
    if not mask.any():
        raise ScanError(f"{path}: the mask is empty. Give a mask that covers the brain.")
    return mask


def write_map(path: Path, values: NDArray[Any], like: Scan) -> None:
    """Write values (I, J, K) as NIfTI on exactly the grid of ``like``, its codes kept."""
    if values.shape != like.grid.shape:
        raise ValueError(f"expected values of shape {like.grid.shape}, got {values.shape}")
    image = nib.nifti1.Nifti1Image(values, like.grid.affine)
    qform, sform = like.codes
    if qform == 0 and sform == 0:
        sform = 1
    image.set_sform(like.grid.affine, code=sform)
    image.set_qform(like.grid.affine, code=qform)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _open(path: Path) -> Any:
    if not path.exists():
        raise ScanError(f"{path}: no such file.")
    if not is_nifti(path):
        raise ScanError(f"{path}: expected a NIfTI file (.nii or .nii.gz).")
    try:
        return nib.load(path)
    except _UNREADABLE as error:
        raise ScanError(
            f"{path}: not a readable NIfTI image ({error}). Export the scan again."
        ) from error


def _spatial_shape(path: Path, image: Any) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3:
        raise ScanError(
            f"{path}: expected one 3-D volume, got {len(shape)} dimensions {shape}. "
            "Split the series and give one volume."
        )
    if min(shape) < MIN_SLICES:
        raise ScanError(
            f"{path}: expected at least {MIN_SLICES} slices in each direction, got {shape}. "
            "Give the whole head's series, not single slices."
        )
    dtype = image.get_data_dtype()
    if dtype.fields is not None or np.issubdtype(dtype, np.complexfloating):
        raise ScanError(
            f"{path}: expected one real number per voxel, got {dtype} (colour or phase). "
            "Give the magnitude images."
        )
    return (shape[0], shape[1], shape[2])


def _checked_affine(path: Path, image: Any) -> NDArray[np.float64]:
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ScanError(
            f"{path}: the header's affine is singular or not finite: {affine[:3].tolist()}. "
            "Export it again."
        )
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    low, high = SPACING_RANGE_MM
    if spacing.min() < low or spacing.max() > high:
        raise ScanError(
            f"{path}: expected voxels of {low} to {high} mm, got {np.round(spacing, 3).tolist()} "
            "mm. Check the header's voxel size."
        )
    return affine


def _load_values(path: Path, image: Any) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # too large for float32 becomes inf, refused below
            return np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, zlib.error, MemoryError) as error:
        raise ScanError(
            f"{path}: the file ends early or is damaged ({error}). Copy or export it again."
        ) from error


def _check_values(path: Path, values: NDArray[np.float32]) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        first = tuple(int(n) for n in np.argwhere(bad)[0])
        raise ScanError(
            f"{path}: {int(bad.sum())} voxels are not finite numbers, the first at {first}. "
            "Replace them before."
        )
    if float(values.min()) == float(values.max()):
        raise ScanError(f"{path}: every voxel has the value {float(values.flat[0]):g}; no image.")
