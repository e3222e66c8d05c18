"""A plan is read strictly: what is wrong with it is said in a sentence, and nothing is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.retraining.pipeline import carry_out
from counterpart.retraining.plan import Plan, PlanError, Steps, read_plan, write_plan

RunOf = Callable[..., Path]


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan(
        scans=(MarkedScan("a", tmp_path / "a.nii", None), MarkedScan("b", tmp_path / "b", "T1")),
        registry=tmp_path / "registry",
        version="0.2.0.local.7",
        steps=Steps(3, 4),
        force=("healthy_error",),
        reason="because",
        by="ann",
    )
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stepz": 3}, "unknown key 'stepz'"),
        ({"format": 2}, "'format' must be 1, got 2"),
        ({"seed": "1"}, "'seed' must be a whole number, got '1'"),
        ({"seed": True}, "'seed' must be a whole number, got True"),
        ({"publish": 1}, "'publish' must be true or false, got 1"),
        ({"mode": "guess"}, "'mode' must be one of auto, calibrate, train, got 'guess'"),
        ({"devices": "none"}, "'devices' must be a number of at least 1, or 'auto'"),
        ({"steps": {"encoder": 1}}, "'steps.denoiser' must be a whole number, got None"),
        ({"steps": {"encoder": 0, "denoiser": 0}}, "at least 1 for the denoiser"),
        ({"scans": []}, "'scans' is empty"),
        ({"scans": [{"subject": "a", "path": "a.nii"}]}, "must be an absolute path, got 'a.nii'"),
        ({"scans": [{"subject": "", "path": "/a.nii"}]}, "scans[0].subject"),
        ({"scans": [{"subject": "a", "path": "/a", "contrast": "CT"}]}, "scans[0].contrast"),
        ({"force": ["healthy_error"]}, "for a reason only"),
        ({"force": ["luck"], "reason": "so"}, "'luck' is no gate"),
        ({"scans": [{"subject": "a", "path": "/no/a.nii"}]}, "/no/a.nii: no such scan"),
    ],
)
def test_a_bad_plan_is_refused_in_a_sentence_and_nothing_is_written(
    run_of: RunOf, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], sentence: str
) -> None:
    run = run_of(**changes)
    assert carry_out(run) == 2
    assert sentence in capsys.readouterr().err
    assert [path.name for path in run.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"format": NaN}', "[" * 100_000, '"x"'])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(PlanError, match="plan"):
        read_plan(tmp_path)


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    assert carry_out(tmp_path / "nothing") == 2
    assert not (tmp_path / "nothing").exists()


def test_scans_that_are_gone_do_not_matter_once_they_are_prepared(prepared_run_of: RunOf) -> None:
    run = prepared_run_of(scans=[{"subject": "a", "path": "/no/a.nii"}], force=[])
    values = json.loads((run / "plan.json").read_text())
    assert Plan.from_json(values).missing_scan() == Path("/no/a.nii")
    (run / "stages" / "checks.json").write_text("{")  # so that it goes no further than this
    assert carry_out(run) == 1
