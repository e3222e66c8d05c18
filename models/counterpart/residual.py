"""From scan and reconstruction to the residual, the anomaly map and the healthy counterpart.

*Residual* = scan − reconstruction, signed, ungated, in spreads. The *anomaly map* is the sign of
the smoothed residual times its strength. The *healthy counterpart* keeps the scan where nothing is
anomalous: ``(1 − g) * scan + g * (reconstruction + texture)`` with a smooth gate g.

Here all arrays lie in the frame: (I, J, K), about 2 mm in plane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.errors import ModelError
from counterpart.plain_config import PlainConfig
from counterpart.template import SPACING_MM

Array = NDArray[np.float32]

FLAGGED_GATE = 0.5  # a voxel counts as flagged from this share of repainting on


@dataclass(frozen=True)
class AnomalyConfig(PlainConfig):
    """How residual and departure channel become one map.

    Args:
        median_voxels: Side of the median filter, in plane and, for thin slices, across.
        departure_power: Exponent of the departure probability in the strength; 0 ignores it.
        residual_power: Exponent of the smoothed absolute residual; 0 keeps its sign alone.
        size_first: Whether the median is that of the absolute residual, as in the code released
            with arXiv 2406.00772, and not that of the signed one.
        erosion_voxels: How many voxels of the brain's rim are left out.
        smoothing_mm: Standard deviation of the Gaussian that the signed map is smoothed by, mm, no
            stronger than smoothed by half of it; 0 leaves it.
    """

    median_voxels: int = 3
    departure_power: float = 1.0
    residual_power: float = 1.0
    size_first: bool = False
    erosion_voxels: int = 0
    smoothing_mm: float = 0.0

    def __post_init__(self) -> None:
        if self.median_voxels < 1 or self.median_voxels % 2 == 0:
            raise ModelError(f"the median filter needs an odd side, got {self.median_voxels}.")
        if self.erosion_voxels < 0:
            raise ModelError(f"the rim must not be negative, got {self.erosion_voxels} voxels.")
        if self.smoothing_mm < 0:
            raise ModelError(f"a map is smoothed by 0 mm or more, got {self.smoothing_mm}.")
        if min(self.departure_power, self.residual_power) < 0:
            raise ModelError("the powers of the anomaly map must not be negative.")
        if self.departure_power == self.residual_power == 0:
            raise ModelError("one of the powers of the anomaly map must be positive.")


def residual_map(scaled: Array, reconstruction: Array, brain: NDArray[np.bool_]) -> Array:
    """Scan minus reconstruction inside the brain, 0 outside; spreads, signed, ungated."""
    return np.where(brain, scaled - reconstruction, 0.0).astype(np.float32)


def smoothed_residual(
    residual: Array, brain: NDArray[np.bool_], config: AnomalyConfig, *, thick: bool
) -> Array:
    """The residual without single voxels: its median, signed; 0 outside the brain.

    Args:
        residual: (I, J, K) spreads.
        brain: (I, J, K) brain mask.
        config: Side of the filter.
        thick: Whether slices are thick, and so not mixed with their neighbours.

    Returns:
        (I, J, K) float32.
    """
    side = config.median_voxels
    size = (side, side, 1 if thick else side)
    smooth = ndimage.median_filter(residual, size=size)
    if config.size_first:
        smooth = np.sign(smooth) * ndimage.median_filter(np.abs(residual), size=size)
    return np.where(brain, smooth, 0.0).astype(np.float32)


def anomaly_map(
    residual: Array,
    departure: Array,
    brain: NDArray[np.bool_],
    config: AnomalyConfig,
    *,
    thick: bool,
    standardise: Callable[[Array], Array] | None = None,
) -> Array:
    """The signed anomaly map.

    ``sign(r) * |z|^a * d^b`` with r the median of the residual, z the same in units of what health
    leaves (0 where it leaves more), and d the median of the departure; smoothed with its sign, so
    that what is brighter here and darker there, as noise is, cancels, and nowhere stronger than
    smoothed by half as much, so that a strong lesion is not outlined too wide.

    Args:
        residual: (I, J, K) spreads.
        departure: (I, J, K) probability.
        brain: (I, J, K) brain mask.
        config: Filter and powers.
        thick: Whether slices are thick, and so not mixed with their neighbours.
        standardise: Turns r into z (`counterpart.calibration.residual_scale`); without it z is r.

    Returns:
        (I, J, K) float32, 0 outside the brain.
    """
    smooth = smoothed_residual(residual, brain, config, thick=thick)
    sign = np.sign(smooth)
    beyond = smooth if standardise is None else standardise(smooth)
    strength = np.maximum(sign * beyond, 0.0) ** config.residual_power
    if config.departure_power:
        side = config.median_voxels
        certain = ndimage.median_filter(departure, size=(side, side, 1 if thick else side))
        strength = strength * np.clip(certain, 0.0, 1.0) ** config.departure_power
    inside = brain
    if config.erosion_voxels:
        cross = ndimage.generate_binary_structure(3, 1)
        cross[..., (0, 2)] &= not thick
        inside = ndimage.binary_erosion(brain, cross, iterations=config.erosion_voxels)
    signed = np.where(inside, sign * strength, 0.0).astype(np.float32)
    width = config.smoothing_mm
    if not width:
        return signed
    wide, narrow = (
        _smoothed_within(signed, inside, part, thick=thick) for part in (width, width / 2.0)
    )
    return np.where(wide * narrow > 0, _nearer_to_zero(wide, narrow), 0.0).astype(np.float32)


def _smoothed_within(
    values: Array, inside: NDArray[np.bool_], width_mm: float, *, thick: bool
) -> Array:
    """Gaussian smoothing that what lies outside has no part in; across thin slices alone."""
    voxels = width_mm / SPACING_MM
    sigma = (voxels, voxels, 0.0 if thick else voxels)
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(values, sigma) / np.maximum(weight, 1e-3)
    return np.where(inside, smooth, 0.0).astype(np.float32)


def _nearer_to_zero(one: Array, other: Array) -> Array:
    return np.where(np.abs(one) < np.abs(other), one, other)


def healing_gate(anomaly: Array, threshold: float, *, thick: bool) -> Array:
    """How much of each voxel is repainted: 0 below half the threshold, 1 from the threshold on.

    The map's strength is widened by a voxel first, so that a lesion's border goes with it, and
    holes within are closed.
    """
    across = 1 if thick else 3
    wide = ndimage.grey_closing(np.abs(anomaly), size=(5, 5, across))
    wide = ndimage.maximum_filter(wide, size=(3, 3, across))
    wide = ndimage.gaussian_filter(wide, (0.7, 0.7, 0.0 if thick else 0.7))
    ramp = np.clip((wide - 0.5 * threshold) / (0.5 * threshold), 0.0, 1.0)
    gate: Array = (ramp * ramp * (3.0 - 2.0 * ramp)).astype(np.float32)
    return gate


def tissue_texture(
    residual: Array, gate: Array, brain: NDArray[np.bool_], generator: np.random.Generator
) -> Array:
    """Fine texture like that of the scan's own unflagged tissue, so repainted parts look alike.

    Gaussian noise, correlated over about a voxel, with the robust spread that the residual's
    detail (what a 3 x 3 median removes) has outside the gate.
    """
    detail = residual - ndimage.median_filter(residual, size=(3, 3, 1))
    healthy = brain & (gate < 0.05)
    noise = ndimage.gaussian_filter(generator.standard_normal(residual.shape), (0.5, 0.5, 0.0))
    spread = 1.4826 * float(np.median(np.abs(detail[healthy]))) if healthy.any() else 0.0
    texture: Array = (noise * (spread / noise.std())).astype(np.float32)
    return texture
