"""Reads brain scans from disk and writes maps back on the same grid, refusing what is no scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from counterpart.errors import CounterpartError, ScanError
from counterpart.formats.meta_image import META_SUFFIXES, read_meta, write_meta
from counterpart.formats.nifti_image import NIFTI_SUFFIXES, read_nifti, write_nifti
from counterpart.formats.nrrd_image import NRRD_SUFFIXES, read_nrrd, write_nrrd
from counterpart.formats.scan_checks import check_values
from counterpart.formats.stored_image import StoredImage
from counterpart.grid import Grid

SCAN_SUFFIXES = (*NIFTI_SUFFIXES, *NRRD_SUFFIXES, *META_SUFFIXES)


@dataclass(frozen=True, eq=False)
class Scan:
    """One 3-D scan.

    Args:
        values: (I, J, K) float32, scale and offset of the file applied.
        grid: Shape and affine as stored.
        name: File name without extension, or the folder's name.
        codes: qform and sform code of the file, kept in everything written for it.
        tags: What a DICOM header says of modality and sequence; nothing about the person.
        warnings: Full sentences about what a reader of the maps has to know.
        header: Geometry of a NIfTI file, kept bit for bit in everything written for it.
        files: The DICOM files that the scan was read from, in slice order.
    """

    values: NDArray[np.float32]
    grid: Grid
    name: str
    codes: tuple[int, int] = (1, 1)
    tags: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    header: nib.nifti1.Nifti1Header | None = None
    files: tuple[Path, ...] = ()


def scan_name(path: Path) -> str:
    """The file's name without the extension of its format; a folder's name as it is."""
    for suffix in SCAN_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    if path.is_dir():
        return path.resolve().name
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


def refuse_same_names(scans: Sequence[Path]) -> None:
    """Refuse scans of one name, whose results would be written to one folder.

    Raises:
        CounterpartError: Two scans have the same name.
    """
    seen: dict[str, Path] = {}
    for path in scans:
        name = scan_name(path)
        if name in seen:
            raise CounterpartError(
                f"{path} and {seen[name]} would write to the same folder '{name}'. "
                "Rename one, or give them in two runs with different output folders."
            )
        seen[name] = path


def read_scan(path: Path | str) -> Scan:
    """Read a scan and check that it can be a brain scan.

    Args:
        path: A ``.nii``, ``.nii.gz``, ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd`` file, a folder
            with one DICOM series, or one file of a DICOM series.

    Returns:
        The scan on its stored grid.

    Raises:
        ScanError: The file is missing, of another format, truncated, not 3-D, not finite, constant,
            CT, has fewer than 8 slices in some direction, needs more memory than there is, or has
            an unusable affine.
    """
    path = Path(path)
    stored = _read_image(path)
    check_values(path, stored.values)
    return Scan(
        stored.values,
        Grid(_shape(stored.values), stored.affine),
        scan_name(path),
        stored.codes,
        stored.tags,
        stored.warnings,
        stored.header,
        stored.files,
    )


def read_mask(path: Path | str, grid: Grid) -> NDArray[np.bool_]:
    """Read a mask that must lie on ``grid``; every non-zero voxel belongs to it.

    A mask whose axes are stored in another order or direction is turned to those of ``grid``.

    Raises:
        ScanError: The file cannot be read, lies on another grid, or is empty.
    """
    path = Path(path)
    stored = _read_image(path)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(stored.affine), nib.orientations.io_orientation(grid.affine)
    )
    step = nib.orientations.inv_ornt_aff(turn, stored.values.shape)
    values = np.ascontiguousarray(nib.orientations.apply_orientation(stored.values, turn))
    same_place = np.allclose(stored.affine @ step, grid.affine, atol=1e-3)
    if values.shape != grid.shape or not same_place:
        raise ScanError(
            f"{path}: the mask must lie on the scan's grid {grid.shape}, but has shape "
            f"{stored.values.shape}{' and another affine' if values.shape == grid.shape else ''}. "
            "Resample it to the scan."
        )
    mask: NDArray[np.bool_] = np.nan_to_num(values) != 0
    if not mask.any():
        raise ScanError(f"{path}: the mask is empty. Give a mask that covers the brain.")
    return mask


def write_map(path: Path, values: NDArray[Any], like: Scan) -> None:
    """Write values (I, J, K) on exactly the grid of ``like``.

    Args:
        path: Its suffix says the format: ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha``.
        values: (I, J, K); their type is kept, truth values become bytes.
        like: The scan; a NIfTI scan's geometry header is kept bit for bit in NIfTI.
    """
    if values.shape != like.grid.shape:
        raise ValueError(f"expected values of shape {like.grid.shape}, got {values.shape}")
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    suffix = path.name.lower()
    if suffix.endswith(NIFTI_SUFFIXES):
        write_nifti(path, values, like.grid.affine, like.codes, like.header)
    elif suffix.endswith(".nrrd"):
        write_nrrd(path, values, like.grid.affine)
    elif suffix.endswith(".mha"):
        write_meta(path, values, like.grid.affine)
    else:
        raise ValueError(f"expected .nii, .nii.gz, .nrrd or .mha, got {path.name!r}")


def _read_image(path: Path) -> StoredImage:
    """Read by suffix; every error of the file system becomes a sentence about the scan."""
    try:
        if not path.exists():
            raise ScanError(f"{path}: no such file.")
        for suffixes, read in (
            (NIFTI_SUFFIXES, read_nifti),
            (NRRD_SUFFIXES, read_nrrd),
            (META_SUFFIXES, read_meta),
        ):
            if path.is_file() and path.name.lower().endswith(suffixes):
                return read(path)
        return _read_dicom(path)
    except (OSError, MemoryError) as error:
        raise ScanError(
            f"{path}: cannot be read ({error}). Check the file and try again."
        ) from error


def _read_dicom(path: Path) -> StoredImage:
    from counterpart.formats.dicom_frames import DICOM_SUFFIXES, is_dicom  # pydicom loads slowly

    if path.is_file() and path.suffix.lower() not in DICOM_SUFFIXES and not is_dicom(path):
        raise ScanError(
            f"{path}: expected a NIfTI file (.nii or .nii.gz), NRRD (.nrrd), MetaImage (.mha) or a "
            f"folder with a DICOM series, got {path.suffix or 'no suffix'!r}. Convert the scan."
        )
    from counterpart.formats.dicom_series import read_dicom  # SimpleITK loads slowly

    return read_dicom(path)


def _shape(values: NDArray[Any]) -> tuple[int, int, int]:
    return (values.shape[0], values.shape[1], values.shape[2])
