"""Draws an evaluation's figures as plots for a Markdown page: light, and safe for colour-blind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from counterpart.evaluation.records import MAP, HealthyFigures, ModelEvaluation, PatientFigures
from counterpart.evaluation.summary import by_set, strongest_baseline
from counterpart.report.page import printable
from counterpart.results import DISCLAIMER

DPI = 110
# Okabe and Ito (2008), "Color universal design".
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
SKY, AMBER, INK, GREY = "#56b4e9", "#e69f00", "#222222", "#767676"
CYCLE = (BLUE, ORANGE, GREEN, PINK, SKY, AMBER, INK)
CONTRASTS = {"FLAIR": (BLUE, "o"), "T1": (ORANGE, "s"), "T1c": (PINK, "^"), "T2": (GREEN, "D")}
OTHER_CONTRAST = (GREY, "v")
MANY_P_VALUES = 100
LEAST_FALSE_POSITIVES = 1.0
_SMALL = 8.5
_DOT: dict[str, Any] = {"lw": 0.6, "ec": "white", "zorder": 3}

Set = tuple[str, str]


@dataclass(frozen=True)
class Lane:
    """One score's average precision on the scans of a set.

    Args:
        name: For the legend.
        colour: Of its dots.
        values: By name of the scan, at least one.
    """

    name: str
    colour: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Block:
    """The lanes of one set, from top to bottom.

    Args:
        label: Of the set.
        lanes: Same scans are joined from lane to lane.
        chance: Average precision of a score that knows nothing.
    """

    label: str
    lanes: tuple[Lane, ...]
    chance: float


def draw_plots(evaluations: Sequence[ModelEvaluation], folder: Path) -> list[Path]:
    """Draw all plots that have data; a plot without any is not there afterwards.

    Args:
        evaluations: The first is drawn in full, the others beside it in ``models.png``.
        folder: For ``average_precision.png``, ``against_baseline.png``, ``froc.png``,
            ``size.png``, ``healthy.png`` and ``models.png``; made if missing.

    Returns:
        The files that were written, in this order.
    """
    if not evaluations:
        return []
    first = evaluations[0]
    figures = {
        "average_precision": average_precision_figure(first),
        "against_baseline": against_baseline_figure(first),
        "froc": froc_figure(first),
        "size": size_figure(first),
        "healthy": healthy_figure(first),
        "models": models_figure(evaluations),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)  # an older run's must not stand beside these
        if figure is not None:
            figure.savefig(path, format="png", metadata={"Software": None, "Title": DISCLAIMER})
            written.append(path)
    return written


def average_precision_figure(evaluation: ModelEvaluation) -> Figure | None:
    """Average precision of each scan by set, the anomaly map beside the strongest baseline."""
    blocks = []
    for key, rows in by_set(evaluation.patients).items():
        lanes = [Lane("anomaly map", BLUE, _precision(rows, MAP))]
        name = strongest_baseline(rows)
        label = _set_label(key, rows)
        if name is not None:
            lanes.append(Lane("strongest baseline", ORANGE, _precision(rows, name)))
            label += f"\nbaseline: {name}"
        blocks.append(Block(label, tuple(lanes), mean(row.prevalence for row in rows)))
    return _lanes_figure(blocks, "Average precision of each scan", evaluation.label)


def models_figure(evaluations: Sequence[ModelEvaluation]) -> Figure | None:
    """Average precision of each scan by set and model; None of fewer than two models."""
    groups = [by_set(one.patients) for one in evaluations]
    blocks = []
    for key in sorted({key for known in groups for key in known} if len(groups) > 1 else ()):
        rows = [row for known in groups for row in known.get(key, ())]
        lanes = tuple(
            Lane(_safe(one.label), CYCLE[n % len(CYCLE)], _precision(known[key], MAP))
            for n, (one, known) in enumerate(zip(evaluations, groups, strict=True))
            if key in known
        )
        label = _set_label(key, max((known.get(key, []) for known in groups), key=len))
        blocks.append(Block(label, lanes, mean(row.prevalence for row in rows)))
    return _lanes_figure(blocks, "Average precision of the models' anomaly maps")


def against_baseline_figure(evaluation: ModelEvaluation) -> Figure | None:
    """Average precision of the anomaly map against the strongest baseline's, scan by scan."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for (_, contrast), rows in by_set(evaluation.patients).items():
        name = strongest_baseline(rows)
        if name is not None:
            known = ((row.scores[name].ap, row.map.ap) for row in rows)
            pairs.setdefault(contrast, []).extend(known)
    if not pairs:
        return None
    figure = _blank(6.2, 6.4, evaluation.label)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=(0, (5, 4)), zorder=1)
    for contrast, points in sorted(pairs.items()):
        _scatter(axes, contrast, np.array(points))
    every = [pair for points in pairs.values() for pair in points]
    better = sum(own > plain for plain, own in every)
    _style(axes, f"The map ranks voxels better in {better} of {len(every)} scans")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("AP of the set's strongest plain baseline")
    axes.set_ylabel("AP of the anomaly map")
    axes.text(0.03, 0.97, "map better", color=GREY, va="top", fontsize=_SMALL)
    axes.text(0.97, 0.03, "baseline better", color=GREY, ha="right", fontsize=_SMALL)
    _legend_below(axes, columns=4)
    return figure


def froc_figure(evaluation: ModelEvaluation) -> Figure | None:
    """Lesions found against false positives per scan, one panel for each contrast."""
    panels: dict[str, list[tuple[str, list[PatientFigures]]]] = {}
    for (group, contrast), rows in by_set(evaluation.patients).items():
        if sum(row.lesions for row in rows) and all(row.map.froc for row in rows):
            panels.setdefault(contrast, []).append((group, rows))
    if not panels:
        return None
    columns = min(len(panels), 2)
    down = -(-len(panels) // columns)
    figure = _blank(5.6 * columns, 5.0 * down + 0.2, evaluation.label)
    for number, (contrast, sets) in enumerate(sorted(panels.items()), start=1):
        axes = figure.add_subplot(down, columns, number)
        _style(axes, f"{contrast}: lesions found against false positives")
        for (group, rows), colour in zip(sets, CYCLE * len(sets), strict=False):
            _draw_froc(axes, _safe(group), rows, colour)
        axes.set_xscale("symlog", linthresh=LEAST_FALSE_POSITIVES)
        most = max(1.0, axes.dataLim.x1)
        axes.set(xlim=(-0.03, 1.2 * most), ylim=(-0.02, 1.03))
        ticks = [at for at in (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if at <= 1.2 * most]
        axes.set_xticks(ticks, [f"{at:g}" for at in ticks])
        axes.minorticks_off()
        axes.set_xlabel("false positives per scan, mean")
        axes.set_ylabel("share of lesions found")
        axes.plot([], [], "*", ms=11, mfc="white", mec=INK, label="at the healthy threshold")
        _legend_below(axes)
    return figure


def froc_curve_of(rows: Sequence[PatientFigures], name: str) -> NDArray[np.float64] | None:
    """Mean false positives and share of lesions found, (N, 2), by rising false positives.

    Thresholds at which a score finds no more lesions with more false positives than at another are
    left out.

    Args:
        rows: Scans with lesions, whose curves have the same thresholds.
        name: Of the score.

    Returns:
        None where a scan has no curve.
    """
    curves = [row.scores[name].froc if name in row.scores else () for row in rows]
    lesions = sum(row.lesions for row in rows)
    if not lesions or not all(curves) or len({len(curve) for curve in curves}) > 1:
        return None
    kept: list[tuple[float, float]] = []
    points = (
        (sum(p.false_positives for p in column) / len(rows), -sum(p.found for p in column))
        for column in zip(*curves, strict=True)
    )
    for alarms, found in sorted(points):
        if not kept or -found / lesions > kept[-1][1]:
            kept.append((alarms, -found / lesions))
    return np.array(kept)


def size_figure(evaluation: ModelEvaluation) -> Figure | None:
    """Dice coefficient at the healthy threshold and average precision against lesion volume."""
    sizes: dict[str, list[tuple[float, float, float]]] = {}
    for row in evaluation.patients:
        if row.lesion_ml > 0:
            known = (row.lesion_ml, row.map.dice, row.map.ap)
            sizes.setdefault(row.contrast, []).append(known)
    if not sizes:
        return None
    figure = _blank(10.4, 4.6, evaluation.label)
    names = ("Dice at the healthy threshold", "Average precision")
    for number, name in enumerate(names, start=1):
        axes = figure.add_subplot(1, 2, number)
        _style(axes, name)
        for contrast, points in sorted(sizes.items()):
            _scatter(axes, contrast, np.array(points)[:, [0, number]])
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set(ylim=(-0.02, 1.02), xlabel="lesion volume, ml")
    _legend_below(figure.axes[0], columns=4)
    return figure


def healthy_figure(evaluation: ModelEvaluation) -> Figure | None:
    """p-values of healthy scans, and flagged volume and error against age, as far as known."""
    known = [row.p_value for row in evaluation.healthy if row.p_value is not None]
    aged = [row for row in evaluation.healthy if row.age_years is not None]
    count = bool(known) + 2 * bool(aged)
    if not count:
        return None
    figure = _blank(4.6 * count, 4.4, evaluation.label)
    if known:
        _draw_p_values(figure.add_subplot(1, count, 1), known)
    if aged:
        flagged = figure.add_subplot(1, count, count - 1)
        _by_age(flagged, aged, [row.flagged_ml for row in aged])
        _style(flagged, "Flagged in health, by scan", grid="both")
        flagged.set_yscale("symlog", linthresh=1.0)
        flagged.yaxis.set_major_formatter("{x:g}")
        flagged.set(ylabel="flagged, ml", ylim=(-0.1, None))
        error = figure.add_subplot(1, count, count)
        _by_age(error, aged, [row.error for row in aged])
        _style(error, "Error of the reconstruction, by scan", grid="both")
        error.set(ylabel="mean error, share of the normal range", ylim=(0.0, None))
    return figure


def _lanes_figure(blocks: Sequence[Block], title: str, foot: str = "") -> Figure | None:
    """One block of lanes below the other, dots of one scan joined; None without blocks."""
    if not blocks:
        return None
    figure = _blank(9.0, 1.9 + sum(0.26 * len(block.lanes) + 0.22 for block in blocks), foot)
    axes = figure.add_subplot()
    y, ticks = 0.0, []
    for block in blocks:
        for number, lane in enumerate(block.lanes):
            _draw_lane(axes, lane, y + number)
        for number, (one, other) in enumerate(pairwise(block.lanes)):
            _join(axes, one, other, y + number)
        ends = (y - 0.5, y + len(block.lanes) - 0.5)
        chance = "chance: the lesion's share of voxels"
        axes.plot([block.chance] * 2, ends, color=GREY, lw=1.2, ls=":", label=chance)
        ticks.append(sum(ends) / 2)
        y += len(block.lanes) + 0.8
    _style(axes, title, grid="x")
    axes.set_yticks(ticks, [block.label for block in blocks])
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(-0.01, 1.01), ylim=(y - 0.9, -0.9))
    axes.set_xlabel("voxel average precision (bars: means)")
    _legend_below(axes, columns=3 if len(blocks[0].lanes) < 3 else 2)
    return figure


def _draw_lane(axes: Axes, lane: Lane, y: float) -> None:
    values = list(lane.values.values())
    places = [y] * len(values)
    axes.scatter(values, places, s=26, color=lane.colour, label=lane.name, alpha=0.6, **_DOT)
    middle, words = mean(values), ""
    if len(values) > 1:
        axes.plot([middle] * 2, [y - 0.36, y + 0.36], color=lane.colour, lw=2.6, zorder=4)
        words = "mean "
    words += f"{middle:.2f}"
    axes.text(1.025, y, words, color=lane.colour, va="center", fontsize=_SMALL)


def _join(axes: Axes, one: Lane, other: Lane, y: float) -> None:
    for scan, value in one.values.items():
        if scan in other.values:
            x = [value, other.values[scan]]
            axes.plot(x, [y, y + 1], color="#b9b9b9", lw=0.7, zorder=2)


def _draw_froc(axes: Axes, group: str, rows: Sequence[PatientFigures], colour: str) -> None:
    lesions = sum(row.lesions for row in rows)
    curve = froc_curve_of(rows, MAP)
    if curve is not None:
        label = f"{group}: anomaly map ({_scans(rows)}, lesions: {lesions})"
        axes.plot(*curve.T, color=colour, lw=1.8, marker="o", ms=3, label=label)
    name = strongest_baseline(rows)
    plain = None if name is None else froc_curve_of(rows, name)
    if plain is not None:
        label = f"{group}: {name}"
        axes.plot(*plain.T, color=colour, lw=1.1, ls=(0, (4, 2.5)), marker="s", ms=2.5, label=label)
    alarms = mean(row.at_threshold.false_positives for row in rows)
    found = sum(row.at_threshold.found for row in rows) / lesions
    axes.plot(alarms, found, "*", ms=12, mfc=colour, mec=INK, mew=0.8, zorder=5, clip_on=False)


def _draw_p_values(axes: Axes, values: Sequence[float]) -> None:
    """A histogram whose bars hold their upper end, as ``p ≤ 0.05`` does."""
    bars = 20 if len(values) >= MANY_P_VALUES else 10
    number = np.ceil(np.round(np.array(values) * bars, 9)).astype(int) - 1
    counts = np.bincount(np.clip(number, 0, bars - 1), minlength=bars)
    _style(axes, f"p-values of {len(values)} healthy scans", grid="y")
    axes.bar((np.arange(bars) + 0.5) / bars, counts, 0.92 / bars, color=SKY)
    expected = len(values) / bars
    axes.axhline(expected, color=INK, lw=1.2, ls="--", label=f"expected: {expected:.1f} each")
    axes.set(xlim=(0.0, 1.0), xlabel="p of the scan", ylabel="scans")
    axes.legend(fontsize=_SMALL)


def _by_age(axes: Axes, rows: Sequence[HealthyFigures], values: Sequence[float]) -> None:
    contrasts = sorted({row.contrast for row in rows})
    for contrast in contrasts:
        chosen = [n for n, row in enumerate(rows) if row.contrast == contrast]
        _scatter(axes, contrast, np.array([(rows[n].age_years, values[n]) for n in chosen]))
    axes.set_xlabel("age, years")
    if len(contrasts) > 1:
        axes.legend(fontsize=_SMALL)


def _scatter(axes: Axes, contrast: str, points: NDArray[np.float64]) -> None:
    """Dots (N, 2) in a contrast's colour and shape."""
    colour, marker = CONTRASTS.get(contrast, OTHER_CONTRAST)
    label = f"{contrast} ({len(points)})"
    x, y = points.T
    axes.scatter(x, y, s=34, color=colour, marker=marker, label=label, alpha=0.8, **_DOT)


def _precision(rows: Sequence[PatientFigures], name: str) -> dict[str, float]:
    return {row.scan: row.scores[name].ap for row in rows}


def _set_label(key: Set, rows: Sequence[PatientFigures]) -> str:
    return f"{_safe(key[0])} {key[1]} ({_scans(rows)})"


def _scans(rows: Sequence[PatientFigures]) -> str:
    return "1 scan" if len(rows) == 1 else f"{len(rows)} scans"


def _safe(words: str) -> str:
    """Words from a file's name, which must not be read as a formula."""
    return printable(words).replace("$", r"\$")


def _blank(wide: float, tall: float, foot: str) -> Figure:
    """A white figure of some inches with a canvas of its own: no global state is touched."""
    figure = Figure(figsize=(wide, tall), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    words = f"{_safe(foot)} · {DISCLAIMER}" if foot else DISCLAIMER
    figure.supxlabel(words, x=0.99, ha="right", fontsize=7.5, color=GREY)
    return figure


def _legend_below(axes: Axes, columns: int = 1) -> None:
    """A legend under the axis' words that says each name once and hides no dot."""
    names = axes.get_legend_handles_labels()[::-1]
    known = dict(zip(*names, strict=True))
    drop = ScaledTranslation(0.0, -0.5, axes.figure.dpi_scale_trans)
    legend = axes.legend(
        known.values(), known.keys(), loc="upper left", fontsize=_SMALL, ncols=columns
    )
    legend.set_bbox_to_anchor((0.0, 0.0), axes.transAxes + drop)
    legend.set_frame_on(False)


def _style(axes: Axes, title: str, grid: Literal["x", "y", "both"] = "both") -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.grid(axis=grid, color="#e4e4e4", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=_SMALL, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
