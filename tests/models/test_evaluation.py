"""Figures on patients: closed forms, and tables as written."""

import csv
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stand_ins import StandInDenoiser

from counterpart import output
from counterpart.bundle import Model, ModelSettings
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.denoiser import DenoiserConfig, Prediction
from counterpart.errors import CounterpartError
from counterpart.evaluation import (
    PatientFigures,
    evaluate,
    figures_table,
    find_patients,
    patient_figures,
    strongest_baseline,
)
from counterpart.grid import Grid
from counterpart.package_data import package_data
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.results import Evidence, Result
from counterpart.scans import Scan, read_mask, read_scan

Array = NDArray[np.float32]
SHAPE = (18, 20, 14)
WEIGHTS = "abcdef" * 10
GRID = Grid(SHAPE, np.diag([2.0, -3.0, 4.0, 1.0]))


class LimitingDenoiser(StandInDenoiser):
    """A healthy slice has nothing above 1.2 spreads; what has departs from health."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(shown.clamp(max=1.2) * brain, 8.0 * (shown - 2.0))


@pytest.fixture
def a_model() -> Model:
    settings = ModelSettings(
        DenoiserConfig(),
        ReconstructionConfig((0,), (1.0,), (1.0,)),
        AnomalyConfig(),
    )
    known = (Calibration("FLAIR", "nobody", SIMULATION, 2, WEIGHTS, 0.5, "made up"),)
    return Model("limit", "1.0.0", WEIGHTS, settings, LimitingDenoiser(), known)


def a_brain() -> NDArray[np.bool_]:
    brain = np.zeros(SHAPE, bool)
    brain[5:13, 5:15, 4:10] = True
    return brain


def a_lesion() -> NDArray[np.bool_]:
    lesion = np.zeros(SHAPE, bool)
    lesion[6:9, 6:10, 5:8] = True
    return lesion


def result_with(anomaly: Array, *, mask: NDArray[np.bool_] | None = None) -> Result:
    rng = np.random.default_rng(0)
    values = np.where(a_brain(), 100 + 9 * rng.standard_normal(SHAPE), 0).astype(np.float32)
    return Result(
        scan=Scan(values, GRID, "lgg_01_FLAIR"),
        reconstruction=values,
        counterpart=values,
        residual=-2 * anomaly,
        anomaly=anomaly,
        brain=a_brain().astype(np.uint8),
        mask=(a_lesion() if mask is None else mask).astype(np.uint8),
        findings=[],
        threshold=0.5,
        contrast="FLAIR",
        template_from_world=np.eye(4),
        provenance={},
        evidence=Evidence(None, None, 0, "made up", "Made up."),
    )


def figures(scan: str, ap: float, baselines: dict[str, float]) -> PatientFigures:
    contrast = scan.rsplit("_", 1)[1]
    return PatientFigures(scan, contrast, 0.06, ap, ap / 2, baselines, 0.5, 20.0, 10.0)


def test_a_perfect_map_has_average_precision_one_whatever_its_sign() -> None:
    rng = np.random.default_rng(1)
    sign = np.where(rng.random(SHAPE) < 0.5, -1, 1)
    anomaly = (np.where(a_lesion(), 2.0, 0.1 * rng.random(SHAPE)) * sign).astype(np.float32)
    found = patient_figures(result_with(anomaly), a_lesion())
    assert found.ap == pytest.approx(1.0)
    assert found.ap_residual == pytest.approx(1.0)
    assert found.dice == pytest.approx(1.0)


def test_a_constant_map_has_the_prevalence_as_average_precision() -> None:
    found = patient_figures(result_with(np.full(SHAPE, 0.3, np.float32)), a_lesion())
    assert found.prevalence == pytest.approx(36 / 480)
    assert found.ap == pytest.approx(36 / 480)


def test_only_the_scan_s_own_foreground_counts() -> None:
    anomaly = np.where(a_lesion(), 1.0, 0.0).astype(np.float32)
    anomaly[~a_brain()] = 9.0
    assert patient_figures(result_with(anomaly), a_lesion()).ap == pytest.approx(1.0)


def test_volumes_and_overlap_are_those_of_the_mask() -> None:
    mask = np.roll(a_lesion(), 1, axis=0)
    found = patient_figures(result_with(np.zeros(SHAPE, np.float32), mask=mask), a_lesion())
    assert found.lesion_ml == pytest.approx(36 * 0.024)
    assert found.flagged_ml == pytest.approx(36 * 0.024)
    assert found.dice == pytest.approx(2 / 3)


def test_the_strongest_baseline_has_the_highest_mean() -> None:
    rows = [
        figures("a_1_T1", 0.1, {"intensity": 0.9, "inverted": 0.5}),
        figures("a_2_T1", 0.1, {"intensity": 0.1, "inverted": 0.6}),
    ]
    assert strongest_baseline(rows) == ("inverted", pytest.approx(0.55))


def test_the_table_has_a_row_per_set_and_contrast_and_one_per_scan(a_model: Model) -> None:
    rows = [
        figures("lgg_01_FLAIR", 0.2, {"intensity": 0.3}),
        figures("lgg_02_FLAIR", 0.4, {"intensity": 0.5}),
        figures("lgg_02_T1", 0.1, {"intensity": 0.2}),
        figures("wmh12_FLAIR", 0.7, {"intensity": 0.6}),
    ]
    table = figures_table(rows, a_model)
    assert "Model limit 1.0.0, weights abcdefabcdef." in table
    assert "| lgg FLAIR | 2 | 0.300 | 0.150 | intensity | 0.400 | 0.060 |" in table
    assert "| lgg T1 | 1 | 0.100 | 0.050 | intensity | 0.200 | 0.060 |" in table
    assert "| wmh FLAIR | 1 | 0.700 | 0.350 | intensity | 0.600 | 0.060 |" in table
    assert "| lgg_02_T1 | 0.100 | 0.050 | 0.500 | 20.0 | 10.0 |" in table


def test_patients_are_paired_with_their_masks(tmp_path: Path) -> None:
    names = [
        "lgg_01_FLAIR.nii.gz",
        "lgg_01_T1.nii",
        "lgg_01_mask.nii.gz",
        "s_2_T2.nii.gz",
        "s_2_lesion.nii",
        "s_2_brain.nii.gz",
        "nomask_T1.nii.gz",
        "lgg_01_FLAIR.json",
    ]
    for name in names:
        (tmp_path / name).touch()
    assert find_patients(tmp_path) == [
        (tmp_path / "lgg_01_FLAIR.nii.gz", tmp_path / "lgg_01_mask.nii.gz"),
        (tmp_path / "lgg_01_T1.nii", tmp_path / "lgg_01_mask.nii.gz"),
        (tmp_path / "s_2_T2.nii.gz", tmp_path / "s_2_lesion.nii"),
    ]


def test_a_folder_without_masks_or_without_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a_T1.nii.gz").touch()
    with pytest.raises(CounterpartError, match="no scan with a lesion mask"):
        find_patients(tmp_path)
    with pytest.raises(CounterpartError, match="gone"):
        find_patients(tmp_path / "gone")


def test_patients_are_measured_and_one_that_is_refused_is_left_out(
    a_model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(output, "render_report", lambda result, path: path.write_bytes(b"png"))
    samples = package_data("sample_data") / "patients"
    scan = read_scan(samples / "sample-01_FLAIR.nii.gz")
    brain = read_mask(samples / "sample-01_brain.nii.gz", scan.grid)
    stripped = nib.nifti1.Nifti1Image(scan.values * brain, scan.grid.affine)
    nib.save(stripped, tmp_path / "sample-01_FLAIR.nii.gz")
    (tmp_path / "sample-02_FLAIR.nii.gz").write_bytes(b"no scan")
    for name in ("sample-01_lesion.nii.gz", "sample-02_lesion.nii.gz"):
        (tmp_path / name).write_bytes((samples / "sample-01_lesion.nii.gz").read_bytes())
    with caplog.at_level(logging.WARNING):
        rows = evaluate(find_patients(tmp_path), a_model, tmp_path / "out")
    assert [row.scan for row in rows] == ["sample-01_FLAIR"]
    assert "sample-02_FLAIR" in caplog.text
    assert rows[0].ap > 0.6 > 3 * rows[0].prevalence
    with (tmp_path / "out" / "figures.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["ap"]) == rows[0].ap
    assert float(row["intensity, 3 mm"]) == rows[0].baselines["intensity, 3 mm"]
    assert (tmp_path / "out" / "figures.md").read_text() == figures_table(rows, a_model)
    assert (tmp_path / "out" / "sample-01_FLAIR" / "anomaly.nii.gz").is_file()


def test_a_whole_head_is_measured_within_its_brain_and_lesion(
    a_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "render_report", lambda result, path: path.write_bytes(b"png"))
    samples = package_data("sample_data") / "patients"
    for kind in ("FLAIR", "brain", "lesion"):
        name = f"sample-01_{kind}.nii.gz"
        (tmp_path / name).write_bytes((samples / name).read_bytes())
    (row,) = evaluate(find_patients(tmp_path), a_model, tmp_path / "out")
    scan = read_scan(samples / "sample-01_FLAIR.nii.gz")
    brain = read_mask(samples / "sample-01_brain.nii.gz", scan.grid)
    lesion = read_mask(samples / "sample-01_lesion.nii.gz", scan.grid)
    region = brain | lesion
    assert row.prevalence == pytest.approx(lesion[region].mean(), rel=1e-5)
