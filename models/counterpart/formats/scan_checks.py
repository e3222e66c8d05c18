"""What every scan must satisfy, whatever its format; each check says what came and what to do."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ScanError

MIN_SLICES = 8
SPACING_RANGE_MM = (0.2, 10.0)
MAX_VOXELS = 2**30
BYTES_PER_VOXEL = 16  # the file's bytes, float32, and two copies on the way to the maps
MAX_MAGNITUDE = 1e15


def spatial_shape(path: Path, stored: Sequence[int]) -> tuple[int, int, int]:
    """The three sizes of a volume; further axes of size one do not count.

    Raises:
        ScanError: Not three axes, or fewer than 8 slices along one.
    """
    shape = tuple(int(n) for n in stored)
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
    return (shape[0], shape[1], shape[2])


def check_memory(path: Path, shape: tuple[int, int, int]) -> None:
    """Refuse a volume that memory cannot hold, before anything is allocated for it.

    Raises:
        ScanError: More voxels than any head needs, or than fit into the memory that is free.
    """
    voxels = math.prod(shape)
    if voxels > MAX_VOXELS:
        raise ScanError(
            f"{path}: expected at most {MAX_VOXELS:,} voxels, but the header promises {shape}. "
            "The header is damaged, or this is no scan of a head: export it again."
        )
    needed, free = voxels * BYTES_PER_VOXEL, available_memory()
    if needed > free:
        raise ScanError(
            f"{path}: a volume of {shape} needs about {needed / 2**30:.1f} GiB of memory, and "
            f"{free / 2**30:.1f} GiB are free. Close other programs, or resample the scan."
        )


def available_memory() -> int:
    """Bytes of memory that are free to use; a cautious 4 GiB where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 4 * 2**30


def checked_affine(path: Path, stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine as float64, if it can be inverted and its voxels have the size of a head's.

    Raises:
        ScanError: Singular, not finite, or voxels outside 0.2 to 10 mm.
    """
    affine: NDArray[np.float64] = np.asarray(stored, dtype=np.float64)
    finite = bool(np.isfinite(affine).all()) and float(np.abs(affine).max()) < 1e9
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0)) if finite else np.zeros(3)
    volume = abs(float(np.linalg.det(affine[:3, :3]))) if finite else 0.0
    if volume < 1e-9 or volume < 0.1 * float(spacing.prod()):
        raise ScanError(
            f"{path}: the header's affine is singular or not finite: {affine[:3].tolist()}. "
            "Expected three directions that span space: export the scan again."
        )
    low, high = SPACING_RANGE_MM
    if spacing.min() < low * 0.999 or spacing.max() > high * 1.001:
        raise ScanError(
            f"{path}: expected voxels of {low} to {high} mm, got {np.round(spacing, 3).tolist()} "
            "mm. Check the header's voxel size."
        )
    return affine


def check_values(path: Path, values: NDArray[np.float32]) -> None:
    """Refuse values that are no picture.

    Raises:
        ScanError: Some are not finite, all are the same, their size is absurd, or it is CT.
    """
    bad = ~np.isfinite(values)
    if bad.any():
        first = tuple(int(n) for n in np.argwhere(bad)[0])
        raise ScanError(
            f"{path}: expected finite numbers, but {int(bad.sum())} voxels are not finite, the "
            f"first at {first}. Replace them before."
        )
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise ScanError(
            f"{path}: expected an image, but every voxel has the value {low:g}. "
            "Export the scan again."
        )
    if not 1.0 / MAX_MAGNITUDE < max(-low, high) < MAX_MAGNITUDE:
        raise ScanError(
            f"{path}: expected the values of an MR scan, got {low:g} to {high:g}. The file is "
            "damaged or its byte order is wrong: export it again."
        )
    if looks_like_ct(values):
        raise ScanError(
            f"{path}: expected an MR scan, but this looks like CT: air at -1000 and soft tissue "
            "at 0 to 100, as in Hounsfield units. Give an MR scan."
        )


def looks_like_ct(values: NDArray[np.float32]) -> bool:
    """Whether the values are Hounsfield units: much air near -1000, and soft tissue at 0 to 100.

    MR magnitudes are not negative, phase images have no such peaks, and of normalised images none
    goes to -1000, so that a scan must show both peaks to be taken for CT.
    """
    if not -5000.0 <= float(values.min()) <= -950.0:
        return False
    air = values <= -940.0
    tissue = (values >= 0.0) & (values <= 100.0)
    count = int(air.sum())
    return count >= 0.05 * values.size and int(tissue.sum()) >= 0.1 * (values.size - count) > 0
