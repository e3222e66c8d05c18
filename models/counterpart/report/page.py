"""Draws on the report's page: text that fits, images in millimetres, overlays, bars and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from numpy.typing import NDArray

from counterpart.report.look import DIM, PAGE, PALE, Look
from counterpart.report.panels import Box, outline_field, place_numbers

WIDTH = 2360
DPI = 100
FONT = "DejaVu Sans"
NUMBER_SIZE = 15.0
SCALE_BAR_MM = 50.0
_RIM = withStroke(linewidth=2.5, foreground="black")


@dataclass(frozen=True, eq=False)
class Panel:
    """A rectangle on the page that holds a view of known size in its middle.

    Args:
        page: Where it stands.
        place: Left, top, width and height, pixels.
        size_mm: Width and height of the view.
    """

    page: Page
    place: Box
    size_mm: tuple[float, float]

    @property
    def zoom(self) -> float:
        """Pixels per millimetre, the same across and down."""
        return min(self.place[2] / self.size_mm[0], self.place[3] / self.size_mm[1])

    @property
    def view_box(self) -> Box:
        """Left, top, width and height of the view, pixels of the page."""
        left, top, wide, tall = self.place
        across, down = self.zoom * self.size_mm[0], self.zoom * self.size_mm[1]
        return (left + (wide - across) / 2, top + (tall - down) / 2, across, down)


@dataclass(frozen=True, eq=False)
class Page:
    """A figure drawn on in pixels from its top left corner.

    Args:
        figure: It has an Agg canvas of its own: no global state of matplotlib is touched.
        sheet: Axes that cover it, one unit a pixel, y downwards.
        height: Pixels.
    """

    figure: Figure
    sheet: Axes
    height: int

    @classmethod
    def blank(cls, height: int, width: int = WIDTH) -> Page:
        """An empty page; height and width in pixels, where of odd ones matplotlib may lose one."""
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAGE)
        FigureCanvasAgg(figure)
        sheet = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        sheet.set(xlim=(0, width), ylim=(height, 0))
        sheet.set_axis_off()
        return cls(figure, sheet, height)

    def panel(self, place: Box, size_mm: tuple[float, float]) -> Panel:
        """A black panel at ``place`` (left, top, width, height) for a view of the given size."""
        self.box(place, "black")
        return Panel(self, place, size_mm)

    def box(self, place: Box, fill: str, rim: str = "none") -> None:
        """A filled rectangle below everything else."""
        left, top, wide, tall = place
        self.sheet.add_patch(Rectangle((left, top), wide, tall, fc=fill, ec=rim, lw=2, zorder=-1.0))

    def line(self, x: Sequence[float], y: Sequence[float], colour: str, **style: Any) -> None:
        """A line through the given pixels."""
        self.sheet.add_line(Line2D(x, y, color=colour, **style))

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
        text = self.sheet.text(x, y, printable(words), color=colour)
        text.set(ha=align, va="top", parse_math=False, fontproperties=_font(size, bold))
        if width is not None:
            _shorten(text, width)
        return text

    def mark(self, x: float, y: float, words: str, size: float) -> None:
        """Write over a picture, around a centre, with a black rim."""
        text = self.sheet.text(x, y, words, color=PALE, fontproperties=_font(size, bold=True))
        text.set(ha="center", va="center", path_effects=[_RIM])


def _font(size: float, bold: bool = False) -> FontProperties:
    weight = "bold" if bold else "normal"
    return FontProperties(family=FONT, size=size * 72 / DPI, weight=weight)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def printable(words: str) -> str:
    """The words on one line, with a box for every character that the report's font lacks."""
    return "".join(c if ord(c) in _glyphs() else "□" for c in " ".join(words.split()))


def _shorten(text: Text, width: float) -> None:
    words = text.get_text()
    keep = len(words)
    while keep > 4 and text.get_window_extent().width > width:
        keep = min(keep - 1, int(keep * width / text.get_window_extent().width))
        back = keep // 3
        text.set_text(words[: keep - back] + "…" + words[len(words) - back :])


def draw_image(
    panel: Panel, view: NDArray[Any], colours: Colormap, limits: tuple[float, float]
) -> None:
    """Show a view, interpolated as values and not as colours.

    Args:
        panel: Where.
        view: 2-D display array of the panel's size in mm.
        colours: Colour of each value.
        limits: Values at the ends of the colours.
    """
    left, top, wide, tall = panel.view_box
    finer = wide > view.shape[1] and tall > view.shape[0]
    panel.page.sheet.imshow(
        view,
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        extent=(left, left + wide, top + tall, top),
        aspect="auto",
        interpolation="bilinear" if finer else "hanning",
        interpolation_stage="data",
        origin="upper",
    )


def draw_overlay(panel: Panel, anomaly: NDArray[Any], labels: NDArray[Any], look: Look) -> None:
    """Lay the anomaly map over an image, and a thin outline around each finding."""
    draw_image(panel, anomaly, look.overlay, (-look.anomaly, look.anomaly))
    draw_outlines(panel, anomaly, labels, look)


def draw_baseline(
    panel: Panel,
    flagged: NDArray[np.bool_],
    anomaly: NDArray[Any],
    labels: NDArray[Any],
    look: Look,
) -> None:
    """Lay what the plain baseline flags over an image, and the findings' outlines."""
    draw_image(panel, flagged.astype(np.float32), look.plain, (0.0, 1.0))
    draw_outlines(panel, anomaly, labels, look)


def draw_outlines(panel: Panel, anomaly: NDArray[Any], labels: NDArray[Any], look: Look) -> None:
    """Draw a thin outline around each finding."""
    left, top, wide, tall = panel.view_box
    x = left + (np.arange(labels.shape[1]) + 0.5) * wide / labels.shape[1]
    y = top + (np.arange(labels.shape[0]) + 0.5) * tall / labels.shape[0]
    for sign in (1.0, -1.0):
        inside = (labels > 0) & (sign * anomaly > 0)
        if inside.any() and min(labels.shape) > 1:
            field = outline_field(sign * anomaly, inside, look.threshold)
            panel.page.sheet.contour(x, y, field, levels=[0.0], colors="white", linewidths=0.9)


def draw_letters(panel: Panel, letters: str) -> None:
    """Write which side of the patient lies at the left and at the right of a panel."""
    left, top, wide, tall = panel.place
    panel.page.mark(left + 12, top + tall / 2, letters[0], 17)
    panel.page.mark(left + wide - 12, top + tall / 2, letters[1], 17)


def draw_scale_bar(panel: Panel) -> None:
    """Mark 50 mm in the lower right corner of a panel."""
    left, top, wide, tall = panel.place
    right, low, length = left + wide - 10, top + tall - 11, SCALE_BAR_MM * panel.zoom
    panel.page.line([right - length, right], [low, low], PALE, lw=2.5, solid_capstyle="butt")
    panel.page.mark(right - length / 2, low - 14, f"{SCALE_BAR_MM:g} mm", 14)


def draw_numbers(panel: Panel, labels: NDArray[Any]) -> None:
    """Write each finding's number beside it, wherever there is room."""
    left, top, wide, tall = panel.place
    view = panel.view_box
    step = np.array([view[2] / labels.shape[1], view[3] / labels.shape[0]])
    numbers = [int(number) for number in np.unique(labels) if number]
    targets = []
    for number in numbers:
        rows, columns = np.nonzero(labels == number)
        low = np.array([columns.min(), rows.min()]) * step + view[:2]
        high = np.array([columns.max() + 1, rows.max() + 1]) * step + view[:2]
        targets.append((float(low[0]), float(low[1]), float(high[0]), float(high[1])))
    sizes = [(0.72 * NUMBER_SIZE * len(str(n)) + 4, NUMBER_SIZE + 1) for n in numbers]
    within = (left, top, left + wide, top + tall)
    letters = [
        (left, top + tall / 2 - 13, left + 25, top + tall / 2 + 13),
        (left + wide - 25, top + tall / 2 - 13, left + wide, top + tall / 2 + 13),
    ]
    places = place_numbers(targets, sizes, letters, within)
    for number, place in zip(numbers, places, strict=True):
        if place is not None:
            panel.page.mark(*place, str(number), NUMBER_SIZE)


def draw_bar(
    page: Page,
    place: Box,
    colours: Colormap,
    ends: tuple[float, float],
    marks: Sequence[tuple[float, str, str]],
) -> None:
    """Draw a horizontal colour bar.

    Args:
        page: Where.
        place: Left, top, width and height of the bar; its marks stand below.
        colours: Colours along it.
        ends: Values at its left and right end.
        marks: Value, alignment and words of each mark.
    """
    left, top, wide, tall = place
    page.box(place, "#26292e")
    ramp = np.linspace(*ends, 1024)[None, :]
    extent = (left, left + wide, top + tall, top)
    page.sheet.imshow(ramp, cmap=colours, vmin=ends[0], vmax=ends[1], extent=extent, aspect="auto")
    for value, align, words in marks:
        x = left + wide * (value - ends[0]) / (ends[1] - ends[0])
        page.text(x, top + tall + 5, words, 15, DIM, align=align)
        if align == "center":
            page.line([x, x], [top, top + tall + 3], "white", lw=1.5)
