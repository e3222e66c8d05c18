"""What was to be reached beside what was reached, as Markdown; and the seconds per scan."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median

from counterpart.evaluation.goals import Outcome, outcomes
from counterpart.evaluation.markdown import MISSING, number, table
from counterpart.evaluation.records import HEALTHY, ModelEvaluation
from counterpart.evaluation.summary import by_set

_EXPLAINED = """\
*Reached* compares a figure with its aim; where the aim is *above* zero, the whole 95 % interval
must lie there. *Within* says that the aim lies in the interval, so that other patients might turn
the answer. *Baseline then* is the strongest plain baseline that was known when the aims were set,
measured on more patients of the same kind."""


def goal_parts(evaluation: ModelEvaluation) -> list[str]:
    """Heading, explanation and table of all goals."""
    head = ["what", "aim", "baseline then", "scans", "figure", "95 % interval", "reached"]
    rows = (_row(one) for one in outcomes(evaluation))
    return ["### What was to be reached", _EXPLAINED, table(head, rows)]


def seconds_parts(evaluation: ModelEvaluation) -> list[str]:
    """Heading, where the seconds were measured, and a table by set."""
    sets: list[tuple[str, Sequence[float]]] = [
        (f"{group} {contrast}", [row.seconds for row in rows])
        for (group, contrast), rows in by_set(evaluation.patients).items()
    ]
    if evaluation.healthy:
        sets.append((HEALTHY, [row.seconds for row in evaluation.healthy]))
    every = [value for _, values in sets for value in values]
    where = " / ".join(evaluation.machines) or "not told"
    text = (
        "From the scan in memory to the maps in memory, as this run had it, whatever else the "
        f"machine did meanwhile; the first scan bears the start. Measured on: {where}."
    )
    rows = [_seconds_row(name, values) for name, values in [*sets, ("all scans", every)]]
    head = ["set", "scans", "mean", "median", "least", "most"]
    return ["### Seconds per scan", text, table(head, rows)]


def _row(one: Outcome) -> list[str]:
    goal, known = one.goal, one.interval
    doubt = one.unsure and goal.direction != "above"
    return [
        goal.what,
        f"{goal.direction} {goal.aim:g}",
        number(goal.baseline),
        str(one.scans),
        _short(one.value),
        MISSING if known is None else f"{_short(known.low)} to {_short(known.high)}",
        f"{one.verdict}{', within' * doubt}",
    ]


def _short(value: float | None) -> str:
    """Three digits that count, wherever the point is."""
    return MISSING if value is None else f"{value:.3g}"


def _seconds_row(name: str, values: Sequence[float]) -> list[str]:
    figures = (mean(values), median(values), min(values), max(values))
    return [name, str(len(values)), *(number(value, 1) for value in figures)]
