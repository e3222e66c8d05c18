"""What of a scan is compared with the healthy cohort, measured in its frame.

A lesion should move none of these much and a scan that is no head MRI, or one with a lying header,
at least one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from counterpart.calibration.domain import scan_domain
from counterpart.denoiser import Denoiser, soft_limit
from counterpart.grid import Grid
from counterpart.pose_checks import mutual_information, stretches
from counterpart.slices import as_slices

Array = NDArray[np.float32]
SHARES = tuple(np.round(np.linspace(0.02, 0.98, 33), 4).tolist())
LEVELS_MM = tuple(float(z) for z in range(-40, 63, 6))
_LEAST_VOXELS = 700
_NEAR_MM = 2.5


@dataclass(frozen=True, eq=False)
class ScanTraits:
    """One scan as it is compared.

    Args:
        codes: (L, C) the encoder's unit codes at `LEVELS_MM`; zeros where there is no slice, (L, 0)
            without an encoder.
        quantiles: (Q,) of the normalised intensities inside the brain, at `SHARES`, spreads.
        information: Mutual information with the template, nats.
        overlap: Dice coefficient of the brain in template pose and the template's.
        noise: Of `counterpart.calibration.domain.ScanDomain`, spreads.
        sharpness: Likewise, spreads/mm.
    """

    codes: Array
    quantiles: Array
    information: float
    overlap: float
    noise: float
    sharpness: float


def frame_traits(
    denoiser: Denoiser,
    scaled: Array,
    inside: NDArray[np.bool_],
    template_from_frame: NDArray[np.float64],
    *,
    thick: bool,
    overlap: float,
) -> ScanTraits:
    """Measure a scan in its frame.

    Args:
        denoiser: Its encoder makes the codes.
        scaled: (I, J, K) normalised scan, spreads, 0 outside the brain.
        inside: (I, J, K) brain mask.
        template_from_frame: (4, 4) frame voxel index to template world, mm.
        thick: Whether the slices are thick.
        overlap: Dice coefficient of the pose.
    """
    domain = scan_domain(scaled, inside, thick=thick, pose_overlap=0.0)  # which is known
    grid = Grid((scaled.shape[0], scaled.shape[1], scaled.shape[2]), template_from_frame)
    return ScanTraits(
        codes=level_codes(denoiser, scaled, inside, template_from_frame),
        quantiles=np.quantile(scaled[inside], SHARES).astype(np.float32),
        information=mutual_information(scaled, inside, grid, np.eye(4)),
        overlap=overlap,
        noise=domain.noise,
        sharpness=domain.sharpness,
    )


@dataclass(frozen=True)
class BrainSize:
    """How large a brain is by the header of its scan.

    Args:
        volume_ml: Of the brain mask in the scan's own world.
        proportion: The pose's largest stretch by its least: 1 for the template's proportions.
    """

    volume_ml: float
    proportion: float


def brain_size(
    brain: NDArray[np.bool_], grid: Grid, template_from_world: NDArray[np.float64]
) -> BrainSize:
    """Measure a brain mask (I, J, K) on its grid, in a pose (4, 4)."""
    factors = stretches(template_from_world)
    volume_ml = float(brain.sum()) * grid.voxel_volume_ml
    return BrainSize(volume_ml, float(factors[0] / factors[-1]))


@torch.inference_mode()
def level_codes(
    denoiser: Denoiser,
    scaled: Array,
    inside: NDArray[np.bool_],
    template_from_frame: NDArray[np.float64],
    levels_mm: Sequence[float] = LEVELS_MM,
) -> Array:
    """Unit codes (L, C) of the slices at some levels; zeros where none is near, or little brain.

    Args:
        denoiser: Its encoder makes the codes.
        scaled: (I, J, K) normalised scan, spreads, 0 outside the brain.
        inside: (I, J, K) brain mask.
        template_from_frame: (4, 4) frame voxel index to template world, mm.
        levels_mm: Template z of each level.
    """
    config = denoiser.config.encoder
    found = np.zeros((len(levels_mm), 0 if config is None else config.code_size), np.float32)
    slices = slices_at_levels(inside, template_from_frame, levels_mm)
    shown = [level for level, number in enumerate(slices) if number >= 0]
    if not shown:
        return found
    values = soft_limit(as_slices(scaled[:, :, slices[shown]])).to(denoiser.signal.device)
    codes = denoiser.codes(values)
    if codes is not None:
        found[shown] = functional.normalize(codes.float(), dim=1).cpu().numpy()
    return found


def slices_at_levels(
    inside: NDArray[np.bool_],
    template_from_frame: NDArray[np.float64],
    levels_mm: Sequence[float] = LEVELS_MM,
) -> NDArray[np.int64]:
    """(L,) the slice near each level that shows enough brain, else -1.

    Args:
        inside: (I, J, K) brain mask.
        template_from_frame: (4, 4) frame voxel index to template world, mm.
        levels_mm: Template z of each level.
    """
    middle = [(size - 1) / 2.0 for size in inside.shape[:2]]
    offset = template_from_frame[2, :2] @ middle + template_from_frame[2, 3]
    step = template_from_frame[2, 2]
    wanted = np.asarray(levels_mm, np.float64)
    index = np.rint((wanted - offset) / step).astype(np.int64)
    away = np.abs(offset + step * index - wanted)
    kept = np.clip(index, 0, inside.shape[2] - 1)
    enough = inside.sum(axis=(0, 1))[kept] >= _LEAST_VOXELS
    return np.where((kept == index) & enough & (away <= _NEAR_MM), index, -1)
