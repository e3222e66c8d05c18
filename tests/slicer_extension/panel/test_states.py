"""The panel shows each state, and leaves alone what is shown already."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from offscreen_qt import application
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtTest import QTest

from HealthyCounterpartLib.finding_row import REJECTED
from HealthyCounterpartLib.overlay import Overlay
from HealthyCounterpartLib.view_state import (
    BAD,
    GOOD,
    WAITING,
    AdministratorState,
    Line,
    Progress,
    ViewState,
)


class Repaints(QObject):
    """Counts what happens to a widget and its children."""

    def __init__(self, root: Any) -> None:
        super().__init__()
        self.count = 0
        for widget in [root, *root.findChildren(QObject)]:
            widget.installEventFilter(self)

    def eventFilter(self, widget: Any, event: Any) -> bool:
        self.count += event.type() in (QEvent.Type.UpdateRequest, QEvent.Type.LayoutRequest)
        return False


@contextmanager
def repaints(root: Any) -> Iterator[Repaints]:
    for _ in range(5):
        application().processEvents()
    yield Repaints(root)


def cells(table: Any, row: int) -> list[str]:
    return [table.item(row, column).text() for column in range(table.columnCount())]


@pytest.mark.parametrize(("mood", "sign"), [(GOOD, "✓"), (WAITING, "…"), (BAD, "⚠")])
def test_a_mood_is_a_sign_as_well_as_a_colour(mood: str, sign: str, a_panel: Any) -> None:
    a_panel.widget.show(ViewState(server=Line("So <b>it</b> is & stays", mood)))
    text = a_panel.ui.serverLine.text()
    assert f">{sign}<" in text and "color: #" in text
    assert text.endswith("So &lt;b&gt;it&lt;/b&gt; is &amp; stays")


def test_empty_lines_take_no_room(a_panel: Any) -> None:
    a_panel.widget.show(ViewState())
    lines = ("serverLine", "hintLine", "messageLine", "evidenceLine", "warningsLine")
    assert all(getattr(a_panel.ui, name).isHidden() for name in lines)
    a_panel.widget.show(ViewState(hint="Choose a scan.", warnings=("thick slices", "old")))
    assert a_panel.ui.hintLine.text() == "Choose a scan."
    assert a_panel.ui.warningsLine.text() == "⚠ thick slices\n⚠ old"
    assert not a_panel.ui.hintLine.isHidden()


def test_source_shows_its_own_choice_alone(a_panel: Any) -> None:
    a_panel.widget.show(ViewState(from_server=True, studies=("a", "b"), study="b"))
    assert a_panel.ui.serverSource.isChecked()
    assert a_panel.ui.scanSelector.isHidden() and not a_panel.ui.studySelector.isHidden()
    assert a_panel.ui.studySelector.currentText() == "b"
    a_panel.widget.show(ViewState(studies=("a", "b")))
    assert a_panel.ui.sceneSource.isChecked() and a_panel.ui.studySelector.isHidden()
    assert a_panel.ui.studySelector.currentIndex() == -1, "no study is chosen by itself"


@pytest.mark.parametrize(("contrast", "index"), [("", 0), ("T1c", 2), ("FLAIR", 4)])
def test_contrast_is_shown_where_it_is_known(contrast: str, index: int, a_panel: Any) -> None:
    a_panel.ui.contrastSelector.setCurrentIndex(3)
    a_panel.widget.show(ViewState())
    assert a_panel.ui.contrastSelector.currentIndex() == 3
    a_panel.widget.show(ViewState(contrast=contrast))
    assert a_panel.ui.contrastSelector.currentIndex() == index


def test_consent_is_asked_in_the_panel(a_panel: Any) -> None:
    a_panel.widget.show(ViewState(consent_host="far.example.org", can_generate=True))
    assert not a_panel.ui.consentFrame.isHidden()
    assert "far.example.org" in a_panel.ui.consentQuestion.text()
    assert not a_panel.ui.generateButton.isEnabled()
    a_panel.widget.show(ViewState(can_generate=True))
    assert a_panel.ui.consentFrame.isHidden() and a_panel.ui.generateButton.isEnabled()


def test_progress_says_how_far_or_that_nobody_knows(a_panel: Any) -> None:
    a_panel.widget.show(ViewState(progress=Progress("Sending: 40 %", 0.4)))
    bar = a_panel.ui.progressBar
    assert (bar.value(), bar.maximum(), a_panel.ui.progressLine.text()) == (
        40,
        100,
        "Sending: 40 %",
    )
    a_panel.widget.show(ViewState(progress=Progress("Waiting", None, cancellable=False)))
    assert bar.maximum() == 0 and not a_panel.ui.cancelButton.isEnabled()
    a_panel.widget.show(ViewState())
    assert a_panel.ui.progressFrame.isHidden()


def test_a_known_job_is_offered(a_panel: Any) -> None:
    a_panel.widget.show(ViewState(known_job="A counterpart was asked for."))
    assert not a_panel.ui.knownJobFrame.isHidden()
    assert a_panel.ui.knownJobLine.text() == "A counterpart was asked for."


def test_display_follows_the_overlay(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    ui = a_panel.ui
    assert ui.displayFrame.isEnabled() and ui.runSelector.currentText() == "newest"
    slider = ui.rangeSlider
    assert (slider.property("minimumValue"), slider.property("maximumValue")) == (12.9, 44.5)
    assert (slider.property("maximum"), slider.property("minimum")) == (60.0, 0.0)
    assert (ui.hideBelow.value(), ui.hideBelow.maximum()) == (12.9, 60.0)
    assert ui.saturateAbove.text() == "44.50 score"
    residual = Overlay("residual", "darker", 2.0, 5.0)
    a_panel.widget.show(
        replace(a_run_state, overlay=residual, slider_maximum=6.0, unit="spreads", layout="row")
    )
    assert (ui.mapSelector.currentIndex(), ui.signSelector.currentIndex()) == (1, 2)
    assert (ui.hideBelow.value(), ui.saturateAbove.text()) == (2.0, "5.00 spreads")
    assert ui.rowButton.isChecked() and not ui.fourUpButton.isChecked()


def test_wider_limits_bring_back_a_value_that_was_cut_off(
    a_panel: Any, a_run_state: ViewState
) -> None:
    narrow = replace(a_run_state, overlay=Overlay("residual", "both", 2.0, 5.0), slider_maximum=6.0)
    a_panel.widget.show(narrow)
    a_panel.ui.hideBelow.blockSignals(True)
    a_panel.ui.hideBelow.setValue(12.9)  # as the parameter node writes it, before the limits
    a_panel.ui.hideBelow.blockSignals(False)
    a_panel.widget.show(a_run_state)
    assert a_panel.ui.hideBelow.value() == 12.9


def test_a_saturation_beyond_the_slider_is_shown(a_panel: Any, a_run_state: ViewState) -> None:
    wide = replace(a_run_state, overlay=Overlay(hide_below=12.9, saturate_above=90.0))
    a_panel.widget.show(wide)
    assert a_panel.ui.saturateAbove.value() == 90.0
    assert a_panel.told() == []


def test_without_a_run_there_is_nothing_to_set(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(replace(a_run_state, run=-1, runs=(), findings=(), selected=-1))
    assert not a_panel.ui.displayFrame.isEnabled() and not a_panel.ui.findingsFrame.isEnabled()
    assert a_panel.ui.findingsTable.rowCount() == 0


def test_findings_have_signs_units_and_words(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    table = a_panel.ui.findingsTable
    assert cells(table, 0) == [
        *("1", "▲ brighter", "12.3", "51.2", "0.012", "left", "frontal lobe", "open", "")
    ]
    assert cells(table, 1) == [
        *("2", "▼ darker", "3.2", "30.1", "–", "right", "temporal lobe", "✓ accepted", "old")
    ]
    assert cells(table, 2)[2:6] == ["0.04", "14.1", "< 0.001", "midline"]
    swatches = [table.item(row, 1).icon().pixmap(10, 10).toImage() for row in (0, 1)]
    warm, cool = (one.pixelColor(5, 5) for one in swatches)
    assert warm.red() > 200 > warm.blue() and cool.blue() > 200 > cool.red()


def test_the_selected_finding_shows_its_comment(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(replace(a_run_state, selected=1))
    assert a_panel.ui.findingsTable.currentRow() == 1
    assert a_panel.ui.commentEdit.text() == "old"
    a_panel.widget.show(replace(a_run_state, selected=-1))
    assert a_panel.ui.findingsTable.selectedItems() == []
    assert not a_panel.ui.commentEdit.isEnabled() and not a_panel.ui.acceptButton.isEnabled()


def test_another_order_moves_rows_and_selection(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    turned = replace(a_run_state, findings=a_run_state.findings[::-1], selected=2, sorted_by="peak")
    a_panel.widget.show(turned)
    table = a_panel.ui.findingsTable
    assert [table.item(row, 0).text() for row in range(3)] == ["3", "2", "1"]
    assert table.currentRow() == 2 and table.horizontalHeader().sortIndicatorSection() == 3
    assert a_panel.ui.sortSelector.currentIndex() == 1


def test_fewer_findings_leave_no_rows_behind(a_panel: Any, a_run_state: ViewState) -> None:
    for count in (3, 1, 0, 3):
        rows = a_run_state.findings[:count]
        a_panel.widget.show(replace(a_run_state, findings=rows, selected=count - 1))
        table = a_panel.ui.findingsTable
        assert [cells(table, row)[0] for row in range(table.rowCount())] == [
            str(row.number) for row in rows
        ]
        assert table.currentRow() == count - 1


def test_the_administrator_sees_more(a_panel: Any) -> None:
    a_panel.widget.show(ViewState())
    assert a_panel.ui.administratorSection.isHidden()
    told = AdministratorState(
        visible=True,
        study="sample-01",
        cohort=Line("12 scans\n6 subjects"),
        training=Line("Fold 2", WAITING),
        fraction=0.5,
        can_stop=True,
        versions=("0.3.0", "0.2.0"),
        serving=1,
    )
    a_panel.widget.show(ViewState(administrator=told))
    ui = a_panel.ui
    assert not ui.administratorSection.isHidden() and ui.administratorSection.collapsed
    assert ui.markedStudyLine.text() == "Study: sample-01" and ui.markButton.isEnabled()
    assert ui.cohortLine.text() == "12 scans<br>6 subjects"
    assert ui.trainingBar.value() == 50 and ui.stopTrainingButton.isEnabled()
    assert not ui.startTrainingButton.isEnabled()
    assert ui.versionSelector.currentText() == "0.2.0 (serves)"


def test_showing_calls_nobody(a_panel: Any, a_run_state: ViewState) -> None:
    states = [
        ViewState(),
        a_run_state,
        replace(a_run_state, run=1, selected=2, sorted_by="peak", layout="single"),
        replace(a_run_state, from_server=True, studies=("a",), study="a", contrast="T1"),
        replace(a_run_state, overlay=Overlay("residual", "darker", 1.0, 2.0), slider_maximum=3.0),
        replace(a_run_state, administrator=AdministratorState(visible=True, versions=("1",))),
        replace(a_run_state, selected=2),
        replace(a_run_state, findings=a_run_state.findings[:1], selected=-1),
        ViewState(),
    ]
    a_panel.open()
    for state in states:
        a_panel.widget.show(state)
    assert a_panel.told() == []


def test_the_same_state_again_touches_nothing(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.open()
    with repaints(a_panel.root) as counted:
        for _ in range(10):
            a_panel.widget.show(replace(a_run_state))
        application().processEvents()
    assert counted.count == 0


def test_focus_scrolling_and_typing_survive(a_panel: Any, a_run_state: ViewState) -> None:
    many = tuple(replace(a_run_state.findings[0], number=n) for n in range(1, 60))
    state = replace(a_run_state, findings=many)
    a_panel.widget.show(state)
    a_panel.open()
    bar = a_panel.ui.findingsTable.verticalScrollBar()
    bar.setValue(20)
    a_panel.ui.addressEdit.setFocus()
    QTest.keyClicks(a_panel.ui.addressEdit, "/base")
    rejected = (replace(many[0], state=REJECTED), *many[1:])
    a_panel.widget.show(replace(state, findings=rejected, message=Line("Something new.")))
    assert bar.value() == 20
    assert a_panel.ui.addressEdit.text().endswith("/base")
    assert a_panel.ui.addressEdit.hasFocus()
    assert cells(a_panel.ui.findingsTable, 0)[7] == "✗ rejected"


def test_the_cell_that_keys_have_reached_stays(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.open()
    a_panel.ui.findingsTable.setFocus()
    for _ in range(3):
        QTest.keyClick(a_panel.ui.findingsTable, Qt.Key.Key_Right)
    a_panel.widget.show(replace(a_run_state, message=Line("Something new.")))
    assert a_panel.ui.findingsTable.currentColumn() == 3


def test_a_refused_choice_goes_back(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.ui.mapSelector.setCurrentIndex(1)
    a_panel.ui.singleButton.click()
    a_panel.widget.show(a_run_state)
    assert a_panel.ui.mapSelector.currentIndex() == 0
    assert a_panel.ui.fourUpButton.isChecked()


def test_what_others_set_is_set_again_after_renewing(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.ui.opacity.setRange(float("-inf"), float("inf"))
    a_panel.widget.renew()
    a_panel.widget.show(a_run_state)
    assert (a_panel.ui.opacity.minimum(), a_panel.ui.opacity.maximum()) == (0.0, 1.0)
