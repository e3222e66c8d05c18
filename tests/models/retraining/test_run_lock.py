"""One process at a time works in a run's folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from retraining_runs import FORKS, hold_lock

from counterpart.retraining.pipeline import carry_out
from counterpart.retraining.run_lock import RunLockedError, lock_holder, run_lock

RunOf = Callable[..., Path]


def test_a_living_process_keeps_others_out_and_a_killed_one_does_not(
    run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of()
    assert lock_holder(run) is None
    held = FORKS.Event()
    process = FORKS.Process(target=hold_lock, args=(run, held), daemon=True)
    process.start()
    assert held.wait(60)
    assert lock_holder(run) == process.pid
    assert carry_out(run) == 2
    assert f"process {process.pid} is at work in this folder" in capsys.readouterr().err
    assert not (run / "progress.json").exists()
    process.kill()
    process.join()
    assert lock_holder(run) is None
    with run_lock(run):
        assert (run / "lock").read_text() == f"{os.getpid()}\n"
        with pytest.raises(RunLockedError), run_lock(run):
            pass
