"""The controller with the real server and the real scene, without widgets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from a_server import FLAIR_THRESHOLD, QUICK, SAMPLES, AServer
from a_session import ASession, Open
from people import TOKENS
from plain_settings import PlainSettings
from slicer.util import arrayFromVolume
from slow_proxy import SlowProxy

from HealthyCounterpartLib.scene.arrival import add_study
from HealthyCounterpartLib.view_state import BAD, GOOD


def test_the_panel_says_which_model_serves_and_what_is_calibrated(a_session: ASession) -> None:
    line = a_session.state.server
    assert line.mood == GOOD
    assert f"healthy-brain {QUICK}" in line.text and "Calibrated: T1 on" in line.text
    assert a_session.state.can_generate
    assert "sample-01_FLAIR" in a_session.state.studies


def test_a_scan_of_the_scene_becomes_a_run_with_findings(a_session: ASession) -> None:
    state = a_session.generate()
    assert state.message.mood == GOOD, state.message
    assert len(state.runs) == 1 and state.run == 0
    assert state.findings and state.findings[0].direction == "brighter"
    assert state.findings[0].side == "right"
    assert state.evidence.text.startswith("This contrast is not calibrated")
    assert state.overlay.hide_below == pytest.approx(FLAIR_THRESHOLD, abs=0.1)
    anomaly = a_session.controller.review.run.anomaly
    assert arrayFromVolume(anomaly).shape == arrayFromVolume(a_session.parameters.scan).shape


def test_progress_is_told_in_words_from_sending_to_computing(
    open_session: Open, the_server: AServer, a_patient: Any
) -> None:
    arrayFromVolume(a_patient)[0, 0, 0] += 7  # another scan for the server
    session = open_session()
    session.parameters.scan = a_patient
    with contextlib.closing(SlowProxy(the_server.port)) as proxy:
        session.connect(f"http://127.0.0.1:{proxy.port}", TOKENS["user"])
        proxy.bytes_per_s = float(arrayFromVolume(a_patient).nbytes)  # sending takes a second
        session.controller.generate()
        session.until(lambda state: session.controller.generation._job != "")
        proxy.bytes_per_s = float("inf")
        session.until(lambda state: state.progress is None)
    told = [state.progress.text for state in session.panel.states if state.progress]
    assert told[0] == "Preparing the scan"
    assert any(text.startswith("Sending the scan: ") for text in told)
    assert any("left" in text for text in told)
    assert not any(state.findings for state in session.panel.states if state.progress)


def test_a_second_run_leaves_the_first_and_both_can_be_shown(a_session: ASession) -> None:
    a_session.generate()
    state = a_session.generate()
    assert len(set(state.runs)) == 2 and state.run == 0
    a_session.controller.choose_run(1)
    assert a_session.state.run == 1
    assert a_session.parameters.run == a_session.state.runs[1]


def test_a_study_of_the_server_is_fetched_and_read_without_being_sent(
    open_session: Open, the_server: AServer, new_scene: Callable[[], Any]
) -> None:
    session = open_session(new_scene())
    session.connect(the_server.url, TOKENS["user"])
    session.controller.choose_source(True)
    session.controller.choose_study("sample-01_T1")
    assert session.state.can_generate
    state = session.generate()
    assert state.message.mood == GOOD, state.message
    assert session.parameters.scan is not None
    assert not any("Sending" in one.progress.text for one in session.panel.states if one.progress)
    assert "not of the calibrated kind" in state.evidence.text
    before = len(slicer_volumes(session.scene))
    session.generate()
    assert len(slicer_volumes(session.scene)) == before + 3  # the study itself is there already


def slicer_volumes(scene: Any) -> list[Any]:
    nodes = scene.GetNodesByClass("vtkMRMLScalarVolumeNode")
    nodes.UnRegister(None)
    return [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]


def test_findings_are_sorted_selected_judged_and_stay_so(a_session: ASession) -> None:
    a_session.generate()
    controller = a_session.controller
    controller.set_range(5.0, 50.0)
    assert (a_session.state.overlay.hide_below, a_session.parameters.hideBelow) == (5.0, 5.0)
    controller.sort_findings("peak")
    peaks = [row.peak for row in a_session.state.findings]
    assert peaks == sorted(peaks, reverse=True)
    controller.next_finding()
    assert a_session.state.selected == 0
    controller.reject_finding()
    controller.comment_finding("an artefact")
    row = a_session.state.findings[0]
    assert (row.state, row.comment) == ("rejected", "an artefact")
    assert len(a_session.state.findings) == len(peaks)
    controller.reject_finding()
    assert a_session.state.findings[0].state == "open"
    controller.reset_threshold()
    assert a_session.state.overlay.hide_below == pytest.approx(FLAIR_THRESHOLD, abs=0.1)


def test_everything_can_be_exported_and_the_report_comes_from_the_server(
    a_session: ASession, tmp_path: Path
) -> None:
    a_session.generate()
    controller = a_session.controller
    controller.export("segmentation", tmp_path / "findings.seg.nrrd")
    controller.export("table", tmp_path / "findings.csv")
    (tmp_path / "maps").mkdir()
    controller.export("maps", tmp_path / "maps")
    assert a_session.state.message.mood == GOOD
    controller.export("report", tmp_path / "report.html")
    a_session.until(lambda state: state.message.text.endswith("report.html"))
    assert b"AI-generated, research use only" in (tmp_path / "report.html").read_bytes()
    assert "brighter" in (tmp_path / "findings.csv").read_text()
    assert (tmp_path / "findings.seg.nrrd").stat().st_size > 0
    assert len(list((tmp_path / "maps").glob("*.nii.gz"))) >= 3


def test_a_place_that_cannot_be_written_is_a_line_and_no_crash(
    a_session: ASession, tmp_path: Path
) -> None:
    a_session.generate()
    (tmp_path / "file").write_text("not a folder")
    a_session.controller.export("table", tmp_path / "file" / "findings.csv")
    assert a_session.state.message.mood == BAD
    assert (tmp_path / "file").read_text() == "not a folder"


def test_cancel_ends_the_job_on_the_server_too(
    a_session: ASession, the_server: AServer, a_patient: Any
) -> None:
    arrayFromVolume(a_patient)[0, 0, 1] += 9
    a_session.controller.generate()
    a_session.until(lambda state: a_session.controller.generation._job != "")
    job = a_session.controller.generation._job
    a_session.controller.cancel()
    state = a_session.until(lambda state: state.progress is None)
    assert state.message.text.startswith("Cancelled")
    assert the_server.wait(job, ("cancelled",))["state"] == "cancelled"
    assert state.runs == () and state.can_generate


def test_slicer_closed_in_mid_job_finds_it_again(
    open_session: Open, the_server: AServer, a_patient: Any
) -> None:
    arrayFromVolume(a_patient)[0, 0, 2] += 11
    settings = PlainSettings()
    first = open_session(settings=settings)
    first.parameters.scan = a_patient
    first.connect(the_server.url, TOKENS["user"])
    first.controller.generate()
    first.until(lambda state: first.controller.generation._job != "")
    job = first.controller.generation._job
    first.controller.close()
    second = open_session(settings=settings)
    second.parameters.scan = a_patient
    second.controller.set_token(TOKENS["user"])
    second.controller.opened()
    state = second.until(lambda state: state.known_job != "")
    assert "Choose its scan and press Fetch." in state.known_job
    second.controller.fetch_known_job()
    state = second.until(lambda state: state.progress is None)
    assert state.message.mood == GOOD, state.message
    assert second.controller.review.facts.job == job
    assert state.known_job == "" and state.runs


def test_another_scan_never_gets_the_maps_of_a_known_job(
    open_session: Open, the_server: AServer, a_patient: Any, a_scene: Any
) -> None:
    settings = PlainSettings()
    first = open_session(settings=settings)
    first.parameters.scan = a_patient
    first.connect(the_server.url, TOKENS["user"])
    first.controller.generate()
    first.until(lambda state: first.controller.generation._job != "")
    first.controller.close()
    other = add_study(a_scene, SAMPLES / "sample-01_T1.nii.gz", "another")
    second = open_session(settings=settings)
    second.parameters.scan = other
    second.connect(the_server.url, TOKENS["user"])
    second.until(lambda state: state.known_job != "")
    second.controller.fetch_known_job()
    state = second.until(lambda state: state.progress is None)
    assert "not the one that this counterpart was asked for" in state.message.text
    assert state.runs == ()
    second.controller.forget_known_job()
    assert second.until(lambda state: state.known_job == "").known_job == ""


def test_without_a_token_the_line_says_so_and_nothing_can_be_generated(
    open_session: Open, the_server: AServer
) -> None:
    session = open_session()
    state = session.connect(the_server.url)
    assert state.server.mood == BAD and "token" in state.server.text.lower()
    assert not state.can_generate and state.hint


def test_only_an_administrator_sees_the_section(
    open_session: Open, the_server: AServer, a_session: ASession
) -> None:
    assert not a_session.state.administrator.visible
    session = open_session()
    session.connect(the_server.url, TOKENS["admin"])
    state = session.until(lambda state: bool(state.administrator.versions))
    assert state.administrator.visible and state.administrator.can_start
    assert state.administrator.versions[state.administrator.serving] == QUICK
    session.controller.choose_source(True)
    session.controller.choose_study("sample-01_T1")
    session.controller.mark_healthy(True)
    marked = session.until(lambda state: "1 healthy scans" in state.administrator.cohort.text)
    assert "T1 1." in marked.administrator.cohort.text
    session.controller.mark_healthy(False)
    session.until(lambda state: "0 healthy scans" in state.administrator.cohort.text)


def test_a_training_that_cannot_start_says_why(open_session: Open, the_server: AServer) -> None:
    session = open_session()
    session.connect(the_server.url, TOKENS["admin"])
    session.controller.start_training()
    state = session.until(
        lambda state: state.administrator.training.mood not in ("waiting", "plain")
    )
    assert state.administrator.training.text


def test_before_a_scan_leaves_for_another_machine_consent_is_asked_once(
    open_session: Open, the_server: AServer, a_patient: Any
) -> None:
    from a_server import own_address

    settings = PlainSettings()
    session = open_session(settings=settings)
    session.parameters.scan = a_patient
    session.connect(f"http://{own_address()}:{the_server.port}", TOKENS["user"])
    if not session.state.can_generate:
        pytest.skip("the server listens on the loopback alone")
    session.controller.generate()
    assert session.state.consent_host == own_address()
    session.controller.refuse_sending()
    assert session.state.message.text == "Nothing was sent." and session.state.progress is None
    session.controller.generate()
    session.controller.allow_sending()
    assert session.until(lambda state: state.progress is None).runs
    session.controller.generate()
    assert session.state.consent_host == ""
    session.controller.cancel()


def test_a_scene_without_a_scan_says_so(
    open_session: Open, the_server: AServer, new_scene: Callable[[], Any]
) -> None:
    session = open_session(new_scene())
    session.connect(the_server.url, TOKENS["user"])
    assert session.state.hint == "Choose a scan of the scene."
    empty = session.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    session.parameters.scan = empty
    session.controller.generate()
    assert session.state.message.mood == BAD and session.state.progress is None


def test_a_broken_address_is_a_line_with_its_cure(open_session: Open) -> None:
    session = open_session()
    state = session.connect("0.0.0.0:8000")
    assert state.server.mood == BAD and "0.0.0.0" in state.server.text
    assert np.isfinite(state.slider_maximum)


def test_the_volume_that_was_removed_meanwhile_is_told(
    a_session: ASession, a_scene: Any, a_patient: Any
) -> None:
    arrayFromVolume(a_patient)[0, 0, 3] += 13
    a_session.controller.generate()
    a_scene.RemoveNode(a_patient)
    state = a_session.until(lambda state: state.progress is None)
    assert "removed" in state.message.text and state.runs == ()
    state = a_session.until(lambda state: state.known_job != "")
    assert "it is done" in state.known_job  # nothing is lost
