"""Varies the width of the lateral ventricles, which differs so much between people."""

from __future__ import annotations

import torch

_CENTRE_MM = (0.0, -18.0, 12.0)
_HALF_AXES_MM = (22.0, 42.0, 24.0)


def ventricle_push(uniform: torch.Tensor) -> torch.Tensor:
    """(B,) how far tissue by the lateral ventricles is pushed outwards, mm; below 0 inwards.

    Two fifths of the examples have wider ventricles, a tenth narrower ones. The clean answer keeps
    them: wide ventricles are normal in the old, and training heads are mostly those of the young.

    Args:
        uniform: (B, 16) numbers in [0, 1) of a sample.
    """
    wide = 6.5 * uniform[:, 14] * (uniform[:, 15] < 0.4)
    narrow = -3.0 * uniform[:, 14] * (uniform[:, 15] > 0.9)
    return wide + narrow


def widened(points: torch.Tensor, push_mm: torch.Tensor) -> torch.Tensor:
    """Where the tissue at each point came from before the lateral ventricles changed their width.

    In the coordinate r of an ellipsoid around them, tissue moves outwards by
    ``push * r * exp(1 - r)`` half axes' mean, most at the ellipsoid's surface; it does not fold.

    Args:
        points: (B, P, 3) template mm.
        push_mm: (B,) largest displacement.

    Returns:
        (B, P, 3) template mm.
    """
    centre = points.new_tensor(_CENTRE_MM)
    axes = points.new_tensor(_HALF_AXES_MM)
    away = points - centre
    ratio = (away / axes).norm(dim=-1)
    push = (push_mm / axes.mean()).clamp(max=0.25)[:, None]
    return points - away * (push * torch.exp(1.0 - ratio))[..., None]
