"""Turns the strength of a finding into a p-value by comparison with healthy scans alone.

The *mass* of a finding is the sum of the anomaly map's absolute value over its voxels times their
volume. A scan's one statistic, fixed beforehand, is the largest mass among its findings.

If a healthy scan is exchangeable with the n calibration scans, the chance that its statistic is
one of the k largest of all n + 1 is at most k/(n + 1). So the conformal p-value

    p = (1 + number of calibration scans at least as strong)/(n + 1)

is valid in finite samples, whatever the distribution (Vovk, Gammerman and Shafer, *Algorithmic
Learning in a Random World*, 2005, ch. 2). Ties count as stronger, so it errs on the safe side.

Each finding of a scan is compared with the *largest* masses of the calibration scans. In health
some finding gets p <= alpha only if the largest one does: over all findings of a scan the
familywise error stays below alpha. That is the maximum statistic of Westfall and Young
(*Resampling-Based Multiple Testing*, 1993) and of Nichols and Holmes (Human Brain Mapping 15,
2002).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from counterpart.errors import ModelError
from counterpart.findings import find_findings
from counterpart.grid import Grid

LEVELS = (0.05, 0.1, 0.2)
CONFIDENCE = 0.99


def conformal_p(strength: float, calibration: Sequence[float]) -> float:
    """The share of scans at least as strong, the scan itself among them.

    Args:
        strength: Statistic of the scan, or the mass of one of its findings.
        calibration: Statistic of each calibration scan; without one, p is 1.

    Returns:
        From 1/(n + 1) to 1.

    Raises:
        ModelError: A value is not a number.
    """
    values = np.asarray(calibration, np.float64)
    if math.isnan(strength) or np.isnan(values).any():
        raise ModelError("a p-value needs numbers, got NaN; look at the anomaly map.")
    return (1 + int((values >= strength).sum())) / (values.size + 1)


def p_floor(n: int) -> float:
    """The least p-value that n calibration scans can give, 1/(n + 1)."""
    if n < 0:
        raise ModelError(f"expected a number of calibration scans of at least 0, got {n}.")
    return 1.0 / (n + 1)


def attainable_level(level: float, n: int) -> float:
    """The largest k/(n + 1) that is at most ``level``: the error rate that a test really has."""
    return math.floor(level * (n + 1) + 1e-9) / (n + 1)


def finding_masses(
    anomaly: NDArray[np.float32], numbers: NDArray[np.uint8], voxel_volume_ml: float
) -> tuple[float, ...]:
    """Mass of each finding, in the order of their numbers.

    Args:
        anomaly: (I, J, K) signed anomaly map.
        numbers: (I, J, K) the finding's number in its voxels, 0 elsewhere, as from
            `counterpart.findings.find_findings`.
        voxel_volume_ml: Volume of a voxel, ml.

    Returns:
        In units of the map times ml; empty without a finding.
    """
    weights = np.abs(anomaly).astype(np.float64).ravel()
    sums = np.bincount(numbers.ravel(), weights=weights)
    return tuple(float(mass) * voxel_volume_ml for mass in sums[1:])


def largest_mass(anomaly: NDArray[np.float32], grid: Grid, threshold: float) -> float:
    """The statistic of a scan: the largest mass among its findings at a threshold, else 0."""
    _, numbers = find_findings(anomaly, grid, threshold, np.eye(4))
    return max(finding_masses(anomaly, numbers, grid.voxel_volume_ml), default=0.0)


@dataclass(frozen=True)
class LevelShare:
    """How often p-values of healthy scans fall to a level or below.

    Args:
        level: Nominal level, such as 0.05.
        attainable: Largest k/(n + 1) at most that; what exchangeable scans without ties reach.
        share: Share of the p-values at most ``level``.
        low: Lower end of what exchangeable scans without ties show in 99 of 100 checks.
        high: Upper end.
    """

    level: float
    attainable: float
    share: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the share is not above what exchangeability allows."""
        return self.share <= self.high


def order_check(calibration: Sequence[float], test: Sequence[float]) -> list[LevelShare]:
    """Compare held-out healthy scans with those that were calibrated on.

    A real check of exchangeability, if the two groups differ in what could matter: the date, the
    scanner, the site. With n calibration scans, the number of m test scans whose p-value reaches
    a level of k/(n + 1) has a beta-binomial distribution with parameters k and n + 1 - k (Vovk,
    *Conditional validity of inductive conformal predictors*, 2012).

    Args:
        calibration: Statistic of each calibration scan.
        test: Statistic of each other healthy scan.

    Raises:
        ModelError: One of the groups is empty.
    """
    if not calibration or not test:
        raise ModelError("a check of p-values needs calibration scans and test scans.")
    found = np.array([conformal_p(strength, calibration) for strength in test])
    return _shares(found, len(calibration), len(test), repeats=1)


def split_check(
    masses: Sequence[float],
    *,
    calibration: int = 30,
    test: int = 10,
    repeats: int = 1000,
    generator: np.random.Generator,
) -> list[LevelShare]:
    """Split healthy scans at random, again and again, and look at the p-values of the rest.

    A check of the computation, of ties and of the attainable levels. A random split makes any
    scans exchangeable, so drift between scanners or years does not show here: see `order_check`.

    Args:
        masses: Statistic of each healthy scan.
        calibration: Scans to calibrate on.
        test: Scans to test.
        repeats: Number of splits.
        generator: Of the splits.

    Raises:
        ModelError: There are too few scans.
    """
    if min(calibration, test, repeats) < 1 or len(masses) < calibration + test:
        raise ModelError(
            f"expected at least {calibration} + {test} healthy scans to split, got {len(masses)}."
        )
    values = np.asarray(masses, np.float64)
    found: list[float] = []
    for _ in range(repeats):
        drawn = generator.permutation(values)[: calibration + test]
        reference = drawn[:calibration].tolist()
        found.extend(conformal_p(float(one), reference) for one in drawn[calibration:])
    return _shares(np.array(found), calibration, test, repeats=repeats)


def _shares(
    found: NDArray[np.float64], calibration: int, test: int, *, repeats: int
) -> list[LevelShare]:
    rows = []
    for level in LEVELS:
        attainable = attainable_level(level, calibration)
        low, high = _interval(round(attainable * (calibration + 1)), calibration, test, repeats)
        share = float((found <= level + 1e-12).mean())
        rows.append(LevelShare(level, attainable, share, low, high))
    return rows


def _interval(rank: int, calibration: int, test: int, repeats: int) -> tuple[float, float]:
    """Central interval of the share: the sum of so many independent beta-binomial counts."""
    if rank == 0:
        return 0.0, 0.0
    one = stats.betabinom.pmf(np.arange(test + 1), test, rank, calibration + 1 - rank)
    size = repeats * test + 1
    every = np.fft.irfft(np.fft.rfft(one, 2 * size) ** repeats, 2 * size)[:size]
    below = np.cumsum(np.maximum(every, 0.0))
    below /= below[-1]
    tail = 0.5 * (1.0 - CONFIDENCE)
    low, high = np.searchsorted(below, tail), np.searchsorted(below, 1.0 - tail)
    return float(low) / (repeats * test), float(high) / (repeats * test)
