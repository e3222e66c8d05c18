"""How far an amount of a scan lies from that of healthy heads, and how far is too far.

Amounts are compared on a logarithmic scale, where they are close to normal over healthy heads. Of n
heads with mean m and standard deviation s, a further healthy head lies beyond ``m + k s`` with
probability α when ``k = t(1 - α; n - 1) sqrt(1 + 1/n)``, t being Student's quantile: the one-sided
prediction limit (Hahn and Meeker, *Statistical Intervals*, 1991, ch. 4). With few heads the limit
moves away of itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from counterpart.errors import ModelError
from counterpart.plain_config import PlainConfig

MIN_HEADS = 5
LEAST_SPREAD = 0.02
_LEAST_AMOUNT = 1e-4


@dataclass(frozen=True)
class HealthyAmount(PlainConfig):
    """What healthy heads have of one amount.

    Args:
        centre: Mean of its logarithm.
        spread: Standard deviation of its logarithm, at least `LEAST_SPREAD`.
        heads: How many there were.
    """

    centre: float
    spread: float
    heads: int

    def __post_init__(self) -> None:
        numbers = (self.centre, self.spread)
        if not all(isinstance(x, int | float) and math.isfinite(x) for x in numbers):
            raise ModelError(f"expected finite centre and spread, got {numbers}; calibrate again.")
        if self.spread <= 0 or int(self.heads) < MIN_HEADS:
            raise ModelError(
                f"expected a positive spread over at least {MIN_HEADS} heads, got {self.spread} "
                f"over {self.heads}; calibrate again."
            )

    @classmethod
    def of(cls, amounts: Sequence[float]) -> HealthyAmount:
        """What these heads have; amounts are positive.

        Raises:
            ModelError: There are fewer than five.
        """
        if len(amounts) < MIN_HEADS:
            raise ModelError(
                f"expected at least {MIN_HEADS} healthy heads to set limits by, got "
                f"{len(amounts)}. Prepare a cohort with more healthy scans."
            )
        logs = np.log(np.maximum(np.asarray(amounts, np.float64), _LEAST_AMOUNT))
        spread = max(float(logs.std(ddof=1)), LEAST_SPREAD)
        return cls(float(logs.mean()), spread, len(amounts))

    def score(self, amount: float) -> float:
        """How many spreads an amount lies above (or, negative, below) healthy heads."""
        return (math.log(max(amount, _LEAST_AMOUNT)) - self.centre) / self.spread

    def reach(self, rate: float) -> float:
        """The score that one healthy head in ``1 / rate`` exceeds."""
        quantile = float(special.stdtrit(self.heads - 1, 1.0 - rate))
        return quantile * math.sqrt(1.0 + 1.0 / self.heads)

    def excess(self, amount: float, rate: float) -> float:
        """The amount's score as a share of `reach`; above 1 it lies beyond the limit."""
        return self.score(amount) / self.reach(rate)

    def limit(self, rate: float, *, below: bool = False) -> float:
        """The amount at `reach`, above or below healthy heads."""
        sign = -1.0 if below else 1.0
        return math.exp(self.centre + sign * self.reach(rate) * self.spread)
