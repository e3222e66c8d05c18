"""Varies the width of the lateral ventricles, which differs so much between people."""

from __future__ import annotations

import torch

_CENTRE_MM = (0.0, -18.0, 12.0)
_HALF_AXES_MM = (20.0, 34.0, 24.0)
_SEPTUM_MM = 1.5
_WIDEST_MM = 9.0
_NARROWEST_MM = -3.0


def ventricle_push(uniform: torch.Tensor) -> torch.Tensor:
    """(B,) how far the outer walls of the lateral ventricles are pushed outwards, mm; or inwards.

    Two fifths of the examples have wider ventricles, a tenth narrower ones. The clean answer keeps
    them: wide ventricles are normal in the old, and training heads are mostly those of the young.

    Args:
        uniform: (B, 16) numbers in [0, 1) of a sample.
    """
    wide = _WIDEST_MM * uniform[:, 14] * (uniform[:, 15] < 0.4)
    narrow = _NARROWEST_MM * uniform[:, 14] * (uniform[:, 15] > 0.9)
    return wide + narrow


def widened(points: torch.Tensor, push_mm: torch.Tensor) -> torch.Tensor:
    """Where the tissue at each point came from before the lateral ventricles changed their width.

    Each hemisphere is moved away from the septum, which keeps its place and its thickness. In the
    coordinate r of the half ellipsoid around the ventricle, tissue moves outwards by
    ``push * r * exp((1 - r^2) / 2)``, most at the ellipsoid's surface and hardly at the cortex; it
    does not fold while push < 0.6 half axes, and it is held below that.

    Args:
        points: (B, P, 3) template mm.
        push_mm: (B,) largest displacement to the side; to the front and the top it is larger, as
            the half axes are.

    Returns:
        (B, P, 3) template mm.
    """
    away = points - points.new_tensor(_CENTRE_MM)
    aside = away[..., 0]
    beyond = aside.sign() * (aside.abs() - _SEPTUM_MM).clamp(min=0.0)
    away = torch.stack((beyond, away[..., 1], away[..., 2]), dim=-1)
    square = (away / points.new_tensor(_HALF_AXES_MM)).square().sum(dim=-1)
    share = (push_mm / _HALF_AXES_MM[0]).clamp(max=0.55)[:, None]
    return points - away * (share * torch.exp(0.5 * (1.0 - square)))[..., None]
