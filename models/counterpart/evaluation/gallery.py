"""Draws galleries: one row of panels for each scan, in the report's look, best and worst scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from counterpart.errors import CounterpartError
from counterpart.evaluation.records import HealthyFigures, PatientFigures
from counterpart.evaluation.strips import (
    LESION,
    LESION_LINE,
    PANEL_GAP,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    STRIP_WIDTH,
    panel_lefts,
)
from counterpart.report.header import EDGE
from counterpart.report.look import (
    AMBER,
    DIM,
    GREYS,
    OPACITY,
    PLAIN,
    anomaly_colours,
    residual_colours,
)
from counterpart.report.page import Page, draw_bar
from counterpart.report.words import NOT_CLINICAL, one_line, panel_words
from counterpart.results import DISCLAIMER

LABEL_WIDTH = 352
GALLERY_WIDTH = 2 * EDGE + LABEL_WIDTH + STRIP_WIDTH
TOP, ROW_GAP = 216, 12
CAPTION_STEP, LINE_STEP = 34, 26
SHOWN_SHARE = 0.35
LESS_THAN_ALL = 0.02
_RULE = "#2a2f36"


@dataclass(frozen=True, eq=False)
class GalleryItem:
    """One row of a gallery.

    Args:
        caption: Name of the scan.
        lines: Figures, one short line each.
        strip: (H, W, 3) from `counterpart.evaluation.strips.paint_strip`.
    """

    caption: str
    lines: tuple[str, ...]
    strip: NDArray[np.uint8]


def gallery_item(
    row: PatientFigures, strip: NDArray[np.uint8], strongest: str | None
) -> GalleryItem:
    """A row of a gallery that says what was measured.

    Args:
        row: Figures of the scan.
        strip: Its panels.
        strongest: Name of the set's strongest baseline; None without baselines.
    """
    plain = None if strongest is None else row.scores.get(strongest)
    alarms = row.at_threshold.false_positives
    lines = [
        _beside("AP", row.map.ap, None if plain is None else plain.ap),
        _beside("Dice", row.map.dice, None if plain is None else plain.dice),
        f"Dice, oracle {row.map.best_dice:.2f}",
        f"lesion {row.lesion_ml:.1f} ml, flagged {row.flagged_ml:.1f} ml",
        f"lesions found {row.at_threshold.found} of {row.lesions}, false positives {alarms}",
    ]
    if row.p_value is not None:
        lines.append(f"p {row.p_value:.3f}")
    if row.outside > LESS_THAN_ALL:
        lines.append(f"brain mask misses {row.outside:.0%} of the lesion")
    return GalleryItem(row.scan, tuple(lines), strip)


def most_flagged(rows: Sequence[HealthyFigures], count: int = 10) -> list[HealthyFigures]:
    """The healthy scans with most volume flagged, most first; scans without any are left out."""
    falling = sorted(rows, key=lambda row: (-row.flagged_ml, row.scan))
    return [row for row in falling if row.flagged_ml > 0][:count]


def healthy_item(row: HealthyFigures, strip: NDArray[np.uint8]) -> GalleryItem:
    """A row of a gallery that says what was flagged in a healthy scan.

    Args:
        row: Figures of the scan.
        strip: Its panels.
    """
    lines = [
        f"healthy{'' if row.age_years is None else f', {row.age_years:.0f} years'}",
        f"flagged {row.flagged_ml:.1f} ml in {row.findings} finding{'s' * (row.findings != 1)}",
        f"error {row.error:.4f}, SSIM {row.ssim:.3f}",
    ]
    if row.p_value is not None:
        lines.append(f"p {row.p_value:.3f}")
    return GalleryItem(row.scan, tuple(lines), strip)


def draw_gallery(items: Sequence[GalleryItem], path: Path, title: str) -> None:
    """Write a gallery as a PNG, 2100 pixels wide; equal items give equal bytes.

    Args:
        items: From top to bottom; a strip of another width is scaled to that of the panels.
        path: File to write.
        title: What the items are.

    Raises:
        CounterpartError: There is no item.
    """
    about = {"Software": None, "Title": one_line(title), "Description": DISCLAIMER}
    figure = gallery_figure(items, title)
    figure.savefig(path, format="png", metadata=about, pil_kwargs={"compress_level": 6})


def gallery_figure(items: Sequence[GalleryItem], title: str) -> Figure:
    """Draw a gallery: title, column heads with their legend, then one row for each item.

    Args:
        items: From top to bottom.
        title: What the items are.

    Raises:
        CounterpartError: There is no item.
    """
    if not items:
        raise CounterpartError(f"{title}: expected at least one scan for a gallery, got none.")
    strips = [_fitted(item.strip) for item in items]
    tall = [max(len(s), _label_height(item)) for item, s in zip(items, strips, strict=True)]
    height = 50 * ceil((TOP + sum(tall) + ROW_GAP * len(items)) / 50)
    page = Page.blank(height, GALLERY_WIDTH)
    _draw_title(page, title)
    _draw_column_heads(page, 104.0)
    top = TOP
    for item, strip, down in zip(items, strips, tall, strict=True):
        _draw_label(page, item, top)
        left = EDGE + LABEL_WIDTH
        extent = (left, left + strip.shape[1], top + strip.shape[0], top)
        page.sheet.imshow(strip, extent=extent, aspect="auto", interpolation="nearest")
        top += down + ROW_GAP
    return page.figure


def _beside(name: str, value: float, plain: float | None) -> str:
    return f"{name} {value:.2f}" + ("" if plain is None else f" (baseline {plain:.2f})")


def _fitted(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The strip at the panels' width, but never more than twice as tall as they are."""
    down, across = strip.shape[:2]
    zoom = min(STRIP_WIDTH / across, 2 * PANEL_HEIGHT / down)
    size = (max(1, round(zoom * across)), max(1, round(zoom * down)))
    if size == (across, down):
        return strip
    return np.asarray(Image.fromarray(strip).resize(size, Image.Resampling.LANCZOS))


def _label_height(item: GalleryItem) -> int:
    return CAPTION_STEP + LINE_STEP * len(item.lines)


def _draw_label(page: Page, item: GalleryItem, top: float) -> None:
    room = LABEL_WIDTH - 20
    page.text(EDGE, top + 4, item.caption, 20, bold=True, width=room)
    for number, line in enumerate(item.lines):
        colour = DIM if number else "white"
        page.text(EDGE, top + CAPTION_STEP + LINE_STEP * number, line, 17, colour, width=room)


def _draw_title(page: Page, title: str) -> None:
    box = (GALLERY_WIDTH - EDGE - 480, 16, 480, 68)
    page.box(box, "black", AMBER)
    middle = box[0] + box[2] / 2
    page.text(middle, 24, DISCLAIMER, 21, AMBER, bold=True, align="center", width=460)
    page.text(middle, 54, NOT_CLINICAL, 17, AMBER, align="center", width=460)
    page.text(EDGE, 34, title, 27, bold=True, width=box[0] - EDGE - 30)
    page.line([EDGE, GALLERY_WIDTH - EDGE], [96, 96], _RULE, lw=1)


def _draw_column_heads(page: Page, top: float) -> None:
    """Titles and legend over the panels; the ends of the scales differ from scan to scan."""
    known, lefts, bar = panel_words("unknown"), panel_lefts(EDGE + LABEL_WIDTH), top + 60
    heads = (
        known["scan"],
        known["counterpart"],
        known["residual"],
        ("Anomaly map", "over the scan, from the threshold"),
        ("Lesion and flagged", "outlines over the scan"),
        ("Plain baseline", "the report's own, same volume"),
    )
    for left, (name, meaning) in zip(lefts, heads, strict=True):
        page.text(left, top + 4, name, 21, bold=True, width=PANEL_WIDTH)
        page.text(left, top + 32, meaning, 15, DIM, width=PANEL_WIDTH)
    page.text(EDGE, bar - 1, "each row its own window", 15, DIM)
    page.text(EDGE, bar + 19, "R: the patient's right", 15, DIM)
    wide = 2 * PANEL_WIDTH + PANEL_GAP
    _draw_scale(page, (lefts[0], bar, wide, 14), GREYS, ("dark", "scan units", "bright"))
    ends = ("darker", "0", "brighter")
    _draw_scale(page, (lefts[2], bar, PANEL_WIDTH, 14), residual_colours(), ends)
    overlay = anomaly_colours(SHOWN_SHARE, OPACITY)
    ends = ("darker", "± threshold", "brighter")
    _draw_scale(page, (lefts[3], bar, PANEL_WIDTH, 14), overlay, ends)
    for x, colour, width, words in (
        (lefts[4], LESION, LESION_LINE, "lesion mask"),
        (lefts[4] + 140, "white", 0.9, "flagged"),
    ):
        page.line([x, x + 34], [bar + 7, bar + 7], colour, lw=width)
        page.text(x + 42, bar - 2, words, 15, DIM)
    page.text(lefts[4], bar + 19, "white outlines: flagged, in all panels", 15, DIM)
    _draw_scale(page, (lefts[5], bar, 60, 14), ListedColormap([PLAIN]), ("", "", ""))
    page.text(lefts[5] + 70, bar - 2, "flagged by the baseline", 15, DIM)


def _draw_scale(
    page: Page, place: tuple[float, float, float, float], colours: Colormap, words: tuple[str, ...]
) -> None:
    marks = [(-1.0, "left", words[0]), (1.0, "right", words[2])]
    draw_bar(page, place, colours, (-1.0, 1.0), marks)
    page.text(place[0] + place[2] / 2, place[1] + place[3] + 5, words[1], 15, DIM, align="center")
