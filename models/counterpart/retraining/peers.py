"""Further processes of one retraining: they take part in training alone, and leave all else.

Lightning, torchrun and SLURM start them with the same command. They wait until the first process
has prepared the cohort, train with it, and end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from counterpart.retraining.cancelling import Cancellation, CancelledError, cancellable
from counterpart.retraining.exit_codes import EXIT_DONE, EXIT_FAILED
from counterpart.retraining.job import Job
from counterpart.retraining.marks import Decided, Ended, Prepared, read_mark
from counterpart.retraining.plan import Plan
from counterpart.retraining.progress import PROGRESS, RUNNING, read_progress
from counterpart.retraining.telling import Teller
from counterpart.retraining.training_stages import learn_codes, learn_to_heal

POLL_SECONDS = 0.2
_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")


def is_peer(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process is not the first one.

    Args:
        environment: Variables of torchrun, SLURM or Lightning; this process' own if None.
    """
    given = os.environ if environment is None else environment
    return any(given.get(name, "0") not in ("", "0") for name in _RANKS)


def join_training(run: Path, plan: Plan, stages: Sequence[str]) -> int:
    """Take part in the stages of training that have not ended.

    Returns:
        One of `counterpart.retraining.exit_codes`.
    """
    with cancellable() as cancellation:
        job = Job(run, plan, Teller(_Silent()), cancellation)
        try:
            if not _waited(run, "prepare", cancellation):
                return EXIT_FAILED
            if job.left("checks", Decided).mode != "train":
                return EXIT_DONE
            work = dict(zip(stages, (learn_codes, learn_to_heal), strict=True))
            for stage, learn in work.items():
                if read_mark(run, stage, Ended) is None:
                    learn(job)
        except CancelledError as cancelled:
            return cancelled.code
    return EXIT_DONE


def _waited(run: Path, stage: str, cancellation: Cancellation) -> bool:
    """Wait for a stage of the first process; False if that has given up."""
    begun = time.time()
    while read_mark(run, stage, Prepared) is None:
        cancellation.check()
        time.sleep(POLL_SECONDS)
        known = read_progress(run)
        path = run / PROGRESS
        if known and known["state"] != RUNNING and path.stat().st_mtime > begun:
            return False
    return True


class _Silent:
    """A progress that is told to nobody: the first process speaks for all."""

    def tell(self, *, at_once: bool = False, **changes: object) -> None:
        """Say nothing."""
