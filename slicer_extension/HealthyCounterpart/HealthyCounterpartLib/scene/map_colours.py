"""Colours of a signed map: warm above health, cool below, nothing where it is hidden.

A slice view maps the window to 256 steps before it looks a colour up, so the window is widened or
narrowed a little until the hidden band ends exactly between two steps. What is below the threshold
is then transparent to the voxel; the legend shows the window that is really used.
"""

from __future__ import annotations

import numpy as np

from HealthyCounterpartLib.overlay import BRIGHTER_ONLY, DARKER_ONLY, Overlay

STEPS = 256
WIDENED = 0.25  # share of itself by which the window may be changed
HIDDEN = (90, 90, 90)  # grey in the legend, which ignores that it is transparent
WARM = ((214, 84, 0), (255, 238, 110))
COOL = ((20, 84, 216), (120, 244, 255))


def window_of(overlay: Overlay) -> float:
    """Half the width of the window, centred at 0, near the value from which colours saturate.

    A step ends at half · m / 255 for odd m; m is chosen so that one ends where the band does.

    Args:
        overlay: How the map is shown.
    """
    share = _share(overlay)
    widened = share / _band(overlay)
    if abs(widened - 1) > WIDENED:
        return overlay.saturate_above
    return overlay.saturate_above * widened * (1 - 1e-6)  # so that the threshold itself is shown


def colour_table(overlay: Overlay) -> np.ndarray:
    """Colour of each step of the window.

    Args:
        overlay: How the map is shown.

    Returns:
        (256, 4) uint8, RGBA, from the lowest value to the highest; alpha is 0 where hidden.
    """
    first = (255 + _band(overlay)) // 2
    table = np.empty((STEPS, 4), np.uint8)
    table[:] = (*HIDDEN, 0)
    if overlay.sign != DARKER_ONLY:
        table[first:] = _ramp(WARM, STEPS - first)
    if overlay.sign != BRIGHTER_ONLY:  # the last step of 256 holds what saturates above alone
        table[: STEPS - 1 - first] = _ramp(COOL, STEPS - 1 - first)[::-1]
    return table


def _share(overlay: Overlay) -> float:
    return 255 * overlay.hide_below / overlay.saturate_above


def _band(overlay: Overlay) -> int:
    """How many of the 255 steps the hidden band takes: odd, as it is centred."""
    share = _share(overlay)
    nearest = 2 * int(share // 2) + 1
    if abs(share / nearest - 1) > WIDENED and share > nearest:
        nearest += 2  # rather hide a little more than show what is below the threshold
    return min(nearest, 253)


def _ramp(ends: tuple[tuple[int, ...], ...], steps: int) -> np.ndarray:
    low, high = np.array(ends, float)
    share = np.linspace(0, 1, steps)[:, None]
    colours = np.rint(low + share * (high - low))
    return np.hstack([colours, np.full_like(share, 255)]).astype(np.uint8)
