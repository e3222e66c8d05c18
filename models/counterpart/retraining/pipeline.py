"""Carries out a plan: the stages one after the other, each skipped when it was finished earlier."""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpart.errors import CounterpartError
from counterpart.retraining.bundling import calibrate_alone, export
from counterpart.retraining.cancelling import CancelledError, cancellable
from counterpart.retraining.cohort_stages import decide, prepare
from counterpart.retraining.exit_codes import EXIT_BAD_PLAN, EXIT_DONE, EXIT_FAILED
from counterpart.retraining.job import Job
from counterpart.retraining.judging import check_terms, evaluate, let_serve
from counterpart.retraining.marks import (
    AnyMark,
    Bundled,
    Decided,
    Ended,
    Judged,
    Prepared,
    Published,
    read_mark,
    write_mark,
)
from counterpart.retraining.pace import expected_seconds
from counterpart.retraining.peers import is_peer, join_training
from counterpart.retraining.plan import Plan, PlanError, read_plan
from counterpart.retraining.progress import (
    CANCELLED,
    DONE,
    FAILED,
    Listener,
    ProgressFile,
)
from counterpart.retraining.report import REPORT, write_report
from counterpart.retraining.run_lock import RunLockedError, run_lock
from counterpart.retraining.telling import Expected, Teller
from counterpart.retraining.training_stages import learn_codes, learn_to_heal, steps_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One stage of a retraining.

    Args:
        name: Its name.
        words: What it does, for people.
        work: Does it.
        kind: What it leaves.
    """

    name: str
    words: str
    work: Callable[[Job], AnyMark]
    kind: type[AnyMark]


def report(job: Job) -> Ended:
    """Write the report."""
    write_report(job)
    return Ended(REPORT)


CHECKS = Stage("checks", "looking at the cohort", decide, Decided)
PREPARE = Stage("prepare", "preparing the scans", prepare, Prepared)
ENCODER = Stage("encoder", "training the encoder", learn_codes, Ended)
DENOISER = Stage("denoiser", "training the denoiser", learn_to_heal, Ended)
EXPORT = Stage("export", "choosing settings and calibrating", export, Bundled)
CALIBRATE = Stage("calibrate", "calibrating on healthy scans", calibrate_alone, Bundled)
EVALUATION = Stage("evaluation", "putting the new version through the gates", evaluate, Judged)
PUBLISH = Stage("publish", "publishing", let_serve, Published)
REPORTING = Stage("report", "writing the report", report, Ended)
TRAINING = (PREPARE, ENCODER, DENOISER, EXPORT, EVALUATION, PUBLISH, REPORTING)
CALIBRATION = (PREPARE, CALIBRATE, EVALUATION, PUBLISH, REPORTING)


def carry_out(run: Path, listener: Listener | None = None) -> int:
    """Carry out the plan in a run's folder, or go on with it.

    Args:
        run: Holds ``plan.json``.
        listener: Told of every change of the progress.

    Returns:
        One of `counterpart.retraining.exit_codes`.
    """
    try:
        plan = read_plan(run)
        check_terms(plan)
        _check_scans(run, plan)
        if is_peer():
            return join_training(run, plan, (ENCODER.name, DENOISER.name))
        with run_lock(run), cancellable() as cancellation:
            file = ProgressFile(run, listener)
            job = Job(run, plan, Teller(file), cancellation)
            return _ended(job, file)
    except (PlanError, RunLockedError) as error:
        print(f"counterpart: {error}", file=sys.stderr)
        return EXIT_BAD_PLAN


def _check_scans(run: Path, plan: Plan) -> None:
    """Refuse a plan whose scans are not there, as long as they are needed.

    Raises:
        PlanError: One is not there.
    """
    missing = plan.missing_scan()
    if missing is not None and read_mark(run, PREPARE.name, Prepared) is None:
        raise PlanError(f"{missing}: no such scan; it is in the plan.")


def _ended(job: Job, file: ProgressFile) -> int:
    """Carry out the plan, and say in its progress how that ended."""
    try:
        _carry_out(job, file)
    except CancelledError as cancelled:
        words = "Cancelled; what was done so far is kept, and the same command goes on from there."
        file.end(CANCELLED, message=words)
        return cancelled.code
    except (CounterpartError, OSError, MemoryError) as error:
        logger.debug("the retraining failed", exc_info=True)
        return _failed(file, _sentence(error))
    except Exception as error:
        logger.exception("the retraining failed")
        return _failed(file, f"An error of the program: {type(error).__name__}: {error}")
    return EXIT_DONE


def _failed(file: ProgressFile, sentence: str) -> int:
    print(f"counterpart: {sentence}", file=sys.stderr)
    file.end(FAILED, error=sentence, message="Failed.")
    return EXIT_FAILED


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" ({error.filename})" if error.filename else ""
        return (
            f"The disk is full{where}. The last checkpoint is kept: make room, and the same "
            "command goes on from there."
        )
    if isinstance(error, MemoryError):
        return "There is not enough memory. The last checkpoint is kept."
    return str(error) or type(error).__name__


def _carry_out(job: Job, file: ProgressFile) -> None:
    job.require_device()
    file.tell(at_once=True, mode=job.plan.mode, message=CHECKS.words)
    _do(job, CHECKS)
    stages = (CHECKS, *(TRAINING if job.decided.mode == "train" else CALIBRATION))
    job.tell.expect(_expected(job, stages))
    file.tell(mode=job.decided.mode, version=job.decided.version)
    for stage in stages[1:]:
        _do(job, stage)
    done = job.left(PUBLISH.name, Published)
    file.tell(fraction=1.0, message=done.words)
    file.end(DONE, report=REPORT, published=done.published, verdicts=done.verdicts)


def _do(job: Job, stage: Stage) -> None:
    """Do a stage unless it ended earlier."""
    if _is_done(job.run, stage):
        return
    job.cancellation.check()
    job.tell.begin(stage.name, stage.words)
    begun_s = time.monotonic()
    mark = stage.work(job)
    write_mark(job.run, stage.name, mark)
    if isinstance(mark, Published | Judged):
        job.tell.file.tell(verdicts=mark.verdicts)
    logger.info("%s: %.1f s", stage.name, time.monotonic() - begun_s)


def _is_done(run: Path, stage: Stage) -> bool:
    return read_mark(run, stage.name, stage.kind) is not None  # type: ignore[type-var]


def _expected(job: Job, stages: Sequence[Stage]) -> list[Expected]:
    subjects, steps = len(job.decided.used), steps_of(job)
    return [Expected(stage.name, expected_seconds(stage.name, subjects, steps)) for stage in stages]
