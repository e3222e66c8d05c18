"""Compares real and rendered contrasts: measures all heads and keeps a slice of each to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from counterpart.brain_extraction import BrainModel
from counterpart.cohort import Cohort
from counterpart.errors import CounterpartError
from counterpart.training.contrast_figures import (
    COHORT,
    FRACTIONS,
    GIVEN,
    RENDERED,
    TEMPLATE,
    Group,
    HeadFigures,
    measure,
)
from counterpart.training.contrast_heads import (
    CONTRASTS,
    ShownHead,
    TemplatePlaces,
    cohort_heads,
    given_heads,
    rendered_heads,
)
from counterpart.training.contrast_statistics import Volume

PART = "validate"
LEVEL_MM = 16.0


@dataclass(frozen=True, eq=False)
class MeasuredHead:
    """One head's figures, and a slice of it.

    Args:
        contrast: ``T1``, ``T2`` or ``FLAIR``.
        source: `RENDERED`, `COHORT` or `GIVEN`.
        figures: By `TEMPLATE`, and by `FRACTIONS` where they are known.
        picture: (I, J) the slice nearest to the compared level, spreads; NaN outside the brain.
        thick: Whether the slices are acquired ones of more than 3 mm.
        masked: Whether a lesion mask was left out.
    """

    contrast: str
    source: str
    figures: dict[str, HeadFigures]
    picture: Volume
    thick: bool
    masked: bool


@dataclass(frozen=True, eq=False)
class Comparison:
    """All heads that are compared.

    Args:
        heads: In the order in which they were measured.
        subjects: Number of subjects that were rendered.
    """

    heads: tuple[MeasuredHead, ...]
    subjects: int

    def of(self, contrast: str, source: str) -> list[MeasuredHead]:
        """The heads of one contrast and source."""
        return [head for head in self.heads if (head.contrast, head.source) == (contrast, source)]

    def group(self, contrast: str, source: str, by: str = TEMPLATE) -> Group | None:
        """Their figures together; None if there are none."""
        heads = [head.figures[by] for head in self.of(contrast, source) if by in head.figures]
        return Group(contrast, source, by, tuple(heads)) if heads else None

    def groups(self) -> list[Group]:
        """All groups that have heads."""
        found = [
            self.group(contrast, source, by)
            for contrast in CONTRASTS
            for by in (TEMPLATE, FRACTIONS)
            for source in (RENDERED, COHORT, GIVEN)
        ]
        return [group for group in found if group is not None]


def compare_contrasts(
    cohort: Cohort,
    scans: Sequence[Path],
    brain_model: BrainModel | None,
    *,
    subjects: int,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Render and read heads, and measure them.

    Args:
        cohort: All of it; subjects of its part *validate* are rendered.
        scans: Real scans.
        brain_model: The brain network; only real scans need it.
        subjects: How many subjects are rendered, at least 1.
        seed: Of the renderings.
        progress: Called with the name of each head.

    Raises:
        CounterpartError: No subject is asked for, the part is empty, or no scan could be used.
    """
    if subjects < 1:
        raise CounterpartError(f"expected at least one subject, got {subjects}.")
    places, part = TemplatePlaces(cohort), cohort.part(PART)
    subjects = min(subjects, len(part.subjects))
    heads: list[Iterator[ShownHead]] = [
        rendered_heads(part, contrast, subjects, places, seed=seed) for contrast in CONTRASTS
    ]
    heads.append(cohort_heads(part, subjects, places))
    if scans and brain_model is not None:
        heads.append(given_heads(scans, brain_model, places))
    measured = []
    for head in chain.from_iterable(heads):
        if progress:
            progress(f"{head.contrast} {head.source}: {head.name}")
        measured.append(examine(head))
    if scans and not any(head.source == GIVEN for head in measured):
        raise CounterpartError(f"none of the {len(scans)} scans given could be used.")
    return Comparison(tuple(measured), subjects)


def examine(head: ShownHead) -> MeasuredHead:
    """Measure a head by the template's tissues, and by its own where they are known."""
    figures = {TEMPLATE: measure(head.name, head.values, head.inside, head.places)}
    if head.own is not None:
        figures[FRACTIONS] = measure(head.name, head.values, head.inside, head.own)
    k = int(np.abs(head.levels_mm - LEVEL_MM).argmin())
    picture = np.where(head.values[k] != 0.0, head.values[k], np.float32(np.nan))
    return MeasuredHead(head.contrast, head.source, figures, picture, head.thick, head.masked)
