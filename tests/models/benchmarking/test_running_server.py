"""The benchmark of a server against a stand-in: what is timed, and that a loss is noticed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from server_stand_in import INFO, running

from counterpart.benchmarking.answer_times import ServerBench
from counterpart.benchmarking.process_memory import PeakMemory, tree_mib
from counterpart.benchmarking.running_server import _images, measure_server
from counterpart.benchmarking.server_jobs import (
    AGAIN,
    COLD,
    OTHER_THRESHOLD,
    STOCK,
    STOCK_AGAIN,
    WARM,
    CrowdFigures,
)
from counterpart.cli import main
from counterpart.errors import CounterpartError

Spoken = Callable[[], str]


def test_jobs_and_a_crowd_are_measured_and_kept(tmp_path: Path, spoken: Spoken) -> None:
    out = tmp_path / "server.json"
    with running() as url:
        arguments = ["bench", "server", "--url", url, "--clients", "2", "--seconds", "0.1"]
        arguments += ["--pause", "0.01", "--image", "a", "--image", "b", "--crowd", "5"]
        assert main([*arguments, "-o", str(out)]) == 0
    figures = json.loads(out.read_text())["figures"]
    assert set(figures["works"]) == {COLD, WARM, STOCK, STOCK_AGAIN, AGAIN, OTHER_THRESHOLD}
    assert figures["everything"]["failures"] == {}
    assert 0 < figures["during_works"]["requests"] <= figures["everything"]["requests"]
    assert figures["crowd"] | {"seconds": 0} == {
        **{"clients": 5, "images": 2, "done": 5, "different": 0, "seconds": 0, "failures": {}},
    }
    assert figures["model"] == INFO["model"]
    assert (figures["start_up"], figures["peak_mib"]) == ({}, None)
    told = spoken()
    assert "during a job" in told
    assert "Many clients at once" in told
    assert "job, another threshold" in told


def test_a_crowd_whose_results_break_off_is_a_failure(tmp_path: Path, spoken: Spoken) -> None:
    with running("truncating") as url:
        arguments = ["bench", "server", "--url", url, "--clients", "1", "--seconds", "0.1"]
        assert main([*arguments, "--image", "a", "--crowd", "2"]) == 1
    assert "2 × the result 'anomaly' broke off" in spoken()


def test_a_job_that_fails_ends_the_benchmark() -> None:
    bench = ServerBench(clients=1, seconds=0.1, images=("a",), crowd=0)
    said = pytest.raises(CounterpartError, match=r"No brain was found\. Send a head\.")
    with running("failing") as url, said:
        measure_server(replace(bench, url=url), str)


def test_different_bytes_for_the_same_scan_are_a_loss() -> None:
    assert CrowdFigures(2, 1, 2, 0, 1.0, {}).nothing_lost
    assert not CrowdFigures(2, 1, 2, 1, 1.0, {}).nothing_lost
    assert not CrowdFigures(2, 1, 1, 0, 1.0, {"gone": 1}).nothing_lost


def test_memory_is_that_of_a_process_and_what_it_started() -> None:
    held = "x = bytearray(80 << 20); print('held', flush=True); input()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {held!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        with PeakMemory(parent.pid) as peak:
            parent.stdout.readline()
            now = tree_mib(parent.pid)
        parent.communicate(b"\n")
    assert now is not None and now > 80.0
    assert peak.mib > 80.0
    assert tree_mib(parent.pid) is None
    assert (tree_mib(os.getpid()) or 0.0) > 0.0


def test_the_scans_of_a_folder_have_the_ids_of_monai_label(tmp_path: Path) -> None:
    for name in ("b_T1.nii.gz", "a.nrrd", "note.txt"):
        (tmp_path / name).touch()
    assert _images(tmp_path) == ("a", "b_T1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CounterpartError, match="holds no scan"):
        _images(tmp_path / "empty")
