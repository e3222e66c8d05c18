"""Makes the pairs that the encoder learns from: a slice, and the same slice with a target pattern.

So that neither style nor level can tell subjects apart, all pairs of a step share contrast and
slice thickness and lie within a few millimetres of one level, and the two slices of a pair have
each their own rendering, pose jitter, bias, blur, noise and mask. What they share is the anatomy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from counterpart.rendering import CONTRASTS, brighter_probability, draw_renderings
from counterpart.targets import Patterns, draw_patterns
from counterpart.training.examples import ExampleMaker, Examples, draw_numbers, step_uniform
from counterpart.training.slabs import canvas_world

LOWEST_LEVEL_MM, HIGHEST_LEVEL_MM = -45.0, 70.0
LEVEL_JITTER_MM = 3.0
_OTHER_VIEW = 500_000_000
_CANDIDATES = 64


@dataclass(frozen=True, eq=False)
class Views:
    """Pairs of slices, (B, 1, I, J) in spreads; row n of both is the same subject.

    Args:
        clean: Without a pattern.
        patterned: With one, in most pairs.
        departure: Membership of the pattern in the second, 0 to 1.
    """

    clean: torch.Tensor
    patterned: torch.Tensor
    departure: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Scene:
    """What both views of each pair share."""

    subject: torch.Tensor
    contrast: torch.Tensor
    level: torch.Tensor
    patterns: Patterns
    thick: bool
    flip: float


class ViewMaker(ExampleMaker):
    """Makes pairs of views from one part of a cohort."""

    def make_views(
        self,
        seed: int,
        step: int,
        samples: Sequence[int],
        *,
        contrast: str | None = None,
        level_mm: float | None = None,
    ) -> Views:
        """The pairs of the given sample numbers of a step; the same for the same arguments.

        Args:
            seed: Of everything random.
            step: Number of the step.
            samples: Sample numbers; as many different subjects, while they last.
            contrast: One of `rendering.CONTRASTS` for all pairs; drawn without it.
            level_mm: Template z of all pairs, give or take 3 mm; drawn without it.
        """
        drawn = self._draw_scene(seed, step, samples, contrast, level_mm)
        clean = self._view(seed, step, samples, drawn, patterned=False)
        patterned = self._view(seed, step, samples, drawn, patterned=True)
        return Views(clean.shown, patterned.shown, patterned.departure)

    def make_level(
        self, seed: int, step: int, samples: Sequence[int], *, contrast: str, level_mm: float
    ) -> Examples:
        """Examples of one contrast at one level, give or take 3 mm; see `make_views`."""
        drawn = self._draw_scene(seed, step, samples, contrast, level_mm)
        return self._view(seed, step, samples, drawn, patterned=True)

    def _draw_scene(
        self,
        seed: int,
        step: int,
        samples: Sequence[int],
        contrast: str | None,
        level_mm: float | None,
    ) -> _Scene:
        drawn = contrast or _drawn_contrast(step_uniform(seed, step, -4), self.config.contrasts)
        span = HIGHEST_LEVEL_MM - LOWEST_LEVEL_MM
        middle = LOWEST_LEVEL_MM + span * step_uniform(seed, step, -5)
        middle = middle if level_mm is None else level_mm
        draws = draw_numbers(seed, step, samples, self.subjects)
        code = torch.full((len(samples),), CONTRASTS.index(drawn))
        level = middle + LEVEL_JITTER_MM * (2.0 * draws.uniform[:, 3] - 1.0)
        patterns = draw_patterns(
            draws.pattern,
            self._centres(draws.subject, draws.uniform[:, 1], level),
            brighter_probability(code),
            share=self.config.pattern_share,
            families=self.config.families,
        )
        return _Scene(
            draws.subject,
            code,
            level,
            patterns,
            thick=step_uniform(seed, step) < self.config.thick_share,
            flip=0.0 if step_uniform(seed, step, -6) < 0.5 else 0.9,
        )

    def _view(
        self, seed: int, step: int, samples: Sequence[int], scene: _Scene, *, patterned: bool
    ) -> Examples:
        first = 0 if patterned else _OTHER_VIEW
        numbers = draw_numbers(seed, step, [first + n for n in samples], self.subjects)
        uniform = numbers.uniform.clone()
        uniform[:, 9] = scene.flip
        draws = replace(numbers, subject=scene.subject, uniform=uniform)
        patterns = scene.patterns if patterned else _without(scene.patterns)
        renderings = draw_renderings(numbers.rendering, scene.contrast)
        return self.compose(
            draws,
            patterns.to(self.device),
            renderings.to(self.device),
            scene.level.to(self.device),
            scene.thick,
        )

    def _centres(
        self, subject: torch.Tensor, uniform: torch.Tensor, level: torch.Tensor
    ) -> torch.Tensor:
        """(B, 3) a voxel of each subject's brain near its level, template mm."""
        count = self.voxels.shape[1]
        first = (uniform * (count - _CANDIDATES)).long()
        rows = first[:, None] + torch.arange(_CANDIDATES)
        voxels = self.voxels[subject[:, None].to(self.device), rows.to(self.device)].cpu()
        world = canvas_world(voxels)
        nearest = (world[..., 2] - level[:, None]).abs().argmin(dim=1)
        return world[torch.arange(len(world)), nearest]


def _without(patterns: Patterns) -> Patterns:
    """The same mass effect, but nothing painted: the clean answer to a patterned slice."""
    nothing = torch.zeros_like(patterns.strength)
    return replace(patterns, strength=nothing, replacing=nothing)


def _drawn_contrast(uniform: float, shares: Sequence[float]) -> str:
    edges = torch.tensor(shares).cumsum(0)
    chosen = int(torch.searchsorted(edges / edges[-1], torch.tensor(uniform), right=True))
    return CONTRASTS[min(chosen, len(CONTRASTS) - 1)]
