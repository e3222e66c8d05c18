"""Looks for what a model has kept of the very subjects that it was trained on.

Subjects that it was trained on and held-out ones are repainted from strong noise. Features of both
kinds are mapped by one whitening that was fitted on equally many of both: fitted on the trained
ones alone it would tell them apart by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from counterpart.attribution.domain_maps import level_whitening
from counterpart.attribution.memorisation import (
    LIMIT,
    Pair,
    ToldApart,
    similarities,
    told_apart,
    too_near,
)
from counterpart.attribution.reference_index import Array
from counterpart.attribution.whole_heads import RepaintedHead, head_codes, repainted_head
from counterpart.cohort import PARTS, Cohort
from counterpart.denoiser import Denoiser
from counterpart.errors import CohortError
from counterpart.held_out.heads import HealthyHead, cohort_heads

Progress = Callable[[str], None]
STEP = 750
SUBJECTS = 40
LEAST_SUBJECTS = 5
RIDGE = 0.01
_SEED = 1
_NAMED = 3


@dataclass(frozen=True)
class Memorisation:
    """What of its subjects a model has kept, as far as this can be told.

    Args:
        step: Diffusion step that heads were repainted from.
        error: How well subjects that were trained on are told by the smaller error.
        nearest: How well by how much nearer the answer is to its own subject than to any other.
        usual: Greatest similarity of a real held-out subject with one that was trained on.
        pairs: Repainted held-out subjects that are nearer to one than that.
    """

    step: int
    error: ToldApart
    nearest: ToldApart
    usual: float
    pairs: tuple[Pair, ...]

    @property
    def passes(self) -> bool:
        """Whether nothing speaks for copies."""
        return not (self.error.fails or self.nearest.fails or self.pairs)

    @property
    def words(self) -> str:
        """The result in a sentence, which names subjects by the cohort's names."""
        named = [f"{one.repainted} like {one.trained}" for one in self.pairs[:_NAMED]]
        return self._sentence(f" ({', '.join(named)})" if named else "")

    @property
    def nameless_words(self) -> str:
        """The same without names, for what leaves the hospital with the model."""
        return self._sentence("")

    def _sentence(self, named: str) -> str:
        parts = (
            _words("reconstruction error", self.error),
            _words("similarity with their own scan", self.nearest),
        )
        near = f"{len(self.pairs)} of {self.error.held_out}{named}" if self.pairs else "none"
        return (
            f"subjects trained on are told from held-out ones by {' and '.join(parts)}; chance is "
            f".5, and the lower end may be at most {LIMIT:g}. Of the repainted held-out subjects "
            f"{near} is nearer to one trained on than real held-out ones are ({self.usual:.2f})."
        )

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, by name; the pairs too."""
        return {
            "AUC by error": self.error.auc,
            "AUC by error, lower end": self.error.low,
            "AUC by similarity": self.nearest.auc,
            "AUC by similarity, lower end": self.nearest.low,
            "similarity of real held-out subjects": self.usual,
            **{f"{one.repainted} like {one.trained}": one.similarity for one in self.pairs},
        }


def measure_memorisation(
    denoiser: Denoiser,
    cohort: Cohort,
    *,
    subjects: int = SUBJECTS,
    step: int = STEP,
    progress: Progress | None = None,
) -> Memorisation:
    """Repaint subjects of both kinds from strong noise and compare.

    Args:
        denoiser: The network, with an encoder.
        cohort: That it was trained on.
        subjects: Most of each kind.
        step: Of the diffusion.
        progress: Called with words; may raise to cancel.

    Raises:
        CohortError: There are too few subjects of a kind.
    """
    tell = progress or (lambda words: None)
    names, heads = heads_of_parts(cohort, PARTS[:1], subjects)
    held_out, others = heads_of_parts(cohort, PARTS[1:], subjects)
    if min(len(names), len(held_out)) < LEAST_SUBJECTS:
        raise CohortError(
            f"expected {LEAST_SUBJECTS} subjects that were trained on and {LEAST_SUBJECTS} that "
            f"were not, got {len(names)} and {len(held_out)}."
        )
    real, answers = [], []
    for number, head in enumerate([*heads, *others], start=1):
        tell(f"memorisation, subject {number} of {len(heads) + len(others)}")
        real.append(head_codes(denoiser, head))
        answers.append(repainted_head(denoiser, head, step, seed=_SEED))
    return compared(names, held_out, np.stack(real), answers, step)


def compared(
    trained: Sequence[str],
    held_out: Sequence[str],
    real: Array,
    answers: Sequence[RepaintedHead],
    step: int,
) -> Memorisation:
    """What real and repainted heads say together.

    Args:
        trained: Names of the subjects that were trained on.
        held_out: Of those that were not.
        real: (N, L, C) codes of their scans, those that were trained on first.
        answers: Their answers, in the same order.
        step: Of the diffusion.
    """
    count = len(trained)
    both = min(count, len(held_out))
    alike = np.r_[0:both, count : count + both]
    generated = np.stack([one.codes for one in answers])
    scans = level_whitening(real[alike], ridge=RIDGE)(real)
    repainted = level_whitening(generated[alike], ridge=RIDGE)(generated)
    errors = [-one.error for one in answers]
    found = similarities(repainted, scans)
    own = found.diagonal().copy()
    np.fill_diagonal(found, -np.inf)
    margins = own - np.nanmax(found, axis=1)
    usual, pairs = too_near((held_out, repainted[count:]), scans[count:], (trained, scans[:count]))
    return Memorisation(
        step,
        told_apart(errors[:count], errors[count:]),
        told_apart(margins[:count].tolist(), margins[count:].tolist()),
        usual,
        tuple(pairs),
    )


def heads_of_parts(
    cohort: Cohort, parts: Sequence[str], most: int
) -> tuple[list[str], list[HealthyHead]]:
    """Names and heads of some parts, as evenly of each as they have subjects.

    Args:
        cohort: Prepared.
        parts: Of its split.
        most: Subjects in all.
    """
    there = [cohort.part(part) for part in parts if any(s.part == part for s in cohort.subjects)]
    names: list[str] = []
    heads: list[HealthyHead] = []
    for left, chosen in zip(range(len(there), 0, -1), there, strict=True):
        share = -(-(most - len(names)) // left)
        names += [one.name for one in chosen.subjects[:share]]
        heads += islice(cohort_heads(chosen), share)
    return names, heads


def _words(what: str, found: ToldApart) -> str:
    return f"{what} with an AUC of {found.auc:.2f} ({found.low:.2f} to {found.high:.2f})"
