"""The table of findings: one row each, with the reader's state and comment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Optional

import slicer
import vtk

from HealthyCounterpartLib.finding_row import OPEN, STATES, FindingRow
from HealthyCounterpartLib.scene.marks import plain
from HealthyCounterpartLib.translation import _

NUMBER, DIRECTION, VOLUME, PEAK, MEAN = "Number", "Direction", "Volume (ml)", "Peak", "Mean"
P_VALUE, SIDE, REGION = "p-value", "Side", "Region"
PLACE = ("R (mm)", "A (mm)", "S (mm)")
STATE, COMMENT = "State", "Comment"
_NUMBERS = (VOLUME, PEAK, MEAN, *PLACE)
COLUMNS = (NUMBER, DIRECTION, VOLUME, PEAK, MEAN, P_VALUE, SIDE, REGION, *PLACE, STATE, COMMENT)
_UNITS = {VOLUME: "ml", PEAK: "score", MEAN: "score", **{one: "mm" for one in PLACE}}
LONGEST_COMMENT = 1000


def new_table(rows: tuple[FindingRow, ...], name: str) -> Any:
    """A table node with a row for each finding, not in the scene yet.

    Args:
        rows: Findings in their order.
        name: Of the node.
    """
    node = slicer.vtkMRMLTableNode()
    node.SetName(name)
    cells = [cells_of(row) for row in rows]
    for column in COLUMNS:
        array = _column(column)
        array.SetName(column)
        for row in cells:
            array.InsertNextValue(row[column])
        node.AddColumn(array)
    for column, unit in _UNITS.items():
        node.SetColumnUnitLabel(column, unit)
    node.SetUseColumnTitleAsColumnHeader(False)
    node.SetLocked(True)  # states and comments are changed in the module, which keeps them in step
    return node


def rows_of(node: Any) -> list[FindingRow]:
    """The findings of a table; rows that a reader made unreadable are left out.

    Args:
        node: Table node.
    """
    columns = _columns(node)
    rows = []
    for index in range(node.GetNumberOfRows()):
        cells = {
            name: node.GetCellText(index, columns[name]) for name in COLUMNS if name in columns
        }
        row = row_of(cells)
        if row is not None:
            rows.append(row)
    return rows


def write_cell(node: Any, number: int, column: str, text: str) -> bool:
    """Change a cell of a finding's row.

    Args:
        node: Table node.
        number: Of the finding.
        column: ``State`` or ``Comment``.
        text: New text; kept on one line, since Slicer's table file holds no others.

    Returns:
        Whether there is such a finding.
    """
    columns = _columns(node)
    if NUMBER not in columns or column not in columns:
        return False
    for index in range(node.GetNumberOfRows()):
        if node.GetCellText(index, columns[NUMBER]) == str(number):
            shown = _cell(text, LONGEST_COMMENT)
            return bool(node.SetCellText(index, columns[column], shown))
    return False


def cells_of(row: FindingRow) -> dict[str, Any]:
    """What a finding's row holds, by column.

    Args:
        row: The finding.
    """
    return {
        NUMBER: row.number,
        DIRECTION: row.direction,
        VOLUME: _kept(row.volume_ml),
        PEAK: _kept(row.peak),
        MEAN: _kept(row.mean),
        P_VALUE: "" if row.p_value is None else f"{row.p_value:.6g}",
        SIDE: row.side,
        REGION: row.region,
        **{name: _kept(value) for name, value in zip(PLACE, row.centre_ras_mm)},
        STATE: row.state,
        COMMENT: row.comment,
    }


def row_of(cells: Mapping[str, str]) -> Optional[FindingRow]:
    """The finding that cells tell; None where they make no sense.

    Args:
        cells: Text of each column.
    """
    try:
        state = cells.get(STATE, OPEN)
        values = {name: float(cells[name]) for name in _NUMBERS}
        if not all(math.isfinite(value) for value in values.values()):
            return None
        return FindingRow(
            number=int(float(cells[NUMBER])),
            direction=cells[DIRECTION],
            volume_ml=values[VOLUME],
            peak=values[PEAK],
            mean=values[MEAN],
            p_value=float(cells[P_VALUE]) if cells.get(P_VALUE) else None,
            side=cells[SIDE],
            region=cells[REGION],
            centre_ras_mm=(values[PLACE[0]], values[PLACE[1]], values[PLACE[2]]),
            state=state if state in STATES else OPEN,
            comment=cells.get(COMMENT, ""),
        )
    except (KeyError, ValueError, OverflowError):
        return None


def rows_from_json(findings: Mapping[str, Any]) -> tuple[FindingRow, ...]:
    """The findings as the server tells them, none looked at yet.

    Args:
        findings: The result ``findings``.

    Raises:
        KeyError, TypeError, ValueError: It is not what was agreed.
    """
    rows = []
    for one in findings["findings"]:
        right, anterior, superior = (_kept(float(value)) for value in one["centre_ras_mm"])
        rows.append(
            FindingRow(
                number=int(one["number"]),
                direction=_cell(one["direction"], 20),
                volume_ml=_kept(float(one["volume_ml"])),
                peak=_kept(float(one["peak"])),
                mean=_kept(float(one["mean"])),
                p_value=None if one.get("p_value") is None else _kept(float(one["p_value"])),
                side=_cell(one.get("side") or "", 40),
                region=_cell(one.get("region") or "", 100),
                centre_ras_mm=(right, anterior, superior),
            )
        )
    return tuple(rows)


def title_of(row: FindingRow) -> str:
    """A finding in a few words: ``1 brighter 3.2 ml``.

    Args:
        row: The finding.
    """
    words = {"brighter": _("brighter"), "darker": _("darker")}
    return _("{number} {direction} {volume:.1f} ml").format(
        number=row.number,
        direction=words.get(row.direction, row.direction),
        volume=row.volume_ml,
    )


def _cell(text: str, longest: int) -> str:
    """A text as a cell holds it.

    Slicer writes tables without escaping, and reads a quotation mark as the end of a cell.
    """
    return plain(text, longest).replace('"', "”")


def _kept(value: float) -> float:
    """A value as Slicer's table file keeps it, so that a row is the same after loading."""
    return float(f"{value:.6g}")


def _columns(node: Any) -> dict[str, int]:
    return {node.GetColumnName(index): index for index in range(node.GetNumberOfColumns())}


def _column(name: str) -> Any:
    if name == NUMBER:
        return vtk.vtkIntArray()
    return vtk.vtkDoubleArray() if name in _NUMBERS else vtk.vtkStringArray()
