"""How a map is laid over the scan."""

from __future__ import annotations

from dataclasses import dataclass

SCORE, RESIDUAL = "score", "residual"
MAPS = (SCORE, RESIDUAL)
BOTH, BRIGHTER_ONLY, DARKER_ONLY = "both", "brighter", "darker"
SIGNS = (BOTH, BRIGHTER_ONLY, DARKER_ONLY)
FOUR_UP, ROW, SINGLE = "four-up", "row", "single"
BESIDE = "beside"  # the scan and a healthy reference
LAYOUTS = (FOUR_UP, ROW, SINGLE, BESIDE)
SCORE_UNIT, RESIDUAL_UNIT = "score", "spreads"


@dataclass(frozen=True)
class Overlay:
    """How a map is laid over the scan.

    Args:
        shown_map: ``score``, the calibrated anomaly map, or ``residual``, in spreads.
        sign: ``both``, ``brighter`` or ``darker``.
        hide_below: Absolute values below are transparent.
        saturate_above: Absolute values from here have the strongest colour.
        opacity: 0 to 1.
    """

    shown_map: str = SCORE
    sign: str = BOTH
    hide_below: float = 1.0
    saturate_above: float = 10.0
    opacity: float = 0.8

    def __post_init__(self) -> None:
        if self.shown_map not in MAPS or self.sign not in SIGNS:
            raise ValueError(f"expected a map and a sign, got {self.shown_map!r}, {self.sign!r}")
        if not 0 <= self.hide_below < self.saturate_above:
            raise ValueError(
                f"expected 0 <= hide below < saturate above, got {self.hide_below:g} and "
                f"{self.saturate_above:g}"
            )
        if not 0 <= self.opacity <= 1:
            raise ValueError(f"expected an opacity from 0 to 1, got {self.opacity:g}")
