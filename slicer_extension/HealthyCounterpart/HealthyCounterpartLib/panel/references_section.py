"""The part below the findings: the most similar healthy references, one row each."""

from __future__ import annotations

import html
from typing import Any

from HealthyCounterpartLib.panel.setters import Setters, always
from HealthyCounterpartLib.view_state import ReferencesState, ViewState

_NUMBERS = (1, 2)  # columns that are set to the right


class ReferencesSection:
    """The healthy references of the run that is looked at; hidden where the server offers none.

    Args:
        ui: Has the widgets by their names.
        qt: Qt's classes.
        controller: Is told what the reader does.
        setters: Set the widgets.
    """

    def __init__(self, ui: Any, qt: Any, controller: Any, setters: Setters) -> None:
        self._table = ui.referencesTable
        self._qt = qt
        self._controller = controller
        self._set = setters
        self._cells: list[Any] = []  # belong to the table, and are kept from being collected
        self._table.horizontalHeader().setStretchLastSection(True)
        # A click on the chosen row shows it again, as after another layout was looked at.
        self._table.cellClicked.connect(self._choose)
        self._table.cellActivated.connect(self._choose)
        ui.referenceCancelButton.clicked.connect(always(controller.cancel_reference))

    def show(self, state: ViewState) -> None:
        """Show the references and what they are worth."""
        told = state.references
        self._set.visible("referencesFrame", told.offered)
        self._set.words("referencesLine", told.sentence)
        self._set.visible("referencesTable", bool(told.rows))
        self._set.put("referencesTable", "rows", told.rows, lambda _table: self._fill(told))
        self._set.put(
            "referencesTable", "selected", told.selected, lambda _table: self._select(told.selected)
        )
        self._set.line("referenceLine", told.line)
        self._set.visible("referenceProgressFrame", told.progress is not None)
        self._set.share("referenceBar", told.progress.fraction if told.progress else None)

    def _fill(self, told: ReferencesState) -> None:
        self._cells = []
        self._table.setRowCount(len(told.rows))
        for index, texts in enumerate(told.rows):
            for column, text in enumerate(texts):
                self._table.setItem(index, column, self._cell(column, text))
        self._table.resizeColumnsToContents()
        self._select(told.selected)

    def _cell(self, column: int, text: str) -> Any:
        cell = self._qt.QTableWidgetItem(text)
        # Words of a server are no markup; Qt guesses from the text what is.
        cell.setToolTip(f"<span>{html.escape(text)}</span>")
        if column in _NUMBERS:
            cell.setTextAlignment(self._qt.Qt.AlignRight | self._qt.Qt.AlignVCenter)
        self._cells.append(cell)
        return cell

    def _select(self, row: int) -> None:
        if row < 0:
            self._table.setCurrentCell(-1, -1)
            self._table.clearSelection()
        else:
            self._table.selectRow(row)

    def _choose(self, row: int, _column: int) -> None:
        self._set.forget("referencesTable")  # the click has moved the selection
        self._controller.choose_reference(row)
