"""Everything around the brain: skull, scalp, face and neck, drawn from simple solids."""

from enum import IntEnum

import numpy as np
import numpy.typing as npt
from fields import smooth_field

Volume = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Point = tuple[float, float, float]


class Tissue(IntEnum):
    """Tissues outside the brain, one label per voxel."""

    AIR = 0
    INTRACRANIAL = 1
    BONE = 2
    MARROW = 3
    FAT = 4
    MUSCLE = 5
    SKIN = 6
    VITREOUS = 7
    MUCOSA = 8
    CORD = 9
    CANAL = 10


FACE: tuple[tuple[Point, Point], ...] = (
    ((0.0, 32.0, -72.0), (64.0, 58.0, 66.0)),
    ((0.0, 88.0, -52.0), (13.0, 22.0, 20.0)),
    ((0.0, 62.0, -104.0), (40.0, 34.0, 40.0)),
)
NECK_RADII_MM = (60.0, 66.0)
NECK_CENTRE_Y_MM = -30.0
EARS: tuple[tuple[Point, Point], ...] = (
    ((80.0, -24.0, -38.0), (9.0, 13.0, 27.0)),
    ((-80.0, -24.0, -38.0), (9.0, 13.0, 27.0)),
)
EYES: tuple[Point, ...] = ((32.0, 65.0, -37.0), (-32.0, 65.0, -37.0))
SINUSES: tuple[tuple[Point, Point], ...] = (
    ((26.0, 55.0, -66.0), (13.0, 15.0, 15.0)),
    ((-26.0, 55.0, -66.0), (13.0, 15.0, 15.0)),
    ((0.0, 26.0, -40.0), (13.0, 11.0, 9.0)),
    ((0.0, 52.0, -42.0), (10.0, 20.0, 10.0)),
    ((0.0, 78.0, -22.0), (14.0, 4.0, 8.0)),
    ((5.0, 62.0, -66.0), (3.5, 26.0, 16.0)),
    ((-5.0, 62.0, -66.0), (3.5, 26.0, 16.0)),
    ((0.0, 14.0, -78.0), (10.0, 9.0, 24.0)),
    ((52.0, -32.0, -50.0), (8.0, 9.0, 10.0)),
    ((-52.0, -32.0, -50.0), (8.0, 9.0, 10.0)),
)


def ellipsoid_mm(points_mm: Volume, centre: Point, radii: Point) -> Volume:
    """Signed distance from an ellipsoid with radii r, negative inside.

    It is approximated by a(a - 1)/b with a = |x/r| and b = |x/r²|, exact for a sphere.
    """
    scale = np.asarray(radii, dtype=np.float32)[:, None, None, None]
    offset = points_mm - np.asarray(centre, dtype=np.float32)[:, None, None, None]
    first = np.sqrt(np.sum((offset / scale) ** 2, axis=0))
    second = np.sqrt(np.sum((offset / scale**2) ** 2, axis=0))
    distance: Volume = first * (first - 1) / np.maximum(second, 1e-3)
    return distance


def blend(one: Volume, two: Volume, width_mm: float) -> Volume:
    """Union of two solids with a rounded seam (polynomial smooth minimum)."""
    share = np.clip(0.5 + 0.5 * (two - one) / width_mm, 0, 1)
    joined: Volume = two + (one - two) * share - width_mm * share * (1 - share)
    return joined


def head_surface_mm(points_mm: Volume, vault_mm: Volume) -> Volume:
    """Signed distance from the skin, given that of the skin over the vault."""
    surface = vault_mm
    for centre, radii in FACE:
        surface = blend(surface, ellipsoid_mm(points_mm, centre, radii), 14.0)
    across = np.hypot(
        points_mm[0] / NECK_RADII_MM[0], (points_mm[1] - NECK_CENTRE_Y_MM) / NECK_RADII_MM[1]
    )
    neck = np.maximum((across - 1) * NECK_RADII_MM[0], points_mm[2] + 62.0)
    surface = blend(surface, neck.astype(np.float32), 18.0)
    for centre, radii in EARS:
        surface = blend(surface, ellipsoid_mm(points_mm, centre, radii), 4.0)
    return surface


def layer_labels(
    surface_mm: Volume, hull_mm: Volume, skull_mm: Volume, scalp_mm: float, texture: Volume
) -> Labels:
    """Skin, fat, muscle, bone and marrow by depth below the skin and height over the brain."""
    # Muscles are separated by sheets of fat: the places where the texture changes its sign.
    labels = np.where(np.abs(texture) < 0.14, Tissue.FAT, Tissue.MUSCLE).astype(np.uint8)
    labels[surface_mm > -2.0 - scalp_mm + 2.5] = Tissue.FAT
    bone = hull_mm < skull_mm
    labels[bone] = Tissue.BONE
    middle = np.abs(hull_mm - skull_mm / 2) < skull_mm / 2 - 1.6
    labels[bone & middle & (texture > -1.0)] = Tissue.MARROW
    labels[surface_mm > -2.0] = Tissue.SKIN
    labels[surface_mm > 0] = Tissue.AIR
    labels[hull_mm < 0] = Tissue.INTRACRANIAL
    return labels


def add_face(labels: Labels, points_mm: Volume, hull_mm: Volume, wobble_mm: Volume) -> None:
    """Carve orbits, eyes, sinuses and the jaw into the soft tissue, in place."""
    free = (hull_mm > 1.5) & (labels != Tissue.AIR) & (labels != Tissue.SKIN)
    jaw = np.abs(ellipsoid_mm(points_mm, (0.0, 30.0, -112.0), (44.0, 42.0, 30.0))) < 4
    labels[jaw & free & (points_mm[1] > 5)] = Tissue.BONE
    for centre in EYES:
        orbit = (centre[0] * 0.86, centre[1] - 16.0, centre[2])
        labels[(ellipsoid_mm(points_mm, orbit, (15.0, 26.0, 15.0)) < 0) & free] = Tissue.FAT
        nerve = np.hypot(points_mm[0] - centre[0] * 0.8, points_mm[2] - centre[2]) < 2.5
        span = (points_mm[1] > 22) & (points_mm[1] < centre[1])
        labels[nerve & span & free] = Tissue.MUSCLE
        eye = ellipsoid_mm(points_mm, centre, (12.0, 12.0, 12.0))
        labels[(eye < 1.2) & free] = Tissue.MUSCLE
        labels[(eye < 0) & free] = Tissue.VITREOUS
    for centre, radii in SINUSES:
        cavity = ellipsoid_mm(points_mm, centre, radii) + wobble_mm
        labels[(cavity < 1.8) & free] = Tissue.MUCOSA
        labels[(cavity < 0) & free] = Tissue.AIR


def add_spine(labels: Labels, points_mm: Volume, hull_mm: Volume) -> None:
    """Continue the brain stem as cord, fluid and vertebrae below the skull, in place."""
    across = np.hypot(points_mm[0], points_mm[1] + 44.0 + 0.08 * (points_mm[2] + 72.0))
    below = (points_mm[2] < -62.0) & (hull_mm > 0)
    body = np.hypot(points_mm[0], points_mm[1] + 22.0)
    labels[below & (body < 13) & (points_mm[2] < -74)] = Tissue.MARROW
    labels[below & (across < 15)] = Tissue.BONE
    labels[below & (across < 11)] = Tissue.CANAL
    labels[below & (across < 6.5)] = Tissue.CORD


def extracranial_labels(
    points_mm: Volume,
    hull_mm: Volume,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    generator: np.random.Generator,
    skull_mm: float,
    scalp_mm: float,
) -> Labels:
    """Label every voxel with the tissue outside the brain, or as intracranial.

    Args:
        points_mm: template coordinates, (3, I, J, K).
        hull_mm: signed distance from the inner table of the skull, negative inside.
        shape: voxels along each axis.
        spacing: voxel size in mm along each axis.
        generator: source of the irregular thickness and of the strands of muscle and fat.
        skull_mm: mean thickness of the skull.
        scalp_mm: mean thickness of the scalp.

    Returns:
        Labels (I, J, K), values of `Tissue`.
    """
    thick = skull_mm * (1 + 0.16 * smooth_field(shape, spacing, 28.0, generator))
    scalp = scalp_mm * (1 + 0.14 * smooth_field(shape, spacing, 40.0, generator))
    strands = 0.7 * smooth_field(shape, spacing, 9.0, generator)
    strands += smooth_field(shape, spacing, 18.0, generator)
    wobble = 1.6 * smooth_field(shape, spacing, 8.0, generator)
    surface = head_surface_mm(points_mm, hull_mm - thick - scalp)
    labels = layer_labels(surface, hull_mm, thick, scalp_mm, strands)
    add_face(labels, points_mm, hull_mm, wobble)
    add_spine(labels, points_mm, hull_mm)
    return labels
