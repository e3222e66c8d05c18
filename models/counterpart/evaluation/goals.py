"""The figures that were set as goals, as data, and whether an evaluation reached them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from counterpart.evaluation.bootstrap import Interval, mean_interval, share_interval
from counterpart.evaluation.records import HealthyFigures, ModelEvaluation, PatientFigures
from counterpart.evaluation.summary import by_set, strongest_baseline

AIM_FINDINGS, AIM_FLAGGED_ML = 1.0, 1.0
AIM_ERROR, AIM_SSIM = 0.012, 0.95
AIM_FOUND = 0.6

Direction = Literal["at least", "at most", "above"]
Verdict = Literal["yes", "no", "not measured"]
Patients = Sequence[PatientFigures]
Found = tuple[float, Interval | None]


@dataclass(frozen=True)
class Goal:
    """One figure that is to be reached.

    Args:
        what: Figure and scans, in words.
        direction: On which side of the aim it must lie.
        aim: The figure to reach. With ``above`` the whole interval must lie above it.
        baseline: The strongest plain baseline's figure on another, larger set, where it is known.
    """

    what: str
    direction: Direction
    aim: float
    baseline: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What was reached of a goal.

    Args:
        goal: The goal.
        scans: Behind the figure.
        value: The figure; None if not measured.
        interval: Its 95 % interval; None with too few scans.
    """

    goal: Goal
    scans: int
    value: float | None
    interval: Interval | None

    @property
    def verdict(self) -> Verdict:
        """Whether the goal was reached."""
        if self.value is None:
            return "not measured"
        if self.goal.direction == "at most":
            return _verdict(self.value <= self.goal.aim)
        if self.goal.direction == "at least":
            return _verdict(self.value >= self.goal.aim)
        if self.interval is None:
            return "not measured"
        return _verdict(self.interval.low > self.goal.aim)

    @property
    def unsure(self) -> bool:
        """Whether the aim lies within the interval."""
        return (
            self.interval is not None and self.interval.low <= self.goal.aim <= self.interval.high
        )


@dataclass(frozen=True)
class _OnPatients:
    """A goal for one set of patients, whose name and contrast are given."""

    group: str
    contrast: str
    goal: Goal
    measure: Callable[[Patients], Found | None]


@dataclass(frozen=True)
class _InHealth:
    """A goal for all healthy scans."""

    goal: Goal
    figure: Callable[[HealthyFigures], float]


def outcomes(evaluation: ModelEvaluation) -> list[Outcome]:
    """All goals in their order, each with what was reached."""
    known = by_set(evaluation.patients)
    found = []
    for one in _PATIENT_GOALS:
        rows = known.get((one.group, one.contrast), [])
        found.append(_outcome(one.goal, len(rows), one.measure(rows) if rows else None))
    for other in _HEALTHY_GOALS:
        values = [other.figure(row) for row in evaluation.healthy]
        reached = (mean(values), mean_interval(values)) if values else None
        found.append(_outcome(other.goal, len(values), reached))
    return found


def _outcome(goal: Goal, scans: int, found: Found | None) -> Outcome:
    value, interval = found or (None, None)
    return Outcome(goal, scans, value, interval)


def _verdict(reached: bool) -> Verdict:
    return "yes" if reached else "no"


def _precision(rows: Patients) -> Found:
    values = [row.map.ap for row in rows]
    return mean(values), mean_interval(values)


def _difference(rows: Patients) -> Found | None:
    name = strongest_baseline(rows)
    if name is None:
        return None
    values = [row.map.ap - row.scores[name].ap for row in rows]
    return mean(values), mean_interval(values)


def _found_lesions(rows: Patients) -> Found | None:
    lesions = sum(row.lesions for row in rows)
    if not lesions:
        return None
    share = share_interval(sum(row.at_threshold.found for row in rows), lesions)
    return share.value, share


def _ap_goal(group: str, contrast: str, aim: float, baseline: float) -> _OnPatients:
    what = f"{group} {contrast}: mean voxel AP"
    return _OnPatients(group, contrast, Goal(what, "at least", aim, baseline), _precision)


def _difference_goal(group: str, contrast: str) -> _OnPatients:
    what = f"{group} {contrast}: AP less that of the strongest baseline, paired by scan"
    return _OnPatients(group, contrast, Goal(what, "above", 0.0), _difference)


_PATIENT_GOALS = (
    _ap_goal("lgg", "FLAIR", 0.65, 0.478),
    _ap_goal("lgg", "T1", 0.30, 0.123),
    _ap_goal("mslub", "T2", 0.20, 0.040),
    _ap_goal("mslub", "FLAIR", 0.60, 0.519),
    _ap_goal("wmh", "FLAIR", 0.75, 0.632),
    _ap_goal("brats", "FLAIR", 0.93, 0.888),
    _difference_goal("lgg", "FLAIR"),
    _difference_goal("lgg", "T1"),
    _OnPatients(
        "lgg",
        "FLAIR",
        Goal("lgg FLAIR: share of lesions found at the healthy threshold", "at least", AIM_FOUND),
        _found_lesions,
    ),
)
_HEALTHY_GOALS = (
    _InHealth(
        Goal("health: findings per scan at the healthy threshold", "at most", AIM_FINDINGS),
        lambda row: float(row.findings),
    ),
    _InHealth(
        Goal("health: ml flagged per scan at the healthy threshold", "at most", AIM_FLAGGED_ML),
        lambda row: row.flagged_ml,
    ),
    _InHealth(
        Goal("health: error of the reconstruction, of the normal range", "at most", AIM_ERROR),
        lambda row: row.error,
    ),
    _InHealth(
        Goal("health: SSIM of the reconstruction", "at least", AIM_SSIM),
        lambda row: row.ssim,
    ),
)
