"""Whether a model has memorised the subjects that it was trained on.

Subjects are repainted from strong noise, where the answer is what the model knows rather than what
it is shown. If those it was trained on can be told from held-out ones by that answer, it has kept
more of them than what all brains share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.attribution.reference_index import Array, unit
from counterpart.errors import ModelError

LIMIT = 0.6
_RESAMPLES = 10_000
_SEED = 1


@dataclass(frozen=True)
class ToldApart:
    """How well subjects that were trained on are told from held-out ones.

    Args:
        auc: Area under the curve; .5 is chance.
        low: Lower end of its 95 % interval, subjects of both kinds resampled.
        high: Upper end.
        trained: Number of subjects that were trained on.
        held_out: Number of those that were not.
    """

    auc: float
    low: float
    high: float
    trained: int
    held_out: int

    @property
    def fails(self) -> bool:
        """Whether the whole interval lies above what is allowed."""
        return self.low > LIMIT


@dataclass(frozen=True)
class Pair:
    """A repainted subject and the subject of the training whom it is most like.

    Args:
        repainted: Name of the subject that was repainted.
        trained: Name of the subject that was trained on.
        similarity: Mean cosine of their slices' features.
    """

    repainted: str
    trained: str
    similarity: float


def told_apart(trained: Sequence[float], held_out: Sequence[float]) -> ToldApart:
    """How well a score, high where a subject is known, tells the two groups apart.

    Args:
        trained: Score of each subject that was trained on.
        held_out: Of each that was not.

    Raises:
        ModelError: A group has fewer than two subjects, or a score is not finite.
    """
    ones, others = np.asarray(trained, float), np.asarray(held_out, float)
    if min(ones.size, others.size) < 2:
        raise ModelError(
            "telling trained from held-out subjects needs two of each, got "
            f"{ones.size} and {others.size}."
        )
    if not (np.isfinite(ones).all() and np.isfinite(others).all()):
        raise ModelError("a score of memorisation is not finite.")
    wins = (ones[:, None] > others) + 0.5 * (ones[:, None] == others)
    rng = np.random.default_rng(_SEED)
    drawn = np.einsum("rn,nm,rm->r", _counts(rng, ones), wins, _counts(rng, others), optimize=True)
    drawn /= ones.size * others.size
    low, high = np.quantile(drawn, (0.025, 0.975))
    return ToldApart(float(wins.mean()), float(low), float(high), ones.size, others.size)


def too_near(
    repainted: tuple[Sequence[str], Array],
    real: Array,
    trained: tuple[Sequence[str], Array],
) -> tuple[float, list[Pair]]:
    """Repainted held-out subjects that are nearer to a trained one than any real one is.

    Args:
        repainted: Names and features (M, L, D) of repainted held-out subjects.
        real: Features (K, L, D) of real held-out subjects.
        trained: Names and features (N, L, D) of the subjects that were trained on.

    Returns:
        The greatest similarity of a real held-out subject with a trained one, and the pairs that
        exceed it, most similar first.

    Raises:
        ModelError: There are no real held-out subjects, or none was trained on.
    """
    names, references = trained
    if not len(real) or not len(names):
        raise ModelError("nearness needs held-out subjects and subjects that were trained on.")
    usual = float(np.nanmax(similarities(real, references)))
    found = similarities(repainted[1], references)
    best = np.nanargmax(found, axis=1) if len(found) else np.zeros(0, np.int64)
    pairs = [
        Pair(name, names[column], float(found[row, column]))
        for row, (name, column) in enumerate(zip(repainted[0], best, strict=True))
        if found[row, column] > usual
    ]
    return usual, sorted(pairs, key=lambda pair: -pair.similarity)


def similarities(ones: Array, others: Array) -> NDArray[np.float64]:
    """Mean cosine (M, N) over the levels that two subjects share; NaN where there is none.

    Args:
        ones: (M, L, D) features; rows of zeros where a subject has no slice.
        others: (N, L, D) likewise.
    """
    first, second = unit(np.asarray(ones, np.float32)), unit(np.asarray(others, np.float32))
    total = np.einsum("mld,nld->mn", first, second, optimize=True).astype(np.float64)
    here, there = (part.any(axis=2).astype(np.float64) for part in (first, second))
    shared = here @ there.T
    nothing = np.full_like(total, np.nan)
    found: NDArray[np.float64] = np.divide(total, shared, out=nothing, where=shared > 0)
    return found


def _counts(rng: np.random.Generator, group: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, N) how often each of a group is drawn in each resample of it."""
    shares = np.full(group.size, 1.0 / group.size)
    return rng.multinomial(group.size, shares, size=_RESAMPLES).astype(np.float64)
