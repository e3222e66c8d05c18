"""Draws a stage's loss and validation figures over its steps, those of all its starts together."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from counterpart.report.look import DIM, PAGE, PALE

COLOURS = ("#24b4ff", "#ff8c1a", "#7fe08a", "#d58cff")
_LOSSES = {
    "denoiser": {
        "clean": "weighted error of the answer, spreads",
        "departure": "cross-entropy of the departure",
    },
    "encoder": {"loss": "contrastive loss"},
}
_VALIDATION = {
    "denoiser": {
        "val_healthy_error": "error outside patterns, spreads",
        "val_healing_error": "error within patterns, spreads",
    },
    "encoder": {
        "val_recall_at_1": "share of patterned slices recognised",
        "val_other_similarity": "similarity with other subjects",
    },
}
_SMOOTH_POINTS = 200
FEW_POINTS = 30


@dataclass(frozen=True)
class Series:
    """Values over steps, rising."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


def read_series(run: Path) -> dict[str, Series]:
    """Everything that a run of a stage logged, by name; what a later start says of a step counts.

    Args:
        run: Folder of the stage.
    """
    found: dict[str, dict[int, float]] = {}
    tables = sorted(run.glob("figures/*/metrics.csv"), key=lambda path: path.stat().st_mtime)
    for table in tables:
        with table.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                for name, words in row.items():
                    if name not in ("step", "epoch") and words:
                        found.setdefault(name, {})[int(row["step"])] = float(words)
    return {
        name: Series(tuple(sorted(values)), tuple(values[step] for step in sorted(values)))
        for name, values in found.items()
    }


def curves_figure(stage: str, series: Mapping[str, Series]) -> Figure | None:
    """The loss at the left, the validation at the right; None before anything was logged."""
    if not any(name in series for name in _LOSSES[stage]):
        return None
    figure = Figure(figsize=(13.0, 3.6), dpi=100, facecolor=PAGE, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw(left, f"{stage}: in training", _LOSSES[stage], series)
    _draw(right, f"{stage}: held-out subjects, unseen pattern families", _VALIDATION[stage], series)
    return figure


def _draw(axes: Axes, title: str, names: Mapping[str, str], series: Mapping[str, Series]) -> None:
    """Each series as it is, thin, and its running mean."""
    _dress(axes, title)
    known = {name: words for name, words in names.items() if name in series}
    for colour, (name, words) in zip(COLOURS, known.items(), strict=False):
        one = series[name]
        mark = "o" if len(one.steps) <= FEW_POINTS else ""
        axes.plot(one.steps, one.values, color=colour, lw=0.8, alpha=0.4)
        axes.plot(
            one.steps, _smooth(one.values), color=colour, lw=2.0, marker=mark, ms=4, label=words
        )
    if known:
        axes.legend(facecolor=PAGE, edgecolor=DIM, labelcolor=PALE, fontsize=9)
    else:
        axes.text(0.5, 0.5, "nothing yet", color=DIM, ha="center", transform=axes.transAxes)


def _dress(axes: Axes, title: str) -> None:
    axes.set_facecolor("#11151a")
    axes.set_title(title, color=PALE, fontsize=11, loc="left")
    axes.set_xlabel("step", color=DIM)
    axes.tick_params(colors=DIM)
    axes.grid(color="#2a2f36", lw=0.6)
    for side in axes.spines.values():
        side.set_color("#2a2f36")


def _smooth(values: tuple[float, ...]) -> list[float]:
    """Running mean over a twentieth of the points."""
    width = max(1, min(_SMOOTH_POINTS, len(values) // 20))
    return [float(np.mean(values[max(0, n - width + 1) : n + 1])) for n in range(len(values))]
