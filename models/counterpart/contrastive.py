"""The contrastive loss that teaches the encoder what healthy and diseased slices share.

ε-InfoNCE (Barbano et al., *Unbiased supervised contrastive learning*, ICLR 2023, as used in
arXiv 2406.00772): the positive must be more similar than the negatives by a margin ε.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from counterpart.errors import ModelError

TEMPERATURE = 0.07
MARGIN = 0.5


def epsilon_info_nce(
    first: torch.Tensor,
    second: torch.Tensor,
    *,
    temperature: float = TEMPERATURE,
    margin: float = MARGIN,
) -> torch.Tensor:
    """Mean loss over all anchors; row n of both views belongs to the same subject.

    With ``s = cosine / temperature``, for each anchor with its positive s⁺ and the negatives s⁻,
    both views of every other subject::

        loss = -(s⁺ - log(exp(s⁺ - margin) + Σ exp(s⁻)))

    Both views are anchors. The least possible loss is ``-margin``.

    Args:
        first: (B, D) codes of one view.
        second: (B, D) codes of the other view.
        temperature: Divides the cosine; positive.
        margin: ε, in units of s.

    Returns:
        The loss, a scalar.

    Raises:
        ModelError: The views do not fit together, or there are no negatives.
    """
    return rank_info_nce(first, second, first, second, 0, temperature=temperature, margin=margin)


def rank_info_nce(
    first: torch.Tensor,
    second: torch.Tensor,
    all_first: torch.Tensor,
    all_second: torch.Tensor,
    start: int,
    *,
    temperature: float = TEMPERATURE,
    margin: float = MARGIN,
) -> torch.Tensor:
    """The same loss for one rank's anchors against the subjects of all ranks.

    The mean of it over ranks with equally many subjects is `epsilon_info_nce` of them all.

    Args:
        first: (B, D) this rank's codes of one view.
        second: (B, D) this rank's codes of the other view.
        all_first: (N, D) the codes of all ranks, this rank's beginning at row ``start``.
        all_second: (N, D) likewise.
        start: Row of this rank's first subject.
        temperature: Divides the cosine; positive.
        margin: ε, in units of s.
    """
    if first.shape != second.shape or all_first.shape != all_second.shape or first.ndim != 2:
        raise ModelError(
            f"expected codes (B, D) of two views, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )
    if len(all_first) < 2:
        raise ModelError("the contrastive loss needs at least two subjects in a batch.")
    if temperature <= 0:
        raise ModelError(f"the temperature must be positive, got {temperature}.")
    anchors = functional.normalize(torch.cat((first, second)).float(), dim=1)
    others = functional.normalize(torch.cat((all_first, all_second)).float(), dim=1)
    similarity = anchors @ others.T / temperature
    count, total = len(first), len(all_first)
    own = start + torch.arange(count, device=first.device)
    itself = torch.cat((own, own + total))
    partner = torch.cat((own + total, own))
    positive = similarity.gather(1, partner[:, None])[:, 0]
    offset = torch.zeros_like(similarity).scatter(1, partner[:, None], -margin)
    offset = offset.scatter(1, itself[:, None], -torch.inf)
    return (torch.logsumexp(similarity + offset, dim=1) - positive).mean()


def alignment(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of the two views' normalised codes; 0 is best, 4 the worst.

    Wang and Isola, *Understanding contrastive representation learning*, ICML 2020.
    """
    apart = functional.normalize(first, dim=1) - functional.normalize(second, dim=1)
    return apart.square().sum(dim=1).mean()


def uniformity(codes: torch.Tensor) -> torch.Tensor:
    """Logarithm of the mean Gaussian potential of all pairs of normalised codes; low is spread out.

    ``log mean exp(-2 |a - b|²)`` over pairs (Wang and Isola, ICML 2020); 0 where all are equal.
    """
    squared = torch.pdist(functional.normalize(codes, dim=1)).square()
    return (torch.logsumexp(-2.0 * squared, dim=0)) - torch.tensor(float(len(squared))).log()


def recall_at_one(queries: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Share of the queries (B, D) whose most similar reference (B, D) is that of the same row."""
    found = functional.normalize(queries, dim=1) @ functional.normalize(references, dim=1).T
    rows = torch.arange(len(queries), device=queries.device)
    return (found.argmax(dim=1) == rows).float().mean()
