"""Draws one scan at its own full resolution: scan, counterpart, residual, map and findings.

Two rows of five panels: an axial slice, and below it the middle of what is altered at twice the
scale. Each voxel of the scan has two pixels or more, so that seams and blur can be seen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from counterpart.evaluation.strips import (
    LESION,
    LESION_LINE,
    draw_lesion,
    lesion_in_head,
    slice_to_show,
)
from counterpart.report.head import axial_view, canonical_head
from counterpart.report.header import EDGE
from counterpart.report.look import AMBER, DIM, GREYS, Look, residual_colours
from counterpart.report.page import (
    Page,
    Panel,
    draw_bar,
    draw_image,
    draw_letters,
    draw_outlines,
    draw_overlay,
    draw_scale_bar,
)
from counterpart.report.panels import soft_edge
from counterpart.report.words import NOT_CLINICAL, one_line, panel_words, plain
from counterpart.results import DISCLAIMER, Result

LEAST_PIXELS_PER_VOXEL = 2.0
LEAST_PIXELS_PER_MM = 2.5
CLOSER = 2.0
PANELS = 5
GAP, TOP, FOOT = 10, 216, 50
_ROUND = 50
_NUMBERS = ("window", "residual", "anomaly", "threshold")


@dataclass(frozen=True, eq=False)
class Views:
    """One axial slice, or a part of it, as display arrays (J, I) of one size.

    Args:
        scan: Scan units, and so is the counterpart.
        counterpart: The healthy counterpart.
        residual: Spreads.
        anomaly: Signed anomaly map.
        labels: Numbers of the findings.
        lesion: Boolean.
        inside: Brain and findings with a soft edge, 0 to 1.
    """

    scan: NDArray[Any]
    counterpart: NDArray[Any]
    residual: NDArray[Any]
    anomaly: NDArray[Any]
    labels: NDArray[Any]
    lesion: NDArray[Any]
    inside: NDArray[Any]

    def middle(self, share: float) -> Views:
        """That share of rows and columns, around the middle of lesion and findings."""
        shape = np.array(self.scan.shape)
        shown = np.argwhere((self.labels > 0) | self.lesion)
        shown = shown if len(shown) else np.argwhere(self.inside > 0.5)
        centre = shown.mean(axis=0) if len(shown) else shape / 2
        size = np.maximum(np.rint(shape * share).astype(int), 1)
        low = np.clip(np.rint(centre - size / 2).astype(int), 0, shape - size)
        part = tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))
        return Views(**{name: view[part] for name, view in vars(self).items()})


@dataclass(frozen=True, eq=False)
class Picture:
    """What a picture shows of one scan.

    Args:
        title: Scan and slice.
        contrast: Of the scan.
        look: Windows and ends of the colours; its background is already black in the views.
        spacing: Voxel size across, down and through the views, mm.
        views: The slice.
    """

    title: str
    contrast: str
    look: Look
    spacing: tuple[float, float, float]
    views: Views

    @classmethod
    def of(cls, result: Result, lesion: NDArray[np.bool_] | None) -> Picture:
        """Cut out the slice with most lesion; without one that with the strongest findings.

        Args:
            result: On the scan's stored grid, whatever its orientation.
            lesion: (I, J, K) on the same grid; None for a scan without lesion.
        """
        head = canonical_head(result)
        look, truth = Look.of(result, head), lesion_in_head(result, head, lesion)
        k = slice_to_show(head, truth)
        labels = axial_view(head.labels, k)
        views = Views(
            scan=axial_view(look.grey(head.scan), k),
            counterpart=axial_view(look.grey(head.counterpart), k),
            residual=axial_view(head.residual, k),
            anomaly=axial_view(head.anomaly, k),
            labels=labels,
            lesion=axial_view(truth, k),
            inside=soft_edge(axial_view(head.brain, k) | (labels > 0)),
        )
        title = f"{result.scan.name}, slice {head.slice_number(k)} of {head.slice_count}"
        return cls(title, result.contrast, look, head.grid.spacing, views)

    @property
    def pixels_per_mm(self) -> float:
        """Scale of the upper row: two pixels for a voxel's shorter side, at least 2.5 a mm."""
        return max(LEAST_PIXELS_PER_MM, LEAST_PIXELS_PER_VOXEL / min(self.spacing[:2]))

    @property
    def panel_size(self) -> tuple[int, int]:
        """Width and height of a panel, pixels."""
        wide, tall = (self.pixels_per_mm * size for size in self.size_mm(self.views))
        return round(wide), round(tall)

    def size_mm(self, views: Views) -> tuple[float, float]:
        """Width and height of views of this scan."""
        down, across = views.scan.shape
        return across * self.spacing[0], down * self.spacing[1]

    def write(self, path: Path) -> None:
        """Keep it in a file (NPZ)."""
        numbers = {name: getattr(self.look, name) for name in _NUMBERS}
        told = {"title": self.title, "contrast": self.contrast, "spacing": self.spacing, **numbers}
        np.savez_compressed(path, told=np.array(json.dumps(told)), **vars(self.views))

    @classmethod
    def read(cls, path: Path) -> Picture:
        """Read what `write` wrote."""
        with np.load(path) as stored:
            views = Views(**{name: stored[name] for name in Views.__dataclass_fields__})
            told = json.loads(str(stored["told"]))
        numbers = {name: told[name] for name in _NUMBERS}
        numbers["window"] = tuple(numbers["window"])
        look = Look(**numbers, background=np.zeros((0, 0, 0), np.bool_))
        return cls(told["title"], told["contrast"], look, tuple(told["spacing"]), views)


def draw_picture(picture: Picture, path: Path) -> None:
    """Write a picture as a PNG; the same gives the same bytes.

    Args:
        picture: What to show.
        path: File to write.
    """
    wide, tall = picture.panel_size
    height = _ROUND * ceil((TOP + 2 * tall + GAP + FOOT) / _ROUND)
    width = _ROUND * ceil((2 * EDGE + PANELS * wide + (PANELS - 1) * GAP) / _ROUND)
    page = Page.blank(height, width)
    lefts = [EDGE + n * (wide + GAP) for n in range(PANELS)]
    _draw_title(page, picture.title, width)
    _draw_heads(page, picture, lefts, wide)
    closer = picture.views.middle(1.0 / CLOSER)
    for top, views in ((TOP, picture.views), (TOP + tall + GAP, closer)):
        size = picture.size_mm(views)
        _draw_row([page.panel((x, top, wide, tall), size) for x in lefts], views, picture.look)
    page.text(EDGE, height - FOOT + 12, note(picture), 15, DIM, width=width - 2 * EDGE)
    about = {"Software": None, "Title": one_line(picture.title), "Description": DISCLAIMER}
    page.figure.savefig(path, format="png", metadata=about, pil_kwargs={"compress_level": 6})


def note(picture: Picture) -> str:
    """Voxel size and scale in words."""
    across, down, through = picture.spacing
    return (
        f"Voxels of {across:.2g} × {down:.2g} × {through:.2g} mm, {picture.pixels_per_mm:.2g} "
        "pixels a millimetre, radiological convention (R: the patient's right). Below: the same "
        f"at {CLOSER:g} times the scale."
    )


def _draw_row(frames: Sequence[Panel], views: Views, look: Look) -> None:
    scan, healed, residual, anomaly, compared = frames
    for panel in (scan, anomaly, compared):
        draw_image(panel, views.scan, GREYS, look.window)
    draw_image(healed, views.counterpart, GREYS, look.window)
    end = look.residual
    draw_image(residual, views.residual, residual_colours(), (-end, end))
    draw_image(residual, views.inside, ListedColormap(["black", "none"]), (0.0, 1.0))
    draw_overlay(anomaly, views.anomaly, views.labels, look)
    draw_outlines(compared, views.anomaly, views.labels, look)
    draw_lesion(compared, views.lesion)
    for frame in frames:
        draw_letters(frame, "RL")
    draw_scale_bar(scan)


def _draw_title(page: Page, words: str, width: int) -> None:
    box = (width - EDGE - 480, 16, 480, 68)
    page.box(box, "black", AMBER)
    middle = box[0] + box[2] / 2
    page.text(middle, 24, DISCLAIMER, 21, AMBER, bold=True, align="center", width=460)
    page.text(middle, 54, NOT_CLINICAL, 17, AMBER, align="center", width=460)
    page.text(EDGE, 34, words, 27, bold=True, width=box[0] - EDGE - 30)


def _draw_heads(page: Page, picture: Picture, lefts: Sequence[float], wide: int) -> None:
    """Titles of the columns, and under them the legend with its numbers."""
    known, look, top = panel_words(picture.contrast), picture.look, 104.0
    heads = [known["scan"], known["counterpart"], known["residual"], known["anomaly"]]
    heads.append(("Findings and lesion", "outlines over the scan"))
    for left, (name, meaning) in zip(lefts, heads, strict=True):
        page.text(left, top, name, 21, bold=True, width=wide)
        page.text(left, top + 28, meaning, 15, DIM, width=wide)
    bar, (low, high) = top + 60, look.window
    greys = [(low, "left", plain(low)), (high, "right", plain(high))]
    draw_bar(page, (lefts[0], bar, 2 * wide + GAP, 14), GREYS, look.window, greys)
    for left, end, colours, inner in (
        (lefts[2], look.residual, residual_colours(), [(0.0, "center", "0")]),
        (lefts[3], look.anomaly, look.overlay, _threshold_marks(look)),
    ):
        marks = [(-end, "left", plain(-end)), (end, "right", plain(end, "+")), *inner]
        draw_bar(page, (left, bar, wide, 14), colours, (-end, end), marks)
    for x, colour, line, name in (
        (lefts[4], "white", 0.9, "finding"),
        (lefts[4] + 120, LESION, LESION_LINE, "lesion mask"),
    ):
        page.line([x, x + 34], [bar + 7, bar + 7], colour, lw=line)
        page.text(x + 42, bar - 2, name, 15, DIM)


def _threshold_marks(look: Look) -> list[tuple[float, str, str]]:
    if not 0 < look.threshold < look.anomaly:
        return []
    return [(x, "center", plain(x, "+")) for x in (-look.threshold, look.threshold)]
