"""The healthy references that a scan's counterpart has become more similar to than the scan was.

Said of them is that they are the *most similar healthy references*, never that they caused it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpart.attribution.domain_maps import DomainMaps
from counterpart.attribution.reference_index import Array, ReferenceIndex
from counterpart.calibration.conformal import conformal_p
from counterpart.errors import ModelError

HEADING = "Most similar healthy references"


@dataclass(frozen=True)
class Reference:
    """A healthy subject that the model was trained on.

    Args:
        name: Pseudonym.
        similarity: Mean cosine of the counterpart's flagged slices with the subject's.
        rise: By how much it is more than that of the scan.
    """

    name: str
    similarity: float
    rise: float


@dataclass(frozen=True)
class References:
    """The answer for one scan.

    Args:
        ranked: The subjects whose similarity rises, most first.
        largest_rise: Of all subjects; the statistic of the test. None where nothing was flagged.
        p_value: How often subjects who were never trained on reach as much; None where unknown.
        held_out: How many such subjects there are.
        withdrawn: Subjects that the model was trained on and that are named no more.
    """

    ranked: tuple[Reference, ...]
    largest_rise: float | None
    p_value: float | None
    held_out: int
    withdrawn: int = 0

    def to_json(self) -> dict[str, Any]:
        """For the server's results and the provenance."""
        return {
            "heading": HEADING,
            "references": [
                {"id": one.name, "similarity": round(one.similarity, 4), "rise": round(one.rise, 4)}
                for one in self.ranked
            ],
            "largest_rise": None if self.largest_rise is None else round(self.largest_rise, 4),
            "p_value": self.p_value,
            "held_out": self.held_out,
            "withdrawn": self.withdrawn,
        }


def rises(
    index: ReferenceIndex,
    maps: DomainMaps,
    scan: Array,
    counterpart: Array,
    flagged: NDArray[np.int64],
) -> tuple[Array, Array]:
    """Similarity (N,) of the counterpart with each reference, and its rise (N,) from the scan.

    Args:
        index: Of mapped features.
        maps: The scan is of the real domain, the counterpart of the generated one.
        scan: (L, D) raw features of the scan's slices; rows of zeros where there is none.
        counterpart: (L, D) of the counterpart's.
        flagged: Levels with something flagged.
    """
    before = index.similarity(maps.real(scan), flagged)
    after = index.similarity(maps.generated(counterpart), flagged)
    return after, after - before


def rising_references(
    index: ReferenceIndex,
    similarity: Array,
    rise: Array,
    healthy: Sequence[float],
    *,
    most: int = 5,
) -> References:
    """Rank the references by their rise, and test the largest rise once.

    The p-value is conformal: ``(1 + held-out subjects with at least as large a largest rise) /
    (held-out subjects + 1)``. As it looks at the largest rise of all references at once, no further
    correction for their number is needed.

    Args:
        index: Whose subjects they are.
        similarity: (N,) from `rises`.
        rise: (N,) from `rises`.
        healthy: Largest rise of each subject that was never trained on, found in the same way.
        most: How many references are named at most.

    Raises:
        ModelError: The figures are not of the index's subjects.
    """
    if not similarity.shape == rise.shape == (len(index.names),):
        raise ModelError(
            f"expected figures of {len(index.names)} subjects, got {similarity.shape} and "
            f"{rise.shape}."
        )
    known = np.flatnonzero(np.isfinite(rise))
    if not known.size:
        return References((), None, None, len(healthy), index.withdrawn)
    order = known[np.argsort(-rise[known], kind="stable")]
    ranked = tuple(
        Reference(index.names[row], float(similarity[row]), float(rise[row]))
        for row in order[:most]
        if rise[row] > 0
    )
    largest = float(rise[order[0]])
    p_value = conformal_p(largest, healthy) if healthy else None
    return References(ranked, largest, p_value, len(healthy), index.withdrawn)
