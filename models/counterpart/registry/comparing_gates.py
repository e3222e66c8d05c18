"""The gates that compare a candidate with what serves: not inferior by a margin, or not published.

Each contrast is judged by itself, and every one has to be passed. A contrast that the candidate
would not serve, because what serves it now is calibrated on healthy scans and the candidate is not,
is not judged. The margins, by which the mean over subjects may be worse with 95 % confidence:

- error in health: a twentieth of the serving model's. Of the released model's 0.085 spreads on real
  T1 that is a thousandth of the normal range of 4 spreads, and a tenth of the noise of a scan;
- flagged ml in health: 1 ml a scan, the volume that a healthy threshold is defined to let pass, so
  that two thresholds which are both right may differ by so much;
- average precision: 0.02, less than a quarter of the least step forward that was kept so far (from
  .14 to .23, by the departure channel, on T1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from counterpart.bundle import Model
from counterpart.calibration.healthy_threshold import MAX_FLAGGED_ML
from counterpart.calibration.record import HEALTHY_SCANS
from counterpart.cohort import Cohort
from counterpart.registry.non_inferiority import (
    INCONCLUSIVE,
    INFERIOR,
    PASSED,
    Comparison,
    Measure,
    compare_paired,
)
from counterpart.registry.paired import (
    PairedMeasures,
    Pairs,
    measured_contrasts,
    same_maps,
    same_network,
)
from counterpart.registry.verdict import Verdict
from counterpart.rendering import CONTRASTS

Progress = Callable[[str], None]
Share = Callable[[float], None]
Incumbent = Callable[[str], Model | None]
Measuring = Callable[[Model, Model, Cohort, str], Pairs]
Known = Callable[[Model, Model, str], bool]

ERROR = Measure("error in health", "spreads", 0.05, relative=True)
FLAGGED = Measure("volume flagged in health", "ml", MAX_FLAGGED_ML)
PRECISION = Measure("average precision", "", 0.02, more_is_better=True)


class ComparingGates:
    """The three gates; what one measures the others need not measure again.

    Args:
        progress: Called with words before each head; may raise to cancel.
        incumbent: Which model serves a contrast now; else the serving model, if it knows it.
        share: Called before each head with the share of the gate that is done.
    """

    def __init__(
        self,
        progress: Progress | None = None,
        incumbent: Incumbent | None = None,
        share: Share | None = None,
    ) -> None:
        self._measures = PairedMeasures(self._tell)
        self._progress, self._share = progress, share
        self._incumbent = incumbent
        self._contrasts_done, self._contrasts = 0, 1

    def healthy_error(
        self, candidate: Model, serving: Model | None, cohort: Cohort | None
    ) -> Verdict:
        """Whether held-out healthy scans are kept as well as by what serves."""
        if cohort is None or serving is None:
            return _unchecked("healthy_error", cohort)
        found = self._compared(
            ERROR,
            candidate,
            serving,
            cohort,
            measured_contrasts(cohort),
            self._measures.healthy_error,
            lambda one, other, contrast: same_network(one, other),
        )
        return _verdict("healthy_error", ERROR, found)

    def healthy_flagged(
        self, candidate: Model, serving: Model | None, cohort: Cohort | None
    ) -> Verdict:
        """Whether as little of held-out healthy scans is flagged as by what serves."""
        if cohort is None or serving is None:
            return _unchecked("healthy_flagged", cohort)
        found = self._compared(
            FLAGGED,
            candidate,
            serving,
            cohort,
            measured_contrasts(cohort),
            self._measures.healthy_flagged,
            same_maps,
        )
        return _verdict("healthy_flagged", FLAGGED, found)

    def pattern_precision(
        self, candidate: Model, serving: Model | None, cohort: Cohort | None
    ) -> Verdict:
        """Whether drawn patterns of families not trained on are found as well as by what serves."""
        if cohort is None or serving is None:
            return _unchecked("pattern_precision", cohort)
        if not cohort.has_tissue:
            return _undrawn(candidate, serving, cohort)
        found = self._compared(
            PRECISION,
            candidate,
            serving,
            cohort,
            CONTRASTS,
            self._measures.pattern_precision,
            same_maps,
        )
        return _verdict("pattern_precision", PRECISION, found)

    def _compared(
        self,
        measure: Measure,
        candidate: Model,
        serving: Model,
        cohort: Cohort,
        contrasts: Sequence[str],
        measuring: Measuring,
        known: Known,
    ) -> list[Comparison]:
        found = []
        self._contrasts = len(contrasts)
        for self._contrasts_done, contrast in enumerate(contrasts):
            other = self._serving(contrast, serving)
            if other is None or not would_serve(candidate, other, contrast):
                continue
            if known(candidate, other, contrast):
                found.append(Comparison(measure, contrast, 0, 0.0, 0.0, None, known=True))
                continue
            pairs = measuring(candidate, other, cohort, contrast)
            one = compare_paired(measure, contrast, pairs.candidate, pairs.serving)
            found += [] if one is None else [one]
        return found

    def _tell(self, words: str, share: float) -> None:
        """Pass on what is measured, with its share of the gate."""
        if self._share:
            self._share((self._contrasts_done + share) / self._contrasts)
        if self._progress:
            self._progress(words)

    def _serving(self, contrast: str, serving: Model) -> Model | None:
        found = self._incumbent(contrast) if self._incumbent else serving
        return found if found is not None and contrast in found.contrasts else None


def would_serve(candidate: Model, incumbent: Model, contrast: str) -> bool:
    """Whether a contrast would be the candidate's, once it is published."""
    if contrast not in candidate.contrasts:
        return False
    return on_healthy_scans(candidate, contrast) or not on_healthy_scans(incumbent, contrast)


def on_healthy_scans(model: Model, contrast: str) -> bool:
    """Whether a model is calibrated on healthy scans of a contrast."""
    known = model.calibrations
    return any(one.contrast == contrast and one.kind == HEALTHY_SCANS for one in known)


def _unchecked(gate: str, cohort: Cohort | None) -> Verdict:
    if cohort is None:
        return Verdict(gate, True, "not checked: no cohort given.", checked=False)
    reason = "not checked: there is no serving model with a contrast in common."
    return Verdict(gate, True, reason, checked=False)


def _undrawn(candidate: Model, serving: Model, cohort: Cohort) -> Verdict:
    """The verdict where there is no tissue to draw patterns in: only the same network passes."""
    why = f"a cohort of {cohort.contrast} scans has no tissue fractions to draw patterns in"
    if same_network(candidate, serving):
        reason = f"not checked: {why}; the network and its settings are those that serve."
        return Verdict("pattern_precision", True, reason, checked=False)
    reason = f"inconclusive, so not passed: {why}, and the network is another one."
    return Verdict("pattern_precision", False, reason)


def _verdict(gate: str, measure: Measure, found: Sequence[Comparison]) -> Verdict:
    """The verdict on all contrasts: the worst of them decides, and is named."""
    if not found:
        reason = "not checked: there is no serving model with a contrast in common."
        return Verdict(gate, True, reason, checked=False)
    figures = {name: value for one in found for name, value in one.figures().items()}
    for outcome in (INFERIOR, INCONCLUSIVE, PASSED):
        named = [one for one in found if one.outcome == outcome]
        if named:
            break
    so = ", so not passed" if outcome == INCONCLUSIVE else ""
    words = ", ".join(one.words() for one in named)
    return Verdict(gate, outcome == PASSED, f"{outcome}{so}: {measure.words} {words}.", figures)
