"""Puts a scan's intensities on a common scale that a lesion hardly moves.

The scale is affine and never clipped: ``scaled = (value - location) / spread``. Location and
spread are those of the brain's bulk, by an M-estimator with Tukey's biweight that gives no weight
to what lies far outside (Huber and Ronchetti, *Robust Statistics*, 2009, ch. 5). In these units,
called *spreads*, the healthy brain's bulk covers about -2 to 2: the *normal range* is 4 spreads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.errors import ScanError

NORMAL_RANGE_SPREADS = 4.0
_TUNING = 3.0
_ITERATIONS = 30
_SAMPLES = 60_000


@dataclass(frozen=True)
class Normalisation:
    """The affine scale of one scan.

    Args:
        location: Scan value that becomes 0.
        spread: Scan units per spread, positive.
    """

    location: float
    spread: float

    def apply(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Scan values to spreads."""
        return ((values - self.location) / self.spread).astype(np.float32)

    def invert(self, scaled: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Spreads to scan values."""
        return (scaled * self.spread + self.location).astype(np.float32)


def fit_normalisation(inside: NDArray[np.floating[Any]]) -> Normalisation:
    """Location and spread of the brain's bulk.

    Args:
        inside: Values of the brain's voxels, any shape.

    Returns:
        The normalisation.

    Raises:
        ScanError: Half of the brain or more has one single value.
    """
    values = np.asarray(inside, dtype=np.float64).ravel()
    step = max(1, values.size // _SAMPLES)
    found = robust_location_and_spread(torch.from_numpy(values[::step].copy())[None])
    location, spread = float(found[0]), float(found[1])
    if not spread > 0:
        raise ScanError(
            "half of the brain's voxels or more have one single value; no image can be compared "
            "with it. Give the scan itself, not a mask or a label map."
        )
    return Normalisation(location, spread)


def robust_location_and_spread(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Biweight location, and the biweight midvariance's root as spread, iterated together.

    Args:
        values: (B, N) one distribution per row.

    Returns:
        Location (B,) and spread (B,); 0 where half of a row or more is one single value.
    """
    location = values.median(dim=1, keepdim=True).values
    spread = 1.4826 * (values - location).abs().median(dim=1, keepdim=True).values
    spread = torch.where(spread > 0, spread, values.std(dim=1, keepdim=True))
    tiny = torch.finfo(values.dtype).tiny
    for _ in range(_ITERATIONS):
        far = (values - location).abs() / (_TUNING * spread).clamp(min=tiny)
        squared = far.clamp(max=1) ** 2
        near = 1 - squared
        weight = near**2
        location = (weight * values).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        inside = (squared < 1).to(values.dtype)
        above = ((values - location) ** 2 * near**4).sum(1, keepdim=True)
        below = ((1 - squared) * (1 - 5 * squared)).sum(1, keepdim=True).abs()
        spread = (inside.sum(1, keepdim=True) * above).sqrt() / below.clamp(min=tiny)
    return location[:, 0], spread[:, 0]
