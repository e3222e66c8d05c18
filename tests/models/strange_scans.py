"""Scans that are no healthy head MRI, made from one that is: what the limits are tried on."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.grid import Grid, canonical_orientation
from counterpart.scans import Scan

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]


def upright(scan: Scan) -> Scan:
    """The same scan stored in canonical axes, so that the first axis points right."""
    turn = canonical_orientation(scan.grid)
    values = np.ascontiguousarray(turn.forward(scan.values))
    return replace(scan, values=values, grid=turn.canonical, header=None)


def with_values(scan: Scan, values: NDArray[np.floating], name: str = "strange") -> Scan:
    return replace(scan, values=values.astype(np.float32), name=name, header=None)


def with_spacing(scan: Scan, *factors: float) -> Scan:
    """The header's voxel size multiplied along each axis; the voxels stay."""
    affine = scan.grid.affine @ np.diag([*factors, 1.0])
    return replace(scan, grid=Grid(scan.grid.shape, affine), header=None)


def ct_like(scan: Scan, brain: Mask) -> Scan:
    """Bone bright, soft tissue flat, in offset units that are never negative."""
    level = scan.values / np.percentile(scan.values[brain], 98)
    head = ndimage.binary_fill_holes(ndimage.binary_closing(level > 0.15, iterations=3))
    shell = ndimage.binary_dilation(brain, iterations=5) & ~ndimage.binary_dilation(brain)
    rng = np.random.default_rng(1)
    soft = 1040.0 - 8.0 * np.clip(level, 0.0, 1.2) + 6.0 * rng.standard_normal(level.shape)
    values = np.where(head, soft, 20.0)
    return with_values(scan, np.where(shell & head, 2000.0, values))


def noise_only(scan: Scan) -> Scan:
    rng = np.random.default_rng(2)
    return with_values(scan, np.abs(rng.standard_normal(scan.values.shape)) * 100.0)


def noise_in_a_brain(scan: Scan, brain: Mask) -> Scan:
    """A stripped scan whose brain holds smooth noise alone."""
    rng = np.random.default_rng(3)
    grain = ndimage.gaussian_filter(rng.standard_normal(scan.values.shape), 1.5)
    return with_values(scan, np.where(brain, 100.0 + 60.0 * grain / grain.std(), 0.0))


def phantom(scan: Scan) -> Scan:
    """A cylinder with rods, as quality assurance scans it."""
    index = np.moveaxis(np.indices(scan.values.shape), 0, -1)
    place = (index - (np.array(scan.values.shape) - 1) / 2.0) * np.array(scan.grid.spacing)
    radius = np.hypot(place[..., 0], place[..., 1])
    inside = (radius < 85.0) & (np.abs(place[..., 2]) < 75.0)
    values = np.where(inside, 100.0, 0.0)
    for angle in np.arange(0.0, 2 * np.pi, np.pi / 4):
        rod = np.hypot(place[..., 0] - 50 * np.cos(angle), place[..., 1] - 50 * np.sin(angle)) < 9.0
        values[rod & inside] = 40.0 + 20.0 * angle
    rng = np.random.default_rng(4)
    return with_values(scan, np.abs(values + 2.0 * rng.standard_normal(values.shape)))


def spine(scan: Scan) -> Scan:
    """Vertebrae, discs, cord and canal in a body of muscle and fat, 200 mm long."""
    shape = scan.values.shape
    index = np.moveaxis(np.indices(shape), 0, -1)
    x, y, z = np.moveaxis(
        (index - (np.array(shape) - 1) / 2.0) * np.array(scan.grid.spacing), -1, 0
    )
    values = np.where((np.abs(x) < 80) & (np.abs(y) < 80), 60.0, 0.0)
    values[(y < -60) & (values > 0)] = 160.0
    vertebra = (np.hypot(x, y - 15) < 18) & (np.mod(z, 24.0) < 18)
    values[np.hypot(x, y - 15) < 18] = 40.0
    values[vertebra] = 110.0
    values[np.hypot(x, y + 12) < 9] = 20.0
    values[np.hypot(x, y + 12) < 5] = 120.0
    rng = np.random.default_rng(5)
    values = ndimage.gaussian_filter(values, 0.7) + 3.0 * rng.standard_normal(shape)
    return with_values(scan, np.abs(values))


def half_head(scan: Scan, brain: Mask) -> Scan:
    """The left half is missing, filled with the background."""
    middle = round(float(np.argwhere(brain)[:, 0].mean()))
    values = scan.values.copy()
    values[:middle] = values[0, 0, -1]
    return with_values(scan, values)


def cut_above(scan: Scan, brain: Mask) -> Scan:
    """The slices above the middle of the brain were not acquired."""
    middle = round(float(np.argwhere(brain)[:, 2].mean()))
    values = np.ascontiguousarray(scan.values[:, :, :middle])
    return replace(with_values(scan, values), grid=Grid(values.shape, scan.grid.affine))


def upside_down(scan: Scan) -> Scan:
    """The head stands on its vertex, and the header does not say so."""
    return with_values(scan, np.ascontiguousarray(scan.values[:, ::-1, ::-1]))


def inverted(scan: Scan, brain: Mask) -> Scan:
    """What is bright becomes dark and the reverse, within the head."""
    high = float(np.percentile(scan.values[brain], 99.5))
    shown = np.clip(high - scan.values, 0.0, None)
    return with_values(scan, np.where(scan.values > 0.08 * high, shown, 0.0))


def dwi_like(scan: Scan, brain: Mask) -> Scan:
    """Coarse, noisy, tissue nearly flat, fluid dark, bright at the skull base, no skull."""
    level = np.clip(scan.values / np.percentile(scan.values[brain], 98), 0.0, 1.2)
    flat = np.where(level < 0.35, 0.3 * level, 0.9 - 0.25 * level)
    coarse = ndimage.gaussian_filter(np.where(brain, flat, 0.02), (1.2, 1.2, 0.8))
    where = np.argwhere(brain)
    low, centre = where.min(axis=0), where.mean(axis=0)
    index = np.moveaxis(np.indices(brain.shape), 0, -1)
    spot = np.exp(-(((index - [centre[0], centre[1] + 12, low[2] + 12]) / 7.0) ** 2).sum(-1))
    rng = np.random.default_rng(6)
    real, imaginary = rng.standard_normal((2, *brain.shape)) * 0.05
    return with_values(scan, 400.0 * np.hypot(coarse + 0.8 * spot * brain + real, imaginary))


def angiography_like(scan: Scan, brain: Mask) -> Scan:
    """All tissue suppressed, some bright vessels."""
    rng = np.random.default_rng(7)
    grain = ndimage.gaussian_filter(rng.standard_normal(brain.shape), 1.5)
    vessels = brain & (np.abs(grain) < 0.01 * grain.std())
    level = scan.values / np.percentile(scan.values[brain], 98)
    values = 30.0 + 8.0 * level + 5.0 * rng.standard_normal(brain.shape)
    values = np.where(level > 0.08, values, np.abs(3.0 * rng.standard_normal(brain.shape)))
    return with_values(scan, values + 200.0 * vessels)


def moved(scan: Scan, strength: float = 1.0) -> Scan:
    """Ghosts along the second axis: during the scan the head moved, line by line of k-space.

    Args:
        strength: 1 is motion of about 6 mm that comes and goes.
    """
    lines = scan.values.shape[1]
    space = np.fft.fft(scan.values, axis=1)
    frequency = np.fft.fftfreq(lines)
    rng = np.random.default_rng(8)
    path = ndimage.gaussian_filter1d(rng.standard_normal(lines), 1.5)
    shift = strength * 3.0 * path / path.std() * (np.abs(np.fft.fftshift(frequency)) > 0.03)
    shift = np.fft.ifftshift(shift)
    space = space * np.exp(-2j * np.pi * frequency * shift)[None, :, None]
    return with_values(scan, np.abs(np.fft.ifft(space, axis=1)))


def with_agent(scan: Scan, brain: Mask) -> Scan:
    """T1 with contrast agent: bright vessels, sinuses and choroid, a tumour's bright ring."""
    high = float(np.percentile(scan.values[brain], 98))
    rim = brain & ~ndimage.binary_erosion(brain, iterations=2)
    rng = np.random.default_rng(9)
    grain = ndimage.gaussian_filter(rng.standard_normal(brain.shape), 2.0)
    vessels = brain & (np.abs(grain) < 0.02 * grain.std())
    sinus = rim & (grain > 0.8 * grain.std())
    centre = np.argwhere(brain).mean(axis=0) + np.array([14.0, 6.0, 4.0])
    index = np.moveaxis(np.indices(brain.shape), 0, -1)
    away = np.sqrt((((index - centre) * np.array(scan.grid.spacing)) ** 2).sum(-1))
    values = scan.values.copy()
    values[vessels | sinus] = 1.5 * high
    values[away < 20.0] = 0.35 * high
    values[(away >= 14.0) & (away < 20.0)] = 1.7 * high
    return with_values(scan, ndimage.gaussian_filter(values, 0.4))


def with_tumour(scan: Scan, brain: Mask, radius_mm: float = 30.0) -> Scan:
    """A large dark tumour with a bright core: a sick head that must be answered."""
    high = float(np.percentile(scan.values[brain], 98))
    centre = np.argwhere(brain).mean(axis=0) + np.array([18.0, 4.0, 6.0])
    index = np.moveaxis(np.indices(brain.shape), 0, -1)
    away = np.sqrt((((index - centre) * np.array(scan.grid.spacing)) ** 2).sum(-1))
    share = np.clip(radius_mm - away, 0.0, 4.0) / 4.0 * brain
    values = scan.values * (1 - share) + share * 0.45 * high
    core = np.clip(0.4 * radius_mm - away, 0.0, 3.0) / 3.0 * brain
    return with_values(scan, values * (1 - core) + core * 0.2 * high)
