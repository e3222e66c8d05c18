"""Makes training examples on the device: a slice with a target pattern and the same slice healthy.

For each sample a subject, a level, a contrast and a pattern are drawn from a generator that is
seeded by (seed, step, sample) alone. Everything after the drawing is tensor operations on the
device of the cohort: mass effect and pose jitter (one trilinear look-up), rendering, pattern, then
bias, slice profile, blur and noise, and last the normalisation by the *patterned* scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from counterpart import rendering, targets
from counterpart.cohort import Cohort
from counterpart.errors import CohortError
from counterpart.intensity import robust_location_and_spread
from counterpart.rendering import Renderings, bias_field, brighter_probability, render
from counterpart.seeding import derived_seed
from counterpart.targets import Patterns, displaced, draw_patterns, membership, paint
from counterpart.template import CANVAS
from counterpart.training.acquisition import acquire, given_mask
from counterpart.training.slabs import SLICE_SHAPE, canvas_world, pose_jitter, slab_points
from counterpart.training.ventricles import ventricle_push, widened

_STAT_POINTS = 2048
_MARGIN = 8
_EXTRA_DRAWS = 16


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
        chance: (B,) uniform number in [0, 1) for whether the code is withheld.
    """

    shown: torch.Tensor
    clean: torch.Tensor
    brain: torch.Tensor
    departure: torch.Tensor
    noise: torch.Tensor
    time: torch.Tensor
    chance: torch.Tensor


@dataclass(frozen=True, eq=False)
class Draws:
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
        if not cohort.has_tissue:
            raise CohortError(
                f"a cohort of {cohort.contrast} scans serves calibration alone: it has no tissue "
                "fractions to train on or to render from. Prepare T1 scans."
            )
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
        draws = draw_numbers(seed, step, samples, self.subjects)
        thick = step_uniform(seed, step) < self.config.thick_share
        contrast = _choose(draws.uniform[:, 0], self.config.contrasts)
        voxel = (draws.uniform[:, 1] * self.voxels.shape[1]).long()
        centre = canvas_world(self.voxels[draws.subject, voxel].cpu())
        patterns = draw_patterns(
            draws.pattern,
            centre,
            brighter_probability(contrast),
            share=self.config.pattern_share,
            families=self.config.families,
        )
        renderings = rendering.draw_renderings(draws.rendering, contrast)
        level = self._levels(draws, patterns)
        return self.compose(
            draws,
            patterns.to(self.device),
            renderings.to(self.device),
            level.to(self.device),
            thick,
        )

    def head(
        self,
        seed: int,
        row: int,
        contrast: str,
        *,
        families: Sequence[str] | None,
        aged: bool = False,
    ) -> Examples:
        """A whole head as examples, one per canvas slice, in pose and with its full mask.

        Args:
            seed: Of everything random.
            row: The subject's row in the cohort part.
            contrast: One of `rendering.CONTRASTS`.
            families: Families to draw one pattern from, or None for a healthy head.
            aged: Whether its ventricles are as wide as training makes them at random, rather than
                as they are.
        """
        depth = CANVAS.shape[2]
        one = draw_numbers(seed, row, [0], self.subjects)
        uniform = one.uniform.clone()
        uniform[:, 6:12] = 0.5  # no jitter
        uniform[:, 15] = 0.0 if aged else 0.5  # ventricles wider, or as they are
        uniform[:, (9, 12)] = 0.0  # no flip, the full mask
        voxel = (uniform[:, 1] * self.voxels.shape[1]).long()
        code = torch.tensor([rendering.CONTRASTS.index(contrast)])
        patterns = draw_patterns(
            one.pattern,
            canvas_world(self.voxels[row, voxel].cpu()),
            brighter_probability(code),
            share=0.0 if families is None else 1.0,
            families=families or self.config.families,
        )
        generator = torch.Generator().manual_seed(derived_seed(seed, row, -3))
        grain = torch.randn((depth, 1, *SLICE_SHAPE), generator=generator)
        draws = Draws(
            subject=torch.full((depth,), row),
            uniform=uniform.expand(depth, -1),
            pattern=one.pattern.expand(depth, -1),
            rendering=one.rendering.expand(depth, -1),
            noise=grain,
            grain=grain,
        )
        renderings = rendering.draw_renderings(draws.rendering, code.expand(depth))
        level = canvas_world(torch.arange(depth)[:, None].expand(depth, 3))[:, 2]
        return self.compose(
            draws,
            patterns.repeated(depth).to(self.device),
            renderings.to(self.device),
            level.to(self.device),
            False,
        )

    def _levels(self, draws: Draws, patterns: Patterns) -> torch.Tensor:
        """(B,) template z of the slice: through the pattern, or anywhere in the brain."""
        other = (draws.uniform[:, 2] * self.voxels.shape[1]).long()
        anywhere = canvas_world(self.voxels[draws.subject, other].cpu())[:, 2]
        reach = 0.8 * patterns.radius_mm * (2.0 * draws.uniform[:, 3] - 1.0)
        through = patterns.centre[:, 2] + reach
        local = patterns.present > 0
        central = -10.0 + 55.0 * draws.uniform[:, 3]
        through = torch.where(patterns.around_ventricles(), central, through)
        level = torch.where(local, through, anywhere)
        return level.clamp(-70.0, 80.0)

    def compose(
        self,
        draws: Draws,
        patterns: Patterns,
        renderings: Renderings,
        level: torch.Tensor,
        thick: bool,
    ) -> Examples:
        """Make the examples of given draws; everything but the draws lies on the device.

        Args:
            draws: Random numbers.
            patterns: One per sample.
            renderings: One per sample.
            level: (B,) template z of the slices, mm.
            thick: Whether slices are thick.
        """
        slices = 4 if thick else 1
        jitter, shift = pose_jitter(draws.uniform.to(self.device))
        points = slab_points(level, slices)
        source = displaced(patterns, points)
        source = widened(source, ventricle_push(draws.uniform).to(self.device))
        source = torch.einsum("bpc,bac->bpa", source, jitter) + shift[:, None]
        subject = draws.subject.to(self.device)
        t1, tissue, brain, inward = self._look_up(subject, source, level, slices)
        healthy = render(renderings, points, t1, tissue, inward)
        at_stats = self._statistics_points(subject, draws, jitter, shift)
        location, spread, rendered = self._healthy_statistics(renderings, at_stats)
        member = membership(patterns, points, tissue, inward)
        sick = paint(patterns, healthy, member, points, location, spread)
        norm = self._patterned_statistics(
            patterns, renderings, at_stats, rendered, location, spread
        )
        bias = bias_field(renderings, points)
        stack = torch.stack((sick * bias, healthy * bias, member), dim=1)
        images = stack.reshape(len(level), 3, slices, *SLICE_SHAPE).mean(dim=2)
        grain = draws.grain.to(self.device)
        images = acquire(images, renderings, grain, spread)
        mask = given_mask(brain, tissue, slices, draws.uniform.to(self.device))
        scaled = (images[:, :2] - norm[0][:, None, None, None]) / norm[1][:, None, None, None]
        return Examples(
            shown=scaled[:, :1] * mask,
            clean=scaled[:, 1:2] * mask,
            brain=mask,
            departure=images[:, 2:3] * mask,
            noise=draws.noise.to(self.device),
            time=draws.uniform[:, 4].to(self.device),
            chance=draws.uniform[:, 13].to(self.device),
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
        size = torch.tensor([*SLICE_SHAPE, 2 * half + 1], device=self.device)
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
        draws: Draws,
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
        source = canvas_world(index)
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
        renderings: Renderings,
        at: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
        rendered: torch.Tensor,
        location: torch.Tensor,
        spread: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        points, _, tissue, inward = at
        member = membership(patterns, points, tissue, inward)
        sick = paint(patterns, rendered, member, points, location, spread)
        found = robust_location_and_spread(sick * bias_field(renderings, points))
        return found[0], found[1].clamp(min=1e-3)


def draw_numbers(seed: int, step: int, samples: Sequence[int], subjects: int) -> Draws:
    """Random numbers of a batch, on the CPU.

    The subjects of a step are all different while they last.
    """
    order_generator = torch.Generator().manual_seed(derived_seed(seed, step, -1))
    order = torch.randperm(subjects, generator=order_generator)
    sizes = (_EXTRA_DRAWS, targets.DRAWS, rendering.DRAWS)
    uniforms, noises, grains = [], [], []
    for sample in samples:
        generator = torch.Generator().manual_seed(derived_seed(seed, step, sample))
        uniforms.append(torch.rand(sum(sizes), generator=generator))
        noises.append(torch.randn((1, *SLICE_SHAPE), generator=generator))
        grains.append(torch.randn((1, *SLICE_SHAPE), generator=generator))
    uniform, pattern, rendered = torch.stack(uniforms).split(sizes, dim=1)
    subject = order[torch.tensor(list(samples)) % subjects]
    return Draws(subject, uniform, pattern, rendered, torch.stack(noises), torch.stack(grains))


def step_uniform(seed: int, step: int, number: int = -2) -> float:
    """One of a step's own random numbers in [0, 1), the same for all its samples."""
    return derived_seed(seed, step, number) / 2.0**63


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
