"""Whole heads of held-out subjects: rendered, with and without patterns, and as acquired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from counterpart.calibration.domain import ScanDomain, scan_domain
from counterpart.cohort import Cohort
from counterpart.slices import from_slices
from counterpart.targets import HELD_OUT_FAMILIES
from counterpart.template import CANVAS
from counterpart.training.examples import ExampleConfig, ExampleMaker, Examples

MIN_PATTERN_ML = 2.0
_TRIES = 12
_SEED = 80_000_001


class Head(Protocol):
    """A whole head as slices of the canvas; training examples are such."""

    @property
    def shown(self) -> torch.Tensor:
        """(K, 1, I, J) normalised, spreads, 0 outside the brain."""
        ...

    @property
    def brain(self) -> torch.Tensor:
        """(K, 1, I, J) brain mask, 0 or 1."""
        ...


@dataclass(frozen=True, eq=False)
class HealthyHead:
    """A healthy scan of the cohort as it was acquired.

    Args:
        shown: (K, 1, I, J) normalised, spreads, 0 outside the brain.
        brain: (K, 1, I, J) brain mask, 0 or 1.
        pose_overlap: Dice coefficient of the brain with the template.
    """

    shown: torch.Tensor
    brain: torch.Tensor
    pose_overlap: float

    def domain(self) -> ScanDomain:
        """What kind of scan it is."""
        return scan_domain(
            from_slices(self.shown),
            from_slices(self.brain) > 0.5,
            thick=False,
            pose_overlap=self.pose_overlap,
        )


def cohort_heads(cohort: Cohort) -> Iterator[HealthyHead]:
    """The scans of a cohort, or of a part of it, as they were acquired."""
    for row, subject in enumerate(cohort.subjects):
        brain = cohort.brain[row][:, None].float()
        scan = subject.low + subject.step * cohort.scan[row][:, None].float()
        yield HealthyHead(scan * brain, brain, subject.pose_overlap)


def validation_heads(
    cohort: Cohort,
    contrasts: Sequence[str],
    subjects: int,
    *,
    patterned: bool,
    device: torch.device,
    part: str = "validate",
) -> list[Examples]:
    """Whole heads of the part *validate*, for each contrast the first so many subjects.

    Every second one has wider ventricles, as people grow old and few subjects of a cohort are: what
    they leave of a residual is part of what health leaves.
    """
    maker = ExampleMaker(cohort.part(part), ExampleConfig(), device=device)
    families = HELD_OUT_FAMILIES if patterned else None
    count = min(subjects, maker.subjects)
    heads = []
    for code, contrast in enumerate(contrasts):
        for row in range(count):
            heads.append(_head(maker, code, row, contrast, families, aged=row % 2 == 1))
    return heads


def drawn_head(maker: ExampleMaker, row: int, contrast: str, draw: int | None) -> Examples:
    """A subject's whole head with one of its patterns, or healthy; no two draws are alike.

    Args:
        maker: Of a part of the cohort.
        row: The subject's row in the part.
        contrast: One of `counterpart.rendering.CONTRASTS`.
        draw: Number of the pattern, of a family that was never trained on; None for a healthy head.
    """
    families = None if draw is None else HELD_OUT_FAMILIES
    return _head(maker, 100 + (draw or 0), row, contrast, families)


def _head(
    maker: ExampleMaker,
    code: int,
    row: int,
    contrast: str,
    families: Sequence[str] | None,
    *,
    aged: bool = False,
) -> Examples:
    """A head; if it has a pattern, the first draw with one of at least 2 ml."""
    for attempt in range(_TRIES):
        seed = _SEED + code + 1000 * attempt
        head = maker.head(seed, row, contrast, families=families, aged=aged)
        volume_ml = float((head.departure > 0.5).sum()) * CANVAS.voxel_volume_ml
        if families is None or volume_ml >= MIN_PATTERN_ML:
            break
    return head
