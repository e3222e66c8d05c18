"""What is asked of the real server, answer by answer."""

import hashlib
import logging
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from a_server import RELEASED_VERSION, SCANS, AServer
from job_listener import ClientOf, ScanOf, quietly
from people import NAMES, TOKENS
from slow_proxy import slow_proxy
from small_server import json_reply, small_server

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.problems import ServerProblem
from HealthyCounterpartLib.scan_files import write_scan
from HealthyCounterpartLib.server_facts import CANCELLED, DONE
from HealthyCounterpartLib.worker import Stopped

GO = threading.Event()


@pytest.fixture
def an_administrator(client_of: ClientOf) -> ServerClient:
    return client_of("admin")


def test_a_server_says_what_it_is_and_who_asks(client_of: ClientOf) -> None:
    for role, administers in (("user", False), ("admin", True)):
        info = client_of(role).info()
        assert (info.user, info.role, info.administers) == (NAMES[role], role, administers)
        assert info.upload_mb == 4
        assert len(info.model.weights_sha256) == 64
        assert {one.contrast for one in info.calibrations} >= {"T1", "FLAIR"}


def test_without_or_with_a_wrong_token_nothing_is_said(client_of: ClientOf) -> None:
    for token, words in (("", "none is given"), ("a-wrong-token", "does not know the token")):
        client = client_of(token)
        for ask in (client.info, client.studies, client.models):
            with pytest.raises(ServerProblem, match=words) as caught:
                ask()
            assert caught.value.kind == "token" and caught.value.status == 401
            assert "wrong" not in str(caught.value)


def test_what_the_role_does_not_allow_is_said_in_the_servers_words(a_client: ServerClient) -> None:
    for ask in (
        lambda: a_client.mark_healthy(SCANS[0], True),
        lambda: a_client.start_training({}),
        a_client.stop_training,
        lambda: a_client.roll_back("1", ""),
    ):
        with pytest.raises(ServerProblem, match="needs the role admin") as caught:
            ask()
        assert caught.value.kind == "role" and caught.value.cure


def test_studies_are_listed_and_fetched_under_a_name_of_ours(
    a_client: ServerClient, the_server: AServer, tmp_path: Path
) -> None:
    assert a_client.studies() == tuple(sorted(SCANS))
    told: list[float] = []
    path = a_client.download_study(SCANS[1], tmp_path, told.append, GO)
    assert path == tmp_path / "study.nii.gz"
    assert path.read_bytes() == (the_server.studies / f"{SCANS[1]}.nii.gz").read_bytes()
    assert told == sorted(told) and told[-1] == 1.0
    with pytest.raises(ServerProblem) as caught:
        a_client.download_study("no-such-study", tmp_path, quietly, GO)
    assert caught.value.kind == "gone"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('attachment; filename="../../etc/evil.nrrd"', "study.nrrd"),
        ("attachment; filename*=utf-8''%2Fx%2Fevil.NII", "study.nii"),
        ("inline; filename=a.nii.gz; size=3", "study.nii.gz"),
        ('attachment; filename="evil.nii.exe"', ""),
        ("", ""),
    ],
)
def test_of_a_servers_file_name_only_a_known_suffix_is_kept(
    tmp_path: Path, said: str, kept: str
) -> None:
    reply = (200, {"Content-Disposition": said} if said else {}, b"abc")
    with small_server({"/datastore/image": reply}) as server:
        client = ServerClient(ServerAddress.of(f"127.0.0.1:{server.port}"))
        if kept:
            assert client.download_study("x", tmp_path, quietly, GO) == tmp_path / kept
        else:
            with pytest.raises(ServerProblem, match="which format"):
                client.download_study("x", tmp_path, quietly, GO)
    assert [path.name for path in tmp_path.iterdir()] == ([kept] if kept else [])


def test_a_scan_is_sent_once_and_then_known(
    client_of: ClientOf, scan_of: ScanOf, tmp_path: Path
) -> None:
    client, path = client_of(), tmp_path / "scan.nrrd"
    content = write_scan(scan_of(1), path, GO)
    assert not client.knows_scan(content)
    told: list[float] = []
    assert client.upload(path, "scan_FLAIR.nrrd", told.append, GO) == content
    assert content == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told == sorted(told) and told[0] < 1.0 == told[-1]
    assert client_of().knows_scan(content)


def test_a_scan_that_the_server_cannot_use_is_refused_in_its_words(
    a_client: ServerClient, tmp_path: Path
) -> None:
    (tmp_path / "scan.nrrd").write_bytes(b"NRRD0004\nnothing")
    with pytest.raises(ServerProblem) as caught:
        a_client.upload(tmp_path / "scan.nrrd", "scan.nrrd", quietly, GO)
    assert caught.value.kind == "refusal" and 400 <= caught.value.status < 500
    (tmp_path / "scan.nrrd").write_bytes(bytes(5 << 20))
    with pytest.raises(ServerProblem, match="more than the") as caught:
        a_client.upload(tmp_path / "scan.nrrd", "scan.nrrd", quietly, GO)
    assert caught.value.status == 413, "heard although the upload was not read to its end"


def test_a_job_is_asked_for_followed_and_cancelled(a_client: ServerClient) -> None:
    job = a_client.submit(image=SCANS[1], options={"seed": 99})
    assert a_client.submit(image=SCANS[1], options={"seed": 99}).id == job.id
    assert a_client.job(job.id).image == SCANS[1]
    a_client.cancel(job.id)
    while not (status := a_client.job(job.id)).ended:
        pass
    assert status.state == CANCELLED
    with pytest.raises(ServerProblem) as caught:
        a_client.fetch_json(job.id, "findings")
    assert caught.value.kind == "refusal" and caught.value.status == 409


def test_options_that_do_not_exist_are_refused(a_client: ServerClient) -> None:
    with pytest.raises(ServerProblem) as caught:
        a_client.submit(image=SCANS[0], options={"magic": 1})
    assert caught.value.kind == "refusal" and "magic" in str(caught.value)


def test_a_job_that_nobody_knows_is_gone(a_client: ServerClient) -> None:
    for ask in (a_client.job, a_client.cancel):
        with pytest.raises(ServerProblem) as caught:
            ask("0" * 32)
        assert caught.value.kind == "gone"
    with pytest.raises(ServerProblem) as caught:
        a_client.job("../info")
    assert caught.value.kind in ("refusal", "gone", "not_counterpart")


def test_results_are_fetched_as_they_lie_on_the_server(
    a_client: ServerClient, a_done_job: str, the_server: AServer, tmp_path: Path
) -> None:
    assert a_client.job(a_done_job).state == DONE
    told: list[float] = []
    a_client.fetch(a_done_job, "anomaly", "nii", tmp_path / "map.nii", told.append, GO)
    assert told == sorted(told) and told[-1] == 1.0
    there = the_server.ask("GET", f"/counterpart/jobs/{a_done_job}/results/anomaly").body
    assert (tmp_path / "map.nii").read_bytes() == there
    assert np.isfinite(nib.load(tmp_path / "map.nii").get_fdata()).all()
    a_client.fetch(a_done_job, "findings", "csv", tmp_path / "table.csv", quietly, GO)
    assert (tmp_path / "table.csv").read_text().startswith("number,direction")
    assert a_client.fetch_json(a_done_job, "findings")["threshold"] > 0
    with pytest.raises(ServerProblem) as caught:
        a_client.fetch(a_done_job, "anomaly", "exe", tmp_path / "x", quietly, GO)
    assert caught.value.kind == "refusal"
    assert {path.name for path in tmp_path.iterdir()} == {"map.nii", "table.csv"}


def test_a_result_that_is_longer_than_it_can_be_is_not_written(
    a_client: ServerClient, a_done_job: str, tmp_path: Path
) -> None:
    with pytest.raises(ServerProblem, match="longer than it can be"):
        a_client.fetch(
            a_done_job, "anomaly", "nii", tmp_path / "map.nii", quietly, GO, most_bytes=1000
        )
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_cut_leaves_what_was_there(
    client_of: ClientOf, a_done_job: str, the_server: AServer, tmp_path: Path
) -> None:
    (tmp_path / "map.nii").write_text("from before")
    with slow_proxy(the_server.port) as proxy:
        proxy.cut_down_at = 500_000
        client = client_of(port=proxy.port)
        with pytest.raises(ServerProblem) as caught:
            client.fetch(a_done_job, "anomaly", "nii", tmp_path / "map.nii", quietly, GO)
        assert caught.value.kind == "lost" and caught.value.passes
        assert [path.read_text() for path in tmp_path.iterdir()] == ["from before"]
        client.fetch(a_done_job, "anomaly", "nii", tmp_path / "map.nii", quietly, GO)
    assert (tmp_path / "map.nii").stat().st_size > 500_000


def test_an_upload_that_is_cut_says_so(
    client_of: ClientOf, scan_of: ScanOf, the_server: AServer, tmp_path: Path
) -> None:
    write_scan(scan_of(2), tmp_path / "scan.nrrd", GO)
    with slow_proxy(the_server.port) as proxy:
        proxy.cut_up_at = 300_000
        with pytest.raises(ServerProblem) as caught:
            client_of(port=proxy.port).upload(tmp_path / "scan.nrrd", "s.nrrd", quietly, GO)
    assert caught.value.kind == "lost"


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_stop_cuts_a_slow_transfer_off_at_once(
    client_of: ClientOf,
    scan_of: ScanOf,
    a_done_job: str,
    the_server: AServer,
    tmp_path: Path,
    direction: str,
) -> None:
    write_scan(scan_of(3), tmp_path / "scan.nrrd", GO)
    stop = threading.Event()
    with slow_proxy(the_server.port) as proxy:
        proxy.bytes_per_s = 50_000  # it would take half a minute
        client = client_of(port=proxy.port)
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(Stopped):
            if direction == "up":
                client.upload(tmp_path / "scan.nrrd", "s.nrrd", quietly, stop)
            else:
                client.fetch(a_done_job, "anomaly", "nii", tmp_path / "m.nii", quietly, stop)
        assert proxy.sent_up < 500_000
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nrrd"]


def test_a_stop_ends_the_wait_for_an_answer(client_of: ClientOf) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        client_of().job("0" * 32, stop)


def test_a_study_is_marked_as_healthy_and_unmarked(an_administrator: ServerClient) -> None:
    an_administrator.mark_healthy("sample-01_T1", True)
    assert an_administrator.cohort()["scans"] == 1
    an_administrator.mark_healthy("sample-01_T1", False)
    assert an_administrator.cohort()["scans"] == 0
    with pytest.raises(ServerProblem) as caught:
        an_administrator.mark_healthy("no-such-study", True)
    assert caught.value.kind == "gone"


def test_training_is_looked_at_and_what_cannot_be_started_is_refused(
    an_administrator: ServerClient,
) -> None:
    assert an_administrator.training()["state"] == "none"
    with pytest.raises(ServerProblem) as caught:
        an_administrator.start_training({"mode": "magic"})
    assert caught.value.kind == "refusal"
    with pytest.raises(ServerProblem) as caught:
        an_administrator.stop_training()
    assert caught.value.kind == "gone"


def test_versions_are_listed_and_an_earlier_one_can_serve_again(
    an_administrator: ServerClient,
) -> None:
    served = an_administrator.info().model.version
    listed = an_administrator.models()["models"]
    assert served in {one["version"] for one in listed if one["serving"]}
    try:
        done = an_administrator.roll_back(RELEASED_VERSION, "a test")
        assert done["version"] == RELEASED_VERSION == an_administrator.info().model.version
    finally:
        an_administrator.roll_back(served, "the test is over")
    assert an_administrator.info().model.version == served
    with pytest.raises(ServerProblem) as caught:
        an_administrator.roll_back("9.9.9", "")
    assert caught.value.kind == "refusal" and caught.value.status == 409


def test_the_token_is_in_no_log_no_address_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    token = TOKENS["admin"]
    with caplog.at_level(logging.DEBUG), small_server(otherwise=json_reply({}, 500)) as server:
        client = ServerClient(ServerAddress.of(f"127.0.0.1:{server.port}"), token)
        for ask in (client.info, client.studies, client.cohort):
            with pytest.raises(ServerProblem) as caught:
                ask()
            assert token not in f"{caught.value!r} {caught.value.__cause__!r}"
        sent = [headers.get("Authorization") for *_, headers in server.seen]
        assert f"Bearer {token}" in sent
        assert all(token not in path for _, path, _ in server.seen)
    assert token not in caplog.text and token not in repr(vars(client))
