"""Draws a page of target patterns, so that a person can judge whether they look like disease."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from counterpart.cohort import Cohort
from counterpart.results import DISCLAIMER
from counterpart.targets import FAMILIES
from counterpart.training.examples import ExampleConfig, ExampleMaker, Examples

COUNT = 50
_COLUMNS = 10
_WINDOW = (-3.0, 3.0)
_CONTRASTS = ("T1", "FLAIR", "T2")
_TRIES = 12
_MIN_AREA, _MIN_CHANGE = 15.0, 0.6


def draw_page(cohort: Cohort, path: Path, *, seed: int) -> None:
    """Draw fifty patterned slices, all families, T1, FLAIR and T2 in turn, as a PNG."""
    maker = ExampleMaker(cohort.part("train"), ExampleConfig(), device=torch.device("cpu"))
    rows = COUNT // _COLUMNS
    figure = Figure(figsize=(2.0 * _COLUMNS, 2.55 * rows), facecolor="black")
    for number in range(COUNT):
        family = FAMILIES[number % len(FAMILIES)]
        contrast = _CONTRASTS[number % len(_CONTRASTS)]
        head, level = _visible_pattern(maker, seed + number, family, contrast)
        axes = figure.add_subplot(rows, _COLUMNS, number + 1)
        picture = torch.where(head.brain > 0.5, head.shown, _WINDOW[0])[level, 0].T.flip(0).flip(1)
        axes.imshow(picture.numpy(), cmap="gray", vmin=_WINDOW[0], vmax=_WINDOW[1])
        ml = float((head.departure > 0.5).sum()) * 0.008
        axes.set_title(f"{family}, {contrast}, {ml:.1f} ml", color="0.8", fontsize=8)
        axes.set_axis_off()
    figure.suptitle(
        "Target patterns on healthy brains; of each kind the first draw that the eye can see "
        "(training has fainter ones too; wedge and infiltrate are never trained on). "
        f"Radiological convention. {DISCLAIMER}.",
        color="white",
        fontsize=13,
    )
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.93, 0.02, 0.12)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", metadata={"Software": None})


def _visible_pattern(
    maker: ExampleMaker, seed: int, family: str, contrast: str
) -> tuple[Examples, int]:
    """The first draw of a family that is large and strong enough to see, and its best slice."""
    for attempt in range(_TRIES):
        row = (seed + 7 * attempt) % maker.subjects
        head = maker.head(1000 * attempt + seed, row, contrast, families=(family,))
        area = head.departure.sum(dim=(1, 2, 3))
        level = int(area.argmax())
        inside = head.departure[level] > 0.5
        change = (head.shown - head.clean)[level].abs()[inside]
        if float(area[level]) >= _MIN_AREA and float(change.sum()) >= _MIN_CHANGE * len(change) > 0:
            break
    return head, level
