"""Each control tells the controller what the reader did, once, with the right values."""

from dataclasses import replace
from typing import Any

import pytest
from offscreen_qt import OffscreenParameters, application
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from HealthyCounterpartLib.panel.setters import index_of
from HealthyCounterpartLib.view_state import AdministratorState, ViewState

PLAIN_BUTTONS = {
    "generateButton": ("generate",),
    "allowButton": ("allow_sending",),
    "refuseButton": ("refuse_sending",),
    "cancelButton": ("cancel",),
    "fetchButton": ("fetch_known_job",),
    "forgetButton": ("forget_known_job",),
    "connectButton": ("connect",),
    "thresholdButton": ("reset_threshold",),
    "fourUpButton": ("set_layout", "four-up"),
    "rowButton": ("set_layout", "row"),
    "singleButton": ("set_layout", "single"),
    "besideButton": ("set_layout", "beside"),
    "previousButton": ("previous_finding",),
    "nextButton": ("next_finding",),
    "acceptButton": ("accept_finding",),
    "rejectButton": ("reject_finding",),
    "markButton": ("mark_healthy", True),
    "unmarkButton": ("mark_healthy", False),
    "cohortButton": ("show_cohort",),
    "startTrainingButton": ("start_training",),
    "stopTrainingButton": ("stop_training",),
    "sceneSource": ("choose_source", False),
    "serverSource": ("choose_source", True),
}


@pytest.mark.parametrize("name", PLAIN_BUTTONS)
def test_a_click_is_told_once(name: str, a_panel: Any) -> None:
    button = getattr(a_panel.ui, name)
    button.setEnabled(True)
    button.parentWidget().setEnabled(True)
    button.click()
    assert a_panel.told() == [PLAIN_BUTTONS[name]]


@pytest.mark.parametrize(
    ("name", "index", "call"),
    [
        ("mapSelector", 1, ("set_map", "residual")),
        ("signSelector", 1, ("set_sign", "brighter")),
        ("signSelector", 2, ("set_sign", "darker")),
        ("contrastSelector", 4, ("set_contrast", "FLAIR")),
        ("runSelector", 1, ("choose_run", 1)),
        ("sortSelector", 1, ("sort_findings", "peak")),
        ("studySelector", 1, ("choose_study", "b")),
        ("versionSelector", 1, None),
    ],
)
def test_a_choice_is_told_by_its_name(
    name: str, index: int, call: Any, a_panel: Any, a_run_state: ViewState
) -> None:
    versions = AdministratorState(visible=True, versions=("2", "1"), serving=0)
    state = replace(a_run_state, studies=("a", "b"), study="a", administrator=versions)
    a_panel.widget.show(state)
    getattr(a_panel.ui, name).setCurrentIndex(index)
    assert a_panel.told() == ([call] if call else [])


def test_contrast_as_found_is_left_to_the_server(a_panel: Any) -> None:
    a_panel.ui.contrastSelector.setCurrentIndex(1)
    a_panel.ui.contrastSelector.setCurrentIndex(0)
    assert a_panel.told() == [("set_contrast", "T1"), ("set_contrast", "")]


def test_a_version_serves_only_when_its_button_is_pressed(a_panel: Any) -> None:
    told = AdministratorState(visible=True, versions=("2", "1"), serving=0)
    a_panel.widget.show(ViewState(administrator=told))
    assert not a_panel.ui.rollBackButton.isEnabled()
    a_panel.ui.versionSelector.setCurrentIndex(1)
    a_panel.widget.show(ViewState(administrator=told))
    assert a_panel.ui.versionSelector.currentIndex() == 1, "the choice stays while it is shown"
    a_panel.ui.rollBackButton.click()
    assert a_panel.told() == [("roll_back", 1)]


@pytest.mark.parametrize(("chosen", "index"), [(1, 1), ("Residual", 1), ("other", -1), (-1, -1)])
def test_qt_5_may_tell_a_choice_by_its_text(chosen: Any, index: int) -> None:
    assert index_of(chosen, ["Calibrated score", "Residual"]) == index


def test_the_slider_tells_both_ends(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.ui.rangeSlider.setValues(20.0, 30.0)
    assert a_panel.told() == [("set_range", 20.0, 30.0)]


def test_the_original_is_shown_while_the_space_bar_is_held(
    a_panel: Any, a_run_state: ViewState
) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.open()
    a_panel.ui.originalButton.setFocus()
    QTest.keyPress(a_panel.ui.originalButton, Qt.Key.Key_Space)
    assert a_panel.told() == [("hold_original", True)]
    QTest.keyRelease(a_panel.ui.originalButton, Qt.Key.Key_Space)
    assert a_panel.told() == [("hold_original", False)]


def test_the_address_is_told_when_it_is_complete(a_panel: Any) -> None:
    a_panel.open()
    QTest.keyClicks(a_panel.ui.addressEdit, "host:9")
    assert a_panel.told() == []
    QTest.keyClick(a_panel.ui.addressEdit, Qt.Key.Key_Return)
    assert a_panel.told() == [("set_address", "host:9"), ("connect",)]


def test_what_was_typed_is_told_before_connecting(a_panel: Any) -> None:
    a_panel.open()
    QTest.keyClicks(a_panel.ui.addressEdit, "host")
    QTest.keyClicks(a_panel.ui.tokenEdit, "secret")
    a_panel.ui.connectButton.click()
    assert a_panel.told() == [
        ("set_address", "host"),
        ("set_token", "secret"),
        ("connect",),
    ]


def test_rows_are_chosen_by_keys_as_well(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.open()
    a_panel.ui.findingsTable.setFocus()
    QTest.keyClick(a_panel.ui.findingsTable, Qt.Key.Key_Down)
    assert a_panel.told() == [("select_finding", 1)]
    QTest.keyClick(a_panel.ui.findingsTable, Qt.Key.Key_Right)
    assert a_panel.told() == [], "another cell of the row is no other finding"


def test_headers_of_volume_and_peak_sort(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    header = a_panel.ui.findingsTable.horizontalHeader()
    for column in (3, 2, 6):
        header.sectionClicked.emit(column)
    assert a_panel.told() == [("sort_findings", "peak"), ("sort_findings", "volume")]


@pytest.mark.parametrize("name", ["nextButton", "acceptButton", "exportTableButton"])
def test_a_comment_reaches_its_finding_before_anything_else(
    name: str, a_panel: Any, a_run_state: ViewState
) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.open()
    QTest.keyClicks(a_panel.ui.commentEdit, "oedema")
    assert a_panel.told() == []
    getattr(a_panel.ui, name).click()
    assert a_panel.told()[0] == ("comment_finding", "oedema")


def test_a_comment_is_told_once(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.open()
    QTest.keyClicks(a_panel.ui.commentEdit, "x")
    QTest.keyClick(a_panel.ui.commentEdit, Qt.Key.Key_Return)
    a_panel.widget.finish_typing()
    assert a_panel.told() == [("comment_finding", "x")]


def test_a_comment_for_a_finding_that_is_gone_is_dropped(
    a_panel: Any, a_run_state: ViewState
) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.open()
    QTest.keyClicks(a_panel.ui.commentEdit, "lost")
    a_panel.widget.show(replace(a_run_state, run=1))
    assert a_panel.ui.commentEdit.text() == ""
    a_panel.widget.finish_typing()
    assert a_panel.told() == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("exportSegmentationButton", "segmentation"),
        ("exportMapsButton", "maps"),
        ("exportTableButton", "table"),
        ("exportReportButton", "report"),
    ],
)
def test_exports_ask_where_and_may_be_called_off(
    name: str, kind: str, a_panel: Any, a_run_state: ViewState
) -> None:
    a_panel.widget.show(a_run_state)
    getattr(a_panel.ui, name).click()
    assert (a_panel.asked, a_panel.told()) == ([kind], [("export", kind, "/somewhere/file")])
    a_panel.path = ""
    getattr(a_panel.ui, name).click()
    assert a_panel.told() == []


def test_shortcuts_reach_their_buttons(a_panel: Any, a_run_state: ViewState) -> None:
    a_panel.widget.show(a_run_state)
    a_panel.open()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    for key in (Qt.Key.Key_N, Qt.Key.Key_P, Qt.Key.Key_A, Qt.Key.Key_R, Qt.Key.Key_G):
        QTest.keyClick(a_panel.root, key, both)
    QTest.keyClick(a_panel.root, Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    application().processEvents()
    QTest.qWait(150)  # a shortcut presses its button for a moment
    assert sorted(told[0] for told in a_panel.told()) == [
        "accept_finding",
        "generate",
        "next_finding",
        "previous_finding",
        "reject_finding",
        "set_layout",
    ]


def test_spin_boxes_reach_the_parameters_and_follow_them(
    a_panel: Any, a_run_state: ViewState
) -> None:
    parameters = OffscreenParameters()
    parameters.connectGui(a_panel.ui)
    a_panel.widget.renew()
    a_panel.widget.show(a_run_state)
    a_panel.ui.hideBelow.setValue(20.0)
    a_panel.ui.opacity.setValue(0.5)
    assert (parameters.hideBelow, parameters.opacity) == (20.0, 0.5)
    parameters.saturateAbove = 33.0
    assert a_panel.ui.saturateAbove.value() == 33.0
    assert a_panel.ui.opacity.maximum() == 1.0, "limits are back after binding"
