"""What a file of any format holds once it is read: voxels, where they lie, and what to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # its own inverse


@dataclass(frozen=True, eq=False)
class StoredImage:
    """The content of one image file or series.

    Args:
        values: (I, J, K) float32, scale and offset of the file applied.
        affine: (4, 4) voxel index to world, RAS+, mm.
        codes: qform and sform code; (1, 1) for formats without.
        warnings: Full sentences about what a reader of the result has to know.
        header: Geometry of a NIfTI file, bit for bit; nothing else of its header.
        tags: What a DICOM header says of modality and sequence; nothing about the person.
        files: The DICOM files, in slice order.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]
    codes: tuple[int, int] = (1, 1)
    warnings: tuple[str, ...] = ()
    header: nib.nifti1.Nifti1Header | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def flip_lps(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine between LPS and RAS, either way; signs change and no digit is lost."""
    flipped: NDArray[np.float64] = affine.copy()
    flipped[:2] *= -1.0
    return flipped + 0.0  # no negative zeros
