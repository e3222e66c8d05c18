"""Draws a sheet with the brain mask of many scans, so that a person can check them at a glance."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from counterpart.brain_extraction import BrainModel, find_brain
from counterpart.errors import CounterpartError
from counterpart.grid import Grid, canonical_orientation
from counterpart.results import DISCLAIMER
from counterpart.scans import companion, read_mask, read_scan

logger = logging.getLogger(__name__)

_HEADS_ACROSS = 3
_LEVELS = (0.2, 0.6)
_VIEWS = len(_LEVELS) + 2
_PANEL_INCHES = 1.7


@dataclass(frozen=True)
class BrainRow:
    """What is known of one scan's brain mask.

    Args:
        scan: Name of the scan.
        source: Where the mask comes from, or why there is none.
        volume_ml: Of the mask.
        lesion_outside: Share of the lesion mask's voxels outside, if there is such a mask beside.
        seconds: That finding the brain took.
    """

    scan: str
    source: str
    volume_ml: float
    lesion_outside: float | None
    seconds: float


@dataclass(frozen=True, eq=False)
class _Shown:
    values: NDArray[np.float32]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_] | None
    grid: Grid


def draw_brain_sheet(
    scans: Sequence[Path],
    model: BrainModel,
    out: Path,
    *,
    progress: Callable[[str], None] | None = None,
) -> list[BrainRow]:
    """Find the brain in each scan and draw its outline.

    Args:
        scans: Scan files; a lesion mask beside one (``NAME_mask``) is drawn and counted as well.
        model: The brain network.
        out: PNG file; a table of the same name ends in ``.csv``.
        progress: Called with the name of each scan.

    Returns:
        A row for each scan, also for those that are refused.
    """
    rows: list[BrainRow] = []
    shown: list[tuple[BrainRow, _Shown | None]] = []
    for path in scans:
        if progress:
            progress(path.name)
        row, picture = _examine(path, model)
        rows.append(row)
        shown.append((row, picture))
    _draw(shown, out)
    with out.with_suffix(".csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(BrainRow)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    return rows


def _examine(path: Path, model: BrainModel) -> tuple[BrainRow, _Shown | None]:
    try:
        scan = read_scan(path)
        turn = canonical_orientation(scan.grid)
        values = turn.forward(scan.values)
        start = time.perf_counter()
        found = find_brain(values, turn.canonical, model=model)
        seconds = time.perf_counter() - start
    except CounterpartError as error:
        logger.warning("%s", error)
        return BrainRow(path.name, f"refused: {error}", 0.0, None, 0.0), None
    mask_file = companion(path, scan.name.rsplit("_", 1)[0], "_mask")
    lesion = turn.forward(read_mask(mask_file, scan.grid)) if mask_file else None
    outside = None
    if lesion is not None:
        outside = round(float((lesion & ~found.mask).sum() / lesion.sum()), 4)
    volume = round(float(found.mask.sum()) * turn.canonical.voxel_volume_ml, 1)
    row = BrainRow(scan.name, found.source, volume, outside, round(seconds, 3))
    return row, _Shown(values, found.mask, lesion, turn.canonical)


def _draw(shown: Sequence[tuple[BrainRow, _Shown | None]], out: Path) -> None:
    down = -(-len(shown) // _HEADS_ACROSS)
    across = _HEADS_ACROSS * _VIEWS
    size = (_PANEL_INCHES * across, _PANEL_INCHES * 1.12 * down + 0.4)
    figure = Figure(figsize=size, dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(0.0, 0.0, 1.0, 1.0 - 0.4 / size[1], wspace=0.02, hspace=0.14)
    words = f"Brain masks (red), lesion masks (cyan). {DISCLAIMER}."
    figure.text(0.005, 1.0 - 0.25 / size[1], words, color="white", fontsize=10)
    for panel in panels.flat:
        panel.set_axis_off()
    for number, (row, picture) in enumerate(shown):
        first = (number % _HEADS_ACROSS) * _VIEWS
        row_of_panels = list(panels[number // _HEADS_ACROSS, first : first + _VIEWS])
        outside = (
            "" if row.lesion_outside is None else f", {100 * row.lesion_outside:.1f} % outside"
        )
        title = f"{row.scan}: {row.volume_ml:.0f} ml{outside}" if picture else row.source
        row_of_panels[0].set_title(title[:90], color="white", fontsize=7, loc="left", pad=2)
        if picture is not None:
            _draw_views(row_of_panels, picture)
    figure.savefig(out, format="png", facecolor="black", metadata={"Software": None})


def _draw_views(panels: Sequence[Axes], head: _Shown) -> None:
    levels = np.flatnonzero(head.brain.any(axis=(0, 1)))
    low, high = int(levels[0]), int(levels[-1])
    middle = [round(float(where.mean())) for where in np.nonzero(head.brain)]
    spacing = head.grid.spacing
    cuts: list[tuple[tuple[Any, ...], float]] = [
        ((slice(None), slice(None), low + round((high - low) * share)), spacing[1] / spacing[0])
        for share in _LEVELS
    ]
    cuts.append(((slice(None), middle[1], slice(None)), spacing[2] / spacing[0]))
    cuts.append(((middle[0], slice(None), slice(None)), spacing[2] / spacing[1]))
    limits = (0.0, float(np.percentile(head.values[head.brain], 99.5)) * 1.2)
    for panel, (cut, aspect) in zip(panels, cuts, strict=True):
        mirrored = slice(None) if cut[0] == middle[0] else slice(None, None, -1)
        view = head.values[cut].T[::-1, mirrored]
        panel.imshow(view, cmap="gray", vmin=limits[0], vmax=limits[1], aspect=aspect)
        for mask, colour in ((head.brain, "red"), (head.lesion, "cyan")):
            part = None if mask is None else mask[cut].T[::-1, mirrored]
            if part is not None and part.any() and not part.all():
                panel.contour(part, levels=[0.5], colors=colour, linewidths=0.7)
