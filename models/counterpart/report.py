"""Draws the report: one picture that shows where and how a scan departs from health."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from counterpart import report_panels as panels
from counterpart.findings import Finding
from counterpart.report_page import (
    AMBER,
    DIM,
    GREYS,
    PALE,
    WIDTH,
    Look,
    Page,
    draw_bar,
    draw_image,
    draw_letters,
    draw_numbers,
    draw_overlay,
    draw_scale_bar,
    plain,
    signed,
)
from counterpart.report_panels import Box, Head
from counterpart.results import DISCLAIMER, Result

EDGE = 24
ROW_LABEL = 140
GAP = 10
ACROSS = (WIDTH - 2 * EDGE - ROW_LABEL - 4 * GAP) // 5
TABLE_ROWS = 8
TABLE_WIDTH = 1090
STRIP_TOP = 212
STRIP_HEIGHT = 352
HEAD_HEIGHT = 130
FOOT_HEIGHT = 62
NOT_CLINICAL = "Not for clinical use"
HOW_TO_READ = (
    "How to read: warm = brighter than this brain would be in health, cool = darker, "
    "grey = as expected. The patient's right (R) is at the left of the picture. "
    "Outlines: the numbered findings. Dashed lines: the slices below."
)
COLUMNS = (
    ("Scan", "as it was read"),
    ("Reconstruction", "the network's own answer, everywhere"),
    ("Healthy counterpart", "the scan, healed where flagged"),
    ("Residual", "scan − reconstruction, in spreads"),
    ("Anomaly map", "strength of the difference, over the scan"),
)
CENTRE_VIEWS: dict[str, Callable[[NDArray[Any], int], NDArray[Any]]] = {
    "Coronal": panels.coronal_view,
    "Sagittal": panels.sagittal_view,
}


def render_report(result: Result, path: Path) -> None:
    """Write the report as a PNG, 2000 pixels wide; the same result gives the same bytes.

    Args:
        result: What to show.
        path: File to write.
    """
    about = {
        "Software": None,
        "Title": result.scan.name,
        "Description": f"{DISCLAIMER}. {NOT_CLINICAL}. {_small_print(result)}",
    }
    figure = build_figure(result)
    figure.savefig(path, format="png", metadata=about, pil_kwargs={"compress_level": 4})


def build_figure(result: Result) -> Figure:
    """Draw the report: header, findings, localisers, then one row of panels per axial slice.

    Args:
        result: What to show.

    Returns:
        A figure on an Agg canvas that no global state knows of.
    """
    head = panels.canonical_head(result)
    mass = panels.mass_by_slice(head.labels, head.anomaly, _highest_number(result.findings))
    with_brain = np.flatnonzero(head.brain.any(axis=(0, 1)))
    ends = (int(with_brain[0]), int(with_brain[-1])) if with_brain.size else (0, mass.shape[1] - 1)
    slices = panels.choose_slices(mass, *ends)
    wide, tall = _axial_size_mm(head)
    down = round(float(np.clip(ACROSS * tall / wide, 0.8 * ACROSS, 1.45 * ACROSS)))
    top = STRIP_TOP + STRIP_HEIGHT + HEAD_HEIGHT
    height = 50 * int(np.ceil((top + len(slices) * (down + GAP) + FOOT_HEIGHT) / 50))
    page = Page.blank(height)
    look = Look.of(result, head)
    _draw_header(page, result)
    _draw_table(page, result.findings, mass, slices, head, look)
    _draw_localisers(page, result.findings, head, slices, look)
    _draw_column_heads(page, look)
    greys = [look.grey(part) for part in (head.scan, head.reconstruction, head.counterpart)]
    for row, k in enumerate(slices):
        place = (EDGE + ROW_LABEL, top + row * (down + GAP), ACROSS, down)
        _draw_row(page, head, greys, k, place, look)
    _rule(page, height - FOOT_HEIGHT + 14)
    foot = f"{DISCLAIMER}. {NOT_CLINICAL}."
    page.text(EDGE, height - FOOT_HEIGHT + 24, foot, 17, AMBER, bold=True, width=700)
    small = _small_print(result)
    page.text(WIDTH - EDGE, height - FOOT_HEIGHT + 25, small, 15, DIM, align="right", width=1230)
    return page.figure


def _draw_header(page: Page, result: Result) -> None:
    box = (WIDTH - EDGE - 560, 22, 560, 84)
    page.box(box, "black", AMBER)
    middle = box[0] + box[2] / 2
    page.text(middle, 34, DISCLAIMER, 24, AMBER, bold=True, align="center", width=530)
    page.text(middle, 69, NOT_CLINICAL, 20, AMBER, align="center", width=530)
    room = box[0] - EDGE - 30
    page.text(EDGE, 20, result.scan.name, 32, bold=True, width=room)
    page.text(EDGE, 67, _about_scan(result), 18, DIM, width=room)
    page.text(EDGE, 92, _small_print(result), 18, DIM, width=room)
    _rule(page, 122)
    page.text(EDGE, 136, in_plain_words(result), 23, width=WIDTH - 2 * EDGE)
    page.text(EDGE, 172, HOW_TO_READ, 17, DIM, width=WIDTH - 2 * EDGE)


def in_plain_words(result: Result) -> str:
    """Say in a sentence or two what was found."""
    findings = result.findings
    if not findings:
        return "No finding above the threshold. This does not rule out disease."
    largest = max(findings, key=lambda finding: finding.volume_ml)
    where = "in the midline" if largest.side == "midline" else f"on the patient's {largest.side}"
    than = f"{largest.direction} than this brain would be in health"
    if len(findings) == 1:
        return f"1 finding above the threshold: {largest.volume_ml:.1f} ml {where}, {than}."
    total = sum(finding.volume_ml for finding in findings)
    return (
        f"{len(findings)} findings above the threshold, {total:.1f} ml in all. "
        f"The largest, {largest.volume_ml:.1f} ml {where}, is {than}."
    )


def _about_scan(result: Result) -> str:
    grid = result.scan.grid
    contrast = "contrast unknown" if result.contrast == "unknown" else result.contrast
    shape = "×".join(str(n) for n in grid.shape)
    spacing = "×".join(f"{step:.3g}" for step in grid.spacing)
    axes = np.abs(grid.affine[:3, :3]) / np.array(grid.spacing)
    tilt = float(np.degrees(np.arccos(np.clip(axes.max(axis=0), 0.0, 1.0))).max())
    planes = f" · tilted by {tilt:.0f}°, shown in its own planes" if tilt >= 1.0 else ""
    source = _clip(str(result.provenance.get("threshold_source", "source not recorded")), 60)
    threshold = f"threshold {plain(result.threshold)} ({source})"
    return f"{contrast} · {shape} voxels of {spacing} mm{planes} · {threshold}"


def _small_print(result: Result) -> str:
    known = result.provenance
    model = f"{known.get('model', 'not recorded')} {known.get('version', '')}".rstrip()
    weights = str(known.get("weights_sha256") or "not recorded")
    short = weights if weights == "not recorded" else weights[:12]
    seed = known.get("seed", "not recorded")
    return f"Model {_clip(model, 60)} · weights {short} · seed {seed}"


def _clip(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 20]}…{words[-19:]}"


def _draw_table(
    page: Page,
    findings: Sequence[Finding],
    mass: NDArray[np.float64],
    slices: Sequence[int],
    head: Head,
    look: Look,
) -> None:
    top = STRIP_TOP + 4
    if not findings:
        inside = np.abs(head.anomaly[head.brain])
        strongest = f"Strongest place in the brain: {plain(float(inside.max(initial=0.0)))}"
        page.text(EDGE, top, f"{strongest}; the threshold is {plain(look.threshold)}.", 19, DIM)
        return
    columns = (
        (EDGE + 34, "right", "#"),
        (EDGE + 60, "left", "than health"),
        (EDGE + 312, "right", "volume, ml"),
        (EDGE + 412, "right", "peak"),
        (EDGE + 450, "left", "side"),
        (EDGE + 750, "right", "centre R, A, S, mm"),
        (EDGE + 790, "left", "shown in slice"),
    )
    for x, align, title in columns:
        page.text(x, top, title, 16, DIM, align=align)
    shown = sorted(findings, key=lambda finding: -finding.volume_ml)[:TABLE_ROWS]
    for row, finding in enumerate(shown):
        y = top + 32 + 32 * row
        seen = [k for k in slices if mass[finding.number - 1, k] > 0]
        words = (
            str(finding.number),
            f"■ {finding.direction}",
            f"{finding.volume_ml:.1f}",
            f"{finding.peak:.1f}",
            finding.side,
            ", ".join(signed(c) for c in finding.centre_ras_mm),
            ", ".join(str(_slice_number(head, k)) for k in seen) or "not shown",
        )
        hue = panels.WARM[1] if finding.direction == "brighter" else panels.COOL[1]
        for (x, align, title), word in zip(columns, words, strict=True):
            page.text(x, y, word, 19, hue if title == "than health" else PALE, align=align)
    if len(findings) > TABLE_ROWS:
        rest = sum(f.volume_ml for f in findings) - sum(f.volume_ml for f in shown)
        more = f"+{len(findings) - TABLE_ROWS} more, {rest:.1f} ml"
        page.text(EDGE + 60, top + 36 + 32 * TABLE_ROWS, more, 17, DIM)


def _draw_localisers(
    page: Page, findings: Sequence[Finding], head: Head, slices: Sequence[int], look: Look
) -> None:
    size = np.array(head.grid.shape) * head.grid.spacing
    room, label = WIDTH - 2 * EDGE - TABLE_WIDTH, 56.0
    zoom = min((room - label) / (size[0] + size[1]), (STRIP_HEIGHT - 34) / size[2])
    scan, centre = look.grey(head.scan), _largest_centre(findings, head)
    middle = head.grid.world(centre.astype(np.float64))
    left, top = WIDTH - EDGE - zoom * (size[0] + size[1]) - label, STRIP_TOP + 28
    for name, axis, letters in (("Coronal", 1, "RL"), ("Sagittal", 0, "AP")):
        view, at = CENTRE_VIEWS[name], int(centre[axis])
        size_mm = (float(size[1 - axis]), float(size[2]))
        panel = page.panel((left, top, zoom * size_mm[0], zoom * size_mm[1]), size_mm)
        draw_image(panel, view(scan, at), GREYS, look.window)
        draw_overlay(panel, view(head.anomaly, at), view(head.labels, at), look)
        for k in slices:
            ends, y = [left, left + zoom * size_mm[0]], top + zoom * _depth_mm(head, k)
            page.line(ends, [y, y], "white", lw=0.8, alpha=0.5, ls=(0, (4, 3)))
        draw_letters(panel, letters)
        title = f"{name}, {'RAS'[axis]} {signed(middle[axis])} mm"
        page.text(left, STRIP_TOP + 2, title, 17, width=zoom * size_mm[0])
        left += zoom * size_mm[0] + label
    lines = sorted(slices, reverse=True)
    heights = spread_apart([top + zoom * _depth_mm(head, k) for k in lines], 17.0)
    for k, y in zip(lines, heights, strict=True):
        x = WIDTH - EDGE - zoom * size[1] - label / 2
        page.text(x, y - 8, str(_slice_number(head, k)), 15, DIM, align="center")


def _draw_column_heads(page: Page, look: Look) -> None:
    top, bar = STRIP_TOP + STRIP_HEIGHT + 14, STRIP_TOP + STRIP_HEIGHT + 72
    lefts = [EDGE + ROW_LABEL + column * (ACROSS + GAP) for column in range(5)]
    for left, (title, meaning) in zip(lefts, COLUMNS, strict=True):
        page.text(left, top, title, 21, bold=True, width=ACROSS)
        page.text(left, top + 29, meaning, 16, DIM, width=ACROSS)
    wide, (low, high), end = 3 * ACROSS + 2 * GAP, look.window, look.residual
    marks = [(low, "left", plain(low)), (high, "right", plain(high))]
    draw_bar(page, (lefts[0], bar, wide, 14), GREYS, look.window, marks)
    note = "the same window in all three, scan units"
    page.text(lefts[0] + wide / 2, bar + 19, note, 15, DIM, align="center")
    marks = [*_end_marks(end), (0.0, "center", "0")]
    place = (lefts[3], bar, ACROSS, 14)
    draw_bar(page, place, panels.residual_colours(), (-end, end), marks)
    end, threshold = look.anomaly, look.threshold
    marks = _end_marks(end)
    if 0 < threshold < end:
        marks += [(x, "center", plain(x, "+")) for x in (-threshold, threshold)]
    draw_bar(page, (lefts[4], bar, ACROSS, 14), look.overlay, (-end, end), marks)
    if threshold > 0.24 * end:
        page.text(lefts[4] + ACROSS / 2, bar - 1, "threshold", 13, align="center")


def _end_marks(end: float) -> list[tuple[float, str, str]]:
    return [(-end, "left", f"≤ {plain(-end)}"), (end, "right", f"≥ {plain(end, '+')}")]


def _draw_row(
    page: Page, head: Head, greys: Sequence[NDArray[np.float32]], k: int, place: Box, look: Look
) -> None:
    left, top, across, down = place
    _draw_row_label(page, head, k, top)
    places = [(left + column * (across + GAP), top, across, down) for column in range(5)]
    row = [page.panel(place, _axial_size_mm(head)) for place in places]
    for panel, array in zip([*row[:3], row[4]], [*greys, greys[0]], strict=True):
        draw_image(panel, panels.axial_view(array, k), GREYS, look.window)
    end, labels = look.residual, panels.axial_view(head.labels, k)
    residual = panels.axial_view(head.residual, k)
    draw_image(row[3], residual, panels.residual_colours(), (-end, end))
    inside = panels.soft_edge(panels.axial_view(head.brain, k) | (labels > 0))
    draw_image(row[3], inside, ListedColormap(["black", "none"]), (0.0, 1.0))
    draw_overlay(row[4], panels.axial_view(head.anomaly, k), labels, look)
    draw_numbers(row[4], labels)
    for panel in row:
        draw_letters(panel, "RL")
    draw_scale_bar(row[0])


def _rule(page: Page, y: float) -> None:
    page.line([EDGE, WIDTH - EDGE], [y, y], "#2a2f36", lw=1)


def _axial_size_mm(head: Head) -> tuple[float, float]:
    return (
        head.grid.shape[0] * head.grid.spacing[0],
        head.grid.shape[1] * head.grid.spacing[1],
    )


def _draw_row_label(page: Page, head: Head, k: int, top: float) -> None:
    across, deep = ((n - 1) / 2 for n in head.grid.shape[:2])
    middle = head.grid.world(np.array([across, deep, k]))
    page.text(EDGE, top + 6, f"Slice {_slice_number(head, k)}", 21, bold=True)
    page.text(EDGE, top + 33, f"of {head.slice_count}", 16, DIM)
    page.text(EDGE, top + 58, f"S {signed(middle[2])} mm", 19)
    numbers = [int(n) for n in np.unique(head.labels[:, :, k]) if n]
    if not numbers:
        page.text(EDGE, top + 94, "no finding", 16, DIM)
        return
    page.text(EDGE, top + 94, "finding" if len(numbers) == 1 else "findings", 16, DIM)
    for line, words in enumerate(number_lines(numbers)):
        page.text(EDGE, top + 118 + 24 * line, words, 18)


def number_lines(numbers: Sequence[int], per_line: int = 4, most: int = 12) -> list[str]:
    """Break a list of finding numbers into short lines; beyond ``most`` they are only counted."""
    shown = [str(number) for number in numbers[:most]]
    lines = [", ".join(shown[at : at + per_line]) for at in range(0, len(shown), per_line)]
    lines = [f"{line}," for line in lines[:-1]] + lines[-1:]
    return [*lines, f"+{len(numbers) - most} more"] if len(numbers) > most else lines


def _slice_number(head: Head, k: int) -> int:
    return head.first_slice + k + 1


def _depth_mm(head: Head, k: int) -> float:
    return float((head.grid.shape[2] - k - 0.5) * head.grid.spacing[2])


def _highest_number(findings: Sequence[Finding]) -> int:
    return max((finding.number for finding in findings), default=0)


def _largest_centre(findings: Sequence[Finding], head: Head) -> NDArray[np.int64]:
    """Voxel that the localisers pass through: in the largest finding, else amid the crop."""
    if not findings:
        return np.array(head.grid.shape) // 2
    largest = max(findings, key=lambda finding: finding.volume_ml)
    inverse = np.linalg.inv(head.grid.affine)
    index = np.rint(inverse[:3, :3] @ largest.centre_ras_mm + inverse[:3, 3]).astype(np.int64)
    return np.clip(index, 0, np.array(head.grid.shape) - 1)


def spread_apart(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels' heights as little as simple rules allow so that neighbours are a gap apart."""
    order = np.argsort(heights, kind="stable")
    moved = np.array(heights, dtype=np.float64)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    return [float(height) for height in moved]
