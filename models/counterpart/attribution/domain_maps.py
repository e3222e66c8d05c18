"""One linear map for each domain of features: real slices, and generated ones.

Both start at the identity on centred features. They are learned without any pair of a real and a
generated slice: two views of the same slice are each other's positive, within their own domain
(basic concept alignment), while a disentangling loss makes each domain's features white. The maps
are symmetric: within a domain a rotation changes no cosine, and between domains each rotation of
its own would undo the basis that they share. The closed form is the regularised whitening.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.attribution.disentangling import (
    LOG_DETERMINANT,
    covariance,
    disentangling_named,
)
from counterpart.contrastive import epsilon_info_nce
from counterpart.errors import ModelError
from counterpart.plain_config import PlainConfig

Array = NDArray[np.float32]
REAL, GENERATED = "real", "generated"
DOMAINS = (REAL, GENERATED)


@dataclass(frozen=True, eq=False)
class LinearMap:
    """What is done to the features of one domain before they are compared.

    Args:
        mean: (D,) that is taken away, or (L, D) of each level.
        matrix: (D, D) that multiplies what is left.
    """

    mean: Array
    matrix: Array

    def __post_init__(self) -> None:
        size = self.mean.shape[-1] if self.mean.ndim in (1, 2) else -1
        if self.matrix.shape != (size, size):
            raise ModelError(
                f"expected a mean (D,) or (L, D) and a matrix (D, D), got {self.mean.shape} and "
                f"{self.matrix.shape}."
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.matrix).all()):
            raise ModelError("a linear map of features holds numbers that are not finite.")

    def __call__(self, features: Array) -> Array:
        """Unit features (..., D) of raw ones (..., D); rows of zeros stay so: nothing is there."""
        there = np.asarray(features, np.float32).any(axis=-1, keepdims=True)
        mapped = (features - self.mean) @ self.matrix.T
        length = np.maximum(np.linalg.norm(mapped, axis=-1, keepdims=True), 1e-12)
        return np.where(there, mapped / length, 0.0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class DomainMaps:
    """The maps of both domains.

    Args:
        real: Of slices of real scans.
        generated: Of repainted slices.
    """

    real: LinearMap
    generated: LinearMap

    def to_arrays(self) -> dict[str, Array]:
        """Means and matrices by name."""
        return {
            f"{name}.{part}": np.ascontiguousarray(getattr(getattr(self, name), part), np.float32)
            for name in DOMAINS
            for part in ("mean", "matrix")
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> DomainMaps:
        """Read what `to_arrays` wrote.

        Raises:
            ModelError: An array is missing or does not fit.
        """
        missing = sorted(
            {f"{name}.{part}" for name in DOMAINS for part in ("mean", "matrix")} - set(arrays)
        )
        if missing:
            raise ModelError(f"the maps of features lack {missing[0]!r}.")
        real, generated = (
            LinearMap(
                np.asarray(arrays[f"{name}.mean"], np.float32),
                np.asarray(arrays[f"{name}.matrix"], np.float32),
            )
            for name in DOMAINS
        )
        return cls(real, generated)


@dataclass(frozen=True)
class MapTraining(PlainConfig):
    """How the maps are learned.

    Args:
        disentangling: One of `counterpart.attribution.disentangling.LOSSES`.
        weight: Of that loss beside InfoNCE.
        temperature: Of InfoNCE.
        steps: Full passes of the optimiser over both domains.
        batch: Most slices of each domain per step.
        learning_rate: Of Adam.
        seed: Of the order of slices.
    """

    disentangling: str = LOG_DETERMINANT
    weight: float = 1.0
    temperature: float = 0.2
    steps: int = 300
    batch: int = 512
    learning_rate: float = 0.01
    seed: int = 1

    def __post_init__(self) -> None:
        disentangling_named(self.disentangling)
        if min(self.steps, self.batch - 1) < 1 or self.learning_rate <= 0 or self.weight < 0:
            raise ModelError(
                f"expected steps and batches of two or more, a positive learning rate and no "
                f"negative weight, got {self.to_json()}."
            )


def centring(features: Array) -> LinearMap:
    """The map that only takes the mean of features (N, D) away."""
    return LinearMap(
        np.asarray(features.mean(axis=0), np.float32),
        np.eye(features.shape[1], dtype=np.float32),
    )


def whitening(features: Array, *, ridge: float = 0.01) -> LinearMap:
    """The map that makes features (N, D) white and turns them as little as possible.

    ``(C + ridge · tr C / D · 1)^(-1/2)``: symmetric, so that domains that share a basis keep it.

    Args:
        features: Of one domain.
        ridge: Share of the mean variance that is added to all.

    Raises:
        ModelError: There are fewer than two, or they do not vary.
    """
    values = torch.from_numpy(np.ascontiguousarray(features, np.float64))
    spread = covariance(values)
    mean_variance = float(spread.trace()) / len(spread)
    if mean_variance <= 0:
        raise ModelError("features that are all the same cannot be made white.")
    found, basis = torch.linalg.eigh(spread)
    scale = (found.clamp_min(0.0) + ridge * mean_variance).rsqrt()
    matrix = basis @ torch.diag(scale) @ basis.T
    return LinearMap(np.asarray(features.mean(axis=0), np.float32), matrix.float().numpy())


def level_whitening(heads: Array, *, ridge: float = 0.01) -> LinearMap:
    """The `whitening` of what heads (N, L, D) differ in from the mean of their level.

    Slices of two levels differ more than those of two subjects do: without their means it is the
    levels that are made white, and subjects are lost.

    Args:
        heads: Features of whole heads; rows of zeros where one has no slice.
        ridge: Share of the mean variance that is added to all.

    Raises:
        ModelError: There are fewer than two slices, or they do not vary.
    """
    mean = level_mean(heads)
    matrix = whitening((heads - mean)[heads.any(axis=-1)], ridge=ridge).matrix
    return LinearMap(mean, matrix)


def level_mean(heads: Array) -> Array:
    """Mean (L, D) of the slices that heads (N, L, D) have at each level."""
    there = heads.any(axis=-1).sum(axis=0)
    return np.asarray(heads.sum(axis=0) / np.maximum(there, 1)[:, None], np.float32)


def learned_maps(
    real: tuple[Array, Array], generated: tuple[Array, Array], training: MapTraining
) -> DomainMaps:
    """Learn the maps of both domains, each from two views of its slices.

    Args:
        real: Features (N, D) of two views of real slices, row by row of the same slice.
        generated: Features (M, D) of two views of generated slices, likewise; they need not be of
            the same slices or subjects as the real ones, nor as many.
        training: How.

    Raises:
        ModelError: Views of a domain do not fit, or there are fewer than two slices.
    """
    return DomainMaps(*(_learned_map(views, training) for views in (real, generated)))


def _learned_map(views: tuple[Array, Array], training: MapTraining) -> LinearMap:
    if views[0].shape != views[1].shape or views[0].ndim != 2 or len(views[0]) < 2:
        raise ModelError(
            f"expected two views (N, D) of at least two slices, got {views[0].shape} and "
            f"{views[1].shape}."
        )
    mean = np.concatenate(views).mean(axis=0).astype(np.float32)
    first, second = (torch.from_numpy(np.ascontiguousarray(view - mean)).float() for view in views)
    # One number for all dimensions turns nothing; it lets every domain begin at the same size.
    size = float(torch.cat((first, second)).square().mean().sqrt())
    scale = 1.0 / max(size, float(np.finfo(np.float32).tiny))
    first, second = first * scale, second * scale
    half = (0.5 * torch.eye(first.shape[1])).requires_grad_()
    optimiser = torch.optim.Adam([half], lr=training.learning_rate)
    disentangle = disentangling_named(training.disentangling)
    generator = torch.Generator().manual_seed(training.seed)
    for _ in range(training.steps):
        rows = torch.randperm(len(first), generator=generator)[: training.batch]
        weight = half + half.T
        shown = first[rows] @ weight, second[rows] @ weight
        aligned = epsilon_info_nce(*shown, temperature=training.temperature, margin=0.0)
        loss = aligned + training.weight * disentangle(torch.cat(shown), weight) / len(weight)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        weight = half + half.T
        matrix = weight / torch.linalg.matrix_norm(weight) * len(weight) ** 0.5  # cosines need none
    return LinearMap(mean, matrix.numpy())
