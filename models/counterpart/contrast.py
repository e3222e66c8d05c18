"""Tells which MR sequence a scan is: from its file name, or from its tissue means."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.grid import resample
from counterpart.pose import Frame
from counterpart.template import CANVAS, load_template

CONTRASTS = ("T1", "T1c", "T2", "FLAIR", "unknown")
_NAMES = (
    ("FLAIR", r"flair"),
    ("T1c", r"t1(c|[-_ ]?(ce|gd|post|km))(?![a-z0-9])"),
    ("T1", r"t1w?(?![a-z0-9])|mprage"),
    ("T2", r"t2w?(?![a-z0-9])"),
)


@dataclass(frozen=True)
class Contrast:
    """The sequence and how it is known.

    Args:
        name: One of `CONTRASTS`.
        source: ``file name`` or ``tissue means``.
    """

    name: str
    source: str


def contrast_from_name(name: str) -> Contrast | None:
    """The sequence that a file's name tells, if it does."""
    for contrast, pattern in _NAMES:
        if re.search(rf"(?<![a-z0-9])({pattern})", name.lower()):
            return Contrast(contrast, "file name")
    return None


def contrast_from_tissue(
    scaled: NDArray[np.float32], brain: NDArray[np.bool_], frame: Frame
) -> Contrast:
    """The sequence that the means of fluid, grey and white matter suggest.

    Fluid brightest: T2. White brighter than grey by half a spread: T1. Fluid darkest and grey not
    darker than white: FLAIR.

    Args:
        scaled: (I, J, K) normalised scan in its frame.
        brain: (I, J, K) brain mask in the frame.
        frame: Says where the template's tissues lie.
    """
    template = load_template()
    index_map = np.linalg.inv(CANVAS.affine) @ frame.template_from_frame
    grey = resample(template.grey, index_map, frame.shape)
    white = resample(template.white, index_map, frame.shape)
    inside = resample(template.brain.astype(np.float32), index_map, frame.shape)
    places = (
        brain & (inside > 0.95) & (grey + white < 0.2),
        brain & (grey > 0.8),
        brain & (white > 0.9),
    )
    if min(int(place.sum()) for place in places) < 20:
        return Contrast("unknown", "tissue means")
    fluid, grey_mean, white_mean = (float(np.median(scaled[place])) for place in places)
    if fluid > max(grey_mean, white_mean) + 0.5:
        return Contrast("T2", "tissue means")
    if white_mean > grey_mean + 0.5 > fluid:
        return Contrast("T1", "tissue means")
    if fluid < min(grey_mean, white_mean) - 0.5:
        return Contrast("FLAIR", "tissue means")
    return Contrast("unknown", "tissue means")
