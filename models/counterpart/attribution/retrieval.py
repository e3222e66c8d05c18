"""How well repainted slices find the subject that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.attribution.reference_index import Array, unit
from counterpart.errors import ModelError

TOP = (1, 5, 10)
_RESAMPLES = 2000
_SEED = 1

Ranks = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """How often a subject is found by its slices.

    Args:
        recall: R@1, R@5 and R@10.
        precision: Mean average precision; with one right answer the mean of 1/rank.
        slices: Number of slices that asked.
    """

    recall: tuple[float, ...]
    precision: float
    slices: int


@dataclass(frozen=True)
class Difference:
    """Mean average precision of trained subjects minus that of held-out ones.

    Args:
        mean: Of the slices.
        low: Lower end of its 95 % interval, subjects of both kinds resampled.
        high: Upper end.
    """

    mean: float
    low: float
    high: float


def slice_ranks(queries: Array, references: Array, own: Sequence[int]) -> list[Ranks]:
    """Rank of the right subject for each slice of each head, 1 for the first; ties in the middle.

    Every slice is compared with the slices of all subjects at its own level.

    Args:
        queries: (M, L, D) features of repainted heads; rows of zeros where there is no slice.
        references: (N, L, D) features of all subjects.
        own: Row of the references that each head is of.

    Raises:
        ModelError: The arrays do not fit.
    """
    if queries.shape[1:] != references.shape[1:] or len(own) != len(queries):
        raise ModelError(
            f"expected heads and references of the same levels, got {queries.shape} and "
            f"{references.shape}, and {len(own)} answers."
        )
    asked, known = unit(queries.astype(np.float32)), unit(references.astype(np.float32))
    there = known.any(axis=2)
    found: list[Ranks] = []
    for head, right in zip(asked, own, strict=True):
        levels = np.flatnonzero(head.any(axis=1) & there[right])
        similarity = np.einsum("ld,nld->ln", head[levels], known[:, levels])
        similarity[~there[:, levels].T] = -np.inf
        best = similarity[:, right][:, None]
        above, alike = (similarity > best).sum(axis=1), (similarity == best).sum(axis=1)
        found.append(1.0 + above + (alike - 1) / 2.0)
    return found


def found_by(ranks: Sequence[Ranks]) -> Found:
    """Recall and precision of all slices of some heads."""
    every = np.concatenate(list(ranks))
    recall = tuple(float((every <= most).mean()) for most in TOP)
    return Found(recall, float((1.0 / every).mean()), every.size)


def difference(trained: Sequence[Ranks], held_out: Sequence[Ranks]) -> Difference:
    """What subjects that were trained on have over those that were not."""
    ones, others = (_sums(ranks) for ranks in (trained, held_out))
    rng = np.random.default_rng(_SEED)
    drawn = _resampled(rng, ones) - _resampled(rng, others)
    low, high = np.quantile(drawn, (0.025, 0.975))
    mean = ones[:, 0].sum() / ones[:, 1].sum() - others[:, 0].sum() / others[:, 1].sum()
    return Difference(float(mean), float(low), float(high))


def _sums(ranks: Sequence[Ranks]) -> NDArray[np.float64]:
    """(M, 2) sum of 1/rank and number of slices of each head."""
    return np.array([[(1.0 / one).sum(), one.size] for one in ranks])


def _resampled(rng: np.random.Generator, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = rng.integers(0, len(sums), (_RESAMPLES, len(sums)))
    drawn = sums[rows].sum(axis=1)
    return np.asarray(drawn[:, 0] / drawn[:, 1])
