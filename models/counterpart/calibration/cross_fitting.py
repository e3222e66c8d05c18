"""Cross-fits a calibration by fold, where there are too few healthy scans to deal into parts.

Each fold's maps, and with them its masses, come from a scale and a threshold that were fitted on
the other folds; the scale and the threshold that serve come from all. The masses are then those of
fits with a fold less, so that the p-values are nearly valid and not exactly so: the error at a
level alpha is at most about 2 alpha, and in practice near alpha (Vovk, *Cross-conformal
predictors*, Annals of Mathematics and Artificial Intelligence 74, 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from counterpart.calibration.conformal import largest_mass
from counterpart.calibration.healthy_threshold import (
    HealthyMap,
    flagged_volume_ml,
    healthy_threshold,
)
from counterpart.calibration.residual_scale import ResidualScale
from counterpart.errors import CohortError
from counterpart.held_out.answers import HeadAnswer, cross_fitted_maps, fitted_scale, head_map
from counterpart.residual import AnomalyConfig
from counterpart.template import CANVAS

LEAST_SUBJECTS = 8
DEALT_FROM = 20
FOLDS = 4


@dataclass(frozen=True, eq=False)
class CrossFit:
    """What cross-fitting gives.

    Args:
        scale: Fitted on all heads.
        threshold: Found on all heads.
        maps: Of each head, under a scale of the other folds.
        thresholds: For each head, the threshold of the other folds.
    """

    scale: ResidualScale
    threshold: float
    maps: tuple[HealthyMap, ...]
    thresholds: tuple[float, ...]

    def masses(self) -> list[float]:
        """Largest finding mass of each head at the threshold of the other folds, rising."""
        return sorted(
            largest_mass(one.values, CANVAS, threshold)
            for one, threshold in zip(self.maps, self.thresholds, strict=True)
        )

    def flagged(self) -> list[tuple[float, float]]:
        """Findings and ml flagged of each head at the threshold of the other folds."""
        return [
            flagged_volume_ml(one, threshold)
            for one, threshold in zip(self.maps, self.thresholds, strict=True)
        ]


def cross_fit(
    answers: Sequence[HeadAnswer],
    anomaly: AnomalyConfig,
    *,
    progress: Callable[[str], None] | None = None,
) -> CrossFit:
    """Cross-fit scale and threshold over four folds, dealt out in turn.

    Args:
        answers: To healthy heads, one for each subject.
        anomaly: How residual and departure become one map.
        progress: Called with words; may raise to cancel.

    Raises:
        CohortError: There are fewer than eight.
    """
    refuse_few(len(answers))
    tell = progress or (lambda text: None)
    maps: list[HealthyMap] = [HealthyMap(head_map(answers[0], anomaly, None))] * len(answers)
    thresholds = [0.0] * len(answers)
    for fold in range(FOLDS):
        tell(f"fold {fold + 1} of {FOLDS}")
        others = [one for place, one in enumerate(answers) if place % FOLDS != fold]
        scale, threshold = _fitted(others, anomaly)
        for place in range(fold, len(answers), FOLDS):
            maps[place] = HealthyMap(head_map(answers[place], anomaly, scale))
            thresholds[place] = threshold
    tell("all folds")
    scale, threshold = _fitted(answers, anomaly)
    return CrossFit(scale, threshold, tuple(maps), tuple(thresholds))


def refuse_few(subjects: int) -> None:
    """Refuse a cohort that is too small even for folds.

    Raises:
        CohortError: It has fewer than eight subjects.
    """
    if subjects < LEAST_SUBJECTS:
        raise CohortError(
            f"a calibration needs at least {LEAST_SUBJECTS} healthy subjects, got {subjects}. "
            "Mark more scans."
        )


def cross_fitted_words(population: str, subjects: int) -> str:
    """The words of a population whose scans were cross-fitted."""
    return f"{population}, cross-fitted over {FOLDS} folds of {subjects} subjects"


def _fitted(answers: Sequence[HeadAnswer], anomaly: AnomalyConfig) -> tuple[ResidualScale, float]:
    """Scale and threshold of heads; the threshold under scales of the other half of them."""
    maps = [HealthyMap(values) for values in cross_fitted_maps(answers, anomaly)]
    return fitted_scale(answers, anomaly), healthy_threshold(maps)
