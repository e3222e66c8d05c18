"""The healthy scans that a model was trained on, as features to compare a scan with.

Exact search: every slice of every subject is compared, level by level. Names are pseudonyms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ModelError

Array = NDArray[np.float32]
PSEUDONYM_DIGITS = 10


@dataclass(frozen=True, eq=False)
class ReferenceIndex:
    """Unit features of reference subjects, level by level.

    Args:
        names: Pseudonym of each of N subjects.
        features: (L, N, D) unit features of their slices; rows of zeros where a subject has none.
        withdrawn: How many subjects the model was trained on that were removed since.
    """

    names: tuple[str, ...]
    features: Array
    withdrawn: int = 0

    def __post_init__(self) -> None:
        if self.features.ndim != 3 or self.features.shape[1] != len(self.names):
            raise ModelError(
                f"an index of {len(self.names)} subjects: expected features (levels, subjects, "
                f"numbers), got shape {self.features.shape}."
            )
        if len(set(self.names)) < len(self.names):
            raise ModelError("an index names a subject twice.")
        if self.withdrawn < 0:
            raise ModelError(f"expected no negative number of subjects, got {self.withdrawn}.")

    @classmethod
    def of(cls, names: Sequence[str], features: Array) -> ReferenceIndex:
        """Of subjects and their features (N, L, D), which need not be of unit length.

        Raises:
            ModelError: They do not fit together, or hold numbers that are not finite.
        """
        if features.ndim != 3 or len(names) != len(features):
            raise ModelError(
                f"expected features (subjects, levels, numbers) of {len(names)} subjects, got "
                f"shape {features.shape}."
            )
        if not np.isfinite(features).all():
            raise ModelError("features of reference subjects hold numbers that are not finite.")
        by_level = np.ascontiguousarray(np.moveaxis(unit(features), 0, 1), np.float32)
        return cls(tuple(names), by_level)

    @cached_property
    def _there(self) -> NDArray[np.bool_]:
        """(L, N) whether a subject has a slice at a level."""
        return np.asarray(self.features.any(axis=-1))

    def similarity(self, queries: Array, levels: NDArray[np.int64] | None = None) -> Array:
        """Mean cosine (N,) of a scan's slices with those of each subject at the same levels.

        Args:
            queries: (L, D) features of the scan's slices; rows of zeros where there is none.
            levels: Which levels count; all that the scan has without them.

        Returns:
            -1 to 1; NaN for a subject that shares no level with the scan.

        Raises:
            ModelError: The features are of another number or length, or there is no such level.
        """
        if queries.shape != (self.features.shape[0], self.features.shape[2]):
            raise ModelError(
                f"expected features of shape {(self.features.shape[0], self.features.shape[2])}, "
                f"got {queries.shape}."
            )
        wanted = np.arange(len(queries)) if levels is None else np.asarray(levels, np.int64)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < len(queries):
            raise ModelError(f"expected levels of 0 to {len(queries) - 1}, got {wanted.tolist()}.")
        known = unit(np.asarray(queries, np.float32))
        total = np.zeros(len(self.names), np.float32)
        shared = np.zeros(len(self.names), np.int64)
        for level in wanted[known[wanted].any(axis=1)]:
            total += self.features[level] @ known[level]
            shared += self._there[level]
        mean = np.full(len(self.names), np.nan, np.float32)
        return np.divide(total, shared, out=mean, where=shared > 0)

    def without(self, name: str) -> ReferenceIndex:
        """The index without a subject, who is then named by no answer.

        The weights stay trained on that subject, which is why it is counted as withdrawn.

        Raises:
            ModelError: There is no such subject.
        """
        if name not in self.names:
            raise ModelError(f"no reference subject is named {name!r}.")
        kept = [row for row, one in enumerate(self.names) if one != name]
        return replace(
            self,
            names=tuple(self.names[row] for row in kept),
            features=np.ascontiguousarray(self.features[:, kept]),
            withdrawn=self.withdrawn + 1,
        )

    def to_json(self) -> dict[str, Any]:
        """What is no array."""
        return {"names": list(self.names), "withdrawn": self.withdrawn}

    @classmethod
    def read(cls, values: Mapping[str, Any], features: Array) -> ReferenceIndex:
        """Of what `to_json` and `features` held.

        Raises:
            ModelError: Something is missing or does not fit.
        """
        names, withdrawn = values.get("names"), values.get("withdrawn")
        listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not listed or not isinstance(withdrawn, int):
            raise ModelError("healthy references: an index of reference subjects lacks its names.")
        return cls(tuple(names or ()), np.asarray(features, np.float32), withdrawn)


def unit(features: Array) -> Array:
    """Features (..., D) scaled to length 1; rows of zeros stay."""
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.divide(features, length, out=np.zeros_like(features), where=length > 0)


def pseudonym(subject: str, secret: str) -> str:
    """A name that tells nothing of the subject to who does not have the secret.

    Args:
        subject: Name within the cohort.
        secret: Of the cohort; the same subject has the same pseudonym under it.
    """
    digest = hashlib.blake2b(subject.encode(), key=secret.encode()[:64], digest_size=16)
    return f"reference-{digest.hexdigest()[:PSEUDONYM_DIGITS]}"
