"""From tissues to pictures: T1, T2 and FLAIR with blur, bias field and Rician noise."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from anatomy import SUPERSAMPLING, Anatomy
from extracranial import Tissue
from fields import smooth_field
from lesions import Lesion
from scipy import ndimage

Volume = npt.NDArray[np.float32]
WHITE_LEVEL = 64.0


@dataclass(frozen=True)
class Contrast:
    """Mean signal of every tissue, relative to white matter on T1.

    Attributes:
        csf, grey, white: the brain.
        outside: the tissues of `extracranial.Tissue`.
        oedema, core, necrosis: the lesion.
    """

    csf: float
    grey: float
    white: float
    outside: dict[Tissue, float]
    oedema: float
    core: float
    necrosis: float


def _outside(**means: float) -> dict[Tissue, float]:
    return {Tissue[name.upper()]: value for name, value in means.items()}


CONTRASTS = {
    "T1": Contrast(
        csf=0.26,
        grey=0.70,
        white=1.0,
        outside=_outside(
            bone=0.10, marrow=0.62, fat=1.40, muscle=0.55, skin=0.75, vitreous=0.22,
            mucosa=0.55, cord=0.92, canal=0.26,
        ),
        oedema=0.66, core=0.56, necrosis=0.36,
    ),
    "T2": Contrast(
        csf=1.45,
        grey=0.80,
        white=0.58,
        outside=_outside(
            bone=0.06, marrow=0.40, fat=0.80, muscle=0.28, skin=0.60, vitreous=1.50,
            mucosa=1.05, cord=0.60, canal=1.40,
        ),
        oedema=1.12, core=1.0, necrosis=1.38,
    ),
    "FLAIR": Contrast(
        csf=0.20,
        grey=0.84,
        white=0.70,
        outside=_outside(
            bone=0.08, marrow=0.42, fat=0.92, muscle=0.40, skin=0.68, vitreous=0.22,
            mucosa=0.95, cord=0.70, canal=0.24,
        ),
        oedema=1.25, core=1.16, necrosis=0.66,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Acquisition:
    """How a head is scanned.

    Attributes:
        bias: standard deviation of the logarithm of the bias field.
        noise: standard deviation of each noise channel, relative to white matter on T1.
        slope: factor from stored grey levels to the scan's own units.
    """

    bias: float = 0.07
    noise: float = 0.022
    slope: float = 8.0


def signal(
    anatomy: Anatomy, contrast: Contrast, lesion: Lesion | None, generator: np.random.Generator
) -> Volume:
    """Noiseless signal on the supersampled grid, with the fine texture of every tissue."""
    shape, spacing = anatomy.grid.shape, anatomy.grid.spacing
    csf, grey, white = anatomy.fractions
    outside = np.zeros(max(Tissue) + 1, dtype=np.float32)
    for tissue, mean in contrast.outside.items():
        outside[tissue] = mean
    picture = outside[anatomy.labels]
    picture += contrast.csf * csf + contrast.grey * grey + contrast.white * white
    if lesion is not None:
        parts = ((lesion.extent, contrast.oedema), (lesion.core, contrast.core))
        for fraction, mean in (*parts, (lesion.necrosis, contrast.necrosis)):
            texture = 1 + 0.07 * smooth_field(shape, spacing, 5.0, generator)
            picture += fraction * (mean * texture - picture)
    picture *= 1 + 0.03 * smooth_field(shape, spacing, 4.0, generator)
    return picture.astype(np.float32)


def block_mean(fine: Volume) -> Volume:
    """Mean over the parts of every voxel: the partial volume effect."""
    i, j, k = (n // SUPERSAMPLING for n in fine.shape)
    blocks = fine.reshape(i, SUPERSAMPLING, j, SUPERSAMPLING, k, SUPERSAMPLING)
    mean: Volume = blocks.mean(axis=(1, 3, 5))
    return mean


def acquire(
    anatomy: Anatomy,
    contrast: Contrast,
    acquisition: Acquisition,
    generator: np.random.Generator,
    *,
    lesion: Lesion | None = None,
) -> npt.NDArray[np.uint8]:
    """Scan a head: texture, point spread, partial volume, bias field, Rician noise, grey levels.

    Args:
        anatomy: the head, on a supersampled grid.
        contrast: mean signal of the tissues.
        acquisition: bias, noise and scale.
        generator: source of texture, bias and noise.
        lesion: what to paint into the head, if anything.

    Returns:
        Stored grey levels (I, J, K); white matter on T1 lies near `WHITE_LEVEL`.
    """
    fine = ndimage.gaussian_filter(signal(anatomy, contrast, lesion, generator), 0.6)
    clean = block_mean(fine)
    i, j, k = clean.shape
    x, y, z = (SUPERSAMPLING * step for step in anatomy.grid.spacing)
    clean *= np.exp(acquisition.bias * smooth_field((i, j, k), (x, y, z), 80.0, generator))
    noise = acquisition.noise * generator.standard_normal((2, i, j, k))
    levels = WHITE_LEVEL * np.hypot(clean + noise[0], noise[1])
    stored: npt.NDArray[np.uint8] = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return stored
