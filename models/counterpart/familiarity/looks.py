"""How healthy heads of one contrast look: codes, histogram, information, noise and sharpness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION
from counterpart.errors import ModelError
from counterpart.familiarity.codes import NEIGHBOURS, HealthyCodes, held_out_distances
from counterpart.familiarity.limits import MIN_HEADS, HealthyAmount
from counterpart.familiarity.traits import SHARES, Array, ScanTraits
from counterpart.grid import FloatArray

CODE, HISTOGRAM, TOGETHER = "code", "histogram", "together"
_MEASURED = ("information", "noise", "sharpness")
# On which sides of healthy heads an amount is strange.
SIDES: dict[str, tuple[int, ...]] = {
    CODE: (1,),
    HISTOGRAM: (1,),
    "information": (-1,),
    "noise": (1, -1),
    "sharpness": (1, -1),
    TOGETHER: (1,),
}
_KEYS = {"contrast", "kind", "heads", "amounts"}


@dataclass(frozen=True, eq=False)
class HealthyLook:
    """How healthy heads of one contrast look, as acquired or as rendered.

    Args:
        contrast: One of `counterpart.rendering.CONTRASTS`.
        kind: ``healthy scans``, or ``simulation`` where heads were rendered.
        heads: Number of heads.
        quantiles: (N, Q) of their intensities at `traits.SHARES`, spreads, in no order of heads.
        amounts: What they have of each amount, by name.
        known: Their codes; None for a model without an encoder.
    """

    contrast: str
    kind: str
    heads: int
    quantiles: Array
    amounts: Mapping[str, HealthyAmount]
    known: HealthyCodes | None

    def __post_init__(self) -> None:
        if self.kind not in (HEALTHY_SCANS, SIMULATION):
            raise ModelError(f"the look of healthy {self.contrast}: unknown kind {self.kind!r}.")
        expected_shape = (self.heads, len(SHARES))
        if self.quantiles.shape != expected_shape or not np.isfinite(self.quantiles).all():
            raise ModelError(
                f"the look of healthy {self.contrast}: expected finite quantiles of shape "
                f"{expected_shape}, got {self.quantiles.shape}; calibrate again."
            )
        expected = {HISTOGRAM, TOGETHER, *_MEASURED} | ({CODE} if self.known else set())
        if set(self.amounts) != expected:
            wrong = sorted(set(self.amounts) ^ expected)[0]
            raise ModelError(
                f"the look of healthy {self.contrast}: unexpected or missing amount {wrong!r}."
            )

    @property
    def key(self) -> str:
        """What tells it from the others."""
        return f"{self.contrast}/{self.kind}"

    @classmethod
    def of(cls, contrast: str, kind: str, traits: Sequence[ScanTraits]) -> HealthyLook:
        """The look of these heads; distances are those of each head from the others.

        Raises:
            ModelError: There are fewer than five.
        """
        quantiles = np.stack([one.quantiles for one in traits])
        codes = np.stack([one.codes for one in traits])
        measured = {name: [float(getattr(one, name)) for one in traits] for name in _MEASURED}
        measured[HISTOGRAM] = [
            _apart(own, np.delete(quantiles, row, axis=0)) for row, own in enumerate(quantiles)
        ]
        distances = held_out_distances(codes) if codes.size else []
        coded = np.isfinite(distances).sum() >= MIN_HEADS
        if coded:
            measured[CODE] = distances
        amounts = {
            name: HealthyAmount.of([value for value in values if np.isfinite(value)])
            for name, values in measured.items()
        }
        rows = [
            {name: values[row] for name, values in measured.items()} for row in range(len(traits))
        ]
        amounts[TOGETHER] = HealthyAmount.of([strangeness(row, amounts) for row in rows])
        return cls(
            contrast=contrast,
            kind=kind,
            heads=len(traits),
            quantiles=quantiles[np.lexsort(quantiles.T)],
            amounts=amounts,
            known=HealthyCodes.of(codes) if coded else None,
        )

    def measured(self, traits: ScanTraits) -> dict[str, float]:
        """A scan's amounts by name, as far as they can be told; distances are from these heads.

        The distance of two histograms is Wasserstein's first, the mean difference of quantiles; a
        scan's is the mean to the nearest three heads.
        """
        found = {name: float(getattr(traits, name)) for name in _MEASURED}
        found[HISTOGRAM] = _apart(traits.quantiles, self.quantiles)
        if self.known is not None:
            found[CODE] = self.known.distance(traits.codes)
        found = {name: value for name, value in found.items() if np.isfinite(value)}
        return {**found, TOGETHER: strangeness(found, self.amounts)}

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays, as plain values."""
        amounts = {name: amount.to_json() for name, amount in self.amounts.items()}
        known = {"contrast": self.contrast, "kind": self.kind, "heads": self.heads}
        return {**known, "amounts": amounts}

    def to_arrays(self) -> dict[str, FloatArray]:
        """The arrays by name."""
        arrays: Mapping[str, FloatArray] = {} if self.known is None else self.known.to_arrays()
        return {**arrays, "quantiles": np.ascontiguousarray(self.quantiles, np.float32)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> HealthyLook:
        """Read what `to_json` and `to_arrays` wrote.

        Raises:
            ModelError: A key or array is missing, unknown, or of the wrong kind.
        """
        if set(values) != _KEYS or "quantiles" not in arrays:
            wrong = sorted(set(values) ^ _KEYS) or ["quantiles"]
            raise ModelError(f"a healthy look: unexpected or missing key {wrong[0]!r}.")
        own = {name: array for name, array in arrays.items() if name != "quantiles"}
        try:
            amounts = {
                str(name): HealthyAmount.from_json(dict(amount))
                for name, amount in values["amounts"].items()
            }
            heads = int(values["heads"])
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"a healthy look: a value has the wrong kind ({error}).") from error
        return cls(
            contrast=str(values["contrast"]),
            kind=str(values["kind"]),
            heads=heads,
            quantiles=np.asarray(arrays["quantiles"], np.float32),
            amounts=amounts,
            known=HealthyCodes.from_arrays(own) if own else None,
        )


def strangeness(values: Mapping[str, float], amounts: Mapping[str, HealthyAmount]) -> float:
    """How far all amounts together lie from healthy heads, spreads.

    The root of the mean square of their scores on the strange side, so that a scan that is a little
    strange in everything is told from one that is so in one thing.

    Args:
        values: A scan's amounts by name; what is not finite does not count.
        amounts: What healthy heads have.
    """
    scores = [
        max(*(side * amounts[name].score(value) for side in SIDES[name]), 0.0)
        for name, value in values.items()
        if np.isfinite(value)
    ]
    return float(np.sqrt(np.mean(np.square(scores)))) if scores else 0.0


def _apart(own: Array, heads: Array) -> float:
    """Mean distance of quantiles (Q,) to those of the nearest heads (N, Q)."""
    return float(np.sort(np.abs(heads - own).mean(axis=1))[:NEIGHBOURS].mean())
