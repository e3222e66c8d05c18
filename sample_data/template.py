"""The anatomical source: tissue maps of the MNI152 template files that nilearn carries."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Volume = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]

FILES = {
    "t1": "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
    "grey": "mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz",
    "white": "mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz",
}
HULL_SPACING_MM = 2.0
HULL_CORNER_MM = (-110.0, -150.0, -134.0)
HULL_SHAPE = (111, 141, 126)
T1_OF_GREY, T1_OF_CSF, T1_OF_WHITE = 152.0, 70.0, 200.0


@dataclass(frozen=True)
class Map:
    """A scalar volume over template space.

    Attributes:
        values: array (I, J, K).
        affine: voxel to template coordinates, RAS+, mm.
        outside: value beyond the array.
    """

    values: Volume
    affine: Affine
    outside: float = 0.0

    def sample(self, points_mm: Volume) -> Volume:
        """Values at template coordinates, by linear interpolation.

        Args:
            points_mm: array (3, ...), RAS+, mm.

        Returns:
            Array of the shape of one coordinate.
        """
        inverse = np.linalg.inv(self.affine)
        steps = np.diag(inverse)[:3, None, None, None].astype(np.float32)
        voxels = points_mm * steps + inverse[:3, 3, None, None, None].astype(np.float32)
        sampled: Volume = ndimage.map_coordinates(
            self.values, voxels, order=1, mode="constant", cval=self.outside, prefilter=False
        )
        return sampled


@dataclass(frozen=True)
class Atlas:
    """What the heads are built from, all in template space.

    Attributes:
        grey: probability of grey matter.
        white: probability of white matter.
        csf: evidence for fluid: sulci, ventricles, and all that lies outside the brain.
        pale: where tissue lies between grey (0) and white matter (1) on T1.
        hull_mm: signed distance from the smooth outer surface of the brain, negative inside.
        ventricles: smoothed indicator of the ventricles, between zero and one.
    """

    grey: Map
    white: Map
    csf: Map
    pale: Map
    hull_mm: Map
    ventricles: Map


def template_path(name: str) -> Path:
    """Where nilearn keeps one of the template files: "t1", "grey" or "white"."""
    return Path(str(resources.files("nilearn.datasets") / "data" / FILES[name]))


def template_hashes() -> dict[str, str]:
    """SHA-256 of each template file, by file name."""
    return {
        file: hashlib.sha256(template_path(name).read_bytes()).hexdigest()
        for name, file in FILES.items()
    }


def load_atlas() -> Atlas:
    """Read the template and derive the maps that the heads need."""
    image = nib.nifti1.load(template_path("t1"))
    affine = np.asarray(image.affine, dtype=np.float64)
    t1 = np.asarray(image.dataobj, dtype=np.float32)
    grey, white = (
        np.asarray(nib.nifti1.load(template_path(name)).dataobj, dtype=np.float32) / 255
        for name in ("grey", "white")
    )
    brain = t1 > 0
    # The probability maps blur narrow sulci away; the dark lines of the T1 average still show them.
    dark = np.clip((T1_OF_GREY - t1) / (T1_OF_GREY - T1_OF_CSF), 0, 1)
    csf = np.where(brain, np.maximum(1 - grey - white, dark), 1).astype(np.float32)
    inside = brain.astype(np.float32)
    return Atlas(
        grey=Map(grey * inside, affine),
        white=Map(white * inside, affine),
        csf=Map(csf, affine, outside=1.0),
        pale=Map(np.clip((t1 - T1_OF_GREY) / (T1_OF_WHITE - T1_OF_GREY), 0, 1), affine),
        hull_mm=brain_hull(brain, affine),
        ventricles=ventricle_indicator(1 - grey - white, brain, affine),
    )


def brain_hull(brain: npt.NDArray[np.bool_], affine: Affine) -> Map:
    """Signed distance in mm from the brain's outer surface with its sulci closed."""
    hull_affine = np.diag([HULL_SPACING_MM] * 3 + [1.0])
    hull_affine[:3, 3] = HULL_CORNER_MM
    step = np.linalg.inv(affine) @ hull_affine
    coarse = ndimage.affine_transform(
        brain.astype(np.float32), step[:3, :3], step[:3, 3], HULL_SHAPE, order=1
    )
    reach = ndimage.distance_transform_edt(coarse < 0.5) * HULL_SPACING_MM
    closed = ndimage.distance_transform_edt(reach <= 12) * HULL_SPACING_MM > 12
    outer = ndimage.distance_transform_edt(~closed) - ndimage.distance_transform_edt(closed)
    smooth = ndimage.gaussian_filter(outer * HULL_SPACING_MM, 1.2)
    return Map(smooth.astype(np.float32), hull_affine, outside=60.0)


def ventricle_indicator(
    csf: Volume, brain: npt.NDArray[np.bool_], affine: Affine, *, smoothing_mm: float = 5.0
) -> Map:
    """Smoothed indicator of the fluid deep inside the brain, one at its strongest."""
    deep = ndimage.distance_transform_edt(brain) > 18
    x, y, z = np.meshgrid(
        *(np.arange(n) + corner for n, corner in zip(brain.shape, affine[:3, 3], strict=True)),
        indexing="ij",
        sparse=True,
    )
    # The cistern behind the midbrain touches the ventricles but does not widen with them.
    deep &= ~((np.abs(x) < 14) & (y < -26) & (z < 22))
    # Nor does the fluid over the insula.
    deep &= ~((np.abs(x) > 26) & (y > -20) & (z > -10))
    parts, count = ndimage.label((csf > 0.5) & deep)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    ventricles = (sizes > 500)[parts].astype(np.float32)
    smooth = ndimage.gaussian_filter(ventricles, smoothing_mm)
    return Map((smooth / smooth.max()).astype(np.float32), affine)
