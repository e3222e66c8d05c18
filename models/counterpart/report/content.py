"""Gathers what both reports show of one result: the head, its look, and the slices worth a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.attribution.pictures import ReferencePictures
from counterpart.report.head import Head, canonical_head
from counterpart.report.look import Look
from counterpart.report.panels import choose_slices, mass_by_slice
from counterpart.results import Result


@dataclass(frozen=True, eq=False)
class Content:
    """What both reports show of one result.

    Args:
        result: The result itself.
        head: Its maps in canonical axes.
        look: Its greys and colours.
        mass: (N, K) mass of each finding in each axial slice of the head.
        slices: Axial slices of the head that get a row, from the lowest to the highest.
        pictures: Of the healthy references, where a site lets them be seen.
    """

    result: Result
    head: Head
    look: Look
    mass: NDArray[np.float64]
    slices: list[int]
    pictures: ReferencePictures | None = None


def gather_content(result: Result, pictures: ReferencePictures | None = None) -> Content:
    """Turn, crop and measure a result for its reports.

    Args:
        result: What to show.
        pictures: Of the healthy references, where a site lets them be seen.
    """
    head = canonical_head(result)
    highest = max((finding.number for finding in result.findings), default=0)
    mass = mass_by_slice(head.labels, head.anomaly, highest)
    within = head.brain_slices()
    slices = choose_slices(mass, within.start, within.stop - 1)
    return Content(result, head, Look.of(result, head), mass, slices, pictures)
