"""Draws the pictures of a retraining: the sheet of its cohort, and heads before and after."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import ceil

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from counterpart.cohort import CROSS_FIT, PARTS, Cohort
from counterpart.report.head import axial_view
from counterpart.report.look import (
    AMBER,
    DIM,
    GREYS,
    anomaly_colours,
    grey_window,
    nice_limit,
    residual_colours,
)
from counterpart.report.page import (
    Page,
    Panel,
    draw_bar,
    draw_image,
    draw_letters,
    draw_scale_bar,
)
from counterpart.retraining.comparison import Compared, Maps
from counterpart.template import CANVAS

Array = NDArray[np.float32]
PART_COLOURS = {"train": "#24b4ff", "validate": "#7fe08a", "calibrate": AMBER, CROSS_FIT: AMBER}
PATTERN = "#2ee65c"
VIEW_MM = (CANVAS.shape[0] * 2.0, CANVAS.shape[1] * 2.0)
EDGE, GAP = 20, 8
TILE, SHEET_COLUMNS = (144, 172), 10
CAPTION = 42
SHEET_HEIGHT_MM = 12.0
PANEL, LABEL, HEADS, ROW_GAP = (196, 236), 210, 118, 10
COLUMNS = (
    ("Scan", "held out"),
    ("Counterpart", "before"),
    ("Counterpart", "after"),
    ("Residual", "before"),
    ("Residual", "after"),
    ("Anomaly map", "before"),
    ("Anomaly map", "after"),
)


def cohort_sheet(cohort: Cohort) -> Figure:
    """One axial slice of every prepared subject, at one height and in one window."""
    level = int(np.rint((SHEET_HEIGHT_MM - CANVAS.affine[2, 3]) / CANVAS.affine[2, 2]))
    views = [_slice_of(cohort, row, level) for row in range(len(cohort.subjects))]
    within = np.stack([view for view, _ in views])
    window = grey_window(within, np.stack([brain for _, brain in views]))
    order = sorted(range(len(views)), key=lambda row: (_place(cohort, row), row))
    rows = ceil(len(views) / SHEET_COLUMNS)
    columns = min(SHEET_COLUMNS, max(4, len(views)))
    wide = 2 * EDGE + columns * (TILE[0] + GAP) - GAP
    page = Page.blank(_even(2 * EDGE + rows * (TILE[1] + CAPTION)), _even(wide))
    for place, row in enumerate(order):
        left = EDGE + (place % SHEET_COLUMNS) * (TILE[0] + GAP)
        top = EDGE + (place // SHEET_COLUMNS) * (TILE[1] + CAPTION)
        panel = page.panel((left, top, *TILE), VIEW_MM)
        view, brain = views[row]
        draw_image(panel, np.where(brain, view, window[0]).T[::-1, ::-1], GREYS, window)
        draw_letters(panel, "RL")
        subject = cohort.subjects[row]
        page.text(left, top + TILE[1] + 3, subject.name, 14, width=TILE[0])
        colour = PART_COLOURS.get(subject.part, DIM)
        page.text(left, top + TILE[1] + 20, subject.part, 13, colour, bold=True)
    return page.figure


def _place(cohort: Cohort, row: int) -> int:
    part = cohort.subjects[row].part
    return PARTS.index(part) if part in PARTS else len(PARTS)


def _slice_of(cohort: Cohort, row: int, level: int) -> tuple[Array, NDArray[np.bool_]]:
    """(I, J) of the scan in spreads, and of its brain."""
    subject = cohort.subjects[row]
    values = subject.low + subject.step * cohort.scan[row, level].numpy().astype(np.float32)
    return values.astype(np.float32), cohort.brain[row, level].numpy() > 0


def comparison_sheet(rows: Sequence[Compared]) -> Figure:
    """A row of panels for each head: scan, then counterpart, residual and anomaly map twice."""
    wide = EDGE + LABEL + len(COLUMNS) * (PANEL[0] + GAP) + EDGE
    tall = HEADS + len(rows) * (PANEL[1] + ROW_GAP) + EDGE
    page = Page.blank(_even(tall), _even(wide))
    limit = _residual_limit(rows)
    _draw_heads(page, limit)
    for number, row in enumerate(rows):
        _draw_row(page, row, HEADS + number * (PANEL[1] + ROW_GAP), limit)
    return page.figure


def _residual_limit(rows: Sequence[Compared]) -> float:
    """One end of the residuals' colours for all, so that before and after can be compared."""
    ends = [
        float(np.percentile(np.abs(maps.residual[row.brain]), 99.5))
        for row in rows
        for maps in (row.before, row.after)
        if maps is not None
    ]
    return nice_limit(max(ends, default=1.0))


def _draw_heads(page: Page, limit: float) -> None:
    lefts = [_left(column) for column in range(len(COLUMNS))]
    for left, (name, when) in zip(lefts, COLUMNS, strict=True):
        page.text(left, 16, name, 20, bold=True, width=PANEL[0])
        page.text(left, 44, when, 15, DIM)
    bar, both = 72, 2 * PANEL[0] + GAP
    page.text(EDGE, bar - 4, "R: the patient's right", 14, DIM)
    draw_bar(page, (lefts[0], bar, PANEL[0], 12), GREYS, (-1, 1), _ends("dark", "bright"))
    page.text(lefts[1], bar - 4, "in the window of the scan", 14, DIM)
    marks = [(-limit, "left", f"{-limit:g} darker"), (0.0, "center", "0 spreads")]
    marks.append((limit, "right", f"brighter {limit:g}"))
    draw_bar(page, (lefts[3], bar, both, 12), residual_colours(), (-limit, limit), marks)
    overlay = anomaly_colours(0.4)
    words = [(-1.0, "left", "darker"), (0.0, "center", "± threshold"), (1.0, "right", "brighter")]
    draw_bar(page, (lefts[5], bar, both, 12), overlay, (-1.0, 1.0), words)


def _ends(low: str, high: str) -> list[tuple[float, str, str]]:
    return [(-1.0, "left", low), (1.0, "right", high)]


def _draw_row(page: Page, row: Compared, top: float, limit: float) -> None:
    k = slice_to_show(row)
    window = grey_window(row.scan, row.brain)
    brain = row.brain[..., k : k + 1]
    grey = axial_view(np.where(brain, row.scan[..., k : k + 1], window[0]), 0)
    _draw_words(page, row, top, k)
    panels = [page.panel((_left(column), top, *PANEL), VIEW_MM) for column in range(len(COLUMNS))]
    draw_image(panels[0], grey, GREYS, window)
    if row.pattern is not None:
        _outline(panels[0], axial_view(row.pattern, k), PATTERN)
    for maps, places in ((row.before, (1, 3, 5)), (row.after, (2, 4, 6))):
        if maps is None:
            page.mark(_left(places[0]) + PANEL[0] / 2, top + PANEL[1] / 2, "no such model", 14)
            continue
        healed = axial_view(np.where(brain, maps.counterpart[..., k : k + 1], window[0]), 0)
        draw_image(panels[places[0]], healed, GREYS, window)
        residual = axial_view(maps.residual, k)
        draw_image(panels[places[1]], residual, residual_colours(), (-limit, limit))
        outside = (~axial_view(brain, 0)).astype(np.float32)
        draw_image(panels[places[1]], outside, ListedColormap(["none", "black"]), (0.0, 1.0))
        draw_image(panels[places[2]], grey, GREYS, window)
        end = 2.5 * maps.threshold
        overlay = anomaly_colours(maps.threshold / end)
        draw_image(panels[places[2]], axial_view(maps.anomaly, k), overlay, (-end, end))
    for panel in panels:
        draw_letters(panel, "RL")
    draw_scale_bar(panels[0])


def _draw_words(page: Page, row: Compared, top: float, k: int) -> None:
    height = float(CANVAS.affine[2, 3] + CANVAS.affine[2, 2] * k)
    page.text(EDGE, top + 4, row.name, 17, bold=True, width=LABEL - 16)
    kind = "healthy, as acquired" if row.pattern is None else "rendered, drawn pattern"
    lines = [row.contrast, kind, f"template S {height:+.0f} mm"]
    for when, maps in (("before", row.before), ("after", row.after)):
        if maps is not None:
            lines += [f"{when}: {_carried(maps)}"]
    if row.pattern is not None:
        volume = float(row.pattern.sum()) * CANVAS.voxel_volume_ml
        lines.append(f"pattern {volume:.1f} ml (green)")
    for number, line in enumerate(lines):
        page.text(EDGE, top + 32 + 22 * number, line, 14, DIM, width=LABEL - 16)


def _carried(maps: Maps) -> str:
    many = "finding" if maps.findings == 1 else "findings"
    return f"{maps.findings} {many}, {maps.flagged_ml:.1f} ml"


def slice_to_show(row: Compared) -> int:
    """The axial slice with most of the pattern, else with most flagged, else midway."""
    weights = [np.zeros(CANVAS.shape)] if row.pattern is None else [row.pattern]
    for maps in (row.before, row.after):
        if maps is not None:
            weights.append(np.where(np.abs(maps.anomaly) >= maps.threshold, 1.0, 0.0))
    chosen = weights[0] if weights[0].any() else np.sum(weights[1:], axis=0)
    by_slice = np.asarray(chosen, np.float64).sum(axis=(0, 1))
    if by_slice.any():
        return int(by_slice.argmax())
    held = np.flatnonzero(row.brain.any(axis=(0, 1)))
    return int(held[len(held) // 2]) if held.size else CANVAS.shape[2] // 2


def _outline(panel: Panel, view: NDArray[np.bool_], colour: str) -> None:
    if not view.any() or view.all():
        return
    left, top, wide, tall = panel.view_box
    x = left + (np.arange(view.shape[1]) + 0.5) * wide / view.shape[1]
    y = top + (np.arange(view.shape[0]) + 0.5) * tall / view.shape[0]
    field = view.astype(np.float32)
    panel.page.sheet.contour(x, y, field, levels=[0.5], colors=colour, linewidths=1.2)


def _left(column: int) -> float:
    return float(EDGE + LABEL + column * (PANEL[0] + GAP))


def _even(pixels: float) -> int:
    """Of odd sizes matplotlib may lose a pixel."""
    return 2 * ceil(pixels / 2)


def picture_bytes(figure: Figure, kind: str) -> bytes:
    """A figure as a file.

    Args:
        figure: The figure.
        kind: ``webp`` for pictures, ``png`` for lines and words.
    """
    options = {"quality": 90} if kind == "webp" else {"compress_level": 9}
    figure.savefig(stream := BytesIO(), format=kind, pil_kwargs=options)
    return stream.getvalue()
