"""Chooses how values become greys and colours, the same in every panel of one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap, to_rgba
from numpy.typing import NDArray

from counterpart.report.head import Head
from counterpart.results import Result

LEAST_RESIDUAL_LIMIT = 2.0
WARM = ("#e8341c", "#ff8c1a", "#ffe873")
COOL = ("#2f62ff", "#24b4ff", "#9bf6ff")
NEUTRAL = "#303236"
PLAIN = "#b662ff"
OPACITY = 0.72
PAGE, PALE, DIM, AMBER = "#0c0e11", "#e9edf1", "#9aa4af", "#ffb52e"
GREYS = LinearSegmentedColormap.from_list("greys", ["black", "white"], 256)


def grey_window(scan: NDArray[np.float32], brain: NDArray[np.bool_]) -> tuple[float, float]:
    """Black and white level: robust percentiles of the scan inside the brain, scan units."""
    inside = scan[brain] if brain.any() else scan.ravel()
    low, high = np.percentile(inside[:: max(1, inside.size // 200_000)], (1.0, 99.7))
    spread = max(float(high - low), 1e-6 * max(1.0, abs(float(high))))
    return float(low) - 0.02 * spread, float(low) + 1.03 * spread


def constant_background(scan: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a stripped scan holds nothing but one constant, whatever that is; else nowhere."""
    outside = scan[~brain]
    if outside.size == 0:
        return np.zeros(scan.shape, np.bool_)
    constant = (scan == np.median(outside)) & ~brain
    return constant if constant.sum() >= 0.3 * outside.size else np.zeros_like(constant)


def nice_limit(value: float) -> float:
    """The smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is not below ``value``."""
    if not np.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = [step * power for step in (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)]
    return float(next(step for step in steps if step >= value * (1.0 - 1e-9)))


def residual_limit(residual: NDArray[np.float32], brain: NDArray[np.bool_]) -> float:
    """Symmetric end of the residual's colours: its 99.5th percentile in the brain, at least 2."""
    inside = np.abs(residual[brain] if brain.any() else residual.ravel())
    high = float(np.percentile(inside[:: max(1, inside.size // 200_000)], 99.5))
    return nice_limit(max(high, LEAST_RESIDUAL_LIMIT))


def anomaly_limit(threshold: float, peaks: Sequence[float]) -> float:
    """Symmetric end of the anomaly map's colours: the highest peak, 2 to 4 thresholds."""
    if not np.isfinite(threshold) or threshold <= 0:
        return nice_limit(max(peaks, default=1.0))
    return nice_limit(min(max([2.0 * threshold, *peaks]), 4.0 * threshold))


def residual_colours() -> Colormap:
    """Blue, neutral grey, orange: as light at one end as at the other."""
    places = (0.0, 0.16, 0.32, 0.47, 0.53, 0.68, 0.84, 1.0)
    stops = [*reversed(COOL), NEUTRAL, NEUTRAL, *WARM]
    pairs = list(zip(places, stops, strict=True))
    return LinearSegmentedColormap.from_list("residual", pairs, 511)


def anomaly_colours(share: float, opacity: float = OPACITY) -> Colormap:
    """The same hues, wholly transparent below the threshold.

    Args:
        share: Threshold over the scale's end, 0 to 1.
        opacity: From the threshold upwards, the same everywhere.
    """
    levels = np.linspace(-1.0, 1.0, 1023)
    strength = np.clip((np.abs(levels) - share) / max(1.0 - share, 1e-6), 0.0, 1.0)
    warm = LinearSegmentedColormap.from_list("warm", WARM)(strength)
    cool = LinearSegmentedColormap.from_list("cool", COOL)(strength)
    colours = np.where(levels[:, None] > 0, warm, cool)
    colours[:, 3] = np.where(np.abs(levels) >= share, opacity, 0.0)
    return ListedColormap(colours, "anomaly")


@dataclass(frozen=True, eq=False)
class Look:
    """How values become greys and colours, the same in every panel of one report.

    Args:
        window: Black and white level, scan units.
        residual: Symmetric end of the residual's colours, spreads.
        anomaly: Symmetric end of the anomaly map's colours.
        threshold: Of the anomaly map.
        background: (I, J, K), true where the picture is black whatever the values.
    """

    window: tuple[float, float]
    residual: float
    anomaly: float
    threshold: float
    background: NDArray[np.bool_]

    @classmethod
    def of(cls, result: Result, head: Head) -> Look:
        """Choose the look that suits one result."""
        window = grey_window(head.scan, head.brain)
        return cls(
            window=window,
            residual=residual_limit(head.residual, head.brain),
            anomaly=anomaly_limit(result.threshold, [f.peak for f in result.findings]),
            threshold=result.threshold,
            background=constant_background(head.scan, head.brain),
        )

    def grey(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scan values (I, J, K) with the background at the black level."""
        return np.where(self.background, np.float32(self.window[0]), values)

    @property
    def overlay(self) -> Colormap:
        """The anomaly map's colours, transparent below the threshold."""
        return anomaly_colours(min(max(self.threshold / self.anomaly, 0.0), 1.0))

    @property
    def plain(self) -> Colormap:
        """The plain baseline's colour where it flags (1), transparent where it does not (0)."""
        return ListedColormap([to_rgba(PLAIN, 0.0), to_rgba(PLAIN, OPACITY)], "plain")
