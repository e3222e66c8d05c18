"""Jobs over HTTP, as the extension and scripts ask for them."""

import json
import signal
import urllib.request
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest
from a_server import AServer

RESULTS = ("counterpart", "residual", "anomaly", "mask", "findings", "report", "provenance")


def of(job: dict, name: str) -> str:
    return f"/counterpart/jobs/{job['id']}/results/{name}"


def as_nifti(folder: Path, content: bytes, name: str = "map.nii") -> nib.Nifti1Image:
    (folder / name).write_bytes(content)
    return nib.load(folder / name)


def test_a_done_job_names_every_result_and_the_weights(a_done_job: dict) -> None:
    assert set(RESULTS) <= set(a_done_job["results"])
    assert a_done_job["fraction"] == 1.0 and a_done_job["findings"] >= 1
    assert len(a_done_job["model"]["weights_sha256"]) == 64
    assert a_done_job["disclaimer"] == "AI-generated, research use only"


@pytest.mark.parametrize("name", ["counterpart", "residual", "anomaly", "mask"])
def test_maps_lie_on_the_scans_own_grid(
    the_server: AServer, a_done_job: dict, tmp_path: Path, name: str
) -> None:
    scan = nib.load(the_server.studies / f"{a_done_job['image']}.nii.gz")
    found = as_nifti(tmp_path, the_server.ask("GET", of(a_done_job, name)).body)
    assert found.shape == scan.shape
    np.testing.assert_array_equal(found.affine, scan.affine)
    assert found.get_data_dtype() == (np.uint8 if name == "mask" else np.float32)


def test_the_anomaly_map_is_signed_and_agrees_with_mask_and_findings(
    the_server: AServer, a_done_job: dict, tmp_path: Path
) -> None:
    anomaly = as_nifti(tmp_path, the_server.ask("GET", of(a_done_job, "anomaly")).body).get_fdata()
    mask = as_nifti(tmp_path, the_server.ask("GET", of(a_done_job, "mask")).body, "m.nii")
    listed = the_server.ask("GET", of(a_done_job, "findings")).json
    assert anomaly.min() < 0 < anomaly.max()
    inside = mask.get_fdata() > 0
    assert np.abs(anomaly[inside]).min() >= listed["threshold"]
    volume = inside.sum() * abs(np.linalg.det(mask.affine)) / 1000
    assert volume == pytest.approx(sum(f["volume_ml"] for f in listed["findings"]), abs=0.01)


def test_nifti_packed_nifti_and_nrrd_hold_the_same_values(
    the_server: AServer, a_done_job: dict, tmp_path: Path
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    arrays = []
    for suffix in ("nii", "nii.gz", "nrrd"):
        answer = the_server.ask("GET", f"{of(a_done_job, 'residual')}?format={suffix}")
        path = tmp_path / suffix.replace(".", "-") / f"residual.{suffix}"
        path.parent.mkdir()
        path.write_bytes(answer.body)
        image = sitk.ReadImage(str(path))
        arrays.append((sitk.GetArrayFromImage(image), image.GetOrigin(), image.GetDirection()))
    for values, origin, direction in arrays[1:]:
        np.testing.assert_array_equal(values, arrays[0][0])
        np.testing.assert_allclose(origin, arrays[0][1], atol=1e-4)
        np.testing.assert_allclose(direction, arrays[0][2], atol=1e-6)


def test_reports_and_tables_are_what_they_say(the_server: AServer, a_done_job: dict) -> None:
    html = the_server.ask("GET", of(a_done_job, "report"))
    assert html.headers["content-type"].startswith("text/html")
    assert b"AI-generated, research use only" in html.body
    png = the_server.ask("GET", f"{of(a_done_job, 'report')}?format=png")
    assert png.body.startswith(b"\x89PNG")
    table = the_server.ask("GET", f"{of(a_done_job, 'findings')}?format=csv").body.decode()
    assert table.splitlines()[0].startswith("number,direction,volume_ml")
    assert len(table.splitlines()) == 1 + a_done_job["findings"]


def test_a_client_that_has_the_file_is_not_sent_it_again(
    the_server: AServer, a_done_job: dict
) -> None:
    whole = the_server.ask("GET", of(a_done_job, "anomaly"))
    etag = whole.headers["etag"]
    again = the_server.ask("GET", of(a_done_job, "anomaly"), headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")
    part = the_server.ask(
        "GET", of(a_done_job, "anomaly"), headers={"Range": "bytes=100-199", "If-Range": etag}
    )
    assert (part.status, part.body) == (206, whole.body[100:200])
    other = the_server.ask("GET", of(a_done_job, "residual"))
    assert other.headers["etag"] != etag


def test_the_same_request_is_the_same_job_and_is_not_computed_again(
    the_server: AServer, a_done_job: dict
) -> None:
    before = {path.name for path in (the_server.state / "results").iterdir()}
    answer = the_server.ask_json("POST", "/counterpart/jobs", {"image": a_done_job["image"]})
    assert (answer.status, answer.json["id"]) == (200, a_done_job["id"])
    assert {path.name for path in (the_server.state / "results").iterdir()} == before


def test_another_threshold_is_answered_from_the_kept_maps(
    the_server: AServer, a_done_job: dict
) -> None:
    before = {path.name for path in (the_server.state / "results").iterdir()}
    high, low = (the_server.submit(a_done_job["image"], threshold=t) for t in (500.0, 1.5))
    assert high["state"] == low["state"] == "done"
    assert high["findings"] == 0 < low["findings"]
    assert {path.name for path in (the_server.state / "results").iterdir()} == before
    listed = the_server.ask("GET", of(low, "findings")).json
    assert listed["threshold"] == 1.5 and listed["evidence"]["p_value"] is None
    same = [the_server.ask("GET", of(job, "anomaly")).body for job in (low, a_done_job)]
    assert same[0] == same[1]


def test_an_upload_is_kept_once_and_gives_what_the_image_gives(
    the_server: AServer, a_done_job: dict, tmp_path: Path
) -> None:
    scan = (the_server.studies / f"{a_done_job['image']}.nii.gz").read_bytes()
    name = f"/counterpart/scans?name={a_done_job['image']}.nii.gz"
    first, second = (the_server.ask("PUT", name, scan) for _ in range(2))
    assert (first.status, second.status) == (201, 200)
    assert first.json == second.json
    answer = the_server.ask_json("POST", "/counterpart/jobs", {"scan": first.json["scan"]})
    assert (answer.status, answer.json["state"]) == (200, "done"), "computed for the image before"
    image, upload = (the_server.ask("GET", of(job, "mask")) for job in (a_done_job, answer.json))
    assert image.body == upload.body


def test_events_tell_of_progress_until_the_end(the_server: AServer) -> None:
    job = the_server.submit(seed=11)
    with urllib.request.urlopen(f"{the_server.url}/counterpart/jobs/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line.decode().strip() for line in stream]
    told = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    fractions = [one["fraction"] for one in told]
    assert told[-1]["state"] == "done" and fractions == sorted(fractions)
    assert len({one["stage"] for one in told}) > 4
    assert any(one["seconds_left"] for one in told)


def test_a_running_job_stops_and_those_behind_it_go_on(the_server: AServer) -> None:
    first, second, third = (the_server.submit(seed=seed) for seed in (12, 13, 14))
    assert [
        the_server.ask("GET", f"/counterpart/jobs/{job['id']}").json["position"]
        for job in (second, third)
    ] == [1, 2]
    the_server.wait(first["id"], ("running",))
    for job in (first, third):
        assert the_server.ask("DELETE", f"/counterpart/jobs/{job['id']}").status == 200
    assert the_server.wait(first["id"])["state"] == "cancelled"
    assert the_server.wait(third["id"])["state"] == "cancelled"
    gone = the_server.ask("GET", of(first, "mask"))
    assert gone.is_a_problem(409)
    assert the_server.wait(second["id"])["state"] == "done"
    assert not list((the_server.state / "incoming").iterdir())
    again = the_server.submit(seed=12)
    assert again["id"] == first["id"] and again["state"] in ("queued", "running")
    the_server.ask("DELETE", f"/counterpart/jobs/{again['id']}")


def test_a_killed_server_comes_up_with_what_was_done_and_says_what_broke(
    the_server: AServer, a_done_job: dict
) -> None:
    before = the_server.ask("GET", of(a_done_job, "anomaly")).body
    broken, waiting = the_server.submit(seed=15), the_server.submit(seed=16)
    the_server.wait(broken["id"], ("running",))
    processes = psutil.Process(the_server.process.pid).children(recursive=True)
    the_server.stop(signal.SIGKILL)
    _, left = psutil.wait_procs(processes, timeout=20)
    assert not left, "the processes that compute end with their server"
    the_server.start()
    status = the_server.ask("GET", f"/counterpart/jobs/{broken['id']}").json
    assert status["state"] == "failed" and "stopped while" in status["error"] and status["hint"]
    assert the_server.ask("GET", of(a_done_job, "anomaly")).body == before
    assert the_server.wait(waiting["id"])["state"] == "done", "what waited is done afterwards"


def test_a_computing_process_that_dies_fails_its_job_alone(the_server: AServer) -> None:
    job = the_server.submit(seed=17)
    the_server.wait(job["id"], ("running",))
    for process in psutil.Process(the_server.process.pid).children():
        if "compute" in process.cmdline():
            process.kill()
    status = the_server.wait(job["id"])
    assert status["state"] == "failed" and "process" in status["error"] and status["hint"]
    again = the_server.wait(the_server.submit(seed=17)["id"])
    assert again["state"] == "done", "the next one has a new process"
