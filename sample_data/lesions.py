"""The two kinds of disease in the samples: one tumour, and many small white-matter lesions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from anatomy import SUPERSAMPLING, Anatomy
from fields import smooth_field

Volume = npt.NDArray[np.float32]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Lesion:
    """Fractions of a lesion on the supersampled grid, each part inside the one before.

    Attributes:
        extent: the whole lesion; what is not core looks like oedema.
        core: solid part.
        necrosis: fluid part.
    """

    extent: Volume
    core: Volume
    necrosis: Volume


@dataclass(frozen=True)
class Tumour:
    """A tumour with oedema.

    Attributes:
        centre_mm: where, in template coordinates.
        volume_ml: of core and oedema together.
        core_share, necrosis_share: parts of that volume.
    """

    centre_mm: Point
    volume_ml: float
    core_share: float = 0.34
    necrosis_share: float = 0.08


@dataclass(frozen=True)
class WhiteMatterLesions:
    """Many small lesions around the ventricles.

    Attributes:
        count: how many are seeded; neighbours may merge.
        volume_ml: of all together.
    """

    count: int
    volume_ml: float


def soft_threshold(cost_mm: Volume, volume_ml: float, voxel_ml: float, edge_mm: float) -> Volume:
    """Fraction that is near one where the cost is among the smallest that fill a volume."""
    voxels = max(1, round(volume_ml / voxel_ml))
    limit = np.partition(cost_mm.ravel(), voxels)[voxels]
    soft: Volume = 1 / (1 + np.exp(np.clip((cost_mm - limit) / edge_mm, -30, 30)))
    return soft


def grow_tumour(anatomy: Anatomy, tumour: Tumour, generator: np.random.Generator) -> Lesion:
    """Grow a tumour from its centre, irregular, and with oedema that prefers white matter."""
    grid = anatomy.grid
    centre = np.asarray(tumour.centre_mm, dtype=np.float32)[:, None, None, None]
    radius = np.sqrt(np.sum((anatomy.template_mm - centre) ** 2, axis=0))
    lumps = smooth_field(grid.shape, grid.spacing, 20.0, generator)
    bumps = smooth_field(grid.shape, grid.spacing, 9.0, generator)
    csf, grey, _ = anatomy.fractions
    barrier = 40 * csf + 40 * (anatomy.brain < 0.5) + 40 * (anatomy.ventricles > 0.45)
    solid = radius + 2.5 * lumps + 1.6 * bumps + barrier
    spread = radius + 5.0 * lumps + 2.6 * bumps + 9.0 * grey + barrier
    voxel_ml = float(np.prod(grid.spacing)) / 1000
    extent = soft_threshold(spread, tumour.volume_ml, voxel_ml, 1.3)
    core = soft_threshold(solid, tumour.volume_ml * tumour.core_share, voxel_ml, 0.7)
    hollow = solid - 1.5 * bumps
    necrosis = soft_threshold(hollow, tumour.volume_ml * tumour.necrosis_share, voxel_ml, 0.8)
    inside = (anatomy.brain > 0.5).astype(np.float32)
    extent = np.maximum(extent, core) * inside
    return Lesion(extent, core * inside, necrosis * core * inside)


def scatter_lesions(
    anatomy: Anatomy, lesions: WhiteMatterLesions, generator: np.random.Generator
) -> Lesion:
    """Scatter small ellipsoidal lesions in the white matter close to the ventricles."""
    grid = anatomy.grid
    white = anatomy.fractions[2]
    near = (anatomy.ventricles > 0.05) & (anatomy.ventricles < 0.4) & (white > 0.8)
    # The corpus callosum in the middle stays free, as does everything below the ventricles.
    near &= (anatomy.template_mm[2] > 0) & (np.abs(anatomy.template_mm[0]) > 8)
    seeds = np.argwhere(near)
    chosen = seeds[generator.choice(len(seeds), size=lesions.count, replace=False)]
    spacing = np.asarray(grid.spacing, dtype=np.float32)
    cost = np.full(grid.shape, 50.0, dtype=np.float32)
    for seed in chosen:
        size = generator.uniform(0.6, 1.6)
        radii = size * np.exp(generator.uniform(-0.3, 0.3, 3))
        reach = np.ceil(12 * radii.max() / spacing).astype(int)
        box = tuple(
            slice(max(0, s - r), min(n, s + r + 1))
            for s, r, n in zip(seed, reach, grid.shape, strict=True)
        )
        axes = (np.arange(part.start, part.stop) for part in box)
        offsets = np.meshgrid(*axes, indexing="ij")
        steps = zip(offsets, seed, spacing, radii, strict=True)
        relative_sq = sum(((o - s) * mm / r) ** 2 for o, s, mm, r in steps)
        cost[box] = np.minimum(cost[box], np.sqrt(relative_sq))
    cost += 0.5 * smooth_field(grid.shape, grid.spacing, 5.0, generator) + 6 * (1 - white)
    voxel_ml = float(np.prod(grid.spacing)) / 1000
    extent = soft_threshold(cost, lesions.volume_ml, voxel_ml, 0.25)
    extent *= anatomy.brain > 0.5
    nothing = np.zeros_like(extent)
    return Lesion(extent, nothing, nothing)


def lesion_mask(lesion: Lesion, brain: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Voxels of the scan's grid of which the lesion fills at least half, inside the brain."""
    i, j, k = brain.shape
    blocks = lesion.extent.reshape(i, SUPERSAMPLING, j, SUPERSAMPLING, k, SUPERSAMPLING)
    half = blocks.mean(axis=(1, 3, 5)) >= 0.5
    mask: npt.NDArray[np.uint8] = (half & (brain > 0)).astype(np.uint8)
    return mask
