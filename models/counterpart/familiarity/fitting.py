"""Fits the record of the healthy cohort on the heads that a calibration goes through."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from counterpart.calibration.calibrating import SIMULATED, Progress
from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION
from counterpart.cohort import CROSS_FIT, Cohort
from counterpart.denoiser import Denoiser
from counterpart.errors import CohortError, CounterpartError, UnfamiliarScanError
from counterpart.familiarity.limits import MIN_HEADS, HealthyAmount
from counterpart.familiarity.looks import HealthyLook
from counterpart.familiarity.record import Familiarity
from counterpart.familiarity.traits import BrainSize, ScanTraits, brain_size, frame_traits
from counterpart.grid import Grid
from counterpart.heads import BRAIN_TISSUES, HEAD_SHAPE, Heads, read_heads
from counterpart.held_out.heads import Head, HealthyHead, cohort_heads, validation_heads
from counterpart.pose import register
from counterpart.slices import from_slices
from counterpart.template import CANVAS

logger = logging.getLogger(__name__)

_FITTED = ("validate", CROSS_FIT)
_TYPICAL = ("volume_ml", "proportion")


class SeenHeads:
    """Keeps the traits of the healthy heads that a calibration goes through."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser
        self.traits: dict[tuple[str, str, str], list[ScanTraits]] = defaultdict(list)

    def add(self, contrast: str, kind: str, part: str, head: Head) -> None:
        """Measure one more healthy head.

        Args:
            contrast: Of the head.
            kind: ``healthy scans`` or ``simulation``.
            part: Of the split.
            head: On the canvas.
        """
        found = frame_traits(
            self.denoiser,
            from_slices(head.shown.cpu()),
            from_slices(head.brain.cpu()) > 0.5,
            CANVAS.affine,
            thick=False,
            overlap=head.pose_overlap if isinstance(head, HealthyHead) else float("nan"),
        )
        self.traits[contrast, kind, part].append(found)

    def familiarity(
        self,
        population: str,
        weights_sha256: str,
        *,
        sizes: Sequence[BrainSize] = (),
        known: Familiarity | None = None,
    ) -> Familiarity | None:
        """The record that these heads make; None if there were too few of them.

        Args:
            population: Whose heads, in words.
            weights_sha256: Of the weights of the denoiser.
            sizes: Of healthy brains, if they are known.
            known: The model's record until now: what these heads do not show stays as it was.
        """
        looks = [look for look in map(self._look, self._kinds()) if look is not None]
        same = known is not None and known.weights_sha256 == weights_sha256
        if known is not None and same:
            new = {look.key for look in looks}
            looks += [look for look in known.looks if look.key not in new]
        if not looks:
            return None
        found = Familiarity(
            population=population,
            weights_sha256=weights_sha256,
            looks=tuple(looks),
            sizes={**({} if known is None else known.sizes), **_size_amounts(sizes)}
            | self._misfit(),
        )
        return replace(found, check=self._checked(found))

    def _kinds(self) -> list[tuple[str, str]]:
        return sorted({(contrast, kind) for contrast, kind, _ in self.traits})

    def _part(self, contrast: str, kind: str, *parts: str) -> list[ScanTraits]:
        return [one for part in parts for one in self.traits.get((contrast, kind, part), [])]

    def _look(self, key: tuple[str, str]) -> HealthyLook | None:
        """Of the part *validate*; of all held-out heads where these are too few."""
        fitted = self._part(*key, *_FITTED)
        if len(fitted) < MIN_HEADS:
            fitted += self._part(*key, "calibrate")
        return HealthyLook.of(*key, fitted) if len(fitted) >= MIN_HEADS else None

    def _misfit(self) -> dict[str, HealthyAmount]:
        every = [one for kind in self._kinds() for one in self._part(*kind, *_FITTED, "calibrate")]
        misfits = [1.0 - one.overlap for one in every if np.isfinite(one.overlap)]
        return {"misfit": HealthyAmount.of(misfits)} if len(misfits) >= MIN_HEADS else {}

    def _checked(self, found: Familiarity) -> Mapping[str, int]:
        """How the heads of the part *calibrate*, none of which made a limit, would fare."""
        warned = refused = heads = 0
        for contrast, kind in self._kinds():
            fitted = self._part(contrast, kind, *_FITTED)
            if kind != HEALTHY_SCANS or len(fitted) < MIN_HEADS:
                continue
            for one in self._part(contrast, kind, "calibrate"):
                heads += 1
                try:
                    warned += bool(found.judge(one, None, contrast).warnings)
                except UnfamiliarScanError:
                    refused += 1
        return {"heads": heads, "warned": warned, "refused": refused}


def measured_cohort(
    denoiser: Denoiser,
    cohort: Cohort,
    *,
    contrasts: Sequence[str] = SIMULATED,
    simulated_subjects: int = 20,
    progress: Progress | None = None,
) -> SeenHeads:
    """The traits of a cohort's healthy heads, without calibrating anything.

    Args:
        denoiser: Its encoder makes the codes.
        cohort: With the parts *validate* and *calibrate*, or small enough to be cross-fitted.
        contrasts: To render, if the cohort has tissue fractions.
        simulated_subjects: Most rendered subjects per contrast.
        progress: Called with words; may raise to cancel.
    """
    tell = progress or (lambda text: None)
    heads = SeenHeads(denoiser)
    parts = (CROSS_FIT,) if cohort.cross_fitted else ("validate", "calibrate")
    for part in parts:
        tell(f"healthy scans, part {part}")
        for head in cohort_heads(cohort.part(part)):
            heads.add(cohort.contrast, HEALTHY_SCANS, part, head)
    device = denoiser.signal.device
    for contrast in contrasts if cohort.has_tissue else ():
        tell(f"rendering {contrast}")
        for rendered in validation_heads(
            cohort, (contrast,), simulated_subjects, patterned=False, device=device, part=parts[0]
        ):
            heads.add(contrast, SIMULATION, parts[0], rendered)
    return heads


def cohort_sizes(folder: Path, known: Familiarity | None = None) -> list[BrainSize]:
    """The sizes of healthy brains in a prepared cohort; none where they are known already.

    A brain's size does not depend on the scanner, so what is known is kept.

    Args:
        folder: Of the cohort; without whole heads in it there are no sizes.
        known: The model's record.
    """
    if known is not None and known.sizes.keys() >= set(_TYPICAL):
        return []
    try:
        return head_sizes(read_heads(folder))
    except CohortError as error:
        logger.info("no sizes of healthy brains: %s", error)
        return []


def head_sizes(heads: Heads, part: str = "validate") -> list[BrainSize]:
    """The sizes of the brains of a part's whole heads, in the pose that their scans take.

    Args:
        heads: Whole heads of the cohort.
        part: Of the split.
    """
    grid = Grid(HEAD_SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
    found = []
    for row, entry in enumerate(heads.entries):
        if entry.part != part or not entry.has_image:
            continue
        brain = np.isin(heads.tissue[row].numpy(), list(BRAIN_TISSUES))
        try:
            pose = register(heads.image[row].numpy().astype(np.float32), brain, grid)
        except CounterpartError as error:
            logger.warning("no size of %s: %s", entry.name, error)
            continue
        found.append(brain_size(brain, grid, pose.matrix))
    return found


def _size_amounts(sizes: Sequence[BrainSize]) -> dict[str, HealthyAmount]:
    if len(sizes) < MIN_HEADS:
        return {}
    return {name: HealthyAmount.of([getattr(one, name) for one in sizes]) for name in _TYPICAL}
