"""Codes of a scan's flagged slices, by which it is compared with the healthy references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.attribution.reference_index import Array
from counterpart.denoiser import Denoiser
from counterpart.familiarity.traits import level_codes, slices_at_levels
from counterpart.residual import FLAGGED_GATE

LEVELS_MM = tuple(float(z) for z in range(-46, 71, 2))
LEAST_FLAGGED_VOXELS = 10


@dataclass(frozen=True, eq=False)
class FlaggedCodes:
    """The slices of a scan in which something is flagged, before and after it is healed.

    Args:
        scan: (L, C) unit codes of the scan; rows of zeros where nothing is flagged.
        counterpart: (L, C) of its counterpart, likewise.
        levels: Numbers of the levels with something flagged.
        elsewhere: Whether something is flagged in slices that lie at none of the levels.
    """

    scan: Array
    counterpart: Array
    levels: NDArray[np.int64]
    elsewhere: bool = False


def flagged_codes(
    denoiser: Denoiser,
    scaled: Array,
    counterpart: Array,
    inside: NDArray[np.bool_],
    gate: Array,
    template_from_frame: NDArray[np.float64],
) -> FlaggedCodes:
    """Codes of the flagged slices alone, which are few.

    Args:
        denoiser: Its encoder makes the codes.
        scaled: (I, J, K) normalised scan in its frame, spreads, 0 outside the brain.
        counterpart: (I, J, K) its counterpart, likewise.
        inside: (I, J, K) brain mask.
        gate: (I, J, K) how much of each voxel is repainted, 0 to 1.
        template_from_frame: (4, 4) frame voxel index to template world, mm.
    """
    slices = slices_at_levels(inside, template_from_frame, LEVELS_MM)
    flagged = ((gate >= FLAGGED_GATE) & inside).sum(axis=(0, 1)) >= LEAST_FLAGGED_VOXELS
    levels = np.flatnonzero((slices >= 0) & flagged[np.maximum(slices, 0)])
    chosen = [LEVELS_MM[level] for level in levels]
    found = []
    for values in (scaled, counterpart):
        codes = level_codes(denoiser, values, inside, template_from_frame, chosen)
        whole = np.zeros((len(LEVELS_MM), codes.shape[1]), np.float32)
        whole[levels] = codes
        found.append(whole)
    elsewhere = np.setdiff1d(np.flatnonzero(flagged), slices[levels]).size > 0
    return FlaggedCodes(found[0], found[1], levels, bool(elsewhere))
