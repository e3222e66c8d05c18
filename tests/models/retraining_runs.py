"""Processes that carry out a retraining, for tests that watch, kill and cancel them."""

import errno
import json
import multiprocessing
import sys
import time
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from counterpart.registry import paired
from counterpart.retraining import comparison
from counterpart.retraining.pipeline import carry_out
from counterpart.retraining.run_lock import run_lock
from counterpart.training.last_checkpoint import WholeCheckpoints

# A clean process imports all that is heavy once, and forks those that retrain before any of its
# threads run.
FORKS = multiprocessing.get_context("forkserver")


def start(run: Path) -> BaseProcess:
    """A process of its own that carries out a run's plan."""
    process = FORKS.Process(target=_carry_out, args=(run,), daemon=True)
    process.start()
    return process


def _carry_out(run: Path) -> None:
    # Few heads will do here: how many are looked at is not what these tests are about.
    paired.PATTERNED_HEADS = 3
    comparison.HEALTHY_HEADS, comparison.PATTERNED = 1, (("T1", 1),)
    sys.exit(carry_out(run))


def progress(run: Path) -> dict[str, Any]:
    """What the run says of itself."""
    found: dict[str, Any] = json.loads((run / "progress.json").read_text())
    return found


def hold_lock(run: Path, held: Event) -> None:
    """Hold a run's lock until killed."""
    with run_lock(run):
        held.set()
        time.sleep(600)


def carry_out_on_a_full_disk(run: Path, step: int) -> None:
    """Carry out a plan on a disk that has no room for another checkpoint after a step."""
    whole = WholeCheckpoints.save_checkpoint

    def save(
        self: WholeCheckpoints,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        if checkpoint["global_step"] > step:
            Path(f"{path}.part").write_bytes(b"half a checkpoint")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        whole(self, checkpoint, path, storage_options)

    WholeCheckpoints.save_checkpoint = save  # type: ignore[method-assign]
    sys.exit(carry_out(run))
