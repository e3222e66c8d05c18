"""Average precision: the area under the precision-recall curve as a step function."""

from __future__ import annotations

import torch


def average_precision(score: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Average precision, ties handled as one step (as scikit-learn does).

    ``AP = sum over thresholds of (recall_n - recall_(n-1)) * precision_n``.

    Args:
        score: (N,) larger means more likely positive.
        truth: (N,) bool.

    Returns:
        Scalar in [0, 1]; NaN without a positive.
    """
    positives = truth.sum()
    if positives == 0:
        return torch.full((), torch.nan)
    order = score.argsort(descending=True)
    ranked = score[order]
    hits = truth[order].double().cumsum(0)
    last_of_tie = torch.ones_like(truth)
    last_of_tie[:-1] = ranked[1:] != ranked[:-1]
    index = last_of_tie.nonzero()[:, 0]
    hits = hits[index]
    precision = hits / (index + 1).double()
    gained = torch.diff(hits, prepend=hits.new_zeros(1)) / positives
    return (gained * precision).sum().float()
