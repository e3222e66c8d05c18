"""Makes training examples on the device: a slice with a target pattern and the same slice healthy.

For each sample a subject, a level, a contrast and a pattern are drawn from a generator that is
seeded by (seed, step, sample) alone. Everything after the drawing is tensor operations on the
device of the cohort: mass effect and pose jitter (one trilinear look-up), rendering, pattern, then
bias, slice profile, blur and noise, and last the normalisation by the *patterned* scan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from counterpart import rendering, targets
from counterpart.cohort import Cohort
from counterpart.intensity import robust_location_and_spread
from counterpart.rendering import Renderings, bias_field, brighter_probability, render
from counterpart.targets import Patterns, displaced, draw_patterns, membership, paint
from counterpart.template import CANVAS

_STAT_POINTS = 2048
_MARGIN = 4
_EXTRA_DRAWS = 16
_SHAPE = (CANVAS.shape[0], CANVAS.shape[1])


@dataclass(frozen=True)
class ExampleConfig:
    """What training examples are made of.

    Args:
        contrasts: Share of each of `rendering.CONTRASTS`, in that order.
        pattern_share: Share of the examples with a target pattern.
        thick_share: Share of the batches with thick slices.
        families: Pattern families drawn.
    """

    contrasts: tuple[float, ...] = (0.38, 0.12, 0.38, 0.12)
    pattern_share: float = 0.75
    thick_share: float = 0.2
    families: tuple[str, ...] = targets.TRAINING_FAMILIES


@dataclass(frozen=True, eq=False)
class Examples:
    """A batch of examples; all (B, 1, I, J), spreads of the patterned scan, 0 outside the brain.

    Args:
        shown: The slice as the scanner would show it.
        clean: The same slice without the pattern.
        brain: Brain mask as it would be given, 0 or 1.
        departure: Membership of the pattern, 0 to 1.
        noise: Unit variance noise for the diffusion.
        time: (B,) uniform number in [0, 1) for the noise level.
    """

    shown: torch.Tensor
    clean: torch.Tensor
    brain: torch.Tensor
    departure: torch.Tensor
    noise: torch.Tensor
    time: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Draws:
    """The random numbers of a batch, each row from its sample's own generator."""

    subject: torch.Tensor
    uniform: torch.Tensor
    pattern: torch.Tensor
    rendering: torch.Tensor
    noise: torch.Tensor
    grain: torch.Tensor


class ExampleMaker:
    """Makes batches from one part of a cohort on the cohort's device."""

    def __init__(self, cohort: Cohort, config: ExampleConfig, *, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.low = torch.tensor([subject.low for subject in cohort.subjects], device=device)
        self.gain = torch.tensor([subject.step for subject in cohort.subjects], device=device)
        self.volumes = torch.cat(
            (
                cohort.scan[:, None],
                cohort.tissue,
                cohort.brain[:, None] * 255,
                cohort.inward[:, None],
            ),
            dim=1,
        ).to(device)
        self.voxels = _brain_voxels(cohort.brain).to(device)

    @property
    def subjects(self) -> int:
        """Number of subjects."""
        return int(self.volumes.shape[0])

    def make(self, seed: int, step: int, samples: Sequence[int]) -> Examples:
        """The examples of the given sample numbers of a step; the same for the same arguments."""
        draws = _draw(seed, step, samples, self.subjects)
        thick = _step_uniform(seed, step) < self.config.thick_share
        contrast = _choose(draws.uniform[:, 0], self.config.contrasts)
        voxel = (draws.uniform[:, 1] * self.voxels.shape[1]).long()
        centre = _world(self.voxels[draws.subject, voxel].cpu())
        patterns = draw_patterns(
            draws.pattern,
            centre,
            brighter_probability(contrast),
            share=self.config.pattern_share,
            families=self.config.families,
        )
        renderings = rendering.draw_renderings(draws.rendering, contrast)
        level = self._levels(draws, patterns)
        return self._compose(
            draws, patterns.to(self.device), renderings.to(self.device), level.to(self.device), thick
        )

    def _levels(self, draws: _Draws, patterns: Patterns) -> torch.Tensor:
        """(B,) template z of the slice: through the pattern, or anywhere in the brain."""
        other = (draws.uniform[:, 2] * self.voxels.shape[1]).long()
        anywhere = _world(self.voxels[draws.subject, other].cpu())[:, 2]
        reach = 0.8 * patterns.radius_mm * (2.0 * draws.uniform[:, 3] - 1.0)
        through = patterns.centre[:, 2] + reach
        local = patterns.present > 0
        scattered = patterns.family == targets.FAMILIES.index("periventricular")
        central = -10.0 + 55.0 * draws.uniform[:, 3]
        through = torch.where(scattered, central, through)
        level = torch.where(local, through, anywhere)
        return level.clamp(-70.0, 80.0)

    def _compose(
        self,
        draws: _Draws,
        patterns: Patterns,
        renderings: Renderings,
        level: torch.Tensor,
        thick: bool,
    ) -> Examples:
        slices = 4 if thick else 1
        jitter, shift = _jitter(draws.uniform.to(self.device))
        points = _slab_points(level, slices)
        source = displaced(patterns, points)
        source = torch.einsum("bpc,bac->bpa", source, jitter) + shift[:, None]
        subject = draws.subject.to(self.device)
        t1, tissue, brain, inward = self._look_up(subject, source, level, slices)
        healthy = render(renderings, points, t1, tissue, inward)
        at_stats = self._statistics_points(subject, draws, jitter, shift)
        location, spread, rendered = self._healthy_statistics(renderings, at_stats)
        member = membership(patterns, points, tissue, inward)
        sick = paint(patterns, healthy, member, points, location, spread)
        norm = self._patterned_statistics(patterns, at_stats, rendered, location, spread)
        bias = bias_field(renderings, points)
        stack = torch.stack((sick * bias, healthy * bias, member), dim=1)
        images = stack.reshape(len(level), 3, slices, *_SHAPE).mean(dim=2)
        grain = draws.grain.to(self.device)
        images = _acquire(images, renderings, grain, spread)
        mask = _given_mask(brain, tissue, slices, draws.uniform.to(self.device))
        scaled = (images[:, :2] - norm[0][:, None, None, None]) / norm[1][:, None, None, None]
        return Examples(
            shown=scaled[:, :1] * mask,
            clean=scaled[:, 1:2] * mask,
            brain=mask,
            departure=images[:, 2:3] * mask,
            noise=draws.noise.to(self.device),
            time=draws.uniform[:, 4].to(self.device),
        )

    def _look_up(
        self, subject: torch.Tensor, source: torch.Tensor, level: torch.Tensor, slices: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """T1, tissue, brain and distance to the ventricles at points (B, P, 3), trilinear."""
        depth = self.volumes.shape[2]
        half = _MARGIN + slices
        middle = ((level - CANVAS.affine[2, 3]) / 2.0).round().long()
        first = (middle - half).clamp(0, depth - 2 * half - 1)
        rows = first[:, None] + torch.arange(2 * half + 1, device=self.device)
        slab = self.volumes[subject[:, None], :, rows].transpose(1, 2).float()
        origin = torch.tensor(CANVAS.affine[:3, 3], device=self.device, dtype=torch.float32)
        index = (source - origin) / 2.0
        index = torch.stack((index[..., 0], index[..., 1], index[..., 2] - first[:, None]), dim=-1)
        size = torch.tensor([*_SHAPE, 2 * half + 1], device=self.device)
        where = 2.0 * index / (size - 1) - 1.0
        # grid_sample wants (x, y, z) = (last, middle, first) axis of the slab (K, I, J).
        where = where[..., (1, 0, 2)]
        found = functional.grid_sample(slab, where[:, :, None, None], align_corners=True)
        found = found[..., 0, 0]
        t1 = self.low[subject][:, None] + self.gain[subject][:, None] * found[:, 0]
        return t1, found[:, 1:5] / 255.0, found[:, 5] / 255.0, found[:, 6]

    def _statistics_points(
        self,
        subject: torch.Tensor,
        draws: _Draws,
        jitter: torch.Tensor,
        shift: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scattered brain points with their T1, tissue and distance to the ventricles."""
        count = self.voxels.shape[1]
        start = (draws.uniform[:, 5] * (count - _STAT_POINTS)).long().to(self.device)
        chosen = start[:, None] + torch.arange(_STAT_POINTS, device=self.device)
        index = self.voxels[subject[:, None], chosen]
        found = self.volumes[subject[:, None], :, index[..., 2], index[..., 0], index[..., 1]]
        found = found.float().transpose(1, 2)
        source = _world(index)
        points = torch.linalg.solve(jitter, (source - shift[:, None]).transpose(1, 2))
        t1 = self.low[subject][:, None] + self.gain[subject][:, None] * found[:, 0]
        return points.transpose(1, 2), t1, found[:, 1:5] / 255.0, found[:, 6]

    def _healthy_statistics(
        self,
        renderings: Renderings,
        at: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rendered = render(renderings, *at)
        location, spread = robust_location_and_spread(rendered)
        return location, spread.clamp(min=1e-3), rendered

    def _patterned_statistics(
        self,
        patterns: Patterns,
        at: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
        rendered: torch.Tensor,
        location: torch.Tensor,
        spread: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        points, _, tissue, inward = at
        member = membership(patterns, points, tissue, inward)
        sick = paint(patterns, rendered, member, points, location, spread)
        found = robust_location_and_spread(sick)
        return found[0], found[1].clamp(min=1e-3)


def sample_seed(seed: int, step: int, sample: int) -> int:
    """A 63-bit seed that depends on all three numbers alone."""
    digest = hashlib.blake2b(f"{seed}/{step}/{sample}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _draw(seed: int, step: int, samples: Sequence[int], subjects: int) -> _Draws:
    """Random numbers of a batch; the subjects of a step are all different while they last."""
    order_generator = torch.Generator().manual_seed(sample_seed(seed, step, -1))
    order = torch.randperm(subjects, generator=order_generator)
    sizes = (_EXTRA_DRAWS, targets.DRAWS, rendering.DRAWS)
    uniforms, noises, grains = [], [], []
    for sample in samples:
        generator = torch.Generator().manual_seed(sample_seed(seed, step, sample))
        uniforms.append(torch.rand(sum(sizes), generator=generator))
        noises.append(torch.randn((1, *_SHAPE), generator=generator))
        grains.append(torch.randn((1, *_SHAPE), generator=generator))
    uniform, pattern, rendered = torch.stack(uniforms).split(sizes, dim=1)
    subject = order[torch.tensor(list(samples)) % subjects]
    return _Draws(
        subject, uniform, pattern, rendered, torch.stack(noises), torch.stack(grains)
    )


def _step_uniform(seed: int, step: int) -> float:
    return sample_seed(seed, step, -2) / 2.0**63


def _choose(uniform: torch.Tensor, shares: Sequence[float]) -> torch.Tensor:
    edges = torch.tensor(shares).cumsum(0)
    edges = edges / edges[-1]
    return torch.searchsorted(edges, uniform.contiguous(), right=True).clamp(max=len(shares) - 1)


def _brain_voxels(brain: torch.Tensor) -> torch.Tensor:
    """(N, 8192, 3) indices (i, j, k) of brain voxels in a random order that never changes."""
    generator = torch.Generator().manual_seed(7)
    chosen = []
    for volume in brain:
        index = volume.nonzero()[:, (1, 2, 0)]
        pick = torch.randint(len(index), (4 * _STAT_POINTS,), generator=generator)
        chosen.append(index[pick])
    return torch.stack(chosen)


def _world(index: torch.Tensor) -> torch.Tensor:
    origin = torch.tensor(CANVAS.affine[:3, 3], device=index.device, dtype=torch.float32)
    return 2.0 * index.float() + origin


def _slab_points(level: torch.Tensor, slices: int) -> torch.Tensor:
    """(B, slices * I * J, 3) template positions of the voxels of a slab around a level."""
    device = level.device
    i, j = (torch.arange(size, device=device, dtype=torch.float32) for size in _SHAPE)
    x = 2.0 * i + float(CANVAS.affine[0, 3])
    y = 2.0 * j + float(CANVAS.affine[1, 3])
    offsets = 2.0 * (torch.arange(slices, device=device) - (slices - 1) / 2.0)
    z = level[:, None] + offsets
    batch = len(level)
    shape = (batch, slices, *_SHAPE)
    grid = torch.stack(
        (
            x[None, None, :, None].expand(shape),
            y[None, None, None, :].expand(shape),
            z[:, :, None, None].expand(shape),
        ),
        dim=-1,
    )
    return grid.reshape(batch, -1, 3)


def _jitter(uniform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Small random in-plane turns, scales, shifts and left-right flips: (B, 3, 3) and (B, 3)."""
    angle = 0.3 * (uniform[:, 6] - 0.5)
    scale_x, scale_y = (1.0 + 0.12 * (uniform[:, k] - 0.5) for k in (7, 8))
    flip = torch.where(uniform[:, 9] < 0.5, 1.0, -1.0)
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    matrix = torch.stack(
        (
            torch.stack((flip * scale_x * angle.cos(), -flip * scale_x * angle.sin(), zero), 1),
            torch.stack((scale_y * angle.sin(), scale_y * angle.cos(), zero), 1),
            torch.stack((zero, zero, one), 1),
        ),
        dim=1,
    )
    shift = torch.stack((8 * (uniform[:, 10] - 0.5), 8 * (uniform[:, 11] - 0.5), zero), dim=1)
    return matrix, shift


def _acquire(
    images: torch.Tensor, renderings: Renderings, grain: torch.Tensor, spread: torch.Tensor
) -> torch.Tensor:
    """In-plane blur of all three images; the same noise in the sick and the healthy one."""
    batch = images.shape[0]
    reach = torch.arange(-2, 3, device=images.device, dtype=torch.float32)
    width = renderings.blur.clamp(min=0.05)[:, None]
    kernel = torch.exp(-0.5 * (reach / width) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    flat = images.reshape(1, batch * 3, *_SHAPE)
    flat = functional.conv2d(flat, kernel[:, None, :, None], padding=(2, 0), groups=batch * 3)
    flat = functional.conv2d(flat, kernel[:, None, None, :], padding=(0, 2), groups=batch * 3)
    blurred = flat.reshape(batch, 3, *_SHAPE)
    noise = grain * (renderings.noise * spread)[:, None, None, None]
    return torch.cat((blurred[:, :2] + noise, blurred[:, 2:]), dim=1)


def _given_mask(
    brain: torch.Tensor, tissue: torch.Tensor, slices: int, uniform: torch.Tensor
) -> torch.Tensor:
    """The mask a user might bring: as it is, a voxel or two less, or without outer fluid."""
    batch = brain.shape[0]
    shape = (batch, slices, *_SHAPE)
    full = (brain.reshape(shape).mean(dim=1, keepdim=True) > 0.5).float()
    fluid = tissue[:, 0].reshape(shape).mean(dim=1, keepdim=True)
    outside = 1.0 - full
    one = 1.0 - functional.max_pool2d(outside, 3, stride=1, padding=1)
    two = 1.0 - functional.max_pool2d(outside, 5, stride=1, padding=2)
    rim = functional.max_pool2d(outside, 9, stride=1, padding=4)
    dry = full * (1.0 - rim * (fluid > 0.6).float())
    dry = functional.max_pool2d(-functional.max_pool2d(-dry, 3, 1, 1), 3, 1, 1) * full
    kind = uniform[:, 12][:, None, None, None]
    mask = torch.where(kind < 0.35, full, torch.where(kind < 0.55, one, dry))
    return torch.where(kind > 0.9, two, mask)
