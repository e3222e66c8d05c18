"""Reads and writes NIfTI with its geometry header kept bit for bit."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ScanError
from counterpart.formats.scan_checks import check_memory, checked_affine, spatial_shape
from counterpart.formats.stored_image import StoredImage
from counterpart.formats.voxel_bytes import GZIP_MAGIC, VoxelBytes, surplus_warning

NIFTI_SUFFIXES = (".nii.gz", ".nii")
GEOMETRY_FIELDS = (
    "pixdim",
    "xyzt_units",
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
)
Header = nib.nifti1.Nifti1Header
_KINDS: dict[int, tuple[type[Header], bytes, int]] = {
    348: (Header, b"n+1", 352),
    540: (nib.nifti2.Nifti2Header, b"n+2", 544),
}
_BAD_HEADER = (nib.spatialimages.HeaderDataError, ValueError, KeyError, OverflowError)
_AXES = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "up", "I": "down"}


def read_nifti(path: Path) -> StoredImage:
    """Read a ``.nii`` or ``.nii.gz`` file.

    Raises:
        ScanError: Not NIfTI, truncated, damaged, not 3-D, not real numbers, or without a usable
            affine.
    """
    with path.open("rb") as stream:
        packed = stream.read(2) == GZIP_MAGIC
        stream.seek(0)
        source = VoxelBytes(path, stream, packed=packed)
        stored, header, taken = _read_header(path, source)
        shape = _checked_shape(path, header)
        affine = checked_affine(path, _affine(path, header))
        check_memory(path, shape)
        source.skip(int(header["vox_offset"]) - taken)
        values = _values(path, header, shape, source)
        surplus = source.surplus()
    codes = (int(stored["qform_code"]), int(stored["sform_code"]))
    warnings = (*_geometry_warnings(header), *surplus_warning(surplus))
    return StoredImage(values, affine, codes, warnings, _geometry_alone(stored))


def write_nifti(
    path: Path,
    values: NDArray[Any],
    affine: NDArray[np.float64],
    codes: tuple[int, int],
    geometry: Header | None,
) -> None:
    """Write values (I, J, K) with the geometry header of a NIfTI file, or with an affine.

    Args:
        path: ``.nii`` or ``.nii.gz``.
        values: (I, J, K).
        affine: (4, 4) voxel index to world, RAS+, mm; used without ``geometry``.
        codes: qform and sform code; used without ``geometry``.
        geometry: From `StoredImage.header`; copied bit for bit.
    """
    header = Header() if geometry is None else type(geometry)()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    if geometry is None:
        _set_affine(header, affine, codes)
    else:
        for name in GEOMETRY_FIELDS:
            header[name] = geometry[name]
    header["scl_slope"], header["scl_inter"] = 1.0, 0.0
    _, magic, offset = _KINDS[header.sizeof_hdr]
    header["magic"], header["vox_offset"] = magic, offset
    # The transposed copy is what tobytes("F") gives, in half the time.
    turned = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False).T)
    content = header.binaryblock + bytes(4) + turned.tobytes()
    if path.name.lower().endswith(".gz"):
        content = gzip.compress(content, compresslevel=1, mtime=0)
    path.write_bytes(content)


def _set_affine(header: Header, affine: NDArray[np.float64], codes: tuple[int, int]) -> None:
    qform, sform = codes
    if qform == 0 and sform == 0:
        sform = 1
    header.set_sform(affine, code=sform)
    header.set_qform(affine, code=qform)
    if sform and not np.allclose(header.get_qform(), affine, atol=1e-2):
        header["qform_code"] = 0  # sheared: a quaternion cannot say it, so it must not try
    header.set_xyzt_units("mm")


def _read_header(path: Path, source: VoxelBytes) -> tuple[Header, Header, int]:
    """The header as stored, the header with small faults mended, and the bytes that were read."""
    try:
        block = bytes(source.take(348))
        size = next((n for n in _KINDS if n.to_bytes(4, "little") == block[:4]), 0)
        size = size or next((n for n in _KINDS if n.to_bytes(4, "big") == block[:4]), 0)
        if not size:
            raise _unreadable(path, "expected a header of 348 or 540 bytes")
        kind, magic, offset = _KINDS[size]
        block += bytes(source.take(size - len(block)))
    except ScanError as error:
        raise _unreadable(path, str(error).removeprefix(f"{path}: ").rstrip(".")) from error
    try:
        stored = kind(block, check=False)
        _check_header(stored, magic, offset)
        header = kind(block, check=False)
        header.check_fix(logger=_silent_logger(), error_level=40)
    except _BAD_HEADER as error:
        raise _unreadable(path, str(error)) from error
    return stored, header, size


def _unreadable(path: Path, reason: str) -> ScanError:
    return ScanError(f"{path}: not a readable NIfTI image ({reason}). Export the scan again.")


def _check_header(stored: Header, magic: bytes, offset: int) -> None:
    """Refuse what nibabel would mend by a guess."""
    if bytes(stored["magic"])[:3] != magic:
        raise ValueError(f"magic {bytes(stored['magic'])!r} is not that of a single file")
    if not offset <= float(stored["vox_offset"]) < 2**40:
        raise ValueError(f"the voxels cannot begin at byte {float(stored['vox_offset']):g}")
    pixdim = np.asarray(stored["pixdim"], dtype=np.float64)
    if not np.isfinite(pixdim[:4]).all() or not pixdim[1:4].all():
        raise ValueError(f"the voxel size {pixdim[1:4].tolist()} mm has a zero or is not finite")
    if float(pixdim[0]) not in (-1.0, 0.0, 1.0):
        raise ValueError(f"the handedness pixdim[0] is {float(pixdim[0]):g}, expected -1 or 1")
    slope, intercept = float(stored["scl_slope"]), float(stored["scl_inter"])
    if np.isinf(slope) or np.isinf(intercept):
        raise ValueError(f"scale {slope:g} and offset {intercept:g} are not finite")
    if stored.get_data_dtype().itemsize == 0:
        raise ValueError(f"data type {int(stored['datatype'])} has no size")


def _silent_logger() -> logging.Logger:
    logger = logging.Logger("nifti", logging.CRITICAL)
    logger.addHandler(logging.NullHandler())
    return logger


def _checked_shape(path: Path, header: Header) -> tuple[int, int, int]:
    try:
        shape = spatial_shape(path, header.get_data_shape())
    except _BAD_HEADER as error:
        raise _unreadable(path, str(error)) from error
    dtype = header.get_data_dtype()
    if dtype.fields is not None or np.issubdtype(dtype, np.complexfloating):
        raise ScanError(
            f"{path}: expected one real number per voxel, got {dtype} (colour or phase). "
            "Give the magnitude images."
        )
    return shape


def _affine(path: Path, header: Header) -> NDArray[np.float64]:
    try:
        with np.errstate(all="ignore"):
            return np.asarray(header.get_best_affine(), dtype=np.float64)
    except (*_BAD_HEADER, np.linalg.LinAlgError) as error:
        raise ScanError(
            f"{path}: the header's affine is singular or not finite ({error}). "
            "Expected a usable qform or sform: export the scan again."
        ) from error


def _values(
    path: Path, header: Header, shape: tuple[int, int, int], source: VoxelBytes
) -> NDArray[np.float32]:
    """Voxels with scale and offset applied as nibabel does."""
    dtype = header.get_data_dtype()
    raw = source.take(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    array = np.frombuffer(raw, dtype).reshape(shape, order="F")
    try:
        slope, intercept = header.get_slope_inter()
    except _BAD_HEADER as error:
        raise _unreadable(path, str(error)) from error
    with np.errstate(all="ignore"):  # too large for float32 becomes inf, which is refused later
        scale = np.float32(1.0 if slope is None else slope)
        offset = np.float32(0.0 if intercept is None else intercept)
        scaled = nib.volumeutils.apply_read_scaling(array, scale, offset)
        return np.asarray(scaled, dtype=np.float32)


def _geometry_alone(stored: Header) -> Header:
    """A header with the geometry of another one, and nothing else that it may hold."""
    kept = type(stored)()
    for name in GEOMETRY_FIELDS:
        kept[name] = stored[name]
    return kept


def _geometry_warnings(header: Header) -> tuple[str, ...]:
    qform, sform = (int(header[name]) for name in ("qform_code", "sform_code"))
    if qform == 0 and sform == 0:
        return (
            "The header does not say how the scan lies (qform and sform code are 0), so that its "
            "orientation is a guess: left and right may be swapped, check the sides.",
        )
    if qform == 0 or sform == 0:
        return ()
    try:
        by_qform, by_sform = (
            nib.orientations.aff2axcodes(form) for form in (header.get_qform(), header.get_sform())
        )
    except (*_BAD_HEADER, np.linalg.LinAlgError):
        return ("The header's qform cannot be read; the sform is used, check the sides.",)
    if by_qform == by_sform:
        return ()
    axes = [_directions(codes) for codes in (by_qform, by_sform)]
    return (
        f"The header's qform and sform disagree on where the axes point ({axes[0]} against "
        f"{axes[1]}); the sform is used, check the sides: another viewer may swap them.",
    )


def _directions(codes: tuple[str | None, ...]) -> str:
    return ", ".join(_AXES.get(str(code), "nowhere") for code in codes)
