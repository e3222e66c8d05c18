"""Draws a page of target patterns, so that a person can judge whether they look like disease."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from counterpart.cohort import Cohort
from counterpart.results import DISCLAIMER
from counterpart.targets import FAMILIES
from counterpart.training.examples import ExampleConfig, ExampleMaker

COUNT = 50
_COLUMNS = 10
_WINDOW = (-3.0, 3.0)
_CONTRASTS = ("T1", "FLAIR", "T2")


def draw_page(cohort: Cohort, path: Path, *, seed: int) -> None:
    """Draw fifty patterned slices, all families, T1, FLAIR and T2 in turn, as a PNG."""
    maker = ExampleMaker(cohort.part("train"), ExampleConfig(), device=torch.device("cpu"))
    rows = COUNT // _COLUMNS
    figure = Figure(figsize=(2.0 * _COLUMNS, 2.55 * rows), facecolor="black")
    for number in range(COUNT):
        family = FAMILIES[number % len(FAMILIES)]
        contrast = _CONTRASTS[number % len(_CONTRASTS)]
        head = maker.head(seed + number, number % maker.subjects, contrast, families=(family,))
        level = int(head.departure.sum(dim=(1, 2, 3)).argmax())
        axes = figure.add_subplot(rows, _COLUMNS, number + 1)
        picture = head.shown[level, 0].T.flip(0).flip(1)
        axes.imshow(picture.numpy(), cmap="gray", vmin=_WINDOW[0], vmax=_WINDOW[1])
        ml = float((head.departure > 0.5).sum()) * 0.008
        axes.set_title(f"{family}, {contrast}, {ml:.1f} ml", color="0.8", fontsize=8)
        axes.set_axis_off()
    figure.suptitle(
        "Target patterns on healthy brains, as training and validation see them "
        f"(wedge and infiltrate are never trained on). Radiological convention. {DISCLAIMER}.",
        color="white",
        fontsize=13,
    )
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.93, 0.02, 0.12)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))
