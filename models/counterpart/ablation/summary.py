"""From the figures of heads to those of rows: means, and what each row has more than another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from counterpart.ablation.records import FIGURES, HeadFigures
from counterpart.ablation.rows import Row
from counterpart.evaluation.bootstrap import Interval, MeanFigure, mean_figure, mean_interval


@dataclass(frozen=True)
class RowSummary:
    """One row in one contrast; figures by the names of `records.FIGURES`.

    Args:
        row: Name of the row.
        contrast: Of the heads.
        subjects: How many.
        means: Over the subjects that have the figure, with their intervals.
        compared_with: Name of the row that the differences are taken from, or that is taken from
            it; None where that row has no figures.
        differences: Paired by subject, with intervals; None with fewer than five pairs.
        score: Name of the score, where the row chose among several.
    """

    row: str
    contrast: str
    subjects: int
    means: dict[str, MeanFigure | None]
    compared_with: str | None
    differences: dict[str, Interval | None]
    score: str | None


def summarise_rows(
    rows: Sequence[Row], figures: Mapping[str, Sequence[HeadFigures]]
) -> list[RowSummary]:
    """One summary for each contrast and row that has figures.

    Args:
        rows: In the order of the table.
        figures: By name of the row.
    """
    contrasts = list(dict.fromkeys(one.contrast for known in figures.values() for one in known))
    return [
        _summary(row, contrast, figures)
        for contrast in contrasts
        for row in rows
        if any(one.contrast == contrast for one in figures.get(row.name, ()))
    ]


def _summary(row: Row, contrast: str, figures: Mapping[str, Sequence[HeadFigures]]) -> RowSummary:
    own = [one for one in figures[row.name] if one.contrast == contrast]
    other = [one for one in figures.get(str(row.compared_with), ()) if one.contrast == contrast]
    sign = -1.0 if row.reversed else 1.0
    return RowSummary(
        row=row.name,
        contrast=contrast,
        subjects=len(own),
        means={name: mean_figure(getattr(one, name) for one in own) for name in FIGURES},
        compared_with=row.compared_with if other else None,
        differences={name: _difference(own, other, name, sign) for name in FIGURES},
        score=own[0].score,
    )


def _difference(
    own: Sequence[HeadFigures], other: Sequence[HeadFigures], name: str, sign: float
) -> Interval | None:
    """The mean of ``sign * (own - other)`` over the subjects that have both."""
    known = {one.subject: getattr(one, name) for one in other}
    pairs = [(getattr(one, name), known.get(one.subject)) for one in own]
    return mean_interval([sign * (a - b) for a, b in pairs if a is not None and b is not None])
