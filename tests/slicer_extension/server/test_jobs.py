"""Counterparts from the real server: to the end, cancelled, lost on the way, found again."""

import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from a_server import SCANS, AServer, free_port
from job_listener import ClientOf, Listener, ScanOf
from slow_proxy import slow_proxy

from HealthyCounterpartLib import jobs
from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.jobs import RESULTS, Delivery, JobProgress, generate
from HealthyCounterpartLib.problems import ScanProblem, ServerProblem
from HealthyCounterpartLib.scan_source import KnownJob, SceneScan, StudyScan
from HealthyCounterpartLib.worker import Stopped, Told, Worker

OPTIONS = {"contrast": "FLAIR"}


def check_delivery(delivery: Delivery, scan: SceneScan) -> None:
    """That all is there, on the scan's own grid."""
    assert set(delivery.files) == set(RESULTS)
    for name, path in delivery.files.items():
        found = nib.load(path)
        assert path.name == f"{name}.nii"
        assert found.shape == scan.values.shape[::-1]
        np.testing.assert_allclose(found.affine, scan.ijk_to_ras, atol=1e-3)
    assert delivery.provenance["weights_sha256"] == delivery.job.model.weights_sha256
    assert len(delivery.findings["findings"]) >= 1


def state_of(server: AServer, job: str) -> str:
    return str(server.ask("GET", f"/counterpart/jobs/{job}").json["state"])


def test_a_scan_becomes_maps_findings_and_provenance(
    a_client: ServerClient, the_first_run: Any
) -> None:
    delivery, listener = the_first_run.delivery, the_first_run.listener
    check_delivery(delivery, the_first_run.scan)
    assert delivery.provenance["contrast"] == "FLAIR"
    assert delivery.references["references"] and delivery.references["viewable"] is True
    assert a_client.knows_scan(delivery.scan_sha256)
    phases = [one for one in listener.phases if one != "waiting"]
    assert phases == ["writing", "uploading", "running", "fetching"]
    for phase in ("uploading", "fetching"):
        parts = listener.fractions(phase)
        assert parts == sorted(parts) and (parts[0], parts[-1]) == (0.0, 1.0)
    at_work = [told for told in listener.told if told.phase == "running"]
    assert len({told.stage for told in at_work}) > 2
    assert all(told.job_id == delivery.job.id and told.position == 0 for told in at_work)
    assert any(told.seconds_left for told in at_work)


def test_the_same_scan_is_neither_sent_nor_computed_again(
    client_of: ClientOf, the_first_run: Any, the_server: AServer, tmp_path: Path
) -> None:
    listener = Listener()
    with slow_proxy(the_server.port) as proxy:
        client = client_of(port=proxy.port)
        delivery = generate(client, the_first_run.scan, OPTIONS, tmp_path, listener.work)
        assert proxy.sent_up < 10_000
    check_delivery(delivery, the_first_run.scan)
    assert delivery.job.id == the_first_run.delivery.job.id
    assert listener.phases == ["writing", "fetching"]


def test_a_new_client_finds_a_known_job_again(
    client_of: ClientOf, the_first_run: Any, a_done_job: str, tmp_path: Path
) -> None:
    listener = Listener()
    delivery = generate(client_of("reviewer"), KnownJob(a_done_job), {}, tmp_path, listener.work)
    check_delivery(delivery, the_first_run.scan)
    assert delivery.scan_sha256 == the_first_run.delivery.scan_sha256
    assert listener.phases == ["fetching"] and listener.told[0].job_id == a_done_job


def test_a_slow_network_is_watched_and_its_cuts_are_mended(
    client_of: ClientOf, the_first_run: Any, the_server: AServer, tmp_path: Path
) -> None:
    shutil.rmtree(the_server.state / "scans" / the_first_run.delivery.scan_sha256)  # it expired
    listener = Listener()
    with slow_proxy(the_server.port) as proxy:
        proxy.bytes_per_s = 5e6
        proxy.cut_up_at, proxy.cut_down_at = 400_000, 1_000_000
        client = client_of(port=proxy.port)
        delivery = generate(client, the_first_run.scan, OPTIONS, tmp_path, listener.work)
        assert proxy.cut_up_at is None and proxy.cut_down_at is None
    check_delivery(delivery, the_first_run.scan)
    order = ["writing", "uploading", "lost", "uploading", "fetching", "lost", "fetching"]
    assert listener.phases == order
    assert len(set(listener.fractions("uploading"))) > 5
    lost = [told for told in listener.told if told.phase == "lost"]
    assert all("broke off" in told.stage and 0 < told.retry_s <= 0.75 for told in lost)
    for name, path in the_first_run.delivery.files.items():
        assert delivery.files[name].read_bytes() == path.read_bytes()


def test_a_cancelled_work_is_cancelled_on_the_server_and_can_be_asked_for_again(
    a_client: ServerClient, scan_of: ScanOf, the_server: AServer, tmp_path: Path
) -> None:
    def cancel(told: JobProgress) -> None:
        if told.phase == "running" and told.stage != "Stopping":
            listener.work.cancel()

    for _ in range(2):  # the second time it is answered with the job that is just ending
        listener = Listener(cancel)
        with pytest.raises(Stopped):
            generate(a_client, scan_of(20), OPTIONS, tmp_path, listener.work)
    job = listener.told[-1].job_id
    assert the_server.wait(job)["state"] == "cancelled"


def test_a_closed_application_leaves_its_job_at_work(
    a_client: ServerClient, scan_of: ScanOf, the_server: AServer, tmp_path: Path
) -> None:
    worker = Worker()
    worker.start("generate", lambda work: generate(a_client, scan_of(21), OPTIONS, tmp_path, work))
    told: list[Any] = []
    while not any(isinstance(one, Told) and one.value.phase == "running" for one in told):
        told += worker.drain(0.01)
    worker.close(10)
    job = told[-1].value.job_id
    time.sleep(0.3)
    assert state_of(the_server, job) in ("queued", "running")
    a_client.cancel(job)
    the_server.wait(job)


def test_a_job_that_somebody_else_cancels_says_so(
    client_of: ClientOf, scan_of: ScanOf, the_server: AServer, tmp_path: Path
) -> None:
    blocking = the_server.submit(SCANS[2], seed=5)  # so that the next one waits in the queue
    other = client_of("reviewer")

    def cancel(told: JobProgress) -> None:
        if told.phase == "waiting":
            assert told.position >= 1
            other.cancel(told.job_id)
            other.cancel(blocking["id"])

    with pytest.raises(ServerProblem, match="cancelled on the server") as caught:
        generate(client_of(), scan_of(22), OPTIONS, tmp_path, Listener(cancel).work)
    assert caught.value.kind == "refusal"


def test_a_result_that_has_expired_is_computed_again(
    client_of: ClientOf, the_first_run: Any, a_done_job: str, the_server: AServer, tmp_path: Path
) -> None:
    for result in (the_server.state / "results").iterdir():
        shutil.rmtree(result)
    listener = Listener()
    delivery = generate(client_of(), KnownJob(a_done_job), OPTIONS, tmp_path, listener.work)
    check_delivery(delivery, the_first_run.scan)
    assert "running" in listener.phases and delivery.job.id == a_done_job


def test_a_study_that_is_not_there_and_a_job_that_is_forgotten_say_so(
    a_client: ServerClient, tmp_path: Path
) -> None:
    for source in (StudyScan("no-such-study"), KnownJob("0" * 32)):
        with pytest.raises(ServerProblem, match="does not exist") as caught:
            generate(a_client, source, {}, tmp_path, Listener().work)
        assert caught.value.kind == "gone"


def test_a_study_of_the_server_is_not_sent(
    a_client: ServerClient, the_server: AServer, tmp_path: Path
) -> None:
    def cancel(told: JobProgress) -> None:
        if told.phase in ("waiting", "running"):
            listener.work.cancel()

    listener = Listener(cancel)
    with pytest.raises(Stopped):
        generate(a_client, StudyScan(SCANS[2]), {}, tmp_path, listener.work)
    assert "uploading" not in listener.phases and list(tmp_path.iterdir()) == []
    job = the_server.wait(listener.told[-1].job_id)
    assert (job["image"], job["scan"], job["state"]) == (SCANS[2], None, "cancelled")


def test_a_server_that_stays_away_is_given_up_after_a_while(
    client_of: ClientOf, the_first_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_PATIENCE_S", 1.0)
    listener = Listener()
    with pytest.raises(ServerProblem) as caught:
        generate(client_of(port=free_port()), the_first_run.scan, {}, tmp_path, listener.work)
    assert caught.value.kind == "refused" and listener.phases == ["writing", "lost"]
    assert caught.value.sentence == listener.told[-1].stage


def test_a_work_that_waits_for_a_lost_server_can_be_cancelled(
    client_of: ClientOf, a_done_job: str, tmp_path: Path
) -> None:
    def cancel(told: JobProgress) -> None:
        if told.phase == "lost":
            listener.work.cancel()

    listener = Listener(cancel)
    with pytest.raises(Stopped):
        generate(client_of(port=free_port()), KnownJob(a_done_job), {}, tmp_path, listener.work)


@pytest.mark.parametrize(("token", "kind"), [("", "token"), ("a-wrong-token", "token")])
def test_without_the_right_token_nothing_is_sent_or_tried_again(
    client_of: ClientOf, the_first_run: Any, tmp_path: Path, token: str, kind: str
) -> None:
    listener = Listener()
    with pytest.raises(ServerProblem) as caught:
        generate(client_of(token), the_first_run.scan, OPTIONS, tmp_path, listener.work)
    assert caught.value.kind == kind and listener.phases == ["writing"]
    assert list(tmp_path.iterdir()) == []


def test_a_scan_that_is_too_large_is_neither_written_nor_sent(
    client_of: ClientOf, the_server: AServer, tmp_path: Path
) -> None:
    scan = SceneScan(np.zeros((150, 120, 120), np.int16), np.eye(4), "scan_T1")
    with slow_proxy(the_server.port) as proxy:
        with pytest.raises(ScanProblem, match="has 5 MB, and the server takes 4 MB") as caught:
            generate(client_of(port=proxy.port), scan, {}, tmp_path, Listener().work)
        assert proxy.sent_up < 1000 and "Crop" in caught.value.cure
    assert list(tmp_path.iterdir()) == []


def test_a_scan_in_which_no_brain_is_found_fails_in_the_servers_words(
    a_client: ServerClient, tmp_path: Path
) -> None:
    from_centre_mm = 5.0 * np.linalg.norm(np.indices((40, 40, 40)) - 20, axis=0)
    ball = 500 * (from_centre_mm < 15).astype(np.int16)
    scan = SceneScan(ball, np.diag([5.0, 5.0, 5.0, 1.0]), "scan_T1")
    with pytest.raises(ServerProblem, match="^No brain was found") as caught:
        generate(a_client, scan, {}, tmp_path, Listener().work)
    assert caught.value.kind == "refusal" and caught.value.cure


def test_a_killed_server_that_comes_back_ends_the_job(
    a_client: ServerClient, scan_of: ScanOf, the_server: AServer, tmp_path: Path
) -> None:
    restarts: list[threading.Thread] = []

    def kill(told: JobProgress) -> None:
        if told.phase == "running" and told.fraction > 0 and not restarts:
            the_server.stop(signal.SIGKILL)
            restarts.append(threading.Thread(target=the_server.start))
            restarts[0].start()

    listener, scan = Listener(kill), scan_of(23)
    delivery = generate(a_client, scan, OPTIONS, tmp_path, listener.work)
    restarts[0].join()
    check_delivery(delivery, scan)
    assert [one for one in listener.phases if one != "waiting"] == [
        *("writing", "uploading", "running", "lost", "running", "fetching")
    ]
    lost = [told for told in listener.told if told.phase == "lost"]
    assert "nobody listens" in lost[0].stage
    assert max(told.retry_s for told in lost) > 2 * lost[0].retry_s, "the pauses grow"
    assert {told.job_id for told in lost} == {delivery.job.id}
