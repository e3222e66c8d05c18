"""Markdown for figures: tables, numbers, differences and means with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from counterpart.evaluation.bootstrap import Interval, MeanFigure

MISSING = "–"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar within a cell is no border."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none."""
    return MISSING if value is None else f"{value:.{digits}f}"


def difference(found: Interval | None) -> str:
    """A difference with its interval, or a dash."""
    if found is None:
        return MISSING
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def ends(found: Interval | None, digits: int = 3) -> str:
    """The two ends of an interval, or a dash."""
    if found is None:
        return MISSING
    return f"{found.low:.{digits}f} to {found.high:.{digits}f}"


def mean_with_ends(found: MeanFigure | None, digits: int = 3) -> str:
    """A mean with its interval if there is one; a dash without any value."""
    if found is None:
        return MISSING
    known = "" if found.interval is None else f" ({ends(found.interval, digits)})"
    return f"{found.value:.{digits}f}{known}"
