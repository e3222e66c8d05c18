"""Says whether a scan is of the kind that was calibrated on, by what disease hardly moves.

Thin or thick slices, noise, sharpness, how skewed the intensities are, and how well the brain fits
the template. The amounts are medians and quartiles over the whole brain, so that a lesion of a
tenth of it hardly shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ModelError
from counterpart.plain_config import PlainConfig

WIDENING = 0.5
MIN_SCANS = 5
_FRAME_MM = 2.0
_AMOUNTS = {
    "noise": "noise of {:.3f} spreads",
    "sharpness": "sharpness of {:.3f} spreads/mm",
    "skewness": "skewness of {:.3f}",
    "pose_overlap": "overlap with the template of {:.3f}",
}


@dataclass(frozen=True)
class ScanDomain(PlainConfig):
    """What kind of scan this is.

    Args:
        thick: Whether the slices are thick, and so kept as they were acquired.
        noise: Robust standard deviation of the finest detail in plane, spreads.
        sharpness: Median gradient in plane, spreads/mm.
        skewness: Bowley's, of the quartiles: from -1, where the median lies at the upper one, to 1.
        pose_overlap: Dice coefficient of the brain in template pose and the template's.
    """

    thick: bool
    noise: float
    sharpness: float
    skewness: float
    pose_overlap: float

    def __post_init__(self) -> None:
        for name in _AMOUNTS:
            if not math.isfinite(getattr(self, name)):
                raise ModelError(f"a scan's {name} must be a finite number.")


def scan_domain(
    scaled: NDArray[np.float32], inside: NDArray[np.bool_], *, thick: bool, pose_overlap: float
) -> ScanDomain:
    """Measure what kind of scan this is.

    Noise is that of Immerkær (Computer Vision and Image Understanding 64, 1996): the kernel
    (1, -2, 1) along both axes in plane takes away what is linear along one of them. Its median and
    not its mean is taken, so that sulci and lesions hardly count.

    Args:
        scaled: (I, J, K) normalised scan in the frame, spreads.
        inside: (I, J, K) brain mask in the frame.
        thick: Whether the slices are thick.
        pose_overlap: Dice coefficient of the pose.

    Raises:
        ModelError: Nowhere do 3 x 3 voxels of a slice lie inside the brain.
    """
    full = _all_of_window(inside)
    if not full.any():
        raise ModelError("the brain mask in the frame is too small to tell the kind of scan.")
    detail = np.diff(np.diff(scaled, n=2, axis=0), n=2, axis=1) / 6.0
    middle = (slice(1, -1), slice(1, -1))
    across = (scaled[2:, 1:-1] - scaled[:-2, 1:-1]) / (2.0 * _FRAME_MM)
    along = (scaled[1:-1, 2:] - scaled[1:-1, :-2]) / (2.0 * _FRAME_MM)
    gradient = np.hypot(across, along)
    low, median, high = np.percentile(scaled[middle][full], [25.0, 50.0, 75.0])
    return ScanDomain(
        thick=bool(thick),
        noise=1.4826 * float(np.median(np.abs(detail[full]))),
        sharpness=float(np.median(gradient[full])),
        skewness=float((low + high - 2.0 * median) / max(high - low, 1e-12)),
        pose_overlap=float(pose_overlap),
    )


@dataclass(frozen=True)
class DomainRange(PlainConfig):
    """The kinds of scans that a calibration stands for.

    Each range goes from the least to the largest of the calibration's scans, widened on both sides
    by half of its width; a better overlap with the template than any of theirs does not count as
    different, and amounts below 0 do not occur.

    Args:
        thick: Whether the slices are thick.
        noise: Least and largest noise, spreads.
        sharpness: Least and largest sharpness, spreads/mm.
        skewness: Least and largest skewness.
        pose_overlap: Least and largest overlap with the template.
    """

    thick: bool
    noise: tuple[float, float]
    sharpness: tuple[float, float]
    skewness: tuple[float, float]
    pose_overlap: tuple[float, float]

    def __post_init__(self) -> None:
        for name in _AMOUNTS:
            low, high = getattr(self, name)
            if not low <= high:
                raise ModelError(f"expected a rising range of {name}, got {low} to {high}.")

    @classmethod
    def of(cls, domains: Sequence[ScanDomain]) -> DomainRange:
        """The range of many healthy scans.

        Raises:
            ModelError: There are fewer than five, or thick and thin ones together.
        """
        if len(domains) < MIN_SCANS:
            raise ModelError(
                f"expected at least {MIN_SCANS} healthy scans to tell a domain by, got "
                f"{len(domains)}. Calibrate with more scans."
            )
        thick = domains[0].thick
        if any(one.thick != thick for one in domains):
            raise ModelError(
                "thin and thick slices cannot share a calibration. Calibrate each on its own."
            )
        noise, sharpness, skewness, overlap = (
            _widened([getattr(one, name) for one in domains]) for name in _AMOUNTS
        )
        return cls(
            thick,
            (max(noise[0], 0.0), noise[1]),
            (max(sharpness[0], 0.0), sharpness[1]),
            (max(skewness[0], -1.0), min(skewness[1], 1.0)),
            (max(overlap[0], 0.0), 1.0),
        )

    def agrees(self, domain: ScanDomain) -> tuple[bool, str]:
        """Whether a scan is of this kind, and if not, what differs, in words."""
        if domain.thick != self.thick:
            kinds = {True: "thick", False: "thin"}
            return False, f"{kinds[domain.thick]} slices, the calibration's are {kinds[self.thick]}"
        for name, words in _AMOUNTS.items():
            value, (low, high) = getattr(domain, name), getattr(self, name)
            if not low <= value <= high:
                return False, (
                    f"{words.format(value)}, outside {low:.3f} to {high:.3f} of the calibration's "
                    "scans"
                )
        return True, "the scan is of the kind that was calibrated on"


def _widened(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = WIDENING * (high - low)
    return low - margin, high + margin


def _all_of_window(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(I - 2, J - 2, K) whether the 3 x 3 voxels in plane around a voxel are all inside."""
    along = inside[:, 2:] & inside[:, 1:-1] & inside[:, :-2]
    every: NDArray[np.bool_] = along[2:] & along[1:-1] & along[:-2]
    return every
