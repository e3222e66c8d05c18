"""The order of the findings, and what they are worth in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from HealthyCounterpartLib.finding_row import FindingRow
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import BAD, GOOD, PLAIN, Line

VOLUME, PEAK = "volume", "peak"
RARE = 0.05  # 1 in 20


def in_order(rows: Iterable[FindingRow], by: str) -> tuple[FindingRow, ...]:
    """The rows with the largest first.

    Args:
        rows: In any order.
        by: ``volume`` or ``peak``.

    Raises:
        ValueError: There is no such order.
    """
    if by not in (VOLUME, PEAK):
        raise ValueError(f"expected 'volume' or 'peak', got {by!r}")
    if by == VOLUME:
        return tuple(sorted(rows, key=lambda row: (-row.volume_ml, row.number)))
    return tuple(sorted(rows, key=lambda row: (-row.peak, row.number)))


def evidence_line(rows: Iterable[FindingRow], evidence: Mapping[str, Any]) -> Line:
    """What the findings are worth beside healthy scans.

    Args:
        rows: All findings of a run.
        evidence: Of the findings' JSON: ``p_value``, ``p_floor``, ``healthy_scans``, ``reason``.

    Returns:
        One or two sentences; where the contrast is not calibrated they say so, whatever was found.
    """
    found = tuple(rows)
    if evidence.get("p_value") is None or evidence.get("p_floor") is None:
        why = str(evidence.get("reason") or "")
        parts = (_not_calibrated(), why, _found_at_all(len(found)))
        return Line(" ".join(part for part in parts if part), BAD)
    scans, floor = int(evidence["healthy_scans"]), float(evidence["p_floor"])
    beside = _("Compared with {n} healthy scans; the least possible p is {floor:.3f}.").format(
        n=scans, floor=floor
    )
    if not found:
        return Line(f"{_nothing_beyond()}. {beside}", GOOD)
    if floor >= RARE:
        return Line(f"{_too_few(scans)} {_found_at_all(len(found))}", BAD)
    rare = sum(row.p_value is not None and row.p_value < RARE for row in found)
    if not rare:
        weaker = _("{n} weaker places are listed.").format(n=len(found))
        return Line(f"{_nothing_beyond()}; {weaker} {beside}", PLAIN)
    if rare == 1:
        said = _("1 finding that fewer than 1 in 20 healthy brains show.")
    else:
        said = _("{n} findings that fewer than 1 in 20 healthy brains show.").format(n=rare)
    return Line(f"{said} {beside}", PLAIN)


def _not_calibrated() -> str:
    return _("This contrast is not calibrated for this scan: the scores are not p-values.")


def _nothing_beyond() -> str:
    return _("Nothing beyond what healthy brains show")


def _too_few(scans: int) -> str:
    return _(
        "Calibrated on {n} healthy scans, too few to tell what 1 in 20 healthy brains show."
    ).format(n=scans)


def _found_at_all(number: int) -> str:
    if number == 0:
        return _("Nothing passes the threshold.")
    if number == 1:
        return _("1 place passes the threshold.")
    return _("{n} places pass the threshold.").format(n=number)
