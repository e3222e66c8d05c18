"""Names the coarse region of the brain in which a finding lies, in the words of a report.

The *atlas* says for each voxel of the canvas (`counterpart.template`) which region most of the
healthy training subjects have there. It is made from their label maps (DLMUSE numbers) while a
cohort is prepared, and travels with the model as ``regions.nii.gz``: uint8 codes of `REGIONS` on
the canvas, 0 where no region is known.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from counterpart.errors import ModelError
from counterpart.grid import FloatArray
from counterpart.template import CANVAS, SPACING_MM

ATLAS_FILE = "regions.nii.gz"
FILL_MM = 6.0
MIN_SHARE = 0.05
_NOT_NIFTI = (
    *(nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError),
    *(nib.wrapstruct.WrapStructError, OSError, EOFError, ValueError, zlib.error),
)
_HIGHEST_LABEL = 255


@dataclass(frozen=True)
class Region:
    """One coarse region.

    Args:
        code: In the atlas.
        name: In words.
        labels: DLMUSE numbers of both sides.
    """

    code: int
    name: str
    labels: tuple[int, ...]


# DLMUSE numbers, which follow Neuromorphometrics: even numbers right, odd numbers left from 100 on.
# Fluid around the brain (1, 46) and the optic chiasm (69) belong to no region.
_FRONTAL = (
    *(81, 82, 104, 105, 112, 113, 118, 119, 120, 121, 124, 125, 136, 137, 140, 141, 142, 143, 146),
    *(147, 150, 151, 152, 153, 162, 163, 164, 165, 178, 179, 182, 183, 186, 187, 190, 191, 192),
    *(193, 204, 205),
)
_PARIETAL = (85, 86, 106, 107, 148, 149, 168, 169, 174, 175, 176, 177, 194, 195, 198, 199)
_TEMPORAL = (
    *(87, 88, 116, 117, 122, 123, 132, 133, 154, 155, 170, 171, 180, 181, 184, 185, 200, 201, 202),
    *(203, 206, 207),
)
_OCCIPITAL = (
    *(83, 84, 108, 109, 114, 115, 128, 129, 134, 135, 144, 145, 156, 157, 160, 161, 196, 197),
)

REGIONS = (
    Region(1, "frontal lobe", _FRONTAL),
    Region(2, "parietal lobe", _PARIETAL),
    Region(3, "temporal lobe", _TEMPORAL),
    Region(4, "occipital lobe", _OCCIPITAL),
    Region(5, "insula", (102, 103, 172, 173)),
    Region(6, "cingulate gyrus", (100, 101, 138, 139, 166, 167)),
    Region(7, "hippocampus and amygdala", (31, 32, 47, 48)),
    Region(8, "basal ganglia", (23, 30, 36, 37, *range(55, 59), 75, 76)),
    Region(9, "thalamus", (59, 60)),
    Region(10, "internal capsule", (91, 92, 93, 94)),
    Region(11, "ventral diencephalon", (61, 62)),
    Region(12, "corpus callosum and fornix", (89, 90, 95)),
    Region(13, "lateral ventricle", (49, 50, 51, 52)),
    Region(14, "third ventricle", (4,)),
    Region(15, "fourth ventricle", (11,)),
    Region(16, "cerebellum", (38, 39, 40, 41, 71, 72, 73)),
    Region(17, "brainstem", (35,)),
)
_NAMES = {region.code: region.name for region in REGIONS}
_CODES = np.zeros(_HIGHEST_LABEL + 1, np.uint8)
for _region in REGIONS:
    _CODES[list(_region.labels)] = _region.code


@dataclass(frozen=True, eq=False)
class RegionAtlas:
    """The region of each voxel of the canvas.

    Args:
        codes: (80, 96, 80) uint8 codes of `REGIONS`, 0 where no region is known.
    """

    codes: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.codes.shape != CANVAS.shape:
            raise ModelError(
                f"expected an atlas of {CANVAS.shape} voxels, the canvas, got {self.codes.shape}."
            )
        unknown = sorted(set(np.unique(self.codes).tolist()) - set(_NAMES) - {0})
        if unknown:
            raise ModelError(
                f"the region code {unknown[0]} is unknown; expected 0 to {len(_NAMES)}."
            )
        if not self.codes.any():
            raise ModelError("the atlas holds no region at all.")

    def region(self, points: FloatArray) -> str:
        """Name the region in which most of the points lie.

        Points where no region is known count only if all are such: then the region nearest to any
        of them is named. Of regions with equally many points the one with the lower code is.

        Args:
            points: (P, 3) template world, mm; at least one.
        """
        codes = self.codes_at(points)
        if codes.any():
            return _NAMES[int(np.bincount(codes[codes > 0]).argmax())]
        known = np.argwhere(self.codes)
        away, nearest = cKDTree(CANVAS.world(known.astype(np.float64))).query(points)
        voxel = known[np.asarray(nearest)[np.asarray(away).argmin()]]
        return _NAMES[int(self.codes[tuple(voxel)])]

    def codes_at(self, points: FloatArray) -> NDArray[np.uint8]:
        """Codes (P,) of `REGIONS` at points (P, 3) of the template's world, mm; 0 for none."""
        index = np.rint((points - CANVAS.affine[:3, 3]) / SPACING_MM).astype(int)
        inside = ((index >= 0) & (index < CANVAS.shape)).all(axis=1)
        codes = np.zeros(len(points), np.uint8)
        codes[inside] = self.codes[tuple(index[inside].T)]
        return codes


class RegionVotes:
    """Counts, subject by subject, which region lies where on the canvas."""

    def __init__(self) -> None:
        self.subjects = 0
        self._votes = np.zeros((len(REGIONS) + 1, *CANVAS.shape), np.uint16)

    def add(self, codes: NDArray[np.uint8]) -> None:
        """Count one subject's regions: (80, 96, 80) codes on the canvas, 0 for none."""
        self.subjects += 1
        for region in REGIONS:
            self._votes[region.code] += codes == region.code

    def atlas(self) -> RegionAtlas | None:
        """The region with most votes in each voxel, or None if there was no vote at all.

        A voxel needs the votes of 5 % of the subjects; without them it takes the region of the
        nearest voxel that has them, if it is within 6 mm. Of regions with equally many votes the
        one with the lower code wins.
        """
        if not self._votes.any():
            return None
        enough = max(1, math.ceil(MIN_SHARE * self.subjects))
        known = self._votes.sum(axis=0, dtype=np.uint32) >= enough
        if not known.any():
            return None
        codes = np.where(known, self._votes.argmax(axis=0), 0).astype(np.uint8)
        away, nearest = ndimage.distance_transform_edt(
            ~known, sampling=SPACING_MM, return_indices=True
        )
        return RegionAtlas(np.where(away <= FILL_MM, codes[tuple(nearest)], 0).astype(np.uint8))


def region_codes(labels: NDArray[np.int_]) -> NDArray[np.uint8]:
    """Codes of `REGIONS` from DLMUSE label numbers, of any shape; 0 for labels of no region."""
    known = (labels >= 0) & (labels <= _HIGHEST_LABEL)
    codes: NDArray[np.uint8] = _CODES[np.where(known, labels, 0)]
    return codes


def write_atlas(path: Path, atlas: RegionAtlas) -> None:
    """Write an atlas as NIfTI on the canvas; the same atlas gives the same bytes."""
    image = nib.nifti1.Nifti1Image(atlas.codes, CANVAS.affine)
    image.set_sform(CANVAS.affine, code="mni")
    image.set_qform(CANVAS.affine, code="mni")
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def read_atlas(path: Path) -> RegionAtlas:
    """Read an atlas strictly.

    Raises:
        ModelError: The file cannot be read, lies on another grid than the canvas, holds other
            than bytes, or a code that is unknown.
    """
    try:
        image = nib.nifti1.Nifti1Image.from_filename(path)
        stored = image.get_data_dtype()
        codes = np.asarray(image.dataobj)
    except _NOT_NIFTI as error:
        raise ModelError(f"{path}: not a readable atlas of regions ({error}).") from error
    if stored != np.uint8 or codes.dtype != np.uint8:
        raise ModelError(f"{path}: expected bytes (uint8) without a scale, got {stored}.")
    if image.affine is None or not np.array_equal(image.affine, CANVAS.affine):
        raise ModelError(f"{path}: expected the affine of the canvas, got another.")
    try:
        return RegionAtlas(codes)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
