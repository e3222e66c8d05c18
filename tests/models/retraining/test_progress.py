"""What a retraining says of itself."""

import errno
import json
import os
from pathlib import Path

import pytest

from counterpart.retraining import progress as progress_module
from counterpart.retraining.progress import Progress, ProgressFile, read_progress
from counterpart.retraining.telling import Expected, Teller

KEYS = {
    *("state", "mode", "stage", "stage_number", "stages", "epoch", "epochs", "step", "steps"),
    *("loss", "fraction", "seconds_left", "message", "error", "published", "version", "verdicts"),
    *("report", "pid", "started", "updated"),
}


def test_progress_has_the_agreed_keys(tmp_path: Path) -> None:
    ProgressFile(tmp_path).tell(at_once=True)
    values = read_progress(tmp_path)
    assert values is not None
    assert values.keys() == KEYS
    assert (values["state"], values["pid"]) == ("running", os.getpid())


def test_progress_is_written_at_most_twice_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    heard: list[Progress] = []
    file = ProgressFile(tmp_path, heard.append)
    written = []
    for step in range(100):
        now += 0.02
        file.tell(step=step)
        values = read_progress(tmp_path)
        assert values is not None
        written.append(values["step"])
    assert len(set(written)) == 4
    assert [one.step for one in heard] == list(range(100))


def test_the_end_is_told_though_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ProgressFile(tmp_path)
    file.tell(at_once=True)
    reserve = tmp_path / "reserve"
    assert reserve.stat().st_size > 0
    whole = progress_module.write_whole

    def on_a_full_disk(path: Path, write: object) -> None:
        if reserve.exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        whole(path, write)  # type: ignore[arg-type]

    monkeypatch.setattr(progress_module, "write_whole", on_a_full_disk)
    with pytest.raises(OSError, match="No space left"):
        file.tell(at_once=True, message="on")
    file.end("failed", error="The disk is full.")
    assert json.loads((tmp_path / "progress.json").read_text())["error"] == "The disk is full."


def test_a_share_of_a_stage_is_a_share_of_the_whole(tmp_path: Path) -> None:
    teller = Teller(file := ProgressFile(tmp_path))
    teller.expect([Expected("checks", 10.0), Expected("denoiser", 80.0), Expected("export", 10.0)])
    teller.begin("denoiser", "training")
    assert (file.now.fraction, file.now.stage_number, file.now.stages) == (0.1, 2, 3)
    teller.share(0.5, left_s=80.0, steps=100)  # half as fast as expected, so the rest is too
    assert file.now.fraction == 0.5
    assert file.now.seconds_left == pytest.approx(80.0 + 20.0)
