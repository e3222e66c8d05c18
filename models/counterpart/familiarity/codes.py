"""Distance of a scan's codes from those of healthy heads: to the nearest few, level by level.

A sick slice has the code of the healthy one beside it, and what is no brain has a code that no head
has. Per level of the brain the cosine distance to the nearest codes tells the two apart better than
a covariance of all codes does, and asks for no more heads than neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ModelError
from counterpart.grid import FloatArray

Array = NDArray[np.float32]
NEIGHBOURS = 3
_LEAST_LEVELS = 3


@dataclass(frozen=True, eq=False)
class HealthyCodes:
    """The unit codes of healthy heads by level.

    Within a level they stand in no order that another level shares, so that no head's codes can be
    told from another's.

    Args:
        codes: (L, N, C) unit codes; rows of zeros where a head has no slice.
    """

    codes: Array

    def __post_init__(self) -> None:
        if self.codes.ndim != 3 or not self.codes.size or not np.isfinite(self.codes).all():
            raise ModelError(
                "codes of healthy heads: expected finite numbers (levels, heads, code), got shape "
                f"{self.codes.shape}; calibrate again."
            )

    @classmethod
    def of(cls, heads: Array) -> HealthyCodes:
        """Of the codes of heads (N, L, C)."""
        levels = np.moveaxis(heads, 1, 0)
        mixed = [codes[np.lexsort(codes.T)] for codes in levels]
        return cls(np.ascontiguousarray(np.stack(mixed), np.float32))

    def distance(self, codes: Array) -> float:
        """Mean cosine distance of a scan's codes to the nearest three of their level.

        Args:
            codes: (L, C) unit codes; rows of zeros where there is no slice.

        Returns:
            0 to 2; NaN where fewer than three levels can be compared.

        Raises:
            ModelError: The codes are of another number or length.
        """
        if codes.shape != (self.codes.shape[0], self.codes.shape[2]):
            raise ModelError(
                f"expected codes of shape {(self.codes.shape[0], self.codes.shape[2])}, got "
                f"{codes.shape}. Calibrate again with this model's encoder."
            )
        found = [
            1.0 - float(np.sort(known[known.any(axis=1)] @ code)[-NEIGHBOURS:].mean())
            for known, code in zip(self.codes, codes, strict=True)
            if code.any() and known.any(axis=1).sum() >= NEIGHBOURS
        ]
        return float(np.mean(found)) if len(found) >= _LEAST_LEVELS else float("nan")

    def to_arrays(self) -> dict[str, NDArray[np.float16]]:
        """The codes, in half precision."""
        return {"codes": np.ascontiguousarray(self.codes, np.float16)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray]) -> HealthyCodes:
        """Read what `to_arrays` wrote.

        Raises:
            ModelError: An array is missing or unknown, or does not fit.
        """
        if set(arrays) != {"codes"}:
            raise ModelError(f"codes of healthy heads: unexpected array {sorted(arrays)[0]!r}.")
        return cls(np.asarray(arrays["codes"], np.float32))


def held_out_distances(heads: Array) -> list[float]:
    """Distance of each head's codes (N, L, C) to those of the others."""
    rows = range(len(heads))
    return [HealthyCodes.of(np.delete(heads, row, axis=0)).distance(heads[row]) for row in rows]
