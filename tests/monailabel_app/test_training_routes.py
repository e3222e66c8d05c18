"""Training over HTTP: marks, cohort, one trainer that outlives its server, versions that change."""

import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from a_server import NO_GATES, QUICK, RELEASED_VERSION, ROOT, AServer, quick_model
from monailabel.client import MONAILabelClient

from counterpart.registry.publishing import publish

HEALTHY = ROOT / "sample_data" / "healthy"
MODEL = "healthy_counterpart"
WAIT_S = 120.0
# MONAI Label's client leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning",
    "ignore:Exception ignored in. <(socket|_io):pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture(scope="module")
def the_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AServer]:
    """A server whose studies hold eight healthy heads and a patient."""
    server = AServer(tmp_path_factory.mktemp("hospital"))
    server.prepare(("sample-01_FLAIR",))
    for path in sorted(HEALTHY.glob("*_T1.nii.gz")):
        shutil.copy(path, server.studies)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def the_cohort(the_hospital: AServer) -> list[str]:
    """The ids of the healthy heads, marked as such."""
    images = sorted(path.name[:-7] for path in the_hospital.studies.glob("healthy*_T1.nii.gz"))
    for image in images:
        assert mark(the_hospital, image, "healthy") == 200
    return images


def mark(server: AServer, image: str, word: str) -> int:
    body = urllib.parse.urlencode({"info": json.dumps({"cohort": word})}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.ask("PUT", f"/datastore/image/info?image={image}", body, kind).status


def until(holds: Callable[[], Any]) -> Any:
    """What a question is answered once the answer is yes."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def training(server: AServer) -> dict[str, Any]:
    return dict(server.ask("GET", "/counterpart/training").json)


def test_without_marks_nothing_is_trained(the_hospital: AServer) -> None:
    answer = the_hospital.ask_json("POST", f"/train/{MODEL}", {})
    assert answer.is_a_problem(409) and "healthy" in answer.json["error"]
    assert training(the_hospital)["state"] == "none"
    assert the_hospital.ask("GET", "/train/").is_a_problem(404)


def test_the_cohort_is_what_was_marked(the_hospital: AServer, the_cohort: list[str]) -> None:
    cohort = the_hospital.ask("GET", "/counterpart/cohort").json
    words = json.dumps(cohort)
    assert cohort["advice"] == "calibrate" and "T1" in words
    assert mark(the_hospital, the_cohort[0], "") == 200
    fewer = the_hospital.ask("GET", "/counterpart/cohort").json
    assert fewer["subjects"] == cohort["subjects"] - 1 == len(the_cohort) - 1
    assert mark(the_hospital, the_cohort[0], "healthy") == 200


def test_marks_of_the_command_and_of_the_server_do_not_undo_each_other(
    the_hospital: AServer, the_cohort: list[str], tmp_path: Path
) -> None:
    shutil.copy(HEALTHY / "healthy-01_T1.nii.gz", tmp_path / "another_T1.nii.gz")
    added = [sys.executable, "-m", "counterpart.cli", "cohort", "add", str(tmp_path)]
    subprocess.run([*added, "--studies", str(the_hospital.studies)], check=True, timeout=120)
    assert mark(the_hospital, the_cohort[0], "healthy") == 200, "the server writes its list anew"
    info = the_hospital.ask("GET", "/datastore/image/info?image=another_T1").json
    assert info["cohort"] == "healthy"
    cohort = the_hospital.ask("GET", "/counterpart/cohort").json
    assert any("another" in warning for warning in cohort["warnings"]), "the same bytes twice"
    assert the_hospital.ask("DELETE", "/datastore/image?id=another_T1").status == 200


@pytest.mark.parametrize(
    "choice",
    [{"mode": "guess"}, {"steps": "many"}, {"scans": []}, {"registry": "/tmp"}, {"seed": -1}],
)
def test_a_choice_that_cannot_be_used_starts_nothing(
    the_hospital: AServer, the_cohort: list[str], choice: dict[str, Any]
) -> None:
    answer = the_hospital.ask_json("POST", f"/train/{MODEL}", choice)
    assert answer.is_a_problem(400), answer.body
    assert not list((the_hospital.state / "runs").iterdir())


def test_a_training_outlives_its_server_and_is_found_again(
    the_hospital: AServer, the_cohort: list[str]
) -> None:
    client = MONAILabelClient(the_hospital.url)
    task = client.train_start(MODEL, {"mode": "calibrate"})
    assert task["status"] == "RUNNING"
    second = the_hospital.ask_json("POST", f"/train/{MODEL}", {})
    assert second.is_a_problem(429)
    pid = until(lambda: training(the_hospital).get("pid"))
    stats = client.info()["train_stats"][MODEL]
    assert {"epoch", "total_epochs", "best_metric", "stage", "fraction"} <= set(stats)
    the_hospital.stop(signal.SIGKILL)
    assert psutil.pid_exists(pid), "it works on without the server"
    the_hospital.start()
    found = training(the_hospital)
    assert (found["run"], found["pid"], found["alive"]) == (task["id"], pid, True)
    assert the_hospital.ask("DELETE", "/counterpart/training").status == 200
    ended = until(lambda: (now := training(the_hospital))["alive"] is False and now)
    assert ended["state"] == "cancelled"
    assert the_hospital.ask("DELETE", "/counterpart/training").is_a_problem(404)
    again = the_hospital.ask_json("POST", f"/train/{MODEL}", {"resume": True})
    assert again.status == 200 and again.json["id"] == task["id"]
    until(lambda: training(the_hospital).get("alive"))
    client.train_stop()
    until(lambda: training(the_hospital)["alive"] is False)


def test_the_next_job_uses_a_new_version_and_a_rollback_undoes_it(
    the_hospital: AServer, tmp_path: Path
) -> None:
    before = the_hospital.wait(the_hospital.submit()["id"])
    assert before["model"]["version"] == QUICK
    done = publish(quick_model(tmp_path, "9.9.9"), root=the_hospital.registry, terms=NO_GATES)
    assert done.serving
    assert the_hospital.ask("GET", "/counterpart/info").json["model"]["version"] == "9.9.9"
    after = the_hospital.wait(the_hospital.submit()["id"])
    assert after["id"] != before["id"] and after["model"]["version"] == "9.9.9"
    kept = the_hospital.ask("GET", f"/counterpart/jobs/{before['id']}/results/provenance").json
    assert kept["version"] == QUICK, "what was computed before says by what"
    answer = the_hospital.ask_json("POST", "/counterpart/models/rollback", {"reason": "a test"})
    assert answer.json["version"] == QUICK
    again = the_hospital.submit()
    assert (again["id"], again["state"]) == (before["id"], "done")
    listed = the_hospital.ask("GET", "/counterpart/models").json
    assert [event["kind"] for event in listed["history"]] == [
        "publish",
        "publish",
        "rollback",
    ]
    assert {one["version"] for one in listed["models"]} >= {RELEASED_VERSION, QUICK, "9.9.9"}
