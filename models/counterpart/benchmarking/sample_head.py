"""The scan that everyone can repeat a benchmark on: the sample head at the size of a real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from counterpart.errors import CounterpartError
from counterpart.grid import Grid, canonical_orientation, resample
from counterpart.package_data import package_data
from counterpart.scans import Scan, read_scan, write_map

SAMPLE = "patients/sample-01_FLAIR.nii.gz"
SHAPE = (240, 240, 155)
_LEAST, _MOST = 8, 1024


def write_sample_head(folder: Path, shape: tuple[int, int, int] = SHAPE) -> Path:
    """Write the whole-head sample scan, resampled to voxels of 1 mm about its own centre.

    Args:
        folder: For the file.
        shape: Voxels to the right, forwards and upwards; what lies outside the sample is 0.

    Returns:
        The uncompressed NIfTI file, 16 bits a voxel as most scanners write them.

    Raises:
        CounterpartError: The shape is none of a scan.
    """
    if len(shape) != 3 or not all(_LEAST <= size <= _MOST for size in shape):
        raise CounterpartError(
            f"expected three sizes from {_LEAST} to {_MOST} voxels, got {tuple(shape)}."
        )
    sample = read_scan(package_data("sample_data") / SAMPLE)
    turn = canonical_orientation(sample.grid)
    source = turn.canonical
    affine = source.affine @ np.diag([*(1.0 / step for step in source.spacing), 1.0])
    middle = source.world((np.array(source.shape) - 1.0) / 2.0)
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1.0) / 2.0)
    grid = Grid(shape, affine)
    index_map = np.linalg.inv(source.affine) @ affine
    values = resample(turn.forward(sample.values), index_map, shape)
    path = folder / f"{sample.name}.nii"
    write_map(path, np.rint(values).astype(np.int16), Scan(values, grid, sample.name))
    return path
