"""The last checkpoint is whole at any moment, whatever happens while the next one is written."""

from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
import torch

from counterpart import whole_file
from counterpart.errors import CohortError
from counterpart.training import last_checkpoint
from counterpart.training.last_checkpoint import LastCheckpoint, WholeCheckpoints
from counterpart.whole_file import write_whole


def dies_halfway(file: IO[bytes]) -> None:
    file.write(b"ne")
    raise MemoryError("killed")


def test_a_write_that_dies_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(MemoryError):
        write_whole(path, dies_halfway)
    assert path.read_bytes() == b"old"


def test_what_a_dead_write_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with pytest.raises(MemoryError):
        write_whole(path, dies_halfway)
    assert not path.exists()
    write_whole(path, lambda file: file.write(b"x"))
    assert path.read_bytes() == b"x"
    assert list(path.parent.iterdir()) == [path]


def test_a_checkpoint_is_complete_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    whole = WholeCheckpoints()
    whole.save_checkpoint({"step": torch.tensor(1)}, path)
    events: list[str] = []

    def synced(descriptor: int) -> None:
        events.append("synced")

    def replaced(source: Path, target: Path) -> None:
        events.append("replaced")
        assert int(torch.load(source)["step"]) == 2
        assert int(torch.load(target)["step"]) == 1

    monkeypatch.setattr(whole_file.os, "fsync", synced)
    monkeypatch.setattr(whole_file.os, "replace", replaced)
    whole.save_checkpoint({"step": torch.tensor(2)}, path)
    assert events == ["synced", "replaced"]


@pytest.mark.parametrize(("every", "expected"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_checkpoints_are_written_when_due_and_after_the_last_step(
    tmp_path: Path, every: int, expected: list[int]
) -> None:
    written: list[int] = []
    trainer = SimpleNamespace(global_step=0, max_steps=5)
    trainer.save_checkpoint = lambda path: written.append(trainer.global_step)
    callback = LastCheckpoint(tmp_path / "last.ckpt", every)
    for trainer.global_step in range(1, 6):
        callback.on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]
    assert written == expected


def test_processes_that_begin_at_different_steps_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = SimpleNamespace(global_step=10, global_rank=0)
    module = SimpleNamespace(device="cpu")
    callback = LastCheckpoint(tmp_path / "last.ckpt", 1)
    callback.on_train_start(trainer, module)  # type: ignore[arg-type]
    monkeypatch.setattr(last_checkpoint, "mean_over_ranks", lambda value: value / 2)
    with pytest.raises(CohortError, match="process 0 begins at step 10.*the same one on all"):
        callback.on_train_start(trainer, module)  # type: ignore[arg-type]
