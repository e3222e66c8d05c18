"""Draws a page of real and rendered contrasts, so that a person can judge how far they differ."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from PIL import Image

from counterpart.report.look import AMBER, DIM, PAGE, PALE
from counterpart.results import DISCLAIMER
from counterpart.training.contrast_comparison import LEVEL_MM, Comparison, MeasuredHead
from counterpart.training.contrast_figures import (
    CAP,
    COHORT,
    FRACTIONS,
    GIVEN,
    REGIONS,
    RENDERED,
    TISSUES,
    Group,
    at_distance,
    correlation_of,
    detail_of,
    distances,
    relative,
    spread_of,
)
from counterpart.training.contrast_heads import CONTRASTS, RENDERINGS_PER_SUBJECT
from counterpart.training.contrast_statistics import DISTANCES_MM, EDGES, LAGS_MM

WINDOW = (-3.0, 3.0)
PICTURES = 3
_RANGE = (-5.0, 6.0)
_COLOURS = {RENDERED: "#24b4ff", COHORT: "#ffe873", GIVEN: "#ff8c1a"}
_WORDS = {RENDERED: "rendered", COHORT: "real, cohort", GIVEN: "real, given scans"}
_SIZE_INCHES = (18.0, 21.0)
_SMALL = 8.5
_SHADES = 128
_TEXTURE = (
    ("white: fine detail, spread", detail_of("white")),
    *((f"   its correlation at {lag:g} mm", correlation_of("white", lag)) for lag in LAGS_MM),
    ("brain: fine detail, spread", detail_of("brain")),
    *((f"   its correlation at {lag:g} mm", correlation_of("brain", lag)) for lag in LAGS_MM),
)


def draw_page(comparison: Comparison, path: Path) -> None:
    """Draw histograms, caps, tissue and texture figures, and slices of each contrast, as a PNG."""
    figure = page_of(comparison)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", facecolor=PAGE, metadata={"Software": None})
    with Image.open(drawn) as picture:  # a palette halves the file and shows the same
        picture.convert("RGB").quantize(_SHADES, dither=Image.Dither.NONE).save(path, optimize=True)


def page_of(comparison: Comparison) -> Figure:
    """The page as a figure with a canvas of its own; panels are labelled ``T1 histogram`` etc."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=100, facecolor=PAGE)
    FigureCanvasAgg(figure)
    _write_head(figure, comparison)
    rows = figure.add_gridspec(
        len(CONTRASTS), 1, left=0.035, right=0.99, top=0.926, bottom=0.008, hspace=0.1
    )
    for number, contrast in enumerate(CONTRASTS):
        _draw_contrast(figure, rows[number], comparison, contrast)
    return figure


def _write_head(figure: Figure, comparison: Comparison) -> None:
    figure.text(0.012, 0.985, "Real and rendered contrasts", color=PALE, fontsize=17, weight="bold")
    figure.text(0.99, 0.985, f"{DISCLAIMER}.", color=AMBER, fontsize=13, ha="right")
    given = [head for head in comparison.heads if head.source == GIVEN]
    lines = (
        f"{comparison.subjects} held-out subjects of the cohort, each rendered "
        f"{RENDERINGS_PER_SUBJECT} times per contrast: mean, and the band from the 5th to the 95th "
        "percentile of the renderings. All intensities in spreads: 0 is the location of the "
        "brain's bulk, 1 its spread. Real scans: mean, and the same band (table).",
        f"Given scans: {len(given)}, {sum(head.thick for head in given)} of them with slices of "
        f"more than 3 mm; lesion masks with a margin of 6 mm left out in "
        f"{sum(head.masked for head in given)}. Tissues lie where the template is sure of them, in "
        "real and rendered heads alike. Amber: the real mean is outside the renderings' band.",
        "Distance: Wasserstein-1 between the mean histograms, spreads. Fine detail: what is finer "
        "than a Gaussian of 6 mm in the plane. Caps: white matter by its distance from the "
        "ventricles as each scan shows them; dashed: as the cohort's fractions know them.",
        f"Slices at template z {LEVEL_MM:+.0f} mm, radiological convention, black at {WINDOW[0]:g} "
        f"and white at {WINDOW[1]:+g} spreads, one pixel per voxel of 2 mm.",
    )
    for number, line in enumerate(lines):
        figure.text(0.012, 0.973 - 0.0095 * number, line, color=DIM, fontsize=9.5)


def _draw_contrast(
    figure: Figure, place: SubplotSpec, comparison: Comparison, contrast: str
) -> None:
    halves = place.subgridspec(2, 1, height_ratios=(1.15, 1.0), hspace=0.2)
    panels = halves[0].subgridspec(1, 3, width_ratios=(1.0, 0.75, 1.55), wspace=0.13)
    groups = [
        group
        for source in (RENDERED, COHORT, GIVEN)
        if (group := comparison.group(contrast, source)) is not None
    ]
    histogram, caps, table = (figure.add_subplot(panels[number]) for number in range(3))
    _draw_histogram(histogram, contrast, groups)
    _draw_caps(caps, contrast, groups, comparison.group(contrast, RENDERED, FRACTIONS))
    _draw_table(table, contrast, groups)
    strip = halves[1].subgridspec(1, 2 * PICTURES, wspace=0.03)
    rendered = comparison.of(contrast, RENDERED)[:PICTURES]
    real = pictures_of(comparison.of(contrast, COHORT), comparison.of(contrast, GIVEN))
    for number in range(PICTURES):
        axes = figure.add_subplot(strip[number])
        _draw_picture(axes, contrast, rendered[number] if number < len(rendered) else None)
    for number in range(PICTURES):
        axes = figure.add_subplot(strip[PICTURES + number])
        _draw_picture(axes, contrast, real[number] if number < len(real) else None)
        if not real and number == 0:
            _say(axes, _no_real_scan(contrast), 0.0)


def pictures_of(
    cohort: Sequence[MeasuredHead], given: Sequence[MeasuredHead]
) -> list[MeasuredHead]:
    """Up to three real heads to show, from both sources, those given evenly spread."""
    count = min(len(given), PICTURES - 1 if cohort else PICTURES)
    places = np.linspace(0, len(given) - 1, count).round().astype(int)
    chosen = [given[place] for place in places]
    return [*cohort[: PICTURES - len(chosen)], *chosen]


def _draw_histogram(axes: Axes, contrast: str, groups: Sequence[Group]) -> None:
    _style(axes, f"{contrast} histogram", "spreads", "share of the brain per spread")
    middles = (EDGES[:-1] + EDGES[1:]) / 2.0
    seen, top = (middles > _RANGE[0]) & (middles < _RANGE[1]), 0.0
    for group in groups:
        mean, low, high = (part[0] for part in group.histograms())
        top = max(top, float((high if group.source == RENDERED else mean)[seen].max()))
        words = f"{_WORDS[group.source]} (n = {len(group.heads)})"
        if group.source != RENDERED:
            words += f", distance {distances(groups[0], group)['brain']:.2f}"
        else:
            axes.fill_between(middles, low, high, color=_COLOURS[RENDERED], alpha=0.25, lw=0)
        axes.plot(middles, mean, color=_COLOURS[group.source], lw=1.5, label=words)
    axes.set(xlim=_RANGE, ylim=(0.0, 1.05 * top))
    _legend(axes)
    if len(groups) == 1:
        _say(axes, _no_real_scan(contrast), 0.55)


def _draw_caps(axes: Axes, contrast: str, groups: Sequence[Group], known: Group | None) -> None:
    title = f"{contrast} white matter around the ventricles"
    _style(axes, title, "mm from the ventricles", "mean, spreads")
    ends = DISTANCES_MM[1:]
    for group in groups:
        names = [at_distance(float(end), own=True) for end in ends]
        mean, low, high = np.array([group.band(name) for name in names]).T
        colour = _COLOURS[group.source]
        if group.source == RENDERED:
            axes.fill_between(ends - 1.0, low, high, color=colour, alpha=0.25, lw=0)
        words = f"{_WORDS[group.source]}, cap {group.band(CAP)[0]:+.2f}"
        axes.plot(ends - 1.0, mean, color=colour, lw=1.5, label=words)
    if known is not None:
        line = [known.band(at_distance(float(end)))[0] for end in ends]
        words = "rendered, by fractions"
        axes.plot(ends - 1.0, line, color=_COLOURS[RENDERED], lw=1.2, ls=(0, (4, 3)), label=words)
    axes.set_xlim(0.0, DISTANCES_MM[-1])
    _legend(axes)


def _draw_table(axes: Axes, contrast: str, groups: Sequence[Group]) -> None:
    axes.set_axis_off()
    axes.set_label(f"{contrast} table")
    axes.set(xlim=(0.0, 1.0), ylim=(len(_table_rows()) + 1.0, -0.3))
    if len(groups) == 1:
        axes.text(0.5, 0, "no real scan given", color=AMBER, fontsize=_SMALL, va="top")
    columns = {RENDERED: 0.25, COHORT: 0.45, GIVEN: 0.74 if len(groups) == 3 else 0.5}
    for group in groups:
        x, colour = columns[group.source], _COLOURS[group.source]
        axes.text(x, 0, _WORDS[group.source], color=colour, fontsize=_SMALL, va="top")
        away = distances(groups[0], group)
        for row, (words, name, region) in enumerate(_table_rows(), start=1):
            if group.source == RENDERED:
                axes.text(0.0, row, words, color=DIM, fontsize=_SMALL, va="top")
            text = _cell(group, name)
            if region is not None and group.source != RENDERED and np.isfinite(away[region]):
                text += f"  d {away[region]:.2f}"
            colour = AMBER if _is_outside(groups[0], group, name) else PALE
            axes.text(x, row, text, color=colour, fontsize=_SMALL, va="top")


def _table_rows() -> list[tuple[str, str, str | None]]:
    """Words, figure and region whose histogram's distance (d) is said as well."""
    rows: list[tuple[str, str, str | None]] = [
        (f"{tissue} − white, median", relative(tissue), None)
        for tissue in TISSUES
        if tissue != "white"
    ]
    rows += [(f"{region}, spread", spread_of(region), region) for region in REGIONS]
    rows += [(words, name, None) for words, name in _TEXTURE]
    return [*rows, ("cap, 2–6 against 12–20 mm", CAP, None)]


def _cell(group: Group, name: str) -> str:
    mean, low, high = group.band(name)
    if not np.isfinite(mean):
        return "–"
    band = f" [{low:.2f}, {high:.2f}]" if len(group.heads) > 1 else ""
    return f"{mean:.2f}{band}".replace("-", "−")


def _is_outside(rendered: Group, group: Group, name: str) -> bool:
    _, low, high = rendered.band(name)
    mean = group.band(name)[0]
    return bool(mean < low or mean > high)


def _draw_picture(axes: Axes, contrast: str, head: MeasuredHead | None) -> None:
    axes.set_axis_off()
    if head is None:
        return
    name = next(iter(head.figures.values())).name
    axes.set_label(f"{contrast} {head.source} slice")
    picture = np.nan_to_num(head.picture, nan=WINDOW[0]).T[::-1, ::-1]
    axes.imshow(picture, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], interpolation="nearest")
    words = "rendered" if head.source == RENDERED else f"real, {name}"
    words += ", thick" if head.thick else ""
    axes.set_title(words, color=_COLOURS[head.source], fontsize=_SMALL, pad=2)


def _style(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_label(title)
    axes.set_title(title, color=PALE, fontsize=11, loc="left", pad=4)
    axes.set_xlabel(across, color=DIM, fontsize=_SMALL, labelpad=1)
    axes.set_ylabel(up, color=DIM, fontsize=_SMALL)
    axes.set_facecolor("black")
    axes.tick_params(colors=DIM, labelsize=_SMALL)
    for spine in axes.spines.values():
        spine.set_color("#2a2f36")


def _legend(axes: Axes) -> None:
    axes.legend(fontsize=_SMALL, labelcolor=PALE, facecolor="black", edgecolor="#2a2f36")


def _no_real_scan(contrast: str) -> str:
    return f"No real {contrast} scan was given (--real)."


def _say(axes: Axes, words: str, y: float) -> None:
    axes.text(0.03, y + 0.02, words, color=AMBER, fontsize=10, transform=axes.transAxes)
