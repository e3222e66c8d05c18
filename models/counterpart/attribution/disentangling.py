"""Losses that make features white: uncorrelated, each of unit variance.

*Unsupervised Synthetic Image Attribution: Alignment and Disentanglement* (arXiv 2601.22663)
disentangles aligned features by an Infomax loss, and justifies it by canonical correlation: if the
features of two domains share a basis, those that correlate most are each domain's own white ones,
for which no pairs are needed. Its formulas were not available; these are derived from that.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from counterpart.errors import ModelError

LOG_DETERMINANT, OFF_DIAGONAL, BELL_SEJNOWSKI = "log-determinant", "off-diagonal", "bell-sejnowski"
RIDGE = 1e-4


def covariance(features: torch.Tensor) -> torch.Tensor:
    """Covariance (D, D) of features (N, D) about their mean, divided by N.

    Raises:
        ModelError: There are fewer than two features, or they are no matrix.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ModelError(
            f"expected at least two rows of features (N, D), got shape {tuple(features.shape)}."
        )
    apart = features - features.mean(dim=0)
    return apart.T @ apart / len(features)


def log_determinant(features: torch.Tensor, *, ridge: float = RIDGE) -> torch.Tensor:
    """How far features (N, D) are from white, in nats: 0 where they are white, else more.

    ``(tr C - log det C - D) / 2`` for their covariance C: the divergence of a Gaussian of that
    covariance from a white one. The determinant is the entropy that Infomax asks for, the trace
    keeps it from growing for ever.

    Args:
        features: Of one domain, mapped.
        ridge: Added to the diagonal of C, for fewer features than dimensions.
    """
    spread = covariance(features)
    size = spread.shape[0]
    spread = spread + ridge * torch.eye(size, dtype=spread.dtype, device=spread.device)
    apart: torch.Tensor = (spread.trace() - torch.linalg.slogdet(spread).logabsdet - size) / 2.0
    return apart


def off_diagonal(features: torch.Tensor) -> torch.Tensor:
    """Squared distance of the covariance of features (N, D) from the identity, per dimension.

    The redundancy term of Barlow Twins (Zbontar et al., ICML 2021) on one domain alone.
    """
    spread = covariance(features)
    whole = torch.eye(spread.shape[0], dtype=spread.dtype, device=spread.device)
    return (spread - whole).square().sum() / spread.shape[0]


def bell_sejnowski(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Negative mean entropy gain of logistic units, nats.

    Bell and Sejnowski, *An information-maximization approach to blind separation and blind
    deconvolution*, Neural Computation 1995: ``-(log |det W| + mean Σ log σ'(u))``.

    Args:
        features: (N, D) mapped, ``u = W x``.
        weight: (D, D) W.
    """
    slopes = functional.logsigmoid(features) + functional.logsigmoid(-features)
    gain: torch.Tensor = torch.linalg.slogdet(weight).logabsdet + slopes.sum(dim=1).mean()
    return -gain


Disentangling = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
LOSSES: dict[str, Disentangling] = {
    LOG_DETERMINANT: lambda features, weight: log_determinant(features),
    OFF_DIAGONAL: lambda features, weight: off_diagonal(features),
    BELL_SEJNOWSKI: bell_sejnowski,
}


def disentangling_named(name: str) -> Disentangling:
    """The loss of mapped features (N, D) and the map's matrix (D, D) of a name.

    Raises:
        ModelError: There is none of that name.
    """
    if name not in LOSSES:
        raise ModelError(f"expected a loss of {', '.join(LOSSES)}, got {name!r}.")
    return LOSSES[name]
