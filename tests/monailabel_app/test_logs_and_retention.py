"""What the server remembers: logs without names, an audit of who did what, and nothing for ever."""

import gzip
import hashlib
import hmac
import json
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from a_server import SAMPLES, AServer, multipart
from bad_scans import a_volume, a_zip
from people import NAMES, TOKENS
from watching import check_words, files_of, printed

from counterpart.formats.derived_series import write_dicom_series
from counterpart.grid import Grid
from counterpart.scans import Scan
from lib.datastore.sessions import SessionStore
from lib.datastore.uploads import UploadStore
from lib.inference.link import ProcessLink
from lib.jobs.cache import SCAN_FILE, ResultCache
from lib.jobs.job import Job
from lib.jobs.store import JobStore
from lib.problems import Problem
from lib.state import StateFolder, open_state

MODEL = "healthy_counterpart"
SECRET = "Erika_Mustermann"
DAY_S = 86_400.0


def keyed(server: AServer, content: bytes) -> str:
    """The hash that stands for a scan in logs, as only who has the server's key can make it."""
    key = (server.state / "secret.key").read_bytes()
    text = "\0".join(("scan", hashlib.sha256(content).hexdigest())).encode()
    return hmac.new(key, text, "sha256").hexdigest()[:32]


def audited(server: AServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (server.state / "audit.log").read_text().splitlines()]


def noted(server: AServer, action: str, ask: Callable[[], object]) -> dict[str, Any]:
    """The line that the audit has of a request; it is written after the answer was sent."""
    before = len(audited(server))
    ask()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [line for line in audited(server)[before:] if line["action"] == action]
        if found:
            return found[-1]
        time.sleep(0.02)
    raise AssertionError(f"the audit has no line about {action}")


def a_changed_scan(number: int, name: str = "sample-01_FLAIR") -> bytes:
    """A scan whose bytes nobody has sent before; a second packed part that holds nothing."""
    return (SAMPLES / f"{name}.nii.gz").read_bytes() + gzip.compress(b"", mtime=number)


def a_named_series(folder: Path) -> bytes:
    """A DICOM series that says whose it is, also where readers expect something else."""
    values = a_volume().astype(np.float32)
    scan = Scan(values, Grid((16, 16, 16), np.diag([2.0, 2.0, 2.0, 1.0])), "scan")
    uid, number = "1.2.3.4.5.6.7.89", "1234567890.12345"
    assert len(uid) == len(number) == len(SECRET)
    files = {}
    for path in write_dicom_series(folder, values, scan, description="a scan"):
        image = pydicom.dcmread(path)
        image.PatientName = image.Manufacturer = SECRET
        image.ImageType, image.SeriesDescription = ["ORIGINAL", "PRIMARY"], SECRET
        image.StudyInstanceUID, image.EchoTime = uid, number
        image.save_as(path)
        content = path.read_bytes()
        for value in (uid, number):
            assert value.encode() in content
            content = content.replace(value.encode(), SECRET.encode())
        files[f"{SECRET}/{path.name}"] = content
    return a_zip(files)


def test_no_name_that_a_client_gave_is_in_any_log(
    a_guarded_server: AServer, a_guarded_job: dict, tmp_path: Path
) -> None:
    server, scan = a_guarded_server, a_changed_scan(1)
    server.ask("PUT", f"/counterpart/scans?name={SECRET}_T1.nii.gz", scan)
    series = a_named_series(tmp_path / "series")
    named = server.ask("PUT", f"/counterpart/scans?name={SECRET}.zip", series)
    assert named.status == 201, named.body
    job = server.ask_json("POST", "/counterpart/jobs", {"scan": named.json["scan"]}).json
    assert server.wait(job["id"])["state"] == "failed", "there is no brain in it"
    assert server.ask("DELETE", f"/counterpart/scans/{named.json['scan']}").json["removed"] == 2
    form = multipart({"params": f'{{"who": "{SECRET}"}}'}, {"file": (f"{SECRET}.nii.gz", scan)})
    assert server.ask("PUT", f"/datastore/image?image={SECRET}", *form).status == 200
    label = multipart({"params": f'{{"who": "{SECRET}"}}'}, {"label": (f"{SECRET}.nii.gz", scan)})
    server.ask("PUT", f"/datastore/label?image={SECRET}&tag=final", *label)
    for path in (f"image?image={SECRET}", f"label?label={SECRET}&tag=final", f"?x={SECRET}"):
        server.ask("GET", f"/datastore/{path}")
    server.ask("GET", f"/{SECRET}/{SECRET}?{SECRET}", headers={"User-Agent": SECRET})
    server.ask("GET", f"/counterpart/jobs/{a_guarded_job['id']}/results/report")
    job = server.submit(SECRET, seed=3)
    server.ask("DELETE", f"/counterpart/jobs/{job['id']}")
    server.wait(job["id"])
    assert server.ask("DELETE", f"/datastore/image?id={SECRET}").status == 200
    server.ask("DELETE", f"/counterpart/scans/{hashlib.sha256(scan).hexdigest()}")
    text = printed(server)
    for said in (SECRET, "sample-01", "sample-02", hashlib.sha256(scan).hexdigest(), job["id"]):
        assert said not in text
    assert "?" not in "".join(line for line in text.splitlines() if "counterpart.server" in line)
    assert keyed(server, scan) in text, "its keyed hash stands for it"


def test_the_audit_says_who_did_what_with_which_model_and_scan(
    a_guarded_server: AServer, a_guarded_job: dict
) -> None:
    server, image = a_guarded_server, a_guarded_job["image"]
    scan = keyed(server, (server.studies / f"{image}.nii.gz").read_bytes())
    model = f"{a_guarded_job['model']['name']} {a_guarded_job['model']['version']}"
    result = f"/counterpart/jobs/{a_guarded_job['id']}/results/mask"
    form = multipart({"params": "{}"}, {})
    asked: dict[str, tuple[str, str | None, Callable[[str], object]]] = {
        "POST /counterpart/jobs": (
            "annotator",
            model,
            lambda token: server.ask_json(
                "POST", "/counterpart/jobs", {"image": image}, token=token
            ),
        ),
        "GET /counterpart/jobs/{job_id}/results/{name}": (
            "reviewer",
            model,
            lambda token: server.ask("GET", result, token=token),
        ),
        "GET /datastore/image": (
            "user",
            None,
            lambda token: server.ask("GET", f"/datastore/image?image={image}", token=token),
        ),
        "POST /infer/{model}": (
            "user",
            model,
            lambda token: server.ask("POST", f"/infer/{MODEL}?image={image}", *form, token=token),
        ),
    }
    for action, (role, by, ask) in asked.items():
        line = noted(server, action, partial(ask, TOKENS[role]))
        said = {key: line[key] for key in ("who", "role", "status", "model", "scan")}
        who = {"who": NAMES[role], "role": role, "status": 200}
        assert said == {**who, "model": by, "scan": scan}, action
        assert line["time"].endswith("+00:00")


def test_the_audit_says_what_was_refused_and_what_failed(a_guarded_server: AServer) -> None:
    server = a_guarded_server
    user = TOKENS["user"]
    line = noted(server, "POST /reload", lambda: server.ask("POST", "/reload", token=user))
    assert (line["who"], line["role"], line["status"]) == (NAMES["user"], "user", 403)
    result = f"/counterpart/jobs/{'0' * 32}/results/mask"
    action = "GET /counterpart/jobs/{job_id}/results/{name}"
    line = noted(server, action, lambda: server.ask("GET", result, token=""))
    assert (line["who"], line["status"]) == (None, 401)
    form = multipart({"params": "{}"}, {})
    address = f"/infer/{MODEL}?image=CT"
    line = noted(server, "POST /infer/{model}", lambda: server.ask("POST", address, *form))
    ct = (server.studies / "CT.nii.gz").read_bytes()
    assert (line["status"], line["scan"]) == (422, keyed(server, ct))


def test_another_server_has_another_hash_for_the_same_scan(tmp_path: Path) -> None:
    states = [open_state(tmp_path / name) for name in ("a", "b")]
    assert len({state.keyed("scan", "0" * 64) for state in states}) == 2
    again = open_state(tmp_path / "a")
    assert again.keyed("scan", "0" * 64) == states[0].keyed("scan", "0" * 64)
    assert again.keyed("scan", "ab", "c") != again.keyed("scan", "a", "bc")


def test_a_damaged_key_is_not_used(tmp_path: Path) -> None:
    """With an empty key, anybody could make log-ins."""
    open_state(tmp_path)
    (tmp_path / "secret.key").write_bytes(b"")
    with pytest.raises(OSError, match="expected a key of 32 bytes"):
        open_state(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


# Purging.


def test_a_purge_leaves_nothing_of_a_scan(a_guarded_server: AServer) -> None:
    server, image, content = a_guarded_server, "purged_FLAIR", a_changed_scan(4)
    digest = hashlib.sha256(content).hexdigest()
    added = multipart({}, {"file": (f"{image}.nii.gz", content)})
    assert server.ask("PUT", "/datastore/image", *added).json == {"image": image}
    before = files_of(server)
    name = f"/counterpart/scans?name={image}.nii.gz"
    assert server.ask("PUT", name, content).status in (200, 201)
    form = multipart({}, {"files": (f"{image}.nii.gz", content)})
    session = server.ask("PUT", "/session/", *form).json["session_id"]
    infer = multipart({"params": "{}"}, {})
    assert server.ask("POST", f"/infer/{MODEL}?image={image}", *infer).status == 200
    by_hash = server.ask_json("POST", "/counterpart/jobs", {"scan": digest}).json
    higher = server.submit(image, threshold=30.0)
    assert by_hash["state"] == higher["state"] == "done"
    kept = server.ask("GET", "/datastore/?output=all").json["objects"][image]["labels"]
    assert {"counterpart", "residual", "anomaly"} <= set(kept)
    check_words(
        server.ask("DELETE", f"/counterpart/scans/{digest}", token=TOKENS["reviewer"]), (403,)
    )
    purged = server.ask("DELETE", f"/counterpart/scans/{digest}")
    assert purged.json["removed"] == 3 + 3 + 1 + 1, "jobs, labels, the upload, the session"
    for address in (
        f"/counterpart/scans/{digest}",
        f"/counterpart/jobs/{by_hash['id']}",
        f"/counterpart/jobs/{higher['id']}/results/mask",
        f"/session/{session}",
        f"/datastore/label?label={image}&tag=anomaly",
    ):
        check_words(server.ask("GET", address), (404,))
    after = files_of(server)
    left = {path for path in set(after) - set(before) if not path.startswith("studies/labels")}
    assert left == set()
    assert (server.studies / f"{image}.nii.gz").read_bytes() == content, "the image itself stays"
    assert server.ask("DELETE", f"/datastore/image?id={image}").status == 200


def test_a_purge_stops_what_is_being_computed(a_guarded_server: AServer) -> None:
    server, content = a_guarded_server, a_changed_scan(2)
    digest = server.ask("PUT", "/counterpart/scans?name=gone_FLAIR.nii.gz", content).json["scan"]
    job = server.ask_json("POST", "/counterpart/jobs", {"scan": digest}).json
    server.wait(job["id"], ("running",))
    assert server.ask("DELETE", f"/counterpart/scans/{digest}").json == {"removed": 2}
    check_words(server.ask("GET", f"/counterpart/jobs/{job['id']}"), (404,))
    assert not (server.state / "jobs" / f"{job['id']}.json").exists()
    texts = [path.read_text() for path in (server.state / "results").rglob("scan.txt")]
    assert keyed(server, content) not in texts
    assert not list((server.state / "incoming").iterdir())


def test_a_result_is_known_by_its_scan_when_its_job_is_forgotten(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    cache = ResultCache(state, 1 << 30, DAY_S)
    for key, scan in (("first", "a"), ("second", "b"), ("third", "a")):
        work = state.temporary()
        (work / SCAN_FILE).write_text(scan)
        cache.put(key, work)
    assert cache.keys_of("a") == {"first", "third"} and cache.keys_of("c") == set()


def test_purging_what_is_not_there_removes_nothing(a_guarded_server: AServer) -> None:
    before = files_of(a_guarded_server)
    answer = a_guarded_server.ask("DELETE", f"/counterpart/scans/{'0' * 64}")
    assert (answer.status, answer.json) == (200, {"removed": 0})
    assert files_of(a_guarded_server) == before


# Lifetimes, by a clock of the test's own.


class Clock:
    """Seconds since 1970, as the test wants them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """Takes every file for a scan."""

    def ask(self, task: object) -> dict[str, Any]:
        return {"shape": [9, 9, 9], "spacing_mm": [1.0, 1.0, 1.0], "warnings": []}


@pytest.fixture
def a_state(tmp_path: Path) -> StateFolder:
    return open_state(tmp_path / "state")


@pytest.fixture
def a_clock() -> Clock:
    return Clock()


@pytest.fixture
def some_uploads(a_state: StateFolder, a_clock: Clock) -> UploadStore:
    desk: ProcessLink = Desk()  # type: ignore[assignment]
    return UploadStore(a_state, desk, 1000, 30 * DAY_S, a_clock)


def an_upload(store: UploadStore, folder: Path, letter: str) -> str:
    path = folder / f"received-{letter}.nii"
    path.write_bytes(letter.encode())
    return store.take(path, letter * 64, "name_T1", ".nii").content


def test_an_upload_goes_when_nobody_has_used_it_for_its_lifetime(
    some_uploads: UploadStore, a_clock: Clock, tmp_path: Path
) -> None:
    old, used = (an_upload(some_uploads, tmp_path, letter) for letter in "ab")
    a_clock.now += 29 * DAY_S
    some_uploads.purge_old()
    some_uploads.find(used)
    a_clock.now += 2 * DAY_S
    some_uploads.purge_old()
    assert not some_uploads.has(old) and some_uploads.has(used)
    with pytest.raises(Problem, match="does not exist"):
        some_uploads.find(old)


def test_sessions_end_and_are_forgotten(
    a_state: StateFolder, some_uploads: UploadStore, a_clock: Clock, tmp_path: Path
) -> None:
    content = an_upload(some_uploads, tmp_path, "c")
    sessions = SessionStore(a_state.root / "sessions", some_uploads, a_clock)
    short, _ = sessions.open(content, 60)
    long, facts = sessions.open(content, 10**9)
    assert facts["expiry"] == 24 * 3600, "none is kept for longer than a day"
    a_clock.now += 61
    with pytest.raises(Problem, match="does not exist"):
        sessions.find(short)
    assert sessions.path(long).is_file()
    a_clock.now += DAY_S
    sessions.open(content, 60)
    assert len(list((a_state.root / "sessions").iterdir())) == 1
    assert sessions.purge("d" * 64) == 0 and sessions.purge(content) == 1


def test_jobs_that_ended_long_ago_are_forgotten(a_state: StateFolder) -> None:
    store = JobStore(a_state, 30 * DAY_S)
    now = time.time()
    for number, (state, age) in enumerate((("done", 31), ("done", 29), ("queued", 31))):
        job = Job(f"{number:032x}", {}, None, "a" * 64, "a" * 64, "/x.nii", state=state)
        job.created = job.finished = now - age * DAY_S
        store.keep(job)
    store.forget_old()
    assert {job.id[-1] for job in store.all()} == {"1", "2"}
    assert len(list(a_state.jobs.iterdir())) == 2
