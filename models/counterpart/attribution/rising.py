"""The healthy references that a scan's counterpart has become more similar to than the scan was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterpart.attribution.domain_maps import DomainMaps
from counterpart.attribution.reference_index import Array, ReferenceIndex
from counterpart.attribution.references import Reference, References
from counterpart.calibration.conformal import conformal_p
from counterpart.errors import ModelError


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
