"""Whether a candidate is not worse than the serving model by more than a margin: paired, honest.

The subjects are the unit: each gives one difference, candidate minus serving. Their mean has the 95
% interval of `counterpart.evaluation.bootstrap.mean_interval`, which resamples subjects. The
candidate is *not inferior* if the whole interval lies on the good side of the margin, *inferior* if
the whole of it lies on the other side, and else the comparison is *inconclusive*, as it is with
fewer subjects than an interval needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from counterpart.evaluation.bootstrap import LEAST_VALUES, Interval, mean_interval

PASSED, INFERIOR, INCONCLUSIVE = "not inferior", "inferior", "inconclusive"


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Args:
        words: Its name in a sentence.
        unit: After each figure; may be empty.
        margin: By how much the candidate's mean may be worse.
        relative: Whether the margin is a share of the serving model's mean.
        more_is_better: Whether a larger figure is the better one.
    """

    words: str
    unit: str
    margin: float
    relative: bool = False
    more_is_better: bool = False


@dataclass(frozen=True)
class Comparison:
    """How a candidate and the serving model fare on the same subjects, in one contrast.

    Args:
        measure: What is compared.
        contrast: Of the scans.
        subjects: How many.
        candidate: Mean.
        serving: Mean.
        difference: Candidate minus serving; None with too few subjects.
        known: Whether the difference is 0 for a reason, without measuring.
    """

    measure: Measure
    contrast: str
    subjects: int
    candidate: float
    serving: float
    difference: Interval | None
    known: bool = False

    @property
    def margin(self) -> float:
        """By how much the mean may be worse, in the unit of the figures."""
        scale = abs(self.serving) if self.measure.relative else 1.0
        return self.measure.margin * scale

    @property
    def outcome(self) -> str:
        """`PASSED`, `INFERIOR` or `INCONCLUSIVE`."""
        if self.known:
            return PASSED
        if self.difference is None:
            return INCONCLUSIVE
        ends = (self.difference.low, self.difference.high)
        best, worst = (-ends[1], -ends[0]) if self.measure.more_is_better else ends
        if worst <= self.margin:
            return PASSED
        return INFERIOR if best > self.margin else INCONCLUSIVE

    def figures(self) -> dict[str, float]:
        """By name, for a verdict."""
        name = self.contrast
        if self.known:
            return {f"{name}, difference": 0.0}
        found = {
            name: self.candidate,
            f"{name}, serving model": self.serving,
            f"{name}, margin": self.margin,
            f"{name}, subjects": float(self.subjects),
        }
        if self.difference is not None:
            found[f"{name}, difference"] = self.difference.value
            found[f"{name}, difference from"] = self.difference.low
            found[f"{name}, difference to"] = self.difference.high
        return found

    def words(self) -> str:
        """The comparison as a part of a sentence."""
        if self.known:
            return f"the same on {self.contrast} (same weights, settings and calibration)"
        unit = f" {self.measure.unit}" if self.measure.unit else ""
        text = (
            f"{self.candidate:.4g}{unit} on {self.contrast} (serving model {self.serving:.4g}{unit}"
        )
        if self.difference is None:
            return f"{text}; {self.subjects} subjects, an interval needs {LEAST_VALUES})"
        low, high = self.difference.low, self.difference.high
        return (
            f"{text}, difference {self.difference.value:+.3g}, 95 % from {low:+.3g} to "
            f"{high:+.3g} over {self.subjects} subjects, margin {self.margin:.3g})"
        )


def compare_paired(
    measure: Measure, contrast: str, candidate: Sequence[float], serving: Sequence[float]
) -> Comparison | None:
    """Compare figures of the same subjects.

    Args:
        measure: What they are.
        contrast: Of the scans.
        candidate: One figure for each subject.
        serving: Of the same subjects.

    Returns:
        None where the serving model has no figures to compare with; an answer of the candidate
        that is no number is inferior whatever the serving model does.
    """
    if not all(map(math.isfinite, candidate)):
        endless = Interval(math.nan, math.inf, math.inf)
        worst = Interval(math.nan, -math.inf, -math.inf) if measure.more_is_better else endless
        mean = fmean(serving) if serving else math.nan
        return Comparison(measure, contrast, len(candidate), math.nan, mean, worst)
    if not candidate or not all(map(math.isfinite, serving)):
        return None
    differences = [one - other for one, other in zip(candidate, serving, strict=True)]
    return Comparison(
        measure,
        contrast,
        len(differences),
        fmean(candidate),
        fmean(serving),
        mean_interval(differences),
    )
