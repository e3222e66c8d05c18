"""The client against a real server process: what it sends, writes and says when something fails."""

import hashlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from server_stand_in import INFO, TOKEN, a_free_port, running

from counterpart.errors import CounterpartError, ServingError
from counterpart.serving import client as client_module
from counterpart.serving.client import CounterpartClient, Job


def test_a_job_is_submitted_waited_for_and_fetched(tmp_path: Path) -> None:
    with running() as url:
        client = CounterpartClient(url)
        assert client.health()["state"] == "ready"
        assert client.info() == INFO
        told: list[Job] = []
        job = client.submit(image="head_FLAIR", options={"seed": 3})
        assert (job.state, job.position) == ("queued", 0)
        done = client.wait(job.id, tell=told.append)
        assert (done.state, done.findings, done.seconds_left) == ("done", 2, None)
        assert [one.stage for one in told] == ["Finding the brain", ""]
        client.fetch(job.id, "anomaly", tmp_path / "a.nii.gz", kind="nii.gz")
        assert (tmp_path / "a.nii.gz").read_bytes() == b"anomaly as nii.gz" * 1000
        client.fetch(job.id, "report", tmp_path / "r.html")
        assert (tmp_path / "r.html").read_bytes() == b"report as default" * 1000
        assert client.cancel(job.id).state == "cancelled"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "r.html"]


def test_a_scan_is_uploaded_and_asked_for_by_its_hash(tmp_path: Path) -> None:
    scan = tmp_path / "a b_T1.nii.gz"
    scan.write_bytes(b"voxels" * 1000)
    with running() as url:
        client = CounterpartClient(url)
        known = client.upload(scan)
        digest = hashlib.sha256(scan.read_bytes()).hexdigest()
        assert known == {"scan": digest, "name": scan.name, "bytes": 6000}
        assert client.submit(scan=known["scan"]).state == "queued"
        with pytest.raises(ServingError, match="either an image .* or an uploaded scan"):
            client.submit(image="x", scan=digest)


def test_an_upload_that_is_refused_half_way_says_why(tmp_path: Path) -> None:
    large = tmp_path / "large.nii"
    with large.open("wb") as stream:
        stream.truncate(64 << 20)
    with running() as url, pytest.raises(ServingError) as refused:
        CounterpartClient(url).upload(large)
    # The answer, or, where the system drops it with the connection, that there was none.
    assert str(refused.value).startswith(("The scan is over 1 MB. Send", "no answer from"))


def test_refusals_are_said_in_the_server_s_words() -> None:
    with running("token") as url:
        with pytest.raises(ServingError, match=r"^A token is needed\. Give one\.$"):
            CounterpartClient(url).info()
        client = CounterpartClient(url, token=TOKEN)
        with pytest.raises(ServingError, match=r"^The image does not exist\. Ask"):
            client.submit(image="none")


def test_a_job_that_fails_is_an_error_with_its_hint() -> None:
    with running("failing") as url:
        client = CounterpartClient(url)
        with pytest.raises(ServingError, match=r"^No brain was found\. Send a head\.$"):
            client.wait(client.submit(image="x").id)


def test_a_server_that_is_away_for_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with running("losing") as url:
        client = CounterpartClient(url)
        job = client.submit(image="x")
        assert client.wait(job.id).state == "done"
    monkeypatch.setattr(client_module, "_LOST_FOR_S", 0.0)
    with pytest.raises(ServingError, match="no answer from .*start the server with"):
        client.wait(job.id)


def test_a_result_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    broken = pytest.raises(ServingError, match="'mask' broke off; fetch it again")
    with running("truncating") as url, broken:
        CounterpartClient(url).fetch("1", "mask", tmp_path / "mask.nii.gz")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_taken_for_a_server_that_is_gone(tmp_path: Path) -> None:
    with running() as url, pytest.raises(FileNotFoundError):
        CounterpartClient(url).fetch("1", "mask", tmp_path / "none" / "mask.nii.gz")


def test_a_wait_ends_when_its_time_is_over() -> None:
    with running() as url:
        client = CounterpartClient(url)
        job = client.submit(image="slow")
        with pytest.raises(ServingError, match=f"{job.id} has not ended within 0 s"):
            client.wait(job.id, timeout_s=0.0)


def test_a_server_that_is_busy_is_not_taken_for_one_that_is_gone() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(ServingError, match=r"does not answer within 0\.05 s; it may be busy"):
            CounterpartClient(url, timeout_s=0.05).info()


def test_nobody_and_no_address_are_said() -> None:
    with pytest.raises(ServingError, match="Connection refused.*correct the address"):
        CounterpartClient(f"http://127.0.0.1:{a_free_port()}").info()
    with pytest.raises(CounterpartError, match="expected an address such as"):
        CounterpartClient("127.0.0.1:8000")


@pytest.mark.parametrize(
    "values", [{}, {"id": "1", "state": "asleep"}, {"id": "1", "state": "done", "fraction": "x"}]
)
def test_what_is_no_job_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ServingError, match="the server (describes|names)"):
        Job.from_json(values)


def test_a_script_needs_neither_torch_nor_numpy() -> None:
    program = (
        "import sys, counterpart.serving.client, counterpart.serving.server_process\n"
        "print({'torch', 'numpy', 'monailabel', 'SimpleITK'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
