"""Draws on the report's page: text that fits, images in millimetres, overlays, bars and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from numpy.typing import NDArray

from counterpart import report_panels as panels
from counterpart.report_panels import Box, Head
from counterpart.results import Result

WIDTH = 2000
DPI = 100
FONT = "DejaVu Sans"
NUMBER_SIZE = 15.0
SCALE_BAR_MM = 50.0
PAGE, PALE, DIM, AMBER = "#0c0e11", "#e9edf1", "#9aa4af", "#ffb52e"
GREYS = LinearSegmentedColormap.from_list("greys", ["black", "white"], 256)


@dataclass(frozen=True, eq=False)
class Look:
    """How values become greys and colours, the same in every panel of one report.

    Args:
        window: Black and white level, scan units.
        residual: Symmetric end of the residual's colours, spreads.
        anomaly: Symmetric end of the anomaly map's colours.
        threshold: Of the anomaly map.
        shown: The scan with a constant background made black.
    """

    window: tuple[float, float]
    residual: float
    anomaly: float
    threshold: float
    shown: NDArray[np.float32]

    @classmethod
    def of(cls, result: Result, head: Head) -> Look:
        """Choose the look that suits one result."""
        window = panels.grey_window(head.scan, head.brain)
        return cls(
            window=window,
            residual=panels.residual_limit(head.residual, head.brain),
            anomaly=panels.anomaly_limit(result.threshold, [f.peak for f in result.findings]),
            threshold=result.threshold,
            shown=panels.black_background(head.scan, head.brain, window[0]),
        )

    @property
    def overlay(self) -> Colormap:
        """The anomaly map's colours, transparent below the threshold."""
        return panels.anomaly_colours(min(max(self.threshold / self.anomaly, 0.0), 1.0))


@dataclass(frozen=True, eq=False)
class Page:
    """A figure addressed in pixels from its top left corner."""

    figure: Figure
    height: int

    @classmethod
    def blank(cls, height: int) -> Page:
        """An empty page; its canvas is its own, so no global state of matplotlib is touched."""
        figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=PAGE)
        FigureCanvasAgg(figure)
        return cls(figure, height)

    def axes(self, place: Box) -> Axes:
        """Bare axes on a black ground.

        Args:
            place: Left, top, width and height.
        """
        x, y, wide, tall = place
        box = (x / WIDTH, 1 - (y + tall) / self.height, wide / WIDTH, tall / self.height)
        axes = self.figure.add_axes(box, facecolor="black")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        colour: str = PALE,
        *,
        bold: bool = False,
        align: str = "left",
        width: float | None = None,
    ) -> Text:
        """Write one line, its top at y; its middle is left out where it is wider than ``width``."""
        text = self.figure.text(x / WIDTH, 1 - y / self.height, printable(words), color=colour)
        text.set(ha=align, va="top", parse_math=False, fontproperties=_font(size, bold))
        if width is not None:
            _shorten(text, width)
        return text

    def rule(self, y: float, margin: float) -> None:
        """A thin line across the page."""
        ends = [margin / WIDTH, 1 - margin / WIDTH]
        self.figure.add_artist(Line2D(ends, [1 - y / self.height] * 2, color="#2a2f36", lw=1))


def _font(size: float, bold: bool = False) -> FontProperties:
    weight = "bold" if bold else "normal"
    return FontProperties(family=FONT, size=size * 72 / DPI, weight=weight)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def printable(words: str) -> str:
    """The words on one line, with a box for every character that the report's font lacks."""
    return "".join(c if ord(c) in _glyphs() else "□" for c in " ".join(words.split()))


def signed(value: float) -> str:
    """A whole number with its sign, a true minus; zero has none."""
    whole = round(value)
    return "0" if whole == 0 else f"{whole:+d}".replace("-", "−")


def _shorten(text: Text, width: float) -> None:
    words = text.get_text()
    keep = len(words)
    while keep > 4 and text.get_window_extent().width > width:
        keep = min(keep - 1, int(keep * width / text.get_window_extent().width))
        back = keep // 3
        text.set_text(words[: keep - back] + "…" + words[len(words) - back :])


def draw_image(
    axes: Axes,
    view: NDArray[Any],
    extent: Box,
    colours: Colormap,
    limits: tuple[float, float],
) -> None:
    """Show a view, interpolated as values and not as colours.

    Args:
        axes: Where.
        view: 2-D display array.
        extent: Left, right, bottom and top in mm, so that pixels keep their true aspect.
        colours: Colour of each value.
        limits: Values at the ends of the colours.
    """
    finer = axes.bbox.width > view.shape[1] and axes.bbox.height > view.shape[0]
    axes.imshow(
        view,
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        extent=extent,
        aspect="equal",
        interpolation="bilinear" if finer else "hanning",
        interpolation_stage="data",
        resample=True,
        origin="upper",
    )


def draw_overlay(
    axes: Axes, anomaly: NDArray[Any], labels: NDArray[Any], extent: Box, look: Look
) -> None:
    """Lay the anomaly map over an image, and a thin outline around each finding."""
    draw_image(axes, anomaly, extent, look.overlay, (-look.anomaly, look.anomaly))
    rows, columns = labels.shape
    x = (np.arange(columns) + 0.5) * extent[1] / columns
    y = (np.arange(rows) + 0.5) * extent[2] / rows
    for sign in (1.0, -1.0):
        inside = (labels > 0) & (sign * anomaly > 0)
        if inside.any() and min(labels.shape) > 1:
            field = panels.outline_field(sign * anomaly, inside, look.threshold)
            axes.contour(x, y, field, levels=[0.0], colors="white", linewidths=0.9)


def draw_letters(axes: Axes, letters: str) -> None:
    """Write which side of the patient lies at the left and at the right of a panel."""
    for x, letter, align in ((0.012, letters[0], "left"), (0.988, letters[1], "right")):
        text = axes.text(x, 0.5, letter, transform=axes.transAxes, color=PALE, ha=align)
        text.set(va="center", fontproperties=_font(17, bold=True), path_effects=_stroke())


def draw_scale_bar(axes: Axes) -> None:
    """Mark 5 cm in the lower right corner."""
    wide, tall = axes.bbox.width, axes.bbox.height
    left, right = axes.get_xlim()
    share = SCALE_BAR_MM / abs(right - left)
    ends = [0.97 - share, 0.97]
    axes.add_line(
        Line2D(ends, [12 / tall] * 2, transform=axes.transAxes, color=PALE, lw=2.5, ls="-")
    )
    text = axes.text(0.97 - share / 2, 17 / tall, "5 cm", transform=axes.transAxes, color=PALE)
    text.set(ha="center", va="bottom", fontproperties=_font(15), path_effects=_stroke())
    del wide


def draw_numbers(axes: Axes, labels: NDArray[Any]) -> None:
    """Write each finding's number beside it, wherever there is room."""
    panel = (axes.bbox.width, axes.bbox.height)
    scale = (panel[0] / labels.shape[1], panel[1] / labels.shape[0])
    numbers = [int(number) for number in np.unique(labels) if number]
    targets = [_pixel_box(labels == number, scale) for number in numbers]
    sizes = [(0.72 * NUMBER_SIZE * len(str(n)) + 4, NUMBER_SIZE + 1) for n in numbers]
    middle = panel[1] / 2
    taken = [(0.0, middle - 12, 22.0, middle + 12), (panel[0] - 22, middle - 12, *panel)]
    for number, place in zip(
        numbers, panels.place_numbers(targets, sizes, taken, panel), strict=True
    ):
        if place is None:
            continue
        at = (place[0] / panel[0], 1 - place[1] / panel[1])
        text = axes.text(*at, str(number), transform=axes.transAxes, color="white", ha="center")
        text.set(va="center", fontproperties=_font(NUMBER_SIZE, True), path_effects=_stroke())


def draw_bar(
    page: Page,
    place: Box,
    colours: Colormap,
    ends: tuple[float, float],
    marks: Sequence[tuple[float, str, str]],
) -> Axes:
    """Draw a horizontal colour bar.

    Args:
        page: Where.
        place: Left, top, width and height of the bar; its marks stand below.
        colours: Colours along it.
        ends: Values at its left and right end.
        marks: Value, alignment and words of each mark.
    """
    axes = page.axes(place)
    axes.set_facecolor("#26292e")
    ramp = np.linspace(*ends, 1024)[None, :]
    axes.imshow(ramp, cmap=colours, aspect="auto", extent=(*ends, 0.0, 1.0), vmin=ends[0], vmax=ends[1])
    for value, align, words in marks:
        x = place[0] + place[2] * (value - ends[0]) / (ends[1] - ends[0])
        page.text(x, place[1] + place[3] + 5, words, 15, DIM, align=align)
    return axes


def _stroke() -> list[withStroke]:
    return [withStroke(linewidth=2.5, foreground="black")]


def _pixel_box(inside: NDArray[np.bool_], scale: tuple[float, float]) -> Box:
    rows, columns = np.nonzero(inside)
    return (
        float(columns.min() * scale[0]),
        float(rows.min() * scale[1]),
        float((columns.max() + 1) * scale[0]),
        float((rows.max() + 1) * scale[1]),
    )
