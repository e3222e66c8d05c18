"""How far a map's values reach, and which limits of display follow from that."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Optional

import numpy as np

from HealthyCounterpartLib.overlay import RESIDUAL, Overlay
from HealthyCounterpartLib.scene.arrived_volumes import slabs
from HealthyCounterpartLib.scene.map_colours import window_of

RESIDUAL_HIDE = 2.0  # spreads
TAIL = 99.5  # per cent of the shown voxels lie below the saturation


def largest_value(values: np.ndarray) -> float:
    """Largest absolute value of a map.

    Args:
        values: (K, J, I) map.
    """
    return max(float(max(slab.max(), -slab.min())) for slab in slabs(values))


def tail_value(values: np.ndarray, hide_below: float) -> float:
    """The value under which most of what is shown lies; 0 where nothing is shown.

    Args:
        values: (K, J, I) map.
        hide_below: Absolute values below are not shown.
    """
    shown = [np.abs(slab[(slab >= hide_below) | (slab <= -hide_below)]) for slab in slabs(values)]
    every = np.concatenate(shown)
    return float(np.percentile(every, TAIL)) if every.size else 0.0


def default_limits(values: Optional[np.ndarray], shown_map: str, threshold: float) -> Overlay:
    """How a map is shown at first.

    Args:
        values: (K, J, I) map; None where it was removed.
        shown_map: ``score`` or ``residual``.
        threshold: The run's healthy threshold of the score.
    """
    hide = RESIDUAL_HIDE if shown_map == RESIDUAL else max(threshold, 0.0)
    tail = 0.0 if values is None else tail_value(values, hide)
    saturate = max(tail, 1.5 * hide) if tail > 0 else 2 * hide
    first = Overlay(shown_map=shown_map, hide_below=hide, saturate_above=saturate or 1.0)
    # As the legend will show it, so that slider and legend agree.
    return replace(first, saturate_above=rounded(window_of(first), 4))


def slider_end(largest: float, default: Overlay) -> float:
    """Upper end of the slider: all of the map and the default fit below it.

    Args:
        largest: Largest absolute value of the map.
        default: How the map is shown at first.
    """
    return rounded_up(max(largest, default.saturate_above))


def rounded(value: float, digits: int) -> float:
    """A value with a few significant digits."""
    return float(f"{value:.{digits}g}")


def rounded_up(value: float) -> float:
    """The next value with two significant digits that is not smaller."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return rounded(math.ceil(round(value / unit, 6)) * unit, 6)
