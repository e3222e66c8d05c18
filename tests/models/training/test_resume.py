"""Training that is killed, at whatever moment, ends bit for bit like training left alone."""

import multiprocessing
import random
import signal
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from counterpart.denoiser import DenoiserConfig
from counterpart.training.examples import ExampleConfig
from counterpart.training.healing import HealingConfig
from counterpart.training.machines import Machines
from counterpart.training.run import checkpoint_step
from counterpart.training.stages import train_denoiser

KILLS, STEPS, LAST_TARGET = 10, 30, 20
LAST = Path("checkpoints") / "last.ckpt"
NETWORK = DenoiserConfig((16, 32), (False, False), residual_blocks=1, norm_groups=8)
HEALING = HealingConfig(
    steps=STEPS, batch_size=2, warmup_steps=5, validate_every=12, checkpoint_every=1, ema_decay=0.9
)
KEPT = (
    "state_dict",
    "current_model_state",
    "averaging_state",
    "optimizer_states",
    "lr_schedulers",
    "global_step",
)

# A clean process imports all that is heavy once, and forks those that train before any of its
# threads run.
FORKS = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module", autouse=True)
def one_thread_each() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        FORKS.set_forkserver_preload(["counterpart.training.stages"])
        yield


def start(cohort: Path, run: Path) -> BaseProcess:
    process = FORKS.Process(
        target=train_denoiser,
        args=(cohort, run),
        kwargs={
            "network": NETWORK,
            "healing": HEALING,
            "examples": ExampleConfig(),
            "resume": True,
            "machines": Machines(device="cpu", precision="float32"),
        },
    )
    process.start()
    return process


def finish(process: BaseProcess) -> None:
    process.join()
    assert process.exitcode == 0


def kill_after(process: BaseProcess, checkpoint: Path, step: int, delay_s: float) -> int:
    """Kill at some moment after a step; the step of the checkpoint that is left."""
    seen, reached = -1, 0
    while reached < step:
        assert process.exitcode is None
        process.join(0.005)
        changed = checkpoint.stat().st_mtime_ns if checkpoint.exists() else -1
        if changed != seen:
            seen, reached = changed, checkpoint_step(checkpoint)  # whole, whenever it is read
    process.join(delay_s)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL  # and so it was alive
    return checkpoint_step(checkpoint)


@pytest.fixture(scope="module")
def a_quiet_run(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("quiet") / "run"
    finish(start(a_cohort_folder, run))
    return run


@pytest.fixture(scope="module")
def the_kills(
    a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[int]]:
    """A run killed at ten moments, and the step of the checkpoint that each of them left."""
    run = tmp_path_factory.mktemp("killed") / "run"
    moments = random.Random(20)
    targets = sorted(moments.randint(1, LAST_TARGET) for _ in range(KILLS))
    left = []
    for target in targets:
        process = start(a_cohort_folder, run)
        left.append(kill_after(process, run / LAST, target, moments.uniform(0.0, 0.2)))
    finish(start(a_cohort_folder, run))
    return run, left


def differences(found: Any, expected: Any, name: str) -> list[str]:
    """Names of the values that are not equal to the last bit."""
    if isinstance(expected, torch.Tensor):
        same = found.dtype == expected.dtype and torch.equal(found, expected)
        return [] if same else [name]
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), name
        pairs = [(found[key], expected[key], f"{name}.{key}") for key in expected]
        return [path for pair in pairs for path in differences(*pair)]
    if isinstance(expected, list | tuple):
        assert len(found) == len(expected), name
        rows = zip(found, expected, strict=True)
        return [path for n, pair in enumerate(rows) for path in differences(*pair, f"{name}.{n}")]
    return [] if found == expected else [name]


@pytest.mark.slow
def test_ten_kills_leave_no_trace_in_weights_average_and_optimiser(
    a_quiet_run: Path, the_kills: tuple[Path, list[int]]
) -> None:
    killed, quiet = (
        torch.load(run / LAST, weights_only=False) for run in (the_kills[0], a_quiet_run)
    )
    assert quiet["global_step"] == STEPS
    assert [path for key in KEPT for path in differences(killed[key], quiet[key], key)] == []


@pytest.mark.slow
def test_the_killed_run_went_on_each_time(the_kills: tuple[Path, list[int]]) -> None:
    _, left = the_kills
    assert len(left) == KILLS
    assert left == sorted(left)
    assert len(set(left)) > KILLS // 2
    assert left[-1] < STEPS


@pytest.mark.slow
def test_the_weights_are_kept_beside_their_average(a_quiet_run: Path) -> None:
    last = torch.load(a_quiet_run / LAST, weights_only=False)
    assert differences(last["current_model_state"], last["state_dict"], "weights") != []
