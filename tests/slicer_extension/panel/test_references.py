"""The panel's part with the most similar healthy references."""

from dataclasses import replace
from typing import Any

import pytest
from offscreen_qt import application
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from HealthyCounterpartLib.view_state import GOOD, Line, Progress, ReferencesState, ViewState

ROWS = (("reference-0a1b2c3d4e", "0.812", "+0.031"), ("reference-<b>", "0.700", "–"))
OFFERED = ReferencesState(offered=True, sentence="One test.", rows=ROWS)


@pytest.fixture
def a_naming_state(a_run_state: ViewState) -> ViewState:
    return replace(a_run_state, references=OFFERED)


def test_where_the_server_offers_none_nothing_is_there(a_panel: Any) -> None:
    a_panel.widget.show(ViewState())
    assert a_panel.ui.referencesFrame.isHidden()
    assert not a_panel.ui.besideButton.isEnabled()


def test_references_are_a_table_with_what_they_are_worth(
    a_panel: Any, a_naming_state: ViewState
) -> None:
    a_panel.widget.show(a_naming_state)
    ui = a_panel.ui
    assert not ui.referencesFrame.isHidden()
    assert ui.referencesLabel.text() == "Most similar healthy references:"
    assert ui.referencesLine.text() == "One test."
    table = ui.referencesTable
    titles = [table.horizontalHeaderItem(column).text() for column in range(3)]
    assert titles == ["Reference", "Similarity", "Rise"]
    shown = [[table.item(row, column).text() for column in range(3)] for row in range(2)]
    assert shown == [list(row) for row in ROWS]
    assert "&lt;b&gt;" in table.item(1, 0).toolTip()
    assert table.selectedItems() == [] and ui.referenceLine.isHidden()


def test_a_reason_alone_has_no_table(a_panel: Any, a_run_state: ViewState) -> None:
    told = ReferencesState(offered=True, sentence="Nothing was flagged.")
    a_panel.widget.show(replace(a_run_state, references=told))
    assert a_panel.ui.referencesTable.isHidden()
    assert a_panel.ui.referencesLine.text() == "Nothing was flagged."


def test_a_click_chooses_a_reference_and_the_same_again_does_too(
    a_panel: Any, a_naming_state: ViewState
) -> None:
    a_panel.widget.show(a_naming_state)
    a_panel.open()
    table = a_panel.ui.referencesTable
    place = table.visualItemRect(table.item(1, 0)).center()
    for _ in range(2):
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        application().processEvents()
        assert a_panel.told() == [("choose_reference", 1)]


def test_enter_chooses_a_reference(a_panel: Any, a_naming_state: ViewState) -> None:
    a_panel.widget.show(a_naming_state)
    a_panel.open()
    a_panel.ui.referencesTable.setFocus()
    a_panel.ui.referencesTable.setCurrentCell(1, 0)
    assert a_panel.told() == [], "looking along the rows fetches nothing"
    QTest.keyClick(a_panel.ui.referencesTable, Qt.Key.Key_Return)
    assert a_panel.told() == [("choose_reference", 1)]


def test_the_chosen_one_is_marked_and_a_refused_choice_goes_back(
    a_panel: Any, a_naming_state: ViewState
) -> None:
    beside = replace(OFFERED, selected=1, beside=True, line=Line("It lies beside.", GOOD))
    a_panel.widget.show(replace(a_naming_state, references=beside, layout="beside"))
    ui = a_panel.ui
    assert ui.referencesTable.currentRow() == 1
    assert ui.besideButton.isEnabled() and ui.besideButton.isChecked()
    assert "It lies beside." in ui.referenceLine.text()
    ui.referencesTable.setCurrentCell(0, 0)
    ui.referencesTable.cellClicked.emit(0, 0)
    a_panel.widget.show(replace(a_naming_state, references=beside, layout="beside"))
    assert ui.referencesTable.currentRow() == 1
    assert a_panel.told() == [("choose_reference", 0)]


def test_progress_can_be_cancelled(a_panel: Any, a_naming_state: ViewState) -> None:
    under_way = replace(OFFERED, progress=Progress("Fetching", 0.4))
    a_panel.widget.show(replace(a_naming_state, references=under_way))
    assert not a_panel.ui.referenceProgressFrame.isHidden()
    assert a_panel.ui.referenceBar.value() == 40
    a_panel.ui.referenceCancelButton.click()
    assert a_panel.told() == [("cancel_reference",)]
    a_panel.widget.show(a_naming_state)
    assert a_panel.ui.referenceProgressFrame.isHidden()


def test_showing_references_calls_nobody(a_panel: Any, a_naming_state: ViewState) -> None:
    a_panel.open()
    for state in (
        a_naming_state,
        replace(a_naming_state, references=replace(OFFERED, selected=0, beside=True)),
        replace(a_naming_state, references=replace(OFFERED, rows=ROWS[:1], selected=0)),
        ViewState(),
    ):
        a_panel.widget.show(state)
    assert a_panel.told() == []
