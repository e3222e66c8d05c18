"""What happens when server, scan, scene or network change while something is under way."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from a_module import AModule
from a_server import SAMPLES, AServer, own_address
from a_session import ASession, Open
from people import TOKENS
from plain_settings import PlainSettings
from slicer.util import arrayFromVolume
from slow_proxy import SlowProxy

from HealthyCounterpartLib.generation import FOLDER_PREFIX
from HealthyCounterpartLib.known_jobs import KnownJobs, RememberedJob
from HealthyCounterpartLib.scene.arrival import add_study

NOBODY = "http://127.0.0.1:9"


def begin(session: ASession) -> str:
    """Press Generate, and wait until there is a job."""
    session.controller.generate()
    session.until(lambda state: session.controller.generation._job != "")
    return session.controller.generation._job


def test_a_cancel_that_does_not_reach_the_server_says_so_and_keeps_the_job(
    open_session: Open, the_server: AServer, a_patient: Any
) -> None:
    arrayFromVolume(a_patient)[0, 1, 0] += 3
    session = open_session()
    session.parameters.scan = a_patient
    with contextlib.closing(SlowProxy(the_server.port)) as proxy:
        session.connect(f"http://127.0.0.1:{proxy.port}", TOKENS["user"])
        job = begin(session)
    session.until(lambda state: "Trying again" in state.progress.text)
    session.controller.cancel()
    state = session.until(lambda state: state.progress is None)
    assert state.message.text == "Stopped here; the job may go on at the server."
    assert [one.id for one in KnownJobs(session.settings).all()] == [job]


def test_a_cancel_before_there_is_a_job_claims_nothing(open_session: Open, a_patient: Any) -> None:
    session = open_session()
    session.parameters.scan = a_patient
    session.connect(NOBODY)
    session.controller.generation.ask(a_patient, "", "")
    session.controller.cancel()
    state = session.until(lambda state: state.progress is None)
    assert state.message.text == "Cancelled."


def test_a_fetched_job_that_is_stopped_stays_remembered(
    a_session: ASession, the_server: AServer, a_patient: Any
) -> None:
    arrayFromVolume(a_patient)[0, 1, 1] += 5
    begin(a_session)
    job = a_session.controller.generation._job
    a_session.controller.close()
    again = ASession(a_session.scene, a_session.settings)
    again.parameters.scan = a_patient
    again.connect(the_server.url, TOKENS["user"])
    again.until(lambda state: state.known_job != "")
    again.controller.fetch_known_job()
    again.controller.cancel()
    again.until(lambda state: state.progress is None)
    again.controller.close()
    assert [one.id for one in KnownJobs(a_session.settings).all()] == [job]
    assert the_server.wait(job)["state"] == "done"


def test_how_a_job_ended_is_told_over_older_news(
    a_session: ASession, a_scene: Any, tmp_path: Path
) -> None:
    a_session.generate()
    empty = add_study(a_scene, SAMPLES / "sample-01_FLAIR.nii.gz", "empty")
    arrayFromVolume(empty)[:] = 0
    a_session.parameters.scan = empty
    a_session.controller.generate()
    a_session.controller.export("table", tmp_path / "findings.csv")
    assert "findings.csv" in a_session.state.message.text
    state = a_session.until(lambda state: state.progress is None)
    assert state.message.mood == "bad" and "findings.csv" not in state.message.text


def test_an_answer_forgets_the_job_that_was_asked_about_and_no_other(
    open_session: Open, the_server: AServer
) -> None:
    settings = PlainSettings()
    jobs = KnownJobs(settings)
    url = the_server.url
    jobs.remember(RememberedJob("0" * 32, url, "yesterday"))
    session = open_session(settings=settings)
    session.connect(url, TOKENS["user"])  # which asks about the older one
    newer = RememberedJob(the_server.submit("sample-01_T1")["id"], url, "now")
    jobs.remember(newer)
    session.until(lambda state: "it is done" in state.known_job or "at work" in state.known_job)
    assert jobs.all() == (newer,)


def test_a_known_job_is_offered_by_its_own_server_alone(
    a_session: ASession, open_session: Open, a_patient: Any, the_server: AServer
) -> None:
    arrayFromVolume(a_patient)[0, 1, 2] += 7
    begin(a_session)
    a_session.controller.close()
    again = open_session(settings=a_session.settings)
    again.connect(the_server.url, TOKENS["user"])
    again.until(lambda state: state.known_job != "")
    again.controller.set_address(NOBODY)
    assert again.state.known_job == ""
    again.controller.fetch_known_job()
    assert again.state.progress is None


def test_the_report_is_asked_of_the_server_that_made_the_run(
    a_session: ASession, tmp_path: Path, the_server: AServer
) -> None:
    a_session.generate()
    a_session.controller.set_address(NOBODY)
    a_session.controller.export("report", tmp_path / "report.html")
    assert f"lies on the server {the_server.url}" in a_session.state.message.text
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("change", ["address", "source", "scan"])
def test_consent_is_asked_anew_after_a_change(
    open_session: Open, the_server: AServer, a_patient: Any, a_scene: Any, change: str
) -> None:
    session = open_session()
    session.parameters.scan = a_patient
    session.connect(f"http://{own_address()}:{the_server.port}", TOKENS["user"])
    session.controller.generate()
    assert session.state.consent_host == own_address()
    if change == "address":
        session.controller.set_address(the_server.url)
    elif change == "source":
        session.controller.choose_source(True)
    else:
        session.parameters.scan = add_study(a_scene, SAMPLES / "sample-01_T1.nii.gz", "other")
        session.controller.parameters_changed()
    assert session.state.consent_host == ""
    session.controller.allow_sending()
    assert session.state.progress is None and not session.settings.kept.get(
        "HealthyCounterpart/Consent"
    )


def test_a_run_whose_nodes_are_gone_cannot_be_chosen_and_breaks_nothing(
    a_session: ASession, a_scene: Any
) -> None:
    a_session.generate()
    a_session.generate()
    first = a_session.controller.review.runs[1]
    for node in first.nodes:
        a_scene.RemoveNode(node)
    a_session.controller.choose_run(1)
    assert len(a_session.state.runs) == 1 and a_session.state.run == 0


def test_a_study_that_was_changed_in_the_scene_is_fetched_again(
    open_session: Open, the_server: AServer, new_scene: Callable[[], Any]
) -> None:
    session = open_session(new_scene())
    session.connect(the_server.url, TOKENS["user"])
    session.controller.choose_source(True)
    session.controller.choose_study("sample-01_T1")
    session.generate()
    first = session.parameters.scan
    arrayFromVolume(first)[:] = 0
    session.generate()
    assert session.parameters.scan is not first
    assert arrayFromVolume(session.parameters.scan).any()


def test_the_active_scan_is_taken_whenever_none_is_chosen(
    open_session: Open, new_scene: Callable[[], Any]
) -> None:
    session = open_session(new_scene())
    session.controller.opened()
    session.controller.left()
    assert session.parameters.scan is None
    scan = add_study(session.scene, SAMPLES / "sample-01_T1.nii.gz", "T1")
    selection = session.scene.AddNewNodeByClass("vtkMRMLSelectionNode")
    selection.SetActiveVolumeID(scan.GetID())
    session.controller.scene_opened()
    assert session.parameters.scan is None  # another module has the views
    session.controller.entered()
    assert session.parameters.scan is scan


def test_a_comment_that_is_being_typed_is_kept_when_a_run_arrives(
    the_server: AServer, a_scene: Any, a_patient: Any
) -> None:
    module = AModule(a_scene)
    try:
        module.ui.scanSelector.setCurrentNode(a_patient)
        module.connect(the_server.url, TOKENS["user"])
        module.generate()
        module.ui.findingsTable.selectRow(0)
        first = module.controller.review.run
        module.press("generateButton")
        module.ui.commentEdit.textEdited.emit("an old bleed")
        module.until(lambda: not module.controller.generation.busy)
        assert module.controller.review.run.id != first.id
        rows = module.controller._with.scene.rows(first)
        assert rows[0].comment == "an old bleed"
    finally:
        module.close()


def test_a_name_that_mrml_cannot_write_does_not_lose_the_scene(
    a_session: ASession, a_scene: Any, new_scene: Callable[[], Any], tmp_path: Path
) -> None:
    scene = a_session.controller._with.scene
    study = scene.add_study(SAMPLES / "sample-01_FLAIR.nii.gz", "T1&T2 FLAIR", "http://h")
    assert scene.study_volume("T1&T2 FLAIR", "http://h") is study
    assert a_scene.WriteToMRB(str(tmp_path / "case.mrb"))
    again = new_scene()
    assert again.ReadFromMRB(str(tmp_path / "case.mrb"))
    assert again.GetFirstNodeByName(study.GetName()) is not None


def test_temporary_folders_are_gone_after_success_failure_and_cancel(
    a_session: ASession, a_scene: Any, a_patient: Any
) -> None:
    def folders() -> set[Path]:
        return set(Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"))

    before = folders()
    a_session.generate()
    arrayFromVolume(a_patient)[0, 1, 3] += 9
    begin(a_session)
    assert folders() - before
    a_session.controller.cancel()
    a_session.until(lambda state: state.progress is None)
    arrayFromVolume(a_patient)[:] = 0
    a_session.generate()
    assert a_session.state.message.mood == "bad"
    assert folders() == before
