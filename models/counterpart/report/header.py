"""Draws the upper part of the PNG report: what was found, warnings, the table and localisers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpart.findings import Finding
from counterpart.report.content import Content
from counterpart.report.head import coronal_view, sagittal_view
from counterpart.report.look import AMBER, COOL, DIM, GREYS, PALE, WARM
from counterpart.report.page import (
    WIDTH,
    Page,
    draw_image,
    draw_letters,
    draw_overlay,
)
from counterpart.report.references import reference_line
from counterpart.report.words import (
    HOW_TO_READ,
    NOT_CLINICAL,
    about_scan,
    evidence_words,
    in_plain_words,
    p_words,
    plain,
    signed,
    small_print,
    without_folders,
    wrapped,
)
from counterpart.results import DISCLAIMER, Result

EDGE = 24
TABLE_ROWS = 8
TABLE_WIDTH = 1400
STRIP_HEIGHT = 352
WARNING_LETTERS = 220
WARNING_LINES = 4
WARNING_STEP = 29

CENTRE_VIEWS: dict[str, Callable[[NDArray[Any], int], NDArray[Any]]] = {
    "Coronal": coronal_view,
    "Sagittal": sagittal_view,
}


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """The warnings in lines of the page's width; those that find no room are counted."""
    lines: list[str] = []
    for number, warning in enumerate(warnings):
        more = wrapped(f"⚠ {without_folders(warning)}", WARNING_LETTERS)
        if len(lines) + len(more) > WARNING_LINES:
            left = len(warnings) - number
            return [*lines, f"⚠ {left} more warning{'s' * (left > 1)}, not shown for want of room"]
        lines += more
    return lines


def draw_header(page: Page, result: Result) -> None:
    """Draw name, disclaimer, plain words and warnings."""
    box = (WIDTH - EDGE - 560, 22, 560, 84)
    page.box(box, "black", AMBER)
    middle = box[0] + box[2] / 2
    page.text(middle, 34, DISCLAIMER, 24, AMBER, bold=True, align="center", width=530)
    page.text(middle, 69, NOT_CLINICAL, 20, AMBER, align="center", width=530)
    room = box[0] - EDGE - 30
    page.text(EDGE, 20, result.scan.name, 32, bold=True, width=room)
    page.text(EDGE, 67, about_scan(result), 18, DIM, width=room)
    page.text(EDGE, 92, small_print(result), 18, DIM, width=room)
    draw_rule(page, 122)
    page.text(EDGE, 136, in_plain_words(result), 23, width=WIDTH - 2 * EDGE)
    page.text(EDGE, 170, evidence_words(result), 20, PALE, width=WIDTH - 2 * EDGE)
    y = 203.0
    if result.references is not None:
        words = reference_line(result.references)
        page.text(EDGE, y, words, 19, DIM, width=WIDTH - 2 * EDGE)
        y += WARNING_STEP
    for line in warning_lines(result.warnings):
        page.text(EDGE, y, line, 19, AMBER, width=WIDTH - 2 * EDGE)
        y += WARNING_STEP
    page.text(EDGE, y, f"How to read: {HOW_TO_READ}", 17, DIM, width=WIDTH - 2 * EDGE)


def header_height(result: Result) -> int:
    """Pixels that `draw_header` takes."""
    lines = len(warning_lines(result.warnings)) + (result.references is not None)
    return 243 + WARNING_STEP * lines


def draw_rule(page: Page, y: float) -> None:
    """Draw a thin line across the page."""
    page.line([EDGE, WIDTH - EDGE], [y, y], "#2a2f36", lw=1)


def draw_table(page: Page, content: Content, top: float) -> None:
    """Draw the table of the largest findings, or how near the strongest place comes to one."""
    findings, head = content.result.findings, content.head
    if not findings:
        inside = np.abs(head.anomaly[head.brain])
        strongest = f"Strongest place in the brain: {plain(float(inside.max(initial=0.0)))}"
        words = f"{strongest}; the threshold is {plain(content.look.threshold)}."
        page.text(EDGE, top, words, 19, DIM)
        return
    regions = any(finding.region for finding in findings)
    columns = _table_columns(regions)
    for x, align, title, _ in columns:
        page.text(EDGE + x, top, title, 16, DIM, align=align)
    shown = sorted(findings, key=lambda finding: -finding.volume_ml)[:TABLE_ROWS]
    for row, finding in enumerate(shown):
        y = top + 32 + 32 * row
        words_of = _table_words(finding, content)
        hue = WARM[1] if finding.direction == "brighter" else COOL[1]
        for x, align, title, width in columns:
            colour = hue if title == "than health" else PALE
            page.text(EDGE + x, y, words_of[title], 19, colour, align=align, width=width)
    if len(findings) > TABLE_ROWS:
        rest = sum(f.volume_ml for f in findings) - sum(f.volume_ml for f in shown)
        more = f"+{len(findings) - TABLE_ROWS} more, {rest:.1f} ml"
        page.text(EDGE + 60, top + 36 + 32 * TABLE_ROWS, more, 17, DIM)


def _table_columns(regions: bool) -> list[tuple[int, str, str, float]]:
    """Place, alignment, title and room of each column; regions only where there are any."""
    wide = 350 if regions else 0
    columns = [
        (34, "right", "#", 60.0),
        (60, "left", "than health", 140.0),
        (312, "right", "volume, ml", 110.0),
        (402, "right", "peak", 80.0),
        (482, "right", "p", 70.0),
        (512, "left", "side", 100.0),
        (800 + wide, "right", "centre R, A, S, mm", 200.0),
        (830 + wide, "left", "shown in slice", 200.0),
    ]
    return [*columns[:6], (620, "left", "region", 310.0), *columns[6:]] if regions else columns


def _table_words(finding: Finding, content: Content) -> dict[str, str]:
    seen = [k for k in content.slices if content.mass[finding.number - 1, k] > 0]
    return {
        "#": str(finding.number),
        "than health": f"■ {finding.direction}",
        "volume, ml": f"{finding.volume_ml:.1f}",
        "peak": f"{finding.peak:.1f}",
        "p": p_words(finding.p_value),
        "side": finding.side,
        "region": finding.region or "–",
        "centre R, A, S, mm": ", ".join(signed(c) for c in finding.centre_ras_mm),
        "shown in slice": ", ".join(str(content.head.slice_number(k)) for k in seen) or "not shown",
    }


def draw_localisers(page: Page, content: Content, strip_top: float) -> None:
    """Draw a coronal and a sagittal view through the largest finding, with the slices' lines."""
    head, look, slices = content.head, content.look, content.slices
    size = np.array(head.size_mm)
    room, label = WIDTH - 2 * EDGE - TABLE_WIDTH, 56.0
    zoom = min((room - label) / (size[0] + size[1]), (STRIP_HEIGHT - 34) / size[2])
    scan, centre = look.grey(head.scan), head.centre(content.result.findings)
    middle = head.grid.world(centre.astype(np.float64))
    left, top = WIDTH - EDGE - zoom * (size[0] + size[1]) - label, strip_top + 28
    for name, axis, letters in (("Coronal", 1, "RL"), ("Sagittal", 0, "AP")):
        view, at = CENTRE_VIEWS[name], int(centre[axis])
        size_mm = (float(size[1 - axis]), float(size[2]))
        panel = page.panel((left, top, zoom * size_mm[0], zoom * size_mm[1]), size_mm)
        draw_image(panel, view(scan, at), GREYS, look.window)
        draw_overlay(panel, view(head.anomaly, at), view(head.labels, at), look)
        for k in slices:
            ends, y = [left, left + zoom * size_mm[0]], top + zoom * head.depth_mm(k)
            page.line(ends, [y, y], "white", lw=0.8, alpha=0.5, ls=(0, (4, 3)))
        draw_letters(panel, letters)
        title = f"{name}, {'RAS'[axis]} {signed(middle[axis])} mm"
        page.text(left, strip_top + 2, title, 17, width=zoom * size_mm[0])
        left += zoom * size_mm[0] + label
    lines = sorted(slices, reverse=True)
    heights = spread_apart([top + zoom * head.depth_mm(k) for k in lines], 17.0)
    for k, y in zip(lines, heights, strict=True):
        x = WIDTH - EDGE - zoom * size[1] - label / 2
        page.text(x, y - 8, str(head.slice_number(k)), 15, DIM, align="center")


def spread_apart(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels' heights as little as simple rules allow so that neighbours are a gap apart."""
    order = np.argsort(heights, kind="stable")
    moved = np.array(heights, dtype=np.float64)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    return [float(height) for height in moved]
