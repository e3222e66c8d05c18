"""One individual head: the template, deformed, sharpened, and wrapped in skull, fat and skin."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from extracranial import Tissue, extracranial_labels
from fields import smooth_field
from template import Atlas

Volume = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]
SUPERSAMPLING = 2
FORAMEN_MAGNUM_Z_MM = -68.0
CORTEX_MM, DEEP_MM = 10.0, 18.0


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a scan lie.

    Attributes:
        shape: voxels along each axis.
        affine: voxel to world, RAS+, mm.
    """

    shape: tuple[int, int, int]
    affine: Affine

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along each axis."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    def supersampled(self) -> "Grid":
        """The grid that splits every voxel into `SUPERSAMPLING`³ equal parts."""
        shift = (1 / SUPERSAMPLING - 1) / 2
        split = np.diag([1 / SUPERSAMPLING] * 3 + [1.0])
        split[:3, 3] = shift
        i, j, k = (n * SUPERSAMPLING for n in self.shape)
        return Grid((i, j, k), self.affine @ split)

    def points_mm(self) -> Volume:
        """World coordinates of all voxels, array (3, I, J, K)."""
        axes = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in self.shape), indexing="ij")
        return apply_affine(self.affine, np.stack(axes))


@dataclass(frozen=True)
class HeadShape:
    """How one head differs from the template.

    Attributes:
        tilt_deg: rotations about the x, y and z axes.
        shift_mm: position of the head in the scanner.
        size: factors along x, y and z; 1.05 is a head 5 % larger than the template.
        ventricles_mm: outward shift of the ventricles' walls; negative for narrow ones.
        sulci: bias towards fluid in the folds; positive for wide fissures.
        bend_mm: amplitudes of the coarse (45 mm) and fine (18 mm) random deformation.
        csf_mm, skull_mm, scalp_mm: thickness of the layers over the brain.
    """

    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ventricles_mm: float = 0.0
    sulci: float = 0.0
    bend_mm: tuple[float, float] = (3.0, 1.2)
    csf_mm: float = 2.5
    skull_mm: float = 6.0
    scalp_mm: float = 6.0


@dataclass(frozen=True)
class Bulge:
    """Mass effect: tissue pushed outwards from a centre, strongest at a radius.

    Attributes:
        centre_mm: where, in template coordinates.
        radius_mm: distance of the largest displacement.
        shift_mm: that displacement.
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float
    shift_mm: float


@dataclass(frozen=True)
class Anatomy:
    """Tissues of one head on a supersampled grid.

    Attributes:
        grid: the supersampled grid.
        template_mm: template coordinates of every voxel, (3, I, J, K).
        fractions: CSF, grey and white matter, (3, I, J, K), zero outside the skull.
        labels: `Tissue` of the voxels outside the brain.
        brain: fraction that belongs to the intracranial space above the foramen magnum.
        ventricles: smoothed indicator of the ventricles.
    """

    grid: Grid
    template_mm: Volume
    fractions: Volume
    labels: npt.NDArray[np.uint8]
    brain: Volume
    ventricles: Volume


def apply_affine(affine: Affine, points_mm: Volume) -> Volume:
    """Map points (3, ...) by an affine (4, 4)."""
    matrix = affine[:3, :3].astype(np.float32)
    offset = affine[:3, 3].astype(np.float32).reshape(3, *([1] * (points_mm.ndim - 1)))
    moved: Volume = np.tensordot(matrix, points_mm, axes=1) + offset
    return moved


def rotation(tilt_deg: tuple[float, float, float]) -> Affine:
    """Affine (4, 4) of the rotations about x, then y, then z."""
    turned = np.eye(4)
    for axis, angle in enumerate(np.radians(tilt_deg)):
        one, two = [other for other in range(3) if other != axis]
        step = np.eye(4)
        step[[one, two], [one, two]] = np.cos(angle)
        step[one, two], step[two, one] = -np.sin(angle), np.sin(angle)
        turned = step @ turned
    return turned


def world_to_template(shape: HeadShape) -> Affine:
    """Undo position, tilt and size of a head."""
    placed = rotation(shape.tilt_deg) @ np.diag([*shape.size, 1.0])
    placed[:3, 3] = shape.shift_mm
    inverse: Affine = np.linalg.inv(placed)
    return inverse


def deform(
    points_mm: Volume, grid: Grid, shape: HeadShape, generator: np.random.Generator
) -> Volume:
    """Add the individual's smooth random displacement to template coordinates."""
    moved = points_mm.copy()
    for amplitude, knot_mm in zip(shape.bend_mm, (45.0, 18.0), strict=True):
        for axis in range(3):
            moved[axis] += amplitude * smooth_field(grid.shape, grid.spacing, knot_mm, generator)
    return moved


def push_out(points_mm: Volume, bulge: Bulge) -> Volume:
    """Displace by u(r) = -shift · (r/R) · exp((1 - (r/R)²) / 2), which peaks at r = R."""
    centre = np.asarray(bulge.centre_mm, dtype=np.float32)[:, None, None, None]
    offset = points_mm - centre
    relative_sq = np.sum(offset**2, axis=0) / bulge.radius_mm**2
    pull = bulge.shift_mm / bulge.radius_mm * np.exp((1 - relative_sq) / 2)
    moved: Volume = (points_mm - offset * pull).astype(np.float32)
    return moved


def widen_ventricles(points_mm: Volume, atlas: Atlas, shift_mm: float) -> Volume:
    """Move the ventricles' walls outwards by sampling the template closer to them."""
    gradient = np.stack(np.gradient(atlas.ventricles.values))
    steepest = float(np.sqrt(np.max(np.sum(gradient**2, axis=0))))
    moved = points_mm.copy()
    for axis in range(3):
        towards = type(atlas.ventricles)(gradient[axis] / steepest, atlas.ventricles.affine)
        moved[axis] += shift_mm * towards.sample(points_mm)
    return moved


def in_brainstem(points_mm: Volume) -> Volume:
    """How far template coordinates (3, ...) lie in the box that holds the brainstem, 0 to 1."""
    x, y, z = points_mm
    walls_mm = (18 - np.abs(x), y + 48, -12 - y, -8 - z)
    inside: Volume = np.clip(np.minimum.reduce(walls_mm) / 4, 0, 1)
    return inside


def tissue_fractions(
    atlas: Atlas, points_mm: Volume, grid: Grid, sulci: float, generator: np.random.Generator
) -> Volume:
    """CSF, grey and white fractions, (3, I, J, K), sharpened by a steep soft classification.

    The template is an average of 152 people and blurred by it. With probabilities p the fractions
    are softmax(3.2 · log p + b), where the random bias b gives every head its own sulci.

    Cortex is grey and white matter side by side, which that restores. Thalamus, pallidum and
    brainstem are both at once: deep below the surface tissue is as pale as it is on T1, not as dark
    as cortex, which those of no healthy head are.
    """
    depth_mm = -atlas.hull_mm.sample(points_mm)
    deep = np.clip((depth_mm - CORTEX_MM) / (DEEP_MM - CORTEX_MM), 0, 1)
    deep = np.maximum(deep, in_brainstem(points_mm))
    maps = (atlas.csf, atlas.grey, atlas.white)
    logits = np.stack([3.2 * np.log(source.sample(points_mm) + 0.02) for source in maps])
    folds = smooth_field(grid.shape, grid.spacing, 7.0, generator)
    lobes = smooth_field(grid.shape, grid.spacing, 30.0, generator)
    logits[0] += 1.3 + sulci + 0.9 * folds + 0.5 * lobes
    logits[2] += 0.4 * smooth_field(grid.shape, grid.spacing, 9.0, generator)
    logits -= logits.max(axis=0)
    weights = np.exp(logits)
    csf, _, white = weights / weights.sum(axis=0)
    white += deep * (atlas.pale.sample(points_mm) * (1 - csf) - white)
    shares: Volume = np.stack((csf, 1 - csf - white, white)).astype(np.float32)
    return shares


def build_head(
    atlas: Atlas,
    grid: Grid,
    shape: HeadShape,
    generator: np.random.Generator,
    *,
    bulge: Bulge | None = None,
) -> Anatomy:
    """Build one head on the supersampled version of a scan's grid.

    Args:
        atlas: the template's maps.
        grid: the scan's grid.
        shape: how this head differs from the template.
        generator: source of the individual's random shape.
        bulge: mass effect of a lesion, if any; it moves the brain, not the skull.

    Returns:
        The tissues of the head.
    """
    fine = grid.supersampled()
    outer = apply_affine(world_to_template(shape), fine.points_mm())
    outer = deform(outer, fine, shape, generator)
    hull_mm = atlas.hull_mm.sample(outer) - shape.csf_mm
    inner = widen_ventricles(outer, atlas, shape.ventricles_mm)
    if bulge is not None:
        inner = push_out(inner, bulge)
    fractions = tissue_fractions(atlas, inner, fine, shape.sulci, generator)
    labels = extracranial_labels(
        outer, hull_mm, fine.shape, fine.spacing, generator, shape.skull_mm, shape.scalp_mm
    )
    cranial = labels == Tissue.INTRACRANIAL
    fractions *= cranial
    above = outer[2] > FORAMEN_MAGNUM_Z_MM
    brain = (cranial & above & (hull_mm < 0)).astype(np.float32)
    return Anatomy(fine, inner, fractions, labels, brain, atlas.ventricles.sample(inner))
