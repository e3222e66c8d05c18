"""The table of findings: its cells change only where a finding has changed."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from HealthyCounterpartLib.finding_row import ACCEPTED, BRIGHTER, REJECTED, FindingRow
from HealthyCounterpartLib.translation import _

VOLUME_COLUMN, PEAK_COLUMN = 2, 3
NUMBERS = (0, VOLUME_COLUMN, PEAK_COLUMN, 4)  # are set to the right
DIRECTION_COLUMN = 1
# Those of the outlines: orange and blue are told apart by most who are colour-blind; a sign says
# the same.
BRIGHTER_COLOUR, DARKER_COLOUR = "#E66B00", "#2978F2"
SWATCH_PIXELS = 10


class FindingsRows:
    """What the table shows.

    Args:
        table: The table.
        qt: Qt's classes.
        choose: Is told of the row that the reader chooses; -1 for none.
    """

    def __init__(self, table: Any, qt: Any, choose: Callable[[int], None]) -> None:
        self._table = table
        self._qt = qt
        self._choose = choose
        self._cells: list[list[Any]] = []
        self._texts: list[tuple[str, ...]] = []
        self._row = -1
        self._swatches: dict[str, Any] = {}
        table.currentCellChanged.connect(self._chosen)

    def show(self, rows: tuple[FindingRow, ...], selected: int) -> None:
        """Show findings.

        Args:
            rows: In the order of the table.
            selected: Row; -1 for none.
        """
        blocked = self._table.blockSignals(True)
        try:
            changed = self._fit(len(rows))
            for index, row in enumerate(rows):
                changed = self._write(index, row) or changed
            if changed:
                self._table.resizeColumnsToContents()
            if selected != self._row:
                self._select(selected)
        finally:
            self._table.blockSignals(blocked)

    def _fit(self, count: int) -> bool:
        """As many rows as there are findings; items belong to the table from then on."""
        if count == len(self._cells):
            return False
        if count < len(self._cells):
            del self._cells[count:], self._texts[count:]
            self._row = self._row if self._row < count else -1
        self._table.setRowCount(count)
        while len(self._cells) < count:
            self._cells.append(self._new_row(len(self._cells)))
            self._texts.append(())
        return True

    def _new_row(self, index: int) -> list[Any]:
        right = self._qt.Qt.AlignRight | self._qt.Qt.AlignVCenter
        cells = []
        for column in range(len(cells_of(EMPTY))):
            cell = self._qt.QTableWidgetItem("")
            if column in NUMBERS:
                cell.setTextAlignment(right)
            self._table.setItem(index, column, cell)
            cells.append(cell)
        return cells

    def _write(self, index: int, row: FindingRow) -> bool:
        texts = cells_of(row)
        if texts == self._texts[index]:
            return False
        for cell, text in zip(self._cells[index], texts):
            cell.setText(text)
            # Words of a server are no markup; Qt guesses from the text what is.
            cell.setToolTip(f"<span>{html.escape(text)}</span>" if text else "")
        self._cells[index][DIRECTION_COLUMN].setIcon(self._swatch(row.direction))
        self._texts[index] = texts
        return True

    def _swatch(self, direction: str) -> Any:
        if direction not in self._swatches:
            colour = BRIGHTER_COLOUR if direction == BRIGHTER else DARKER_COLOUR
            pixels = self._qt.QPixmap(SWATCH_PIXELS, SWATCH_PIXELS)
            pixels.fill(self._qt.QColor(colour))
            self._swatches[direction] = self._qt.QIcon(pixels)
        return self._swatches[direction]

    def _select(self, row: int) -> None:
        self._row = row
        if row < 0:
            self._table.setCurrentCell(-1, -1)
            self._table.clearSelection()
        else:
            self._table.setCurrentCell(row, 0)
            self._table.selectRow(row)

    def _chosen(self, row: int, _column: int, _last_row: int, _last_column: int) -> None:
        if row != self._row:
            self._row = row
            self._choose(row)


EMPTY = FindingRow(0, BRIGHTER, 0.0, 0.0, 0.0, None, "", "", (0.0, 0.0, 0.0))


def cells_of(row: FindingRow) -> tuple[str, ...]:
    """The texts of a row, in the order of the columns.

    Args:
        row: The finding.
    """
    return (
        str(row.number),
        _("▲ brighter") if row.direction == BRIGHTER else _("▼ darker"),
        f"{row.volume_ml:.1f}" if row.volume_ml >= 0.1 else f"{row.volume_ml:.2f}",
        f"{row.peak:.1f}",
        _p_value(row),
        _side(row.side),
        row.region,
        _state(row.state),
        row.comment,
    )


def _p_value(row: FindingRow) -> str:
    if row.p_value is None:
        return "–"
    return "< 0.001" if row.p_value < 0.001 else f"{row.p_value:.3f}"


def _side(side: str) -> str:
    return {"left": _("left"), "right": _("right"), "midline": _("midline")}.get(side, side)


def _state(state: str) -> str:
    return {ACCEPTED: _("✓ accepted"), REJECTED: _("✗ rejected")}.get(state, _("open"))
