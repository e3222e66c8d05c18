"""Turns volumes into the stacks of slices that the networks see, and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float32]


def as_slices(volume: Array) -> torch.Tensor:
    """(I, J, K) to slices (K, 1, I, J)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(volume, -1, 0)))[:, None]


def from_slices(slices: torch.Tensor) -> Array:
    """Slices (K, 1, I, J) to (I, J, K)."""
    return np.ascontiguousarray(np.moveaxis(slices[:, 0].numpy(), 0, -1))
