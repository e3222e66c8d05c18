"""Draws the report: one picture that shows where and how a scan departs from health."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from counterpart.report.content import Content
from counterpart.report.head import Head, axial_view
from counterpart.report.header import (
    EDGE,
    STRIP_HEIGHT,
    draw_header,
    draw_localisers,
    draw_rule,
    draw_table,
    header_height,
)
from counterpart.report.look import AMBER, DIM, GREYS, Look, residual_colours
from counterpart.report.page import (
    WIDTH,
    Page,
    draw_bar,
    draw_baseline,
    draw_image,
    draw_letters,
    draw_numbers,
    draw_overlay,
    draw_scale_bar,
)
from counterpart.report.panels import Box, soft_edge
from counterpart.report.words import (
    NOT_CLINICAL,
    PANELS,
    baseline_volume,
    number_lines,
    one_line,
    panel_words,
    plain,
    signed,
    small_print,
)
from counterpart.results import DISCLAIMER, Result

ROW_LABEL = 140
GAP = 10
ACROSS = (WIDTH - 2 * EDGE - ROW_LABEL - (len(PANELS) - 1) * GAP) // len(PANELS)
HEAD_HEIGHT = 130
FOOT_HEIGHT = 62


def render_report(content: Content, path: Path) -> None:
    """Write the report as a PNG, 2360 pixels wide; the same result gives the same bytes.

    Args:
        content: What to show.
        path: File to write.
    """
    result = content.result
    about = {
        "Software": None,
        "Title": one_line(result.scan.name),
        "Description": f"{DISCLAIMER}. {NOT_CLINICAL}. {small_print(result)}",
    }
    figure = build_figure(content)
    figure.savefig(path, format="png", metadata=about, pil_kwargs={"compress_level": 4})


def build_figure(content: Content) -> Figure:
    """Draw the report: header, findings, localisers, then one row of panels per axial slice.

    Args:
        content: What to show.

    Returns:
        A figure on an Agg canvas that no global state knows of.
    """
    result, head, look, slices = content.result, content.head, content.look, content.slices
    wide, tall, _ = head.size_mm
    down = round(float(np.clip(ACROSS * tall / wide, 0.8 * ACROSS, 1.45 * ACROSS)))
    strip_top = header_height(result)
    top = strip_top + STRIP_HEIGHT + HEAD_HEIGHT
    height = 50 * int(np.ceil((top + len(slices) * (down + GAP) + FOOT_HEIGHT) / 50))
    page = Page.blank(height)
    draw_header(page, result)
    draw_table(page, content, strip_top + 4)
    draw_localisers(page, content, strip_top)
    _draw_column_heads(page, content, strip_top + STRIP_HEIGHT + 14)
    greys = [look.grey(part) for part in (head.scan, head.reconstruction, head.counterpart)]
    for row, k in enumerate(slices):
        place = (EDGE + ROW_LABEL, top + row * (down + GAP), ACROSS, down)
        _draw_row(page, head, greys, k, place, look)
    _draw_foot(page, result, height)
    return page.figure


def _draw_foot(page: Page, result: Result, height: int) -> None:
    draw_rule(page, height - FOOT_HEIGHT + 14)
    foot = f"{DISCLAIMER}. {NOT_CLINICAL}."
    page.text(EDGE, height - FOOT_HEIGHT + 24, foot, 17, AMBER, bold=True, width=700)
    small = small_print(result)
    page.text(WIDTH - EDGE, height - FOOT_HEIGHT + 25, small, 15, DIM, align="right", width=1230)


def _draw_column_heads(page: Page, content: Content, top: float) -> None:
    bar, look = top + 58, content.look
    lefts = _lefts(EDGE + ROW_LABEL)
    words = panel_words(content.result.contrast)
    for left, panel in zip(lefts, PANELS, strict=True):
        title, meaning = words[panel]
        page.text(left, top, title, 21, bold=True, width=ACROSS)
        page.text(left, top + 29, meaning, 16, DIM, width=ACROSS)
    wide, (low, high), end = 3 * ACROSS + 2 * GAP, look.window, look.residual
    marks = [(low, "left", plain(low)), (high, "right", plain(high))]
    draw_bar(page, (lefts[0], bar, wide, 14), GREYS, look.window, marks)
    note = "the same window in all three, scan units"
    page.text(lefts[0] + wide / 2, bar + 19, note, 15, DIM, align="center")
    marks = [*_end_marks(end), (0.0, "center", "0")]
    draw_bar(page, (lefts[3], bar, ACROSS, 14), residual_colours(), (-end, end), marks)
    end, threshold = look.anomaly, look.threshold
    marks = _end_marks(end)
    if 0 < threshold < end:
        marks += [(x, "center", plain(x, "+")) for x in (-threshold, threshold)]
    draw_bar(page, (lefts[4], bar, ACROSS, 14), look.overlay, (-end, end), marks)
    if threshold > 0.24 * end:
        page.text(lefts[4] + ACROSS / 2, bar - 1, "threshold", 13, align="center")
    draw_bar(page, (lefts[5], bar, ACROSS, 14), ListedColormap([look.plain(1.0)]), (0.0, 1.0), [])
    page.text(lefts[5], bar + 19, baseline_volume(content.result), 15, DIM, width=ACROSS)


def _lefts(left: float) -> list[float]:
    return [left + column * (ACROSS + GAP) for column in range(len(PANELS))]


def _end_marks(end: float) -> list[tuple[float, str, str]]:
    return [(-end, "left", f"≤ {plain(-end)}"), (end, "right", f"≥ {plain(end, '+')}")]


def _draw_row(
    page: Page, head: Head, greys: Sequence[NDArray[np.float32]], k: int, place: Box, look: Look
) -> None:
    left, top, across, down = place
    _draw_row_label(page, head, k, top)
    row = [page.panel((x, top, across, down), head.size_mm[:2]) for x in _lefts(left)]
    shown = zip([*row[:3], *row[4:]], [*greys, greys[0], greys[0]], strict=True)
    for panel, array in shown:
        draw_image(panel, axial_view(array, k), GREYS, look.window)
    end, labels = look.residual, axial_view(head.labels, k)
    draw_image(row[3], axial_view(head.residual, k), residual_colours(), (-end, end))
    inside = soft_edge(axial_view(head.brain, k) | (labels > 0))
    draw_image(row[3], inside, ListedColormap(["black", "none"]), (0.0, 1.0))
    anomaly = axial_view(head.anomaly, k)
    draw_overlay(row[4], anomaly, labels, look)
    draw_numbers(row[4], labels)
    draw_baseline(row[5], axial_view(head.baseline, k), anomaly, labels, look)
    for panel in row:
        draw_letters(panel, "RL")
    draw_scale_bar(row[0])


def _draw_row_label(page: Page, head: Head, k: int, top: float) -> None:
    page.text(EDGE, top + 6, f"Slice {head.slice_number(k)}", 21, bold=True)
    page.text(EDGE, top + 33, f"of {head.slice_count}", 16, DIM)
    page.text(EDGE, top + 58, f"S {signed(head.height_mm(k))} mm", 19)
    numbers = [int(n) for n in np.unique(head.labels[:, :, k]) if n]
    if not numbers:
        page.text(EDGE, top + 94, "no finding", 16, DIM)
        return
    page.text(EDGE, top + 94, "finding" if len(numbers) == 1 else "findings", 16, DIM)
    for line, words in enumerate(number_lines(numbers)):
        page.text(EDGE, top + 118 + 24 * line, words, 18)
