"""A retraining that is killed or cancelled, in any stage, ends like one that was left alone."""

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from retraining_runs import progress, start

from counterpart.bundle import REFERENCES, WEIGHTS, checked_digests
from counterpart.bundle_files import read_json
from counterpart.registry.gates import GATES, gate_name
from counterpart.registry.versions import entries, history

pytestmark = pytest.mark.timeout(900)  # two whole retrainings, one of them begun seven times
RunOf = Callable[..., Path]
LAST = Path("checkpoints") / "last.ckpt"
# What one stop after the other hits, and by which signal.
STOPS = (
    ("encoder", 2, signal.SIGKILL),
    ("denoiser", 1, signal.SIGKILL),
    ("denoiser", 4, signal.SIGTERM),
    ("export", 0, signal.SIGKILL),
    ("evaluation", 0, signal.SIGTERM),
    ("report", 0, signal.SIGKILL),
)
OVERRULED = {"force": [gate_name(gate) for gate in GATES], "reason": "two subjects prove nothing"}


@dataclass
class Stopped:
    """A run that was stopped, what each stop left, and how it ended."""

    run: Path
    codes: list[int] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)


def step_of(run: Path, stage: str) -> int:
    last = run / stage / LAST
    if not last.exists():
        return 0
    return int(torch.load(last, weights_only=False)["global_step"])


def stop(run: Path, stage: str, step: int, number: int, delay_s: float) -> tuple[int, int]:
    """Stop the run at some moment of a stage; exit code, and step of the stage's checkpoint."""
    process = start(run)
    while True:
        process.join(0.02)
        assert process.exitcode is None, "ended before it could be stopped"
        now = progress(run) if (run / "progress.json").exists() else {"pid": None}
        begun = now["pid"] == process.pid and now["stage"] == stage
        if begun and (step == 0 or step_of(run, stage) >= step):
            break
    process.join(delay_s)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode is not None
    return process.exitcode, step_of(run, stage)


@pytest.fixture(scope="module")
def a_quiet_run(module_run_of: RunOf) -> Path:
    run = module_run_of("quiet", **OVERRULED)
    process = start(run)
    process.join()
    assert process.exitcode == 0, progress(run)
    return run


@pytest.fixture(scope="module")
def a_stopped_run(module_run_of: RunOf) -> Stopped:
    found = Stopped(module_run_of("stopped", **OVERRULED))
    moments = random.Random(3)
    for stage, step, number in STOPS:
        code, left = stop(found.run, stage, step, number, moments.uniform(0.0, 0.15))
        found.codes.append(code)
        found.steps.append(left)
        found.left.append(progress(found.run))
    process = start(found.run)
    process.join()
    found.codes.append(process.exitcode if process.exitcode is not None else -1)
    return found


def differences(found: Any, expected: Any, name: str) -> Iterator[str]:
    """Names of the values that are not equal to the last bit."""
    if isinstance(expected, torch.Tensor):
        if found.dtype != expected.dtype or not torch.equal(found, expected):
            yield name
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), name
        for key in expected:
            yield from differences(found[key], expected[key], f"{name}.{key}")
    elif isinstance(expected, list | tuple):
        for number, pair in enumerate(zip(found, expected, strict=True)):
            yield from differences(*pair, f"{name}.{number}")
    elif found != expected:
        yield name


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["encoder", "denoiser"])
def test_stops_leave_no_trace_in_weights_average_and_optimiser(
    a_quiet_run: Path, a_stopped_run: Stopped, stage: str
) -> None:
    stopped, quiet = (
        torch.load(run / stage / LAST, weights_only=False)
        for run in (a_stopped_run.run, a_quiet_run)
    )
    for key in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers"):
        assert list(differences(stopped[key], quiet[key], key)) == []
    assert stopped["global_step"] == quiet["global_step"] == {"encoder": 6, "denoiser": 10}[stage]


@pytest.mark.slow
def test_stops_leave_no_trace_in_the_bundle_and_in_what_serves(
    a_quiet_run: Path, a_stopped_run: Stopped
) -> None:
    ends = [progress(run) for run in (a_quiet_run, a_stopped_run.run)]
    for end in ends:
        assert (end["state"], end["published"], end["version"]) == ("done", True, "0.1.0.local.1")
        assert (end["fraction"], end["report"]) == (1.0, "report.html")
    assert ends[0]["verdicts"] == ends[1]["verdicts"]
    bundles = [run / "bundle" / "tiny" for run in (a_quiet_run, a_stopped_run.run)]
    digests = [checked_digests(bundle) for bundle in bundles]
    told = [read_json(bundle / REFERENCES) for bundle in bundles]
    # Pseudonyms are each cohort's own, drawn by nobody who could be asked for them again.
    names = [one.pop("names") for one in told]
    assert told[0] == told[1]
    assert len(names[0]) == len(names[1]) and not set(names[0]) & set(names[1])
    for found in digests:
        del found[REFERENCES]
    assert digests[0] == digests[1]
    for run in (a_quiet_run, a_stopped_run.run):
        registry = Path(json.loads((run / "plan.json").read_text())["registry"])
        serving = [one for one in entries(registry) if one.serving and one.name == "tiny"]
        assert [one.version for one in serving] == ["0.1.0.local.1"]
        assert [event.kind for event in history("tiny", registry)] == ["publish", "publish"]
        assert checked_digests(serving[0].folder)[WEIGHTS] == digests[0][WEIGHTS]


@pytest.mark.slow
def test_every_stop_hit_its_stage_and_no_step_was_lost(a_stopped_run: Stopped) -> None:
    codes = [-9 if number == signal.SIGKILL else 143 for _, _, number in STOPS]
    assert a_stopped_run.codes == [*codes, 0]
    assert [one["stage"] for one in a_stopped_run.left] == [stage for stage, _, _ in STOPS]
    assert all(left >= step for left, (_, step, _) in zip(a_stopped_run.steps, STOPS, strict=True))
    states = ["running" if code == -9 else "cancelled" for code in codes]
    assert [one["state"] for one in a_stopped_run.left] == states


@pytest.mark.slow
def test_the_report_holds_its_pictures_and_says_what_it_is(a_quiet_run: Path) -> None:
    page = (a_quiet_run / "report.html").read_text()
    assert page.count("AI-generated, research use only") >= 3
    assert page.count("data:image/") == 4  # sheet, two pairs of curves, before and after
    assert "http" not in page.replace("http-equiv", "")
    for words in ("healthy error", "serving model", "0.1.0.local.1", "cross-fitted", "split by"):
        assert words in page


@pytest.mark.slow
def test_figures_go_to_tensorboard_beside_the_tables(a_quiet_run: Path) -> None:
    for stage in ("encoder", "denoiser"):
        assert list((a_quiet_run / "tensorboard" / stage).glob("events.out.tfevents.*"))
        assert list((a_quiet_run / stage / "figures").rglob("metrics.csv"))
