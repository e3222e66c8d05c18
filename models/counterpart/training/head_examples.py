"""Makes training examples for the brain network: whole heads of any contrast, with their brain.

A real head keeps its T1 or is re-rendered: the brain from random means of its tissues, what lies
outside by a random curve of the T1. A label map is rendered from random means alone (as SynthSeg
does, Billot et al. 2023). Target patterns reach the brain's rim, so that a tumour there is not cut
off. Then come pose, bias, blur, thick slices, coverage and noise. Some heads are stripped, and some
examples hold no brain at all: phantoms, and heads whose brain was replaced.

All random numbers of a sample come from a generator seeded by (seed, step, sample).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from counterpart.brain_network import CANVAS_SHAPE, SPACING_MM, scale_heads
from counterpart.heads import (
    BRAIN_TISSUES,
    FIRST_OUTSIDE,
    HEAD_SHAPE,
    OUTER_FLUID,
    VENTRICLE,
    WHITE,
    Heads,
)
from counterpart.seeding import derived_seed
from counterpart.targets import DRAWS, draw_patterns, membership, paint
from counterpart.training.head_acquisition import acquire_head, replace_brain

_TISSUES = 64
_COARSE = 2


@dataclass(frozen=True)
class HeadExampleConfig:
    """What examples of heads are made of, as shares of the examples.

    Args:
        label_map_share: Rendered from a label map instead of a real head, where there are any.
        render_share: Of the real heads: rendered in another contrast.
        pattern_share: With a target pattern.
        thick_share: With thick slices.
        cut_share: That do not cover the whole head.
        stripped_share: Skull-stripped.
        empty_share: Without a brain.
    """

    label_map_share: float = 0.2
    render_share: float = 0.65
    pattern_share: float = 0.6
    thick_share: float = 0.5
    cut_share: float = 0.35
    stripped_share: float = 0.2
    empty_share: float = 0.15


@dataclass(frozen=True, eq=False)
class HeadExamples:
    """A batch of heads.

    Args:
        head: (B, 1, I, J, K) as `scale_heads` leaves it.
        brain: (B, 1, I, J, K) the brain, 0 or 1.
    """

    head: torch.Tensor
    brain: torch.Tensor


@dataclass(frozen=True, eq=False)
class PosedHead:
    """A head on the canvas before it is rendered, all (I, J, K).

    Args:
        image: T1, 0 to 1; all 0 where only labels are known.
        tissue: Codes of `counterpart.heads`.
        brain: Whether a voxel belongs to the brain.
    """

    image: torch.Tensor
    tissue: torch.Tensor
    brain: torch.Tensor


class HeadExampleMaker:
    """Makes batches from one part of a cohort's heads."""

    def __init__(self, heads: Heads, config: HeadExampleConfig, *, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.image = heads.image.to(device)
        self.tissue = heads.tissue.to(device)
        self.scans = [row for row, entry in enumerate(heads.entries) if entry.has_image]
        self.maps = [row for row, entry in enumerate(heads.entries) if not entry.has_image]

    def make(self, seed: int, step: int, samples: Sequence[int]) -> HeadExamples:
        """The examples of the given sample numbers of a step; the same for the same arguments."""
        made = [self._one(derived_seed(seed, step, sample)) for sample in samples]
        return HeadExamples(
            torch.stack([head for head, _ in made])[:, None],
            torch.stack([brain for _, brain in made])[:, None],
        )

    def plain(self, rows: Sequence[int]) -> HeadExamples:
        """Real heads as they are, in the middle of the canvas."""
        posed = [self._posed(row, torch.eye(3), torch.zeros(3)) for row in rows]
        heads = torch.stack([head.image for head in posed])[:, None]
        return HeadExamples(
            scale_heads(heads), torch.stack([head.brain for head in posed])[:, None].float()
        )

    def one_of(self, row: int, seed: int) -> HeadExamples:
        """An example made from one head, the same for the same seed."""
        head, brain = self._one(derived_seed(seed, row), row)
        return HeadExamples(head[None, None], brain[None, None])

    def _one(self, seed: int, row: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        u = torch.rand(64, generator=generator)
        if row is None:
            from_map = bool(self.maps) and bool(u[0] < self.config.label_map_share)
            rows = self.maps if from_map or not self.scans else self.scans
            row = rows[int(u[1] * len(rows))]
        matrix, shift = random_pose(u[2:16])
        posed = self._posed(row, matrix, shift)
        if row in self.maps or u[16] < self.config.render_share:
            value = render_head(posed, u[17:19], generator)
        else:
            value = posed.image.clamp(min=0.0) ** float(torch.exp(1.2 * (u[17] - 0.5)))
        if u[19] < self.config.pattern_share:
            value = add_pattern(value, posed, generator)
        brain = posed.brain
        if u[20] < self.config.empty_share:
            value, brain = replace_brain(value, brain, u[21:24], generator)
        elif u[20] < self.config.empty_share + self.config.stripped_share:
            value = _stripped(value, brain, u[21:23])
        thick = bool(u[24] < self.config.thick_share)
        cut = bool(u[25] < self.config.cut_share)
        value, covered = acquire_head(value, brain, u[26:44], generator, thick=thick, cut=cut)
        brain = brain & covered
        return scale_heads(value[None, None])[0, 0], brain.float()

    def _posed(self, row: int, matrix: torch.Tensor, shift: torch.Tensor) -> PosedHead:
        """One head, moved: the canvas's voxel p shows the head's point ``matrix p + shift``."""
        points = torch.stack(
            torch.meshgrid(
                *(torch.arange(n, dtype=torch.float32) - (n - 1) / 2.0 for n in CANVAS_SHAPE),
                indexing="ij",
            ),
            dim=-1,
        ).to(self.device)
        source = points @ matrix.T.to(self.device) + shift.to(self.device)
        size = torch.tensor(HEAD_SHAPE, device=self.device)
        where = (2.0 * source / (size - 1)).flip(-1)[None]
        image = functional.grid_sample(
            self.image[row][None, None].float() / 255.0, where, align_corners=True
        )[0, 0]
        tissue = functional.grid_sample(
            self.tissue[row][None, None].float(), where, mode="nearest", align_corners=True
        )[0, 0].long()
        brain = (tissue >= BRAIN_TISSUES[0]) & (tissue <= BRAIN_TISSUES[-1])
        return PosedHead(image, tissue, brain)


def random_pose(u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A random turn, stretch and shift: (3, 3) and (3,) voxels, from 14 uniform numbers.

    Turns up to 15 degrees about each axis, one head in ten up to 45; sizes from 0.75 to 1.35 along
    each axis; left and right swapped in half of the heads.
    """
    reach = math.radians(15.0 if u[0] > 0.1 else 45.0)
    turn = torch.eye(3)
    for axis in range(3):
        angle = reach * (2.0 * u[1 + axis] - 1.0)
        first, second = [other for other in range(3) if other != axis]
        step = torch.eye(3)
        step[first, first] = step[second, second] = angle.cos()
        step[first, second], step[second, first] = -angle.sin(), angle.sin()
        turn = turn @ step
    common = torch.exp(0.3 * (u[4] - 0.5))
    stretch = common * torch.exp(0.4 * (u[5:8] - 0.5))
    flip = torch.tensor([-1.0 if u[8] < 0.5 else 1.0, 1.0, 1.0])
    shear = torch.eye(3)
    shear[1, 2] = 0.2 * (u[9] - 0.5)
    shift = (u[10:13] - 0.5) * torch.tensor([16.0, 24.0, 30.0])
    return turn @ shear @ torch.diag(flip / stretch), shift


def render_head(posed: PosedHead, u: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A head in a random contrast, (I, J, K), about 0 to 1.

    Args:
        posed: The head.
        u: Two uniform numbers: kind of contrast, share of the T1's detail.
        generator: Of the means and curves.
    """
    means = _tissue_means(float(u[0]), generator).to(posed.image.device)
    value = means[posed.tissue]
    if posed.image.any():
        outside = _random_curve(posed.image, generator)
        value = torch.where(posed.brain, value, outside)
        detail = 0.6 * float(u[1]) * (torch.rand(1, generator=generator).item() - 0.3)
        value = value + posed.brain * detail * (posed.image - _brain_level(posed))
    grain = torch.randn(value.shape, generator=generator).to(value.device)
    value = value * (1.0 + 0.06 * grain)
    return _blurred(value, 0.35 + 0.5 * torch.rand(1, generator=generator).item())


def _brain_level(posed: PosedHead) -> float:
    """The T1 of white matter, or of the brain where no more than its mask is known."""
    for where in (posed.tissue == WHITE, posed.brain):
        if where.any():
            return float(posed.image[where].median())
    return 0.5


def add_pattern(value: torch.Tensor, posed: PosedHead, generator: torch.Generator) -> torch.Tensor:
    """Paint a target pattern, often at the brain's rim."""
    inside = posed.brain.nonzero()
    if len(inside) < 1000:
        return value
    chosen = inside[torch.randint(len(inside), (32,), generator=generator)]
    if torch.rand(1, generator=generator) < 0.6:
        rim = _blurred(posed.brain.float(), 3.0)[tuple(chosen.T)]
        chosen = chosen[rim.argsort()]  # the voxel nearest to the rim first
    u = torch.rand((1, DRAWS), generator=generator)
    u[:, 1] = 0.35 + 0.65 * u[:, 1]  # patterns that the mask could lose: 0.6 ml and more
    coarse = tuple(slice(_COARSE // 2, None, _COARSE) for _ in range(3))
    centre = (chosen[:1].float() * SPACING_MM).cpu()
    patterns = draw_patterns(
        u, centre, torch.full((1,), 0.6), share=1.0, families=("blob", "ring", "band", "box")
    ).to(value.device)
    axes = [torch.arange(n, device=value.device)[coarse[0]] * SPACING_MM for n in value.shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(1, -1, 3)
    tissue = posed.tissue[coarse].reshape(1, -1)
    fractions = torch.stack([_fraction(tissue, group) for group in _GROUPS], dim=1)
    far = torch.full_like(tissue, 30, dtype=torch.float32)
    member = membership(patterns, points, fractions, far).reshape(1, 1, *posed.tissue[coarse].shape)
    member = functional.interpolate(member, value.shape, mode="trilinear")[0, 0] * posed.brain
    near = member > 0.0
    if not near.any():
        return value
    bulk = value[posed.brain]
    where = near.nonzero().float()[None] * SPACING_MM
    painted = paint(
        patterns,
        value[near][None],
        member[near][None],
        where,
        bulk.median()[None],
        bulk.std().clamp(min=1e-3)[None],
    )
    result = value.clone()
    result[near] = painted[0].clamp(min=0.0)
    return result


_GROUPS = ((OUTER_FLUID, VENTRICLE), (2, 6), (WHITE, 7), (4,))


def _fraction(tissue: torch.Tensor, codes: Sequence[int]) -> torch.Tensor:
    return torch.isin(tissue, torch.tensor(codes, device=tissue.device)).float()


def _tissue_means(kind: float, generator: torch.Generator) -> torch.Tensor:
    """(64,) mean of each tissue: random, or in the order of T1, FLAIR or T2."""
    means = torch.rand(_TISSUES, generator=generator)
    means[0] = 0.03 * means[0]
    wobble = 0.06 * (torch.rand(8, generator=generator) - 0.5)
    orders = {  # fluid, grey, white, deep, ventricle, cerebellum, brainstem
        "T1": (0.15, 0.45, 0.70, 0.55, 0.12, 0.48, 0.65),
        "FLAIR": (0.20, 0.60, 0.50, 0.55, 0.12, 0.56, 0.50),
        "T2": (0.95, 0.55, 0.38, 0.42, 1.00, 0.52, 0.42),
    }
    for edge, name in ((0.15, "T1"), (0.5, "FLAIR"), (0.75, "T2")):
        if kind < edge:
            means[1:8] = torch.tensor(orders[name]) + wobble[1:]
            means[FIRST_OUTSIDE] = means[OUTER_FLUID]
            return means
    return means


def _random_curve(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A random curve of the T1: dark stays dark, all else goes anywhere, smoothly."""
    knots = torch.rand(7, generator=generator) * (0.5 + torch.rand(1, generator=generator))
    knots[0] = 0.03 * knots[0]
    knots[1] = 0.5 * knots[1]
    if torch.rand(1, generator=generator) < 0.5:
        knots = knots.sort().values  # fat bright, as on most sequences
    knots = knots.to(image.device)
    at = (image.clamp(0.0, 1.0) * 6.0).clamp(max=5.999)
    low = at.long()
    share = at - low
    return knots[low] * (1.0 - share) + knots[low + 1] * share


def _stripped(value: torch.Tensor, brain: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """The head without what lies outside the brain's mask, which may be a voxel too large."""
    mask = brain.float()[None, None]
    if u[0] < 0.3:
        mask = functional.max_pool3d(mask, 3, stride=1, padding=1)
    return value * mask[0, 0]


def _blurred(value: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur of (I, J, K), sigma in voxels."""
    reach = max(1, math.ceil(2.0 * sigma))
    offsets = torch.arange(-reach, reach + 1, device=value.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    result = value[None, None]
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = len(kernel)
        padding = [0, 0, 0]
        padding[axis] = reach
        result = functional.conv3d(result, kernel.reshape(shape), padding=tuple(padding))
    return result[0, 0]
