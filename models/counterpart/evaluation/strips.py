"""Paints one scan's evaluation as a row of panels: its maps, its lesion, the plain baseline."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from counterpart.errors import CounterpartError
from counterpart.grid import canonical_orientation
from counterpart.report.head import Head, axial_view, canonical_head, crop_box
from counterpart.report.look import GREYS, Look, residual_colours
from counterpart.report.page import (
    Page,
    Panel,
    draw_baseline,
    draw_image,
    draw_letters,
    draw_outlines,
    draw_overlay,
    draw_scale_bar,
)
from counterpart.report.panels import soft_edge
from counterpart.results import Result

PIXELS_PER_MM = 1.5
PANEL_WIDTH, PANEL_HEIGHT = 275, 350
PANEL_GAP = 10
PANEL_COUNT = 6
STRIP_WIDTH = PANEL_COUNT * PANEL_WIDTH + (PANEL_COUNT - 1) * PANEL_GAP
LESION = "#2ee65c"
LESION_LINE = 1.5

Mask = NDArray[np.bool_]


def paint_strip(result: Result, lesion: Mask | None) -> NDArray[np.uint8]:
    """Paint the axial slice with most lesion; without one that with the strongest findings.

    From left to right: scan, healthy counterpart, signed residual, anomaly map over the scan,
    outlines of lesion (green) and findings (white) over the scan, the plain baseline at the same
    volume. All panels have one size and, unless a head is too large for them, one scale, so that
    strips can be compared.

    Args:
        result: On the scan's stored grid, whatever its orientation.
        lesion: (I, J, K) on the same grid; None for a scan without lesion.

    Returns:
        (350, 1700, 3), 1.5 pixels per millimetre, radiological convention.

    Raises:
        CounterpartError: The lesion mask does not lie on the scan's grid.
    """
    if lesion is not None and lesion.shape != result.scan.grid.shape:
        raise CounterpartError(
            f"{result.scan.name}: expected a lesion mask of {result.scan.grid.shape} voxels, "
            f"got {lesion.shape}; bring it onto the scan's grid."
        )
    head = canonical_head(result)
    truth = lesion_in_head(result, head, lesion)
    page = Page.blank(PANEL_HEIGHT, STRIP_WIDTH)
    _draw_panels(page, head, Look.of(result, head), truth, slice_to_show(head, truth))
    page.figure.savefig(pixels := BytesIO(), format="rgba")
    drawn = np.frombuffer(pixels.getvalue(), np.uint8)
    return drawn.reshape(PANEL_HEIGHT, STRIP_WIDTH, 4)[..., :3].copy()


def slice_to_show(head: Head, lesion: Mask) -> int:
    """The axial slice with the largest lesion area, else the largest flagged mass, else midway.

    Args:
        head: In canonical axes.
        lesion: (I, J, K) in the same axes, empty where there is none.
    """
    flagged = np.where(head.labels > 0, np.abs(head.anomaly), 0.0)
    for weight in (lesion, flagged):
        by_slice = weight.sum(axis=(0, 1))
        if by_slice.any():
            return int(by_slice.argmax())
    within = head.brain_slices()
    return within[len(within) // 2]


def panel_lefts(left: float = 0.0, zoom: float = 1.0) -> list[float]:
    """The left edges of a strip's panels, where the strip begins at ``left``."""
    return [left + zoom * number * (PANEL_WIDTH + PANEL_GAP) for number in range(PANEL_COUNT)]


def lesion_in_head(result: Result, head: Head, lesion: Mask | None) -> Mask:
    """The lesion in the head's axes and crop; nothing is true without a lesion."""
    if lesion is None:
        return np.zeros(head.grid.shape, np.bool_)
    turn = canonical_orientation(result.scan.grid)
    cut = crop_box(turn.forward((result.brain > 0) | (result.mask > 0)), turn.canonical.spacing)
    turned: Mask = turn.forward(lesion)[cut] > 0
    return turned


def _draw_panels(page: Page, head: Head, look: Look, lesion: Mask, k: int) -> None:
    wide, tall, _ = head.size_mm
    zoom = min(PIXELS_PER_MM, PANEL_WIDTH / wide, PANEL_HEIGHT / tall)
    whole = (PANEL_WIDTH / zoom, PANEL_HEIGHT / zoom)
    frames = [page.panel((x, 0.0, PANEL_WIDTH, PANEL_HEIGHT), whole) for x in panel_lefts()]
    scan, healed, residual, anomaly, compared, plain = (
        _amid(frame, (wide, tall)) for frame in frames
    )
    grey = axial_view(look.grey(head.scan), k)
    for panel in (scan, anomaly, compared, plain):
        draw_image(panel, grey, GREYS, look.window)
    draw_image(healed, axial_view(look.grey(head.counterpart), k), GREYS, look.window)
    labels, strength = axial_view(head.labels, k), axial_view(head.anomaly, k)
    end = look.residual
    draw_image(residual, axial_view(head.residual, k), residual_colours(), (-end, end))
    inside = soft_edge(axial_view(head.brain, k) | (labels > 0))
    draw_image(residual, inside, ListedColormap(["black", "none"]), (0.0, 1.0))
    draw_overlay(anomaly, strength, labels, look)
    draw_outlines(compared, strength, labels, look)
    draw_lesion(compared, axial_view(lesion, k))
    draw_baseline(plain, axial_view(head.baseline, k), strength, labels, look)
    for frame in frames:
        draw_letters(frame, "RL")
    draw_scale_bar(frames[0])
    slice_words = f"slice {head.slice_number(k)} of {head.slice_count}"
    page.mark(64, PANEL_HEIGHT - 14, slice_words, 13)


def _amid(frame: Panel, size_mm: tuple[float, float]) -> Panel:
    """The panel in the middle of a frame that a view of the given size fills at its scale."""
    left, top, wide, tall = frame.place
    across, down = frame.zoom * size_mm[0], frame.zoom * size_mm[1]
    place = (left + (wide - across) / 2, top + (tall - down) / 2, across, down)
    return Panel(frame.page, place, size_mm)


def draw_lesion(panel: Panel, view: Mask) -> None:
    """Outline the lesion's view (J, I) in green."""
    if view.any() and not view.all() and min(view.shape) > 1:
        left, top, wide, tall = panel.view_box
        x = left + (np.arange(view.shape[1]) + 0.5) * wide / view.shape[1]
        y = top + (np.arange(view.shape[0]) + 0.5) * tall / view.shape[0]
        field = view.astype(np.float32)
        panel.page.sheet.contour(x, y, field, levels=[0.5], colors=LESION, linewidths=LESION_LINE)
