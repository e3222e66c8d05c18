"""Measures one head in one contrast, and gathers the figures of many heads as mean and band."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from counterpart.training.contrast_statistics import (
    DISTANCES_MM,
    EDGES,
    LAGS_MM,
    Mask,
    Numbers,
    Volume,
    correlation_at,
    distance_profile,
    fine_detail,
    histogram,
    location_and_spread,
    mean_and_band,
    own_ventricles,
    wasserstein,
)

TISSUES = ("fluid", "grey", "white", "deep grey")
REGIONS = ("brain", *TISSUES)
TEMPLATE, FRACTIONS = "by template", "by own fractions"
RENDERED, COHORT, GIVEN = "rendered", "cohort", "given"
CAP = "cap: white at 2 to 6 mm minus at 12 to 20 mm, own ventricles"
_REACH_MM = 12.0


@dataclass(frozen=True, eq=False)
class Places:
    """Where the tissues of a head lie, as far as is known.

    Args:
        tissues: (4, K, I, J) voxels that are surely of each of `TISSUES`.
        white: (K, I, J) white matter up to the ventricles.
        distance_mm: (K, I, J) distance to the ventricles.
        spacing_mm: Step between slices, rows and columns.
    """

    tissues: Mask
    white: Mask
    distance_mm: Volume
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class HeadFigures:
    """What is measured of one head.

    Args:
        name: Of the scan or subject.
        histograms: (5, 140) densities of `REGIONS`.
        values: Each figure by its name, unit included.
    """

    name: str
    histograms: Numbers
    values: dict[str, float]


@dataclass(frozen=True, eq=False)
class Group:
    """The figures of heads of one contrast and one source.

    Args:
        contrast: ``T1``, ``T2`` or ``FLAIR``.
        source: `RENDERED`, `COHORT` or `GIVEN`.
        by: How tissues were told: `TEMPLATE` or `FRACTIONS`.
        heads: At least one.
    """

    contrast: str
    source: str
    by: str
    heads: tuple[HeadFigures, ...]

    def histograms(self) -> tuple[Numbers, Numbers, Numbers]:
        """Mean, 5th and 95th percentile (5, 140) over the heads."""
        return mean_and_band(np.stack([head.histograms for head in self.heads]))

    def band(self, what: str) -> tuple[float, float, float]:
        """Mean, 5th and 95th percentile of one figure."""
        found = mean_and_band(np.array([head.values[what] for head in self.heads]))
        return (float(found[0]), float(found[1]), float(found[2]))


def measure(name: str, values: Volume, inside: Mask, places: Places) -> HeadFigures:
    """Measure one head.

    Args:
        name: Of the scan or subject.
        values: (K, I, J) spreads.
        inside: (K, I, J) the voxels that count; what is outside has no say in any figure.
        places: Where its tissues lie.
    """
    regions = (inside, *(tissue & inside for tissue in places.tissues))
    found: dict[str, float] = {}
    for region, where in zip(REGIONS, regions, strict=True):
        found[location_of(region)], found[spread_of(region)] = location_and_spread(values[where])
    for tissue in TISSUES:
        found[relative(tissue)] = found[location_of(tissue)] - found[location_of("white")]
    detail = fine_detail(values, inside)
    for region, where in (("brain", inside), ("white", regions[3])):
        found[detail_of(region)] = location_and_spread(detail[where])[1]
        for lag in LAGS_MM:
            found[correlation_of(region, lag)] = correlation_at(detail, where, lag)
    found.update(_profiles(values, inside, places))
    return HeadFigures(name, np.stack([histogram(values[where]) for where in regions]), found)


def _profiles(values: Volume, inside: Mask, places: Places) -> dict[str, float]:
    """White matter around the ventricles, as they are known and as they are seen."""
    fluid, white = places.tissues[0], places.tissues[2]
    seen = own_ventricles(values, inside, fluid, white, places.distance_mm <= _REACH_MM)
    far = np.full(values.shape, np.inf, np.float32)
    if seen.any():
        far = ndimage.distance_transform_edt(~seen, sampling=places.spacing_mm).astype(np.float32)
    where = places.white & inside
    known = distance_profile(values, places.distance_mm, where)
    own = distance_profile(values, far, where)
    found = {}
    for number, end in enumerate(DISTANCES_MM[1:]):
        found[at_distance(float(end))] = float(known[number])
        found[at_distance(float(end), own=True)] = float(own[number])
    found[CAP] = float(own[1:3].mean() - own[6:].mean())
    return found


def location_of(region: str) -> str:
    """Name of a region's median."""
    return f"{region}: location, spreads"


def spread_of(region: str) -> str:
    """Name of a region's robust spread."""
    return f"{region}: spread, spreads"


def relative(tissue: str) -> str:
    """Name of a tissue's median relative to white matter's."""
    return f"{tissue} minus white: location, spreads"


def detail_of(region: str) -> str:
    """Name of the robust spread of a region's fine detail."""
    return f"{region}: fine detail, spreads"


def correlation_of(region: str, lag_mm: float) -> str:
    """Name of the correlation of a region's fine detail at a distance."""
    return f"{region}: fine detail, correlation at {lag_mm:g} mm"


def at_distance(end_mm: float, *, own: bool = False) -> str:
    """Name of white matter's mean in the 2 mm that end at a distance from the ventricles."""
    whose = "own ventricles" if own else "known ventricles"
    return f"white at {end_mm - 2.0:g} to {end_mm:g} mm from the {whose}, spreads"


def distances(one: Group, other: Group) -> dict[str, float]:
    """Wasserstein-1 distance between mean histograms, spreads, for each of `REGIONS`."""
    first, second = one.histograms()[0], other.histograms()[0]
    return {region: wasserstein(first[row], second[row]) for row, region in enumerate(REGIONS)}


def distance_lines(groups: Sequence[Group]) -> list[str]:
    """A sentence for each contrast and source of real heads: how far their histograms are away."""
    lines = []
    for rendered, real in _all_distances(groups):
        parts = ", ".join(
            f"{region} {value:.2f}"
            for region, value in distances(rendered, real).items()
            if np.isfinite(value)
        )
        lines.append(
            f"{real.contrast}, {real.source} ({len(real.heads)}) from rendered "
            f"({len(rendered.heads)}), {real.by}: {parts} spreads"
        )
    return lines


def _all_distances(groups: Sequence[Group]) -> Iterator[tuple[Group, Group]]:
    """Rendered and real groups of the same contrast whose tissues were told in the same way."""
    for one in groups:
        for other in groups:
            same = (one.contrast, one.by) == (other.contrast, other.by)
            if same and one.source == RENDERED != other.source:
                yield one, other


def write_table(groups: Sequence[Group], path: Path) -> None:
    """Write all figures as a tidy table: contrast, what, source, value."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("contrast", "what", "source", "value"))
        for row in _rows(groups):
            writer.writerow((*row[:3], f"{row[3]:.5g}"))


def _rows(groups: Sequence[Group]) -> Iterator[tuple[str, str, str, float]]:
    for group in groups:
        yield group.contrast, f"heads ({group.by})", group.source, float(len(group.heads))
        for what in group.heads[0].values:
            title, bands = f"{what} ({group.by})", group.band(what)
            for words, value in zip(("mean", "5th", "95th"), bands, strict=True):
                yield group.contrast, title, f"{group.source}, {words}", value
            if group.source == GIVEN:
                for head in group.heads:
                    yield group.contrast, title, head.name, head.values[what]
        if group.by == TEMPLATE:
            for low, value in zip(EDGES, group.histograms()[0][0], strict=False):
                title = f"brain: histogram from {low:.1f}, per spread"
                yield group.contrast, title, f"{group.source}, mean", float(value)
    for rendered, real in _all_distances(groups):
        for region, value in distances(rendered, real).items():
            title = f"{region}: distance of histograms, spreads ({real.by})"
            yield real.contrast, title, f"{RENDERED} to {real.source}", value
