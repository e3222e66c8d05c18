"""Target patterns: approximations of disease, drawn in 3-D without ever having seen any.

A pattern is a function of space. It is drawn once per sample (`draw_patterns`) and can then be
evaluated at any points: the voxels of a slab for training, a whole head for validation, scattered
points for the intensity statistics. Its *membership* is 1 inside, 0 outside, soft at the border.

Families that training sees: ``blob``, ``ring`` (rim and core), ``periventricular`` (many small
lesions by the ventricles, or far into white matter), ``band`` (diffuse, along white matter),
``box`` (erased, as in arXiv 2406.00772), ``halo`` (confluent, around the ventricles). Held out for
validation: ``wedge`` (territory from ventricle to cortex) and ``infiltrate`` (fingers along white
matter).

The formulas are ours. A signed shape function f is positive inside; membership is a logistic of
f at a border width in mm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from counterpart.noise import noise_field

FAMILIES = ("blob", "ring", "periventricular", "band", "box", "halo", "wedge", "infiltrate")
TRAINING_FAMILIES = FAMILIES[:6]
HELD_OUT_FAMILIES = FAMILIES[6:]
VOLUME_RANGE_ML = (0.03, 150.0)
STRENGTH_RANGE_SPREADS = (0.2, 5.0)
REACH_RANGE_MM = (8.0, 50.0)
DRAWS = 44
AROUND_VENTRICLES = ("periventricular", "halo")


@dataclass(frozen=True, eq=False)
class Patterns:
    """One target pattern per sample of a batch; every tensor begins with the batch B.

    Args:
        family: (B,) index into `FAMILIES`.
        present: (B,) 1 where the sample has a pattern at all.
        centre: (B, 3) template mm.
        axes: (B, 3, 3) rows are the pattern's axes divided by their half length, 1/mm.
        radius_mm: (B,) mean half length.
        direction: (B, 3) unit vector of a wedge.
        border_mm: (B,) width of the soft border.
        roughness: (B,) how strongly noise moves the border, in radii.
        warp: (B,) how strongly noise bends space, in radii.
        strength: (B,) signed change of intensity, in spreads.
        replacing: (B,) 0 adds to the tissue, 1 replaces it.
        core: (B,) strength of a ring's core relative to its rim.
        texture: (B,) relative strength of the texture.
        white_only: (B,) 1 keeps the pattern within white matter.
        push_mm: (B,) mass effect: largest displacement.
        reach_mm: (B,) how far from the ventricles small lesions are common.
        offsets: (B, 6, 3) windows of the noise fields.
    """

    family: torch.Tensor
    present: torch.Tensor
    centre: torch.Tensor
    axes: torch.Tensor
    radius_mm: torch.Tensor
    direction: torch.Tensor
    border_mm: torch.Tensor
    roughness: torch.Tensor
    warp: torch.Tensor
    strength: torch.Tensor
    replacing: torch.Tensor
    core: torch.Tensor
    texture: torch.Tensor
    white_only: torch.Tensor
    push_mm: torch.Tensor
    reach_mm: torch.Tensor
    offsets: torch.Tensor

    def to(self, device: torch.device) -> Patterns:
        """The same patterns on another device."""
        return Patterns(*(getattr(self, field.name).to(device) for field in fields(self)))

    def repeated(self, times: int) -> Patterns:
        """The first sample's pattern, that many times."""
        return Patterns(
            *(getattr(self, field.name)[:1].repeat_interleave(times, 0) for field in fields(self))
        )

    def around_ventricles(self) -> torch.Tensor:
        """(B,) whether the pattern lies around the ventricles and not about its centre."""
        return _is_one_of(self.family, AROUND_VENTRICLES)

    def is_family(self, name: str) -> torch.Tensor:
        """(B, 1) whether the sample's pattern is of the family."""
        return (self.family == FAMILIES.index(name))[:, None]


def draw_patterns(
    uniform: torch.Tensor,
    centre: torch.Tensor,
    brightness: torch.Tensor,
    *,
    share: float = 0.75,
    families: Sequence[str] = TRAINING_FAMILIES,
) -> Patterns:
    """Draw patterns from uniform random numbers.

    Args:
        uniform: (B, 44) numbers in [0, 1), each sample's own.
        centre: (B, 3) where the patterns lie, template mm: a voxel of the brain.
        brightness: (B,) probability that a pattern is brighter than health.
        share: Probability that a sample has a pattern.
        families: Families to draw from.

    Returns:
        The patterns.
    """
    u = uniform.unbind(dim=1)
    codes = torch.tensor([FAMILIES.index(name) for name in families])
    family = codes[(u[0] * len(families)).long().clamp(max=len(families) - 1)]
    radius = _radius_mm(_log_uniform(u[1], *VOLUME_RANGE_ML))
    stretch = torch.exp(0.5 * (torch.stack(u[2:5], dim=1) - 0.5) * 2.0)
    stretch = stretch / stretch.prod(dim=1, keepdim=True) ** (1.0 / 3.0)
    axes = _rotations(torch.stack(u[5:8], dim=1)) / (radius[:, None] * stretch)[:, :, None]
    sign = torch.where(u[8] < brightness, 1.0, -1.0)
    boxes = family == FAMILIES.index("box")
    diffuse = _is_one_of(family, ("band", *AROUND_VENTRICLES))
    solid = torch.where(boxes, 0.0, 1.0)
    return Patterns(
        family=family,
        present=(u[9] < share).float(),
        centre=centre,
        axes=axes,
        radius_mm=torch.where(family == FAMILIES.index("band"), radius.clamp(min=8.0), radius),
        direction=_directions(u[10], u[11]),
        border_mm=torch.where(boxes, 0.5, 1.0 + 5.0 * u[12] ** 2).minimum(0.6 * radius + 0.4),
        roughness=solid * (0.1 + 0.5 * u[13]),
        warp=solid * 0.5 * u[14],
        strength=sign * _log_uniform(u[15], *STRENGTH_RANGE_SPREADS),
        replacing=torch.where(boxes, 1.0, u[16]),
        core=-1.0 + 1.7 * u[17],
        texture=0.35 * u[18],
        white_only=torch.where(diffuse, 1.0, (u[19] < 0.25).float()),
        push_mm=torch.where(
            boxes | diffuse | (u[20] > 0.45), 0.0, u[21] * (0.3 * radius).clamp(max=7.0)
        ),
        reach_mm=_log_uniform(u[40], *REACH_RANGE_MM),
        offsets=uniform[:, 22:40].reshape(-1, 6, 3),
    )


def membership(
    patterns: Patterns, points: torch.Tensor, tissue: torch.Tensor, inward_mm: torch.Tensor
) -> torch.Tensor:
    """How much each point belongs to its sample's pattern.

    Args:
        patterns: One per sample.
        points: (B, P, 3) template mm.
        tissue: (B, 4, P) fluid, grey, white, deep grey fractions (all 0 outside the brain).
        inward_mm: (B, P) distance to the ventricles.

    Returns:
        (B, P) from 0 to 1.
    """
    shape = _shape_function(patterns, points, tissue, inward_mm)
    sharpness = 4.0 * patterns.radius_mm / patterns.border_mm
    soft = torch.sigmoid(shape * sharpness[:, None])
    soft = ((soft - 0.05) / 0.9).clamp(0.0, 1.0)
    inside_brain = tissue.sum(dim=1).clamp(max=1.0)
    white = tissue[:, 2] + 0.5 * tissue[:, 3]
    allowed = 1.0 - patterns.white_only[:, None] * (1.0 - white.clamp(max=1.0))
    return soft * inside_brain * allowed * patterns.present[:, None]


def paint(
    patterns: Patterns,
    values: torch.Tensor,
    member: torch.Tensor,
    points: torch.Tensor,
    location: torch.Tensor,
    spread: torch.Tensor,
) -> torch.Tensor:
    """Add the patterns to healthy intensities.

    Args:
        patterns: One per sample.
        values: (B, P) healthy intensities.
        member: (B, P) from `membership`.
        points: (B, P, 3) template mm.
        location: (B,) of the healthy scan's bulk.
        spread: (B,) of the healthy scan's bulk.

    Returns:
        (B, P) intensities with the pattern.
    """
    strength = patterns.strength[:, None] * _relief(patterns, points, member)
    grain = noise_field(points, patterns.offsets[:, 5], torch.full_like(patterns.radius_mm, 3.0))
    strength = strength + patterns.texture[:, None] * patterns.strength[:, None].abs() * grain
    level = location[:, None] + strength * spread[:, None]
    replacing = patterns.replacing[:, None]
    changed = replacing * level + (1.0 - replacing) * (values + strength * spread[:, None])
    return values + member * (changed - values)


def displaced(patterns: Patterns, points: torch.Tensor) -> torch.Tensor:
    """Where the tissue at each point came from before the mass effect.

    The patterns push outwards from their centre by at most ``push_mm``, most at their border:
    ``push * (r/R) * exp(1 - r/R)`` along the radius, which does not fold while push < R / e.
    """
    away = points - patterns.centre[:, None, :]
    ratio = away.norm(dim=-1) / patterns.radius_mm[:, None]
    push = patterns.push_mm * patterns.present / patterns.radius_mm
    return points - away * (push[:, None] * torch.exp(1.0 - ratio))[..., None]


def _shape_function(
    patterns: Patterns, points: torch.Tensor, tissue: torch.Tensor, inward_mm: torch.Tensor
) -> torch.Tensor:
    radius = patterns.radius_mm
    fine = noise_field(points, patterns.offsets[:, 0], (0.35 * radius).clamp(min=2.5))
    coarse = noise_field(points, patterns.offsets[:, 1], (0.9 * radius).clamp(min=5.0))
    away = points - patterns.centre[:, None, :]
    bend = torch.stack((coarse, fine, coarse * fine), dim=-1) * patterns.warp[:, None, None]
    local = torch.einsum("bpc,bac->bpa", away, patterns.axes) + bend
    round_distance = local.norm(dim=-1)
    rough = patterns.roughness[:, None] * (0.7 * fine + 0.7 * coarse)
    shape = 1.0 - round_distance + rough
    shape = torch.where(patterns.is_family("box"), 1.0 - local.abs().amax(dim=-1), shape)
    window = 1.4 - round_distance / 1.6
    band = torch.minimum(0.45 - coarse.abs(), window)
    shape = torch.where(patterns.is_family("band"), band, shape)
    spots = noise_field(points, patterns.offsets[:, 2], torch.full_like(radius, 3.5))
    spots = 0.6 * (spots - 1.1 - (inward_mm / patterns.reach_mm[:, None]) ** 2 + 0.4 * coarse)
    shape = torch.where(patterns.is_family("periventricular"), spots, shape)
    width = (0.35 * radius + 1.5).clamp(2.0, 14.0)[:, None]
    halo = (width * (1.0 + 0.7 * coarse + 0.3 * fine) - inward_mm) / radius[:, None]
    shape = torch.where(patterns.is_family("halo"), halo, shape)
    shape = torch.where(patterns.is_family("wedge"), _wedge(patterns, away) + 0.5 * rough, shape)
    fingers = 1.0 - round_distance + 0.5 * fine + 0.6 * (tissue[:, 2] - 0.5)
    return torch.where(patterns.is_family("infiltrate"), fingers, shape)


def _wedge(patterns: Patterns, away: torch.Tensor) -> torch.Tensor:
    distance = away.norm(dim=-1).clamp(min=1e-3)
    cosine = (away * patterns.direction[:, None, :]).sum(dim=-1) / distance
    reach = 2.2 * patterns.radius_mm[:, None]
    along = torch.minimum(1.0 - distance / reach, 4.0 * distance / reach - 0.4)
    return torch.minimum(2.0 * (cosine - 0.75), along)


def _relief(patterns: Patterns, points: torch.Tensor, member: torch.Tensor) -> torch.Tensor:
    """Strength within the pattern relative to its border: a ring's core differs from its rim."""
    away = points - patterns.centre[:, None, :]
    inner = torch.einsum("bpc,bac->bpa", away, patterns.axes).norm(dim=-1)
    in_core = torch.sigmoid(12.0 * (0.68 - inner)) * member
    ring = 1.0 + (patterns.core[:, None] - 1.0) * in_core
    return torch.where(patterns.is_family("ring"), ring, torch.ones_like(ring))


def _is_one_of(family: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    return torch.isin(family, torch.tensor([FAMILIES.index(name) for name in names]))


def _log_uniform(u: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return torch.exp(math.log(low) + u * (math.log(high) - math.log(low)))


def _radius_mm(volume_ml: torch.Tensor) -> torch.Tensor:
    return (1000.0 * volume_ml * 3.0 / (4.0 * math.pi)) ** (1.0 / 3.0)


def _directions(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    height = 2.0 * u - 1.0
    ring = (1.0 - height**2).clamp(min=0.0).sqrt()
    angle = 2.0 * math.pi * v
    return torch.stack((ring * angle.cos(), ring * angle.sin(), height), dim=1)


def _rotations(u: torch.Tensor) -> torch.Tensor:
    """Uniform random rotations (B, 3, 3) from three uniform numbers (Shoemake 1992)."""
    a, b, c = u[:, 0], 2 * math.pi * u[:, 1], 2 * math.pi * u[:, 2]
    x, y = (1 - a).sqrt() * b.sin(), (1 - a).sqrt() * b.cos()
    z, w = a.sqrt() * c.sin(), a.sqrt() * c.cos()
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
