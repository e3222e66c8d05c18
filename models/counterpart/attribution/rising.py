"""The healthy references that a scan's counterpart has become more similar to than the scan was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from counterpart.attribution.domain_maps import LinearMap
from counterpart.attribution.flagged_slices import FlaggedCodes
from counterpart.attribution.reference_index import Array, ReferenceIndex
from counterpart.attribution.references import Reference, References
from counterpart.calibration.conformal import conformal_p
from counterpart.errors import ModelError


def rises(
    index: ReferenceIndex, linear_map: LinearMap, flagged: FlaggedCodes
) -> tuple[Array, Array]:
    """Similarity (N,) of the counterpart with each reference, and its rise (N,) from the scan.

    Scan and counterpart are mapped alike: outside of what is flagged they are the same.

    Args:
        index: Of mapped features.
        linear_map: Of real slices.
        flagged: Raw codes of the flagged slices.
    """
    before = index.similarity(linear_map(flagged.scan), flagged.levels)
    after = index.similarity(linear_map(flagged.counterpart), flagged.levels)
    return after, after - before


def largest_similarity(similarity: Array, rise: Array) -> float:
    """Of the references that rise; -1 where none does.

    It is the statistic of the test: for a scan whose subject was trained on it is far larger than
    for others, which cannot be said of the largest rise (docs/benchmark.md).

    Args:
        similarity: (N,) from `rises`.
        rise: (N,) from `rises`.
    """
    rising = similarity[np.isfinite(rise) & (rise > 0)]
    return float(rising.max()) if rising.size else -1.0


def rising_references(
    index: ReferenceIndex,
    similarity: Array,
    rise: Array,
    healthy: Sequence[float],
    *,
    most: int = 5,
) -> References:
    """The references whose similarity rises, most similar first, and one test of the largest.

    The p-value is conformal: ``(1 + held-out subjects with at least as large a largest similarity)
    / (held-out subjects + 1)``. As it looks at the largest of all references at once, no further
    correction for their number is needed.

    Args:
        index: Whose subjects they are.
        similarity: (N,) from `rises`.
        rise: (N,) from `rises`.
        healthy: `largest_similarity` of each subject that was never trained on.
        most: How many references are named at most.

    Raises:
        ModelError: The figures are not of the index's subjects.
    """
    if not similarity.shape == rise.shape == (len(index.names),):
        raise ModelError(
            f"expected figures of {len(index.names)} subjects, got {similarity.shape} and "
            f"{rise.shape}."
        )
    rising = np.flatnonzero(np.isfinite(rise) & (rise > 0))
    if not rising.size:
        return References((), None, None, len(healthy), index.withdrawn)
    order = rising[np.argsort(-similarity[rising], kind="stable")]
    ranked = tuple(
        Reference(index.names[row], float(similarity[row]), float(rise[row]))
        for row in order[:most]
    )
    largest = largest_similarity(similarity, rise)
    p_value = conformal_p(largest, healthy) if healthy else None
    return References(ranked, largest, p_value, len(healthy), index.withdrawn)
