"""The findings' section: evidence in words, the table, what the reader thinks, and exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from HealthyCounterpartLib.findings import PEAK, VOLUME
from HealthyCounterpartLib.panel.findings_rows import PEAK_COLUMN, VOLUME_COLUMN, FindingsRows
from HealthyCounterpartLib.panel.setters import Setters, always, index_of
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import ViewState

ORDERS = (VOLUME, PEAK)  # in the order of the combo box
COLUMN_OF = {VOLUME: VOLUME_COLUMN, PEAK: PEAK_COLUMN}
EXPORT_BUTTONS = {
    "segmentation": "exportSegmentationButton",
    "maps": "exportMapsButton",
    "table": "exportTableButton",
    "report": "exportReportButton",
}


class FindingsSection:
    """The findings of the run that is looked at.

    Args:
        ui: Has the widgets by their names.
        qt: Qt's classes.
        controller: Is told what the reader does.
        setters: Set the widgets.
        ask_path: Asks where to write an export; empty if the reader thinks better of it.
    """

    def __init__(
        self,
        ui: Any,
        qt: Any,
        controller: Any,
        setters: Setters,
        ask_path: Callable[[str], str],
    ) -> None:
        self._controller = controller
        self._set = setters
        self._qt = qt
        self._ask_path = ask_path
        self._finding: Optional[tuple[str, int]] = None  # run and number of the chosen one
        self._comment: Optional[str] = None  # typed and not told yet
        self._orders = [_("Volume"), _("Peak")]
        self._rows = FindingsRows(ui.findingsTable, qt, self._choose_row)
        self._header = ui.findingsTable.horizontalHeader()
        self._header.setSortIndicatorShown(True)
        self._header.setStretchLastSection(True)
        ui.findingsTable.resizeColumnsToContents()
        self._header.sectionClicked.connect(self._click_header)
        ui.sortSelector.currentIndexChanged.connect(self._choose_order)
        ui.commentEdit.textEdited.connect(self._type_comment)
        ui.commentEdit.editingFinished.connect(self.tell)
        for name, act in (
            ("previousButton", controller.previous_finding),
            ("nextButton", controller.next_finding),
            ("acceptButton", controller.accept_finding),
            ("rejectButton", controller.reject_finding),
        ):
            getattr(ui, name).clicked.connect(always(self._after_comment, act))
        for kind, name in EXPORT_BUTTONS.items():
            getattr(ui, name).clicked.connect(always(self._export, kind))

    def show(self, state: ViewState) -> None:
        """Show evidence, findings, and what can be done with them."""
        self._set.enabled("findingsFrame", state.run >= 0)
        self._set.line("evidenceLine", state.evidence)
        self._set.words("warningsLine", "\n".join(f"⚠ {one}" for one in state.warnings))
        order = ORDERS.index(state.sorted_by) if state.sorted_by in ORDERS else 0
        self._set.chosen("sortSelector", order)
        self._set.put("findingsTable", "order", order, lambda _table: self._mark_order(order))
        self._rows.show(state.findings, state.selected)
        for name in ("previousButton", "nextButton"):
            self._set.enabled(name, bool(state.findings))
        self._show_chosen(state)

    def tell(self) -> None:
        """Tell the controller the comment that was typed."""
        comment, self._comment = self._comment, None
        if comment is not None:
            self._set.forget("commentEdit")
            self._controller.comment_finding(comment)

    def _show_chosen(self, state: ViewState) -> None:
        chosen = 0 <= state.selected < len(state.findings)
        for name in ("acceptButton", "rejectButton", "commentEdit"):
            self._set.enabled(name, chosen)
        row = state.findings[state.selected] if chosen else None
        run = state.runs[state.run] if 0 <= state.run < len(state.runs) else ""
        finding = None if row is None else (run, row.number)
        if finding != self._finding:  # what was typed belongs to another finding
            self._finding, self._comment = finding, None
            self._set.forget("commentEdit")
            self._set.enabled("commentEdit", chosen)
        if self._comment is None:
            self._set.text("commentEdit", row.comment if row is not None else "")

    def _mark_order(self, order: int) -> None:
        column = COLUMN_OF[ORDERS[order]]
        self._header.setSortIndicator(column, self._qt.Qt.DescendingOrder)

    def _click_header(self, column: int) -> None:
        self._set.forget("findingsTable")  # the click has moved the sign of the order
        orders = [order for order, at in COLUMN_OF.items() if at == column]
        if orders:
            self._after_comment(lambda: self._controller.sort_findings(orders[0]))

    def _choose_order(self, chosen: Any) -> None:
        index = index_of(chosen, self._orders)
        self._set.know("sortSelector", "index", index)
        self._after_comment(lambda: self._controller.sort_findings(ORDERS[index]))

    def _choose_row(self, row: int) -> None:
        self._after_comment(lambda: self._controller.select_finding(row))

    def _type_comment(self, text: str) -> None:
        self._comment = text

    def _after_comment(self, act: Callable[[], None]) -> None:
        """A key may come while a comment is being typed: it goes to its own finding first."""
        self.tell()
        act()

    def _export(self, kind: str) -> None:
        self.tell()
        path = self._ask_path(kind)
        if path:
            self._controller.export(kind, path)
