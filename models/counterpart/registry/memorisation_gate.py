"""The gate against copies: a model that has kept its subjects is not published unasked."""

from __future__ import annotations

from collections.abc import Callable

from counterpart.attribution.memorised import LEAST_SUBJECTS, SUBJECTS, measure_memorisation
from counterpart.bundle import Model
from counterpart.cohort import PARTS, Cohort
from counterpart.errors import CohortError
from counterpart.registry.paired import same_network
from counterpart.registry.verdict import Verdict

GATE = "memorisation"


class MemorisationGate:
    """Asks whether subjects that were trained on can be told from held-out ones.

    Args:
        progress: Called with words before each head; may raise to cancel.
    """

    def __init__(self, progress: Callable[[str], None] | None = None) -> None:
        self._progress = progress

    def memorisation(
        self, candidate: Model, serving: Model | None, cohort: Cohort | None
    ) -> Verdict:
        """Whether the model seems to have kept none of its subjects."""
        unchecked = _unchecked(candidate, serving, cohort)
        if unchecked or cohort is None:
            return Verdict(GATE, True, f"not checked: {unchecked}.", checked=False)
        try:
            found = measure_memorisation(
                candidate.denoiser, cohort, subjects=SUBJECTS, progress=self._progress
            )
        except CohortError as error:
            return Verdict(GATE, True, f"not checked: {error}", checked=False)
        return Verdict(GATE, found.passes, found.words, found.figures)


def _unchecked(candidate: Model, serving: Model | None, cohort: Cohort | None) -> str:
    """Why nothing can be looked for; empty where it can."""
    if cohort is None:
        return "no cohort given"
    if serving is not None and same_network(candidate, serving):
        return "the weights are those that serve"
    if candidate.denoiser.config.encoder is None:
        return "the network has no encoder to compare slices by"
    if sum(one.part == PARTS[0] for one in cohort.subjects) < LEAST_SUBJECTS:
        return "the cohort has too few subjects that the model was trained on"
    return ""
