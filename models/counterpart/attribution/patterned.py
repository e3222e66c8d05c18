"""Whether the answer for a scan is right where it is known: heads with drawn patterns.

A head of a subject that was trained on, with a pattern of a family that was not, is healed and
asked for like a patient's scan. Its own healthy scan is among the references.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from counterpart.attribution.building import TRAINED, Working
from counterpart.attribution.record import ReferenceRecord
from counterpart.attribution.whole_heads import healed_head
from counterpart.cohort import Cohort
from counterpart.errors import CohortError
from counterpart.held_out.heads import drawn_head
from counterpart.training.examples import ExampleConfig, ExampleMaker

Progress = Callable[[str], None]
RARE = 0.05


@dataclass(frozen=True)
class PatternedAnswer:
    """The answer for one head.

    Args:
        contrast: As which it was shown.
        first: Whether its own subject is the first that is named.
        named: Whether its own subject is named at all.
        p_value: Of the scan; None without held-out subjects.
    """

    contrast: str
    first: bool
    named: bool
    p_value: float | None


def patterned_answers(
    model: Working,
    known: ReferenceRecord,
    cohort: Cohort,
    contrasts: Sequence[str],
    subjects: int,
    *,
    progress: Progress | None = None,
) -> list[PatternedAnswer]:
    """Ask for heads of subjects that were trained on; those with nothing flagged are left out.

    Args:
        model: That heals them.
        known: Its references, in the order of the cohort's part *train*.
        cohort: That it was trained on, prepared.
        contrasts: As which each subject is shown.
        subjects: Most of them.
        progress: Called with words; may raise to cancel.

    Raises:
        CohortError: The references are not those of this cohort.
    """
    tell = progress or (lambda words: None)
    maker = ExampleMaker(cohort.part(TRAINED), ExampleConfig(), device=model.denoiser.signal.device)
    if maker.subjects != len(known.index.names):
        raise CohortError(
            f"the model knows {len(known.index.names)} references, the cohort trains "
            f"{maker.subjects} subjects."
        )
    found: list[PatternedAnswer] = []
    for contrast in contrasts:
        calibration = model.by_contrast()[contrast]
        for row in np.linspace(0, maker.subjects - 1, min(subjects, maker.subjects)).astype(int):
            tell(f"{contrast} with a pattern, subject {row + 1}")
            head = drawn_head(maker, int(row), contrast, 0)
            flagged = healed_head(model.denoiser, head, model.settings, calibration)
            if not flagged.levels.size:
                continue
            answer = known.answer(flagged, contrast)
            names = [one.name for one in answer.ranked]
            own = known.index.names[row]
            found.append(
                PatternedAnswer(contrast, names[:1] == [own], own in names, answer.p_value)
            )
    return found


def patterned_words(found: Sequence[PatternedAnswer]) -> str:
    """What came out, by contrast, as Markdown."""
    lines = []
    for contrast in sorted({one.contrast for one in found}):
        some = [one for one in found if one.contrast == contrast]
        rare = sum(one.p_value is not None and one.p_value <= RARE for one in some)
        lines.append(
            f"{contrast}: of {len(some)} heads with something flagged {sum(o.first for o in some)} "
            f"name their own subject first, {sum(o.named for o in some)} among the first five; "
            f"p is at most {RARE:g} for {rare}."
        )
    return (
        "**Known answers**: heads of subjects trained on, with drawn patterns of families that "
        f"were not, asked for like a patient's scan. {' '.join(lines)} The own subject is not "
        "named where healing does not make the head more similar to its healthy scan."
    )
