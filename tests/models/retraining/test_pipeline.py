"""A calibration alone, a disk that fills up, and a version that the gates do not let serve."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from retraining_runs import FORKS, carry_out_on_a_full_disk, progress, start

from counterpart.bundle import METADATA, WEIGHTS, checked_digests, write_manifest
from counterpart.bundle_files import read_json, write_json
from counterpart.registry.gates import GATES, gate_name
from counterpart.registry.verdict import Verdict
from counterpart.registry.versions import entries
from counterpart.retraining.cancelling import Cancellation
from counterpart.retraining.cohort_stages import next_version
from counterpart.retraining.job import Job
from counterpart.retraining.judging import let_serve
from counterpart.retraining.marks import Judged, write_mark
from counterpart.retraining.plan import read_plan
from counterpart.retraining.progress import ProgressFile
from counterpart.retraining.telling import Teller

RunOf = Callable[..., Path]


@pytest.mark.slow
def test_a_calibration_alone_keeps_the_weights_and_trains_nothing(prepared_run_of: RunOf) -> None:
    run = prepared_run_of(mode="calibrate", publish=False, population="our scanner")
    process = start(run)
    process.join()
    assert process.exitcode == 0, progress(run)
    end = progress(run)
    assert (end["state"], end["mode"], end["published"]) == ("done", "calibrate", None)
    assert [one["gate"] for one in end["verdicts"]] == ["sound_bundle", *map(gate_name, GATES)]
    begun = run.parent / "registry-of-run" / "tiny" / "0.1.0"
    old, new = checked_digests(begun), checked_digests(run / "bundle" / "tiny")
    assert old[WEIGHTS] == new[WEIGHTS]
    assert old["configs/calibrations.json"] != new["configs/calibrations.json"]
    found = read_json(run / "bundle" / "tiny" / "configs" / "calibrations.json")["calibrations"]
    assert "our scanner" in {one["population"] for one in found}
    assert not (run / "encoder").exists()
    assert not (run / "denoiser").exists()
    page = (run / "report.html").read_text()
    assert "The weights are the same" in page
    assert page.count("data:image/") == 2
    assert serving_version(run) == "0.1.0"


@pytest.mark.slow
def test_a_full_disk_ends_in_a_sentence_and_the_run_goes_on_afterwards(
    prepared_run_of: RunOf,
) -> None:
    run = prepared_run_of(steps={"encoder": 0, "denoiser": 10})
    process = FORKS.Process(target=carry_out_on_a_full_disk, args=(run, 4), daemon=True)
    process.start()
    process.join()
    assert process.exitcode == 1
    end = progress(run)
    assert end["state"] == "failed"
    assert end["error"].startswith("The disk is full")
    last = torch.load(run / "denoiser" / "checkpoints" / "last.ckpt", weights_only=False)
    assert last["global_step"] == 4
    process = FORKS.Process(target=carry_out_on_a_full_disk, args=(run, 6), daemon=True)
    process.start()
    process.join()
    last = torch.load(run / "denoiser" / "checkpoints" / "last.ckpt", weights_only=False)
    assert last["global_step"] == 6


def serving_version(run: Path) -> str:
    registry = Path(json.loads((run / "plan.json").read_text())["registry"])
    return next(one.version for one in entries(registry) if one.name == "tiny" and one.serving)


def judged_job(run: Path) -> Job:
    """A run whose new version was judged: one gate was not passed."""
    bundle = run / "bundle" / "tiny"
    shutil.copytree(run.parent / "registry-of-run" / "tiny" / "0.1.0", bundle)
    for path in bundle.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    write_json(bundle / METADATA, read_json(bundle / METADATA) | {"version": "0.1.0.local.1"})
    write_manifest(bundle)
    weights = checked_digests(bundle)[WEIGHTS]
    verdicts = [Verdict(gate_name(gate), True, "Good.") for gate in GATES]
    verdicts[-1] = replace(verdicts[-1], passed=False, reason="Not good enough.")
    keys = (f"0.1.0.local.1 {weights}", f"0.1.0 {weights}")
    write_mark(run, "evaluation", Judged(*keys, tuple(verdicts)))
    return Job(run, read_plan(run), Teller(ProgressFile(run)), Cancellation())


def test_what_a_gate_does_not_pass_does_not_serve(prepared_run_of: RunOf) -> None:
    run = prepared_run_of()
    done = let_serve(judged_job(run))
    assert done.published is False
    assert gate_name(GATES[-1]) in done.words
    assert serving_version(run) == "0.1.0"
    assert next_version("tiny", "0.1.0", run.parent / "registry-of-run") == "0.1.0.local.1"


def test_the_plan_may_overrule_a_gate(prepared_run_of: RunOf) -> None:
    run = prepared_run_of(force=[gate_name(GATES[-1])], reason="seen and accepted", by="ann")
    done = let_serve(judged_job(run))
    assert done.published is True
    assert serving_version(run) == "0.1.0.local.1"
    root = run.parent / "registry-of-run"
    history = json.loads((root / "tiny" / "serving.json").read_text())["history"]
    assert history[-1]["reason"] == "seen and accepted (asked for by ann)"
    assert next_version("tiny", "0.1.0.local.1", root) == "0.1.0.local.2"
