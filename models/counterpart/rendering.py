"""Renders healthy brains in other contrasts from tissue fractions and a T1.

A rendered voxel is the mean of its tissues, weighted by their fractions, each tissue varying
slowly in space, plus a share of the T1's own detail. Real T1 goes through the same door with a
random monotone change of contrast. All formulas and ranges are ours; the ranges follow the usual
appearance of the sequences (fluid dark on FLAIR, brightest on T2).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from counterpart.noise import noise_field

CONTRASTS = ("T1", "T2", "FLAIR", "random")
DRAWS = 40
# Low and high of the tissue means relative to white matter: fluid, grey, white, deep grey.
_MEANS = {
    "T1": ((0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 1.0, 0.0)),
    "T2": ((1.8, 1.20, 1.0, 0.8), (3.0, 1.70, 1.0, 1.3)),
    "FLAIR": ((0.30, 1.12, 1.0, 1.00), (0.70, 1.42, 1.0, 1.28)),
    "random": ((0.0, 0.2, 0.4, 0.2), (2.0, 1.8, 1.4, 1.8)),
}
_BRIGHTER = {"T1": 0.3, "T2": 0.85, "FLAIR": 0.85, "random": 0.5}


@dataclass(frozen=True, eq=False)
class Renderings:
    """How each sample of a batch is rendered; every tensor begins with the batch B.

    Args:
        contrast: (B,) index into `CONTRASTS`.
        means: (B, 4) tissue means, white matter near 1.
        gamma: (B,) exponent of the T1's monotone change.
        detail: (B,) share of the T1's own detail.
        variation: (B,) slow variation within a tissue.
        caps: (B,) brightening of white matter at the ventricles.
        plexus: (B,) brightness of the choroid plexus.
        limbic: (B,) brightening of the grey matter of insula, cingulum and inner temporal lobe.
        vessels: (B,) share of the fluid that vessels replace where they run.
        vessel_level: (B,) intensity of vessels relative to white matter.
        bias: (B,) strength of the bias field.
        blur: (B,) in-plane blur, voxels.
        noise: (B,) noise, spreads.
        offsets: (B, 6, 3) windows of the noise fields.
    """

    contrast: torch.Tensor
    means: torch.Tensor
    gamma: torch.Tensor
    detail: torch.Tensor
    variation: torch.Tensor
    caps: torch.Tensor
    plexus: torch.Tensor
    limbic: torch.Tensor
    vessels: torch.Tensor
    vessel_level: torch.Tensor
    bias: torch.Tensor
    blur: torch.Tensor
    noise: torch.Tensor
    offsets: torch.Tensor

    def to(self, device: torch.device) -> Renderings:
        """The same renderings on another device."""
        return Renderings(*(getattr(self, field.name).to(device) for field in fields(self)))


def draw_renderings(uniform: torch.Tensor, contrast: torch.Tensor) -> Renderings:
    """Draw renderings from uniform random numbers.

    Args:
        uniform: (B, 40) numbers in [0, 1), each sample's own.
        contrast: (B,) index into `CONTRASTS`.
    """
    u = uniform.unbind(dim=1)
    low = torch.tensor([_MEANS[name][0] for name in CONTRASTS])[contrast]
    high = torch.tensor([_MEANS[name][1] for name in CONTRASTS])[contrast]
    flair = (contrast == CONTRASTS.index("FLAIR")).float()
    rendered = (contrast != CONTRASTS.index("T1")).float()
    return Renderings(
        contrast=contrast,
        means=low + torch.stack(u[0:4], dim=1) * (high - low),
        gamma=torch.exp(0.6 * (u[4] - 0.5)),
        detail=0.25 * (u[5] - 0.3),
        variation=rendered * (0.012 + 0.03 * u[6]),
        caps=flair * 0.25 * u[7] ** 2,
        plexus=flair * 0.8 * u[8] ** 2,
        limbic=flair * 0.2 * u[30],
        vessels=rendered * (u[31] - 0.3).clamp(min=0.0) / 0.7,
        vessel_level=torch.where(u[32] < 0.75, 0.3 * u[33], 1.0 + u[33]),
        bias=0.05 * u[9],
        blur=0.75 * u[10],
        noise=0.02 + 0.16 * u[11] ** 2,
        offsets=uniform[:, 12:30].reshape(-1, 6, 3),
    )


def brighter_probability(contrast: torch.Tensor) -> torch.Tensor:
    """(B,) how often disease is brighter than health in each contrast."""
    return torch.tensor([_BRIGHTER[name] for name in CONTRASTS])[contrast]


def render(
    renderings: Renderings,
    points: torch.Tensor,
    t1: torch.Tensor,
    tissue: torch.Tensor,
    inward_mm: torch.Tensor,
) -> torch.Tensor:
    """Healthy intensities at points, before bias, blur and noise.

    Args:
        renderings: One per sample.
        points: (B, P, 3) template mm.
        t1: (B, P) normalised T1.
        tissue: (B, 4, P) fractions.
        inward_mm: (B, P) distance to the ventricles.

    Returns:
        (B, P) intensities on the contrast's own scale.
    """
    slow = torch.full_like(renderings.gamma, 14.0)
    quick = torch.full_like(renderings.gamma, 3.0)
    vary = renderings.variation[:, None]
    offsets = renderings.offsets
    white = 1.0 + vary * noise_field(points, offsets[:, 0], slow)
    grey = 1.0 + 2.0 * vary * noise_field(points, offsets[:, 1], slow)
    near = torch.exp(-inward_mm / 2.0)
    white = white + renderings.caps[:, None] * near
    grey = grey + renderings.limbic[:, None] * limbic_grey(points)
    tufts = (noise_field(points, offsets[:, 2], quick) - 0.8).clamp(0.0, 1.0)
    fluid = 1.0 + renderings.plexus[:, None] * tufts / renderings.means[:, :1].clamp(min=0.1)
    means = renderings.means[:, :, None]
    value = (
        means[:, 0] * tissue[:, 0] * fluid
        + means[:, 1] * tissue[:, 1] * grey
        + means[:, 2] * tissue[:, 2] * white
        + means[:, 3] * tissue[:, 3] * grey
    )
    run = renderings.vessels[:, None] * _vessels(renderings, points) * tissue[:, 0]
    value = value + run * (renderings.vessel_level[:, None] - value)
    expected = -2.2 * tissue[:, 0] - 0.5 * tissue[:, 1] + tissue[:, 2] + 0.2 * tissue[:, 3]
    contrast = 0.25 * (means[:, 2] - means[:, 1])
    value = value + renderings.detail[:, None] * contrast.abs().clamp(min=0.03) * (t1 - expected)
    real = ((t1 + 4.0) / 6.0).clamp(min=0.0) ** renderings.gamma[:, None]
    is_t1 = (renderings.contrast == CONTRASTS.index("T1"))[:, None]
    return torch.where(is_t1, real, value)


def limbic_grey(points: torch.Tensor) -> torch.Tensor:
    """(B, P) from 0 to 1: near insula, cingulum and inner temporal lobe, by template position.

    Their grey matter is brighter on FLAIR in health.
    """
    x, y, z = points.unbind(dim=-1)
    aside = x.abs()
    insula = ((aside - 38.0) / 9.0) ** 2 + ((y - 2.0) / 20.0) ** 2 + (z / 16.0) ** 2
    temporal = ((aside - 26.0) / 9.0) ** 2 + ((y + 14.0) / 18.0) ** 2 + ((z + 18.0) / 9.0) ** 2
    arc = (((y + 2.0) / 44.0) ** 2 + ((z - 2.0) / 32.0) ** 2).sqrt()
    cingulum = (x / 9.0) ** 2 + ((arc - 1.0) / 0.25) ** 2 + ((8.0 - z).clamp(min=0.0) / 6.0) ** 2
    nearest = torch.minimum(torch.minimum(insula, temporal), cingulum)
    return torch.exp(-nearest)


def _vessels(renderings: Renderings, points: torch.Tensor) -> torch.Tensor:
    """(B, P) from 0 to 1: thin winding lines, where two smooth fields are both near 0."""
    scale = torch.full_like(renderings.gamma, 8.0)
    one, two = (noise_field(points, renderings.offsets[:, k], scale) for k in (4, 5))
    return torch.exp(-(one**2 + two**2) / 0.03)


def bias_field(renderings: Renderings, points: torch.Tensor) -> torch.Tensor:
    """(B, P) multiplicative bias field around 1, smooth over about 10 cm."""
    scale = torch.full_like(renderings.bias, 60.0)
    field = noise_field(points, renderings.offsets[:, 3], scale)
    return torch.exp(renderings.bias[:, None] * field)
