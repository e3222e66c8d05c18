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
DRAWS = 52
# Low and high of the tissue means relative to white matter: fluid, grey, white, deep grey.
_MEANS = {
    "T1": ((0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 1.0, 0.0)),
    "T2": ((1.8, 1.15, 1.0, 0.72), (3.0, 1.70, 1.0, 1.20)),
    "FLAIR": ((0.20, 1.04, 1.0, 0.86), (0.70, 1.40, 1.0, 1.18)),
    "random": ((0.0, 0.2, 0.4, 0.2), (2.0, 1.8, 1.4, 1.8)),
}
_BRAIN_HALF_AXES_MM = (68.0, 86.0, 70.0)
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
        cap_mm: (B,) distance over which the caps fall off, mm.
        mottle: (B,) variation of white matter over some millimetres.
        tracts: (B,) brightening of the corticospinal tracts.
        inflow: (B,) brightness of fluid that flows in from below, in patches.
        surround: (B,) intensity of what a mask leaves around the brain.
        plexus: (B,) brightness of the choroid plexus.
        limbic: (B,) brightening of the grey matter of insula, cingulum and inner temporal lobe.
        vessels: (B,) share of the fluid that vessels replace where they run.
        vessel_level: (B,) intensity of vessels relative to white matter.
        bias: (B,) strength of the bias field.
        radial: (B,) bias at the brain's middle against its rim; mostly below 0 for real T1, whose
            scanner made the middle bright.
        blur: (B,) in-plane blur, voxels.
        noise: (B,) noise, spreads.
        offsets: (B, 9, 3) windows of the noise fields.
    """

    contrast: torch.Tensor
    means: torch.Tensor
    gamma: torch.Tensor
    detail: torch.Tensor
    variation: torch.Tensor
    caps: torch.Tensor
    cap_mm: torch.Tensor
    mottle: torch.Tensor
    tracts: torch.Tensor
    inflow: torch.Tensor
    surround: torch.Tensor
    plexus: torch.Tensor
    limbic: torch.Tensor
    vessels: torch.Tensor
    vessel_level: torch.Tensor
    bias: torch.Tensor
    radial: torch.Tensor
    blur: torch.Tensor
    noise: torch.Tensor
    offsets: torch.Tensor

    def to(self, device: torch.device) -> Renderings:
        """The same renderings on another device."""
        return Renderings(*(getattr(self, field.name).to(device) for field in fields(self)))


def draw_renderings(uniform: torch.Tensor, contrast: torch.Tensor) -> Renderings:
    """Draw renderings from uniform random numbers.

    Args:
        uniform: (B, 52) numbers in [0, 1), each sample's own.
        contrast: (B,) index into `CONTRASTS`.
    """
    u = uniform.unbind(dim=1)
    low = torch.tensor([_MEANS[name][0] for name in CONTRASTS])[contrast]
    high = torch.tensor([_MEANS[name][1] for name in CONTRASTS])[contrast]
    flair, t2 = ((contrast == CONTRASTS.index(name)).float() for name in ("FLAIR", "T2"))
    rendered = (contrast != CONTRASTS.index("T1")).float()
    return Renderings(
        contrast=contrast,
        means=low + torch.stack(u[0:4], dim=1) * (high - low),
        gamma=torch.exp(0.6 * (u[4] - 0.5)),
        detail=0.25 * (u[5] - 0.3),
        variation=rendered * (0.012 + 0.06 * u[6]),
        caps=(0.35 * flair + 0.15 * t2) * u[7] ** 1.5,
        cap_mm=1.5 + 2.5 * u[43],
        mottle=rendered * 0.07 * u[44] ** 1.5,
        tracts=(flair + t2) * 0.12 * u[45],
        inflow=flair * (u[46] - 0.5).clamp(min=0.0) * 1.4,
        surround=rendered * 0.9 * u[47] ** 2,
        plexus=flair * 0.8 * u[8] ** 2,
        limbic=flair * 0.2 * u[30],
        vessels=rendered * (u[31] - 0.3).clamp(min=0.0) / 0.7,
        vessel_level=torch.where(u[32] < 0.75, 0.3 * u[33], 1.0 + u[33]),
        bias=0.08 * u[9],
        radial=torch.where(rendered > 0, 0.16 * (u[48] - 0.5), 0.04 - 0.2 * u[48]),
        blur=0.75 * u[10],
        noise=0.02 + 0.16 * u[11] ** 2,
        offsets=torch.cat((uniform[:, 12:30], uniform[:, 34:43]), dim=1).reshape(-1, 9, 3),
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
    means = renderings.means[:, :, None]
    fluid, grey, white = _tissue_variation(renderings, points, inward_mm)
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
    outside = (1.0 - tissue.sum(dim=1)).clamp(min=0.0)
    patches = 1.0 + 0.6 * _field(renderings, points, 8, 5.0)
    value = value + outside * renderings.surround[:, None] * patches.clamp(min=0.0)
    real = ((t1 + 4.0) / 6.0).clamp(min=0.0) ** renderings.gamma[:, None]
    is_t1 = (renderings.contrast == CONTRASTS.index("T1"))[:, None]
    return torch.where(is_t1, real, value)


def _tissue_variation(
    renderings: Renderings, points: torch.Tensor, inward_mm: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(B, P) each: what the means of fluid, of grey and of white matter are multiplied by."""
    vary = renderings.variation[:, None]
    white = 1.0 + vary * _field(renderings, points, 0, 14.0)
    grey = 1.0 + 2.0 * vary * _field(renderings, points, 1, 14.0)
    white = white + renderings.mottle[:, None] * _field(renderings, points, 6, 5.0)
    near = torch.exp(-inward_mm / renderings.cap_mm[:, None])
    white = white + renderings.caps[:, None] * near
    white = white + renderings.tracts[:, None] * corticospinal_tracts(points)
    grey = grey + renderings.limbic[:, None] * limbic_grey(points)
    bright = renderings.plexus[:, None] * (_field(renderings, points, 2, 3.0) - 0.8).clamp(0.0, 1.0)
    low = torch.sigmoid((-points[..., 2] - 5.0) / 8.0)
    flowing = _field(renderings, points, 7, 10.0).clamp(min=0.0)
    bright = bright + renderings.inflow[:, None] * low * flowing
    fluid = 1.0 + bright / renderings.means[:, :1].clamp(min=0.1)
    return fluid, grey, white


def _field(
    renderings: Renderings, points: torch.Tensor, number: int, scale_mm: float
) -> torch.Tensor:
    """(B, P) one of the renderings' noise fields."""
    scale = torch.full_like(renderings.gamma, scale_mm)
    return noise_field(points, renderings.offsets[:, number], scale)


def corticospinal_tracts(points: torch.Tensor) -> torch.Tensor:
    """(B, P) from 0 to 1: near the corticospinal tracts, by template position.

    From the crown (26, -24, 34) through the posterior limb of the internal capsule to the brain
    stem; their white matter is brighter on T2 and FLAIR in health.
    """
    x, y, z = points.unbind(dim=-1)
    rise = ((z + 20.0) / 54.0).clamp(0.0, 1.0)
    across = ((x.abs() - (9.0 + 17.0 * rise)) / 4.0) ** 2
    along = ((y + 20.0 + 4.0 * rise) / 5.0) ** 2
    ends = ((z - 10.0).abs() - 28.0).clamp(min=0.0) / 6.0
    return torch.exp(-across - along - ends**2)


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
    one, two = (_field(renderings, points, k, 8.0) for k in (4, 5))
    return torch.exp(-(one**2 + two**2) / 0.03)


def bias_field(renderings: Renderings, points: torch.Tensor) -> torch.Tensor:
    """(B, P) multiplicative bias field around 1, smooth over about 10 cm."""
    field = renderings.bias[:, None] * _field(renderings, points, 3, 60.0)
    aside = (points / points.new_tensor(_BRAIN_HALF_AXES_MM)).square().sum(dim=-1)
    middle = torch.exp(-aside)
    return torch.exp(field + renderings.radial[:, None] * middle)
