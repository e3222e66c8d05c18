"""Measuring many scans: nothing twice, nothing lost, and the same figures in several processes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_results import BRAIN, GRID, LESION

from counterpart.bundle import REGIONS, write_manifest
from counterpart.calibration.record import SIMULATION
from counterpart.evaluation import running
from counterpart.evaluation.records import MAP, RESIDUAL
from counterpart.evaluation.running import (
    Plan,
    evaluate,
    measure,
    picture_of,
    strip_of,
    weights_of,
)
from counterpart.evaluation.sources import Sources, find_sources
from counterpart.regions import RegionAtlas, write_atlas
from counterpart.scans import Scan
from counterpart.template import CANVAS

SCANS = ["broken_T1", "ms-1_T1", "ms-2_T1", "ixi-1_T1", "ixi-2_T1"]
MEASURED = SCANS[1:]


@pytest.fixture
def a_bundle(bundle_of: Callable[..., Path]) -> Path:
    return bundle_of("1.0.0")


@pytest.fixture
def a_plan(a_bundle: Path, tmp_path: Path) -> Plan:
    return Plan(str(a_bundle), "brain-extraction", tmp_path / "kept")


@pytest.fixture
def the_sources(a_data_folder: Path) -> Sources:
    return find_sources([a_data_folder])


def test_every_scan_is_measured_or_listed_with_its_reason(
    a_plan: Plan, the_sources: Sources, generated: list[str]
) -> None:
    done: list[str] = []
    found = evaluate(a_plan, the_sources, progress=done.append)
    assert done == SCANS
    assert generated == MEASURED
    assert [row.scan for row in found.patients] == ["ms-1_T1", "ms-2_T1"]
    assert [(row.scan, row.age_years) for row in found.healthy] == [
        ("ixi-1_T1", 30),
        ("ixi-2_T1", 41),
    ]
    ((refusal),) = found.refusals
    assert refusal.scan == "broken_T1"
    assert "broken_T1.nii.gz" in refusal.reason
    assert (found.name, found.version, found.seed) == ("tiny", "1.0.0", 0)
    assert found.weights_sha256 == weights_of(a_plan.model)
    assert found.aims == {"T1": (0.5, SIMULATION)}
    assert found.probe == ()
    assert len(found.machines) == 1
    assert "for this process" in found.machines[0]


def test_what_was_measured_is_not_measured_again(
    a_plan: Plan, the_sources: Sources, generated: list[str]
) -> None:
    first = evaluate(a_plan, the_sources)
    generated.clear()
    done: list[str] = []
    assert evaluate(a_plan, the_sources, progress=done.append) == first
    assert generated == []
    assert done == SCANS


def test_a_changed_mask_is_measured_again(
    a_plan: Plan, the_sources: Sources, generated: list[str]
) -> None:
    first = evaluate(a_plan, the_sources)
    generated.clear()
    other = the_sources.patients[2].mask
    other.write_bytes((the_sources.patients[1].mask).read_bytes() + b" ")
    found = evaluate(a_plan, the_sources)
    assert generated == ["ms-2_T1"]
    assert found.patients[0] == first.patients[0]


def test_a_scan_that_was_repaired_is_no_longer_refused(
    a_plan: Plan, the_sources: Sources, generated: list[str]
) -> None:
    evaluate(a_plan, the_sources)
    generated.clear()
    broken, good = the_sources.patients[0].scan, the_sources.patients[1].scan
    broken.write_bytes(good.read_bytes())
    found = evaluate(a_plan, the_sources)
    assert generated == ["broken_T1"]
    assert found.refusals == ()
    assert len(found.patients) == 3


def test_another_seed_or_without_baselines_is_measured_again(
    a_plan: Plan, the_sources: Sources, generated: list[str]
) -> None:
    first = evaluate(a_plan, the_sources)
    for plan in (replace(a_plan, seed=1), replace(a_plan, seed=1, baselines=False)):
        generated.clear()
        found = evaluate(plan, the_sources)
        assert generated == MEASURED
        assert found.patients[0].map != first.patients[0].map
    assert set(found.patients[0].scores) == {MAP, RESIDUAL} == set(found.healthy[0].scan_scores)


def test_another_model_is_measured_again(
    a_plan: Plan, the_sources: Sources, generated: list[str], bundle_of: Callable[..., Path]
) -> None:
    evaluate(a_plan, the_sources)
    changes: list[dict[str, Any]] = [{"off": 0.5}, {"level": 3}, {"contrasts": ("T1", "T2")}]
    for number, change in enumerate(changes):
        generated.clear()
        other = bundle_of(f"2.0.{number}", **change)
        assert evaluate(replace(a_plan, model=str(other)), the_sources).version == f"2.0.{number}"
        assert generated == MEASURED


def test_a_model_with_other_regions_is_measured_again(
    a_plan: Plan, the_sources: Sources, generated: list[str], bundle_of: Callable[..., Path]
) -> None:
    evaluate(a_plan, the_sources)
    generated.clear()
    folder = bundle_of("1.0.1")
    write_atlas(folder / REGIONS, RegionAtlas(np.ones(CANVAS.shape, np.uint8)))
    write_manifest(folder)
    found = evaluate(replace(a_plan, model=str(folder)), the_sources)
    assert generated == MEASURED
    assert set(found.healthy[0].region_errors) == {"frontal lobe"}


def test_a_subject_s_age_is_kept_up_to_date(
    a_plan: Plan, a_data_folder: Path, generated: list[str]
) -> None:
    evaluate(a_plan, find_sources([a_data_folder]))
    generated.clear()
    table = "subject,age_years\nixi-1,30\nixi-2,42\n"
    (a_data_folder / "healthy" / "participants.csv").write_text(table)
    found = evaluate(a_plan, find_sources([a_data_folder]))
    assert [row.age_years for row in found.healthy] == [30.0, 42.0]
    assert generated == ["ixi-2_T1"]


@pytest.mark.parametrize("content", ["", '{"key": {"fig', "[]", "{}"])
def test_a_damaged_file_is_measured_again(
    a_plan: Plan, the_sources: Sources, generated: list[str], content: str
) -> None:
    first = evaluate(a_plan, the_sources)
    generated.clear()
    (a_plan.folder / "scans" / "ms-1_T1.json").write_text(content)
    found = evaluate(a_plan, the_sources)
    assert generated == ["ms-1_T1"]
    assert found.patients[0].scores == first.patients[0].scores


def test_an_interrupted_run_keeps_what_it_has(
    a_plan: Plan, the_sources: Sources, generated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = vars(running)["generate_counterpart"]

    def interrupted(scan: Scan, *others: Any, **named: Any) -> Any:
        if scan.name == "ixi-1_T1":
            raise KeyboardInterrupt
        return answer(scan, *others, **named)

    monkeypatch.setattr(running, "generate_counterpart", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(a_plan, the_sources)
    assert generated == ["ms-1_T1", "ms-2_T1"]
    monkeypatch.setattr(running, "generate_counterpart", answer)
    assert len(evaluate(a_plan, the_sources).healthy) == 2
    assert generated == MEASURED


def test_a_file_of_figures_is_written_last(
    a_plan: Plan, the_sources: Sources, generated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a run that was killed while it painted measures the scan again."""

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "slice_features", killed)
    (a_plan.folder / "scans").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        measure(a_plan, the_sources.patients[1])
    assert generated == ["ms-1_T1"]
    assert not (a_plan.folder / "scans" / "ms-1_T1.json").exists()


def test_each_scan_has_a_strip_of_panels(
    a_plan: Plan, the_sources: Sources, generated: list[str]
) -> None:
    evaluate(a_plan, Sources(the_sources.patients[1:2], the_sources.healthy[:1]))
    shapes = {strip_of(a_plan, scan).shape for scan in ("ms-1_T1", "ixi-1_T1")}
    assert len(shapes) == 1
    ((tall, wide, colours),) = shapes
    assert wide > tall > 100
    assert colours == 3


def test_each_scan_has_a_slice_to_draw(
    a_plan: Plan, the_sources: Sources, generated: list[str]
) -> None:
    evaluate(a_plan, Sources(the_sources.patients[1:2], the_sources.healthy[:1]))
    patient, control = (picture_of(a_plan, scan) for scan in ("ms-1_T1", "ixi-1_T1"))
    assert patient.title.startswith("ms-1_T1, slice ")
    assert patient.views.lesion.any()
    assert not control.views.lesion.any()
    assert patient.spacing == GRID.spacing


def test_kept_figures_name_all_that_they_depend_on(
    a_plan: Plan, the_sources: Sources, generated: list[str]
) -> None:
    evaluate(a_plan, the_sources)
    kept = json.loads((a_plan.folder / "scans" / "ms-1_T1.json").read_text())
    assert len(kept["key"]["files"]) == 2
    assert kept["figures"]["prevalence"] == pytest.approx(LESION.sum() / BRAIN.sum())
    assert kept["figures"]["lesion_ml"] == pytest.approx(LESION.sum() * GRID.voxel_volume_ml)


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(
    tiny_scans: Callable[[], Path], bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    """With a real network, whose findings mean nothing."""
    sources = find_sources([tiny_scans()])
    bundle = str(bundle_of("1.0.0", off=0.7, contrasts=("FLAIR", "T1")))
    done: list[str] = []
    one = evaluate(Plan(bundle, "brain-extraction", tmp_path / "one"), sources)
    two = evaluate(
        Plan(bundle, "brain-extraction", tmp_path / "two"), sources, jobs=2, progress=done.append
    )
    assert sorted(done) == ["healthy-08_T1", "sample-01_FLAIR"]
    assert one.refusals == two.refusals == ()
    (patient,), (control,) = one.patients, one.healthy
    assert replace(two.patients[0], seconds=patient.seconds) == patient
    assert replace(two.healthy[0], seconds=control.seconds) == control
    assert 0 < patient.map.ap < 1
    assert (patient.contrast, control.contrast, control.part) == ("FLAIR", "T1", "calibrate")
    assert control.error > 0
    assert patient.flagged_ml > 0
