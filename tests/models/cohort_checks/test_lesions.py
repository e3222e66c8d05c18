"""Obvious lesions: far beyond the threshold's promise, the cohort, and what healthy scans show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_ins import StandInDenoiser

from counterpart.bundle import Model, ModelSettings
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.cohort_checks.lesions import OBVIOUS_ML, obvious_lesions
from counterpart.cohort_checks.looking import flagged
from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.cohort_checks.seen_scan import SeenScan
from counterpart.denoiser import DenoiserConfig, Prediction
from counterpart.grid import canonical_orientation
from counterpart.package_data import package_data
from counterpart.posed_scan import PosedScan, pose_scan
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.scans import read_mask, read_scan

PATIENTS = package_data("sample_data") / "patients"


class LimitingDenoiser(StandInDenoiser):
    """A healthy slice has nothing above 1.2 spreads."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(shown.clamp(max=1.2) * brain, 8.0 * (shown - 2.0))


def seen(ml: float | None, p_value: float | None = None, contrast: str = "T1") -> SeenScan:
    scan = MarkedScan("s", Path("s"))
    return SeenScan(scan, "s", contrast, None, flagged_ml=ml, p_value=p_value)


def found(*scans: SeenScan) -> list[float | None]:
    return [one.flagged_ml for one in obvious_lesions(scans)]


def test_ten_times_what_the_threshold_allows_is_obvious() -> None:
    assert OBVIOUS_ML == 10.0
    calm = [seen(0.4)] * 5
    assert found(*calm, seen(9.9), seen(10.0), seen(60.0), seen(None)) == [60.0, 10.0]


def test_a_scanner_that_the_model_does_not_know_does_not_make_all_patients() -> None:
    """What all scans of a contrast carry is no lesion; of another contrast they say nothing."""
    usual = [seen(12.0 + n) for n in range(5)]
    assert found(*usual) == []
    assert found(*usual, seen(80.0), seen(15.0, contrast="FLAIR")) == [80.0, 15.0]


@pytest.mark.parametrize(("p_value", "obvious"), [(0.02, True), (0.05, True), (0.3, False)])
def test_what_healthy_scans_show_as_often_is_not_obvious(p_value: float, obvious: bool) -> None:
    assert found(seen(0.0), seen(40.0, p_value)) == ([40.0] if obvious else [])


@pytest.fixture(scope="module")
def a_patient() -> PosedScan:
    scan = read_scan(PATIENTS / "sample-01_FLAIR.nii.gz")
    brain = read_mask(PATIENTS / "sample-01_brain.nii.gz", scan.grid)
    turn = canonical_orientation(scan.grid)
    return pose_scan(turn, turn.forward(scan.values), turn.forward(brain))


def test_the_model_flags_a_patient_and_says_nothing_of_other_contrasts(
    a_patient: PosedScan,
) -> None:
    settings = ModelSettings(
        DenoiserConfig(), ReconstructionConfig((3,), (1.0,), (1.0,)), AnomalyConfig()
    )
    rows = (Calibration("FLAIR", "nobody", SIMULATION, 2, "f" * 64, 0.5, "made up"),)
    model = Model("limit", "1", "f" * 64, settings, LimitingDenoiser(), rows)
    flagged_ml, p_value = flagged(a_patient, model, "FLAIR")
    lesion = read_scan(PATIENTS / "sample-01_lesion.nii.gz")
    lesion_ml = float((lesion.values > 0).sum()) * lesion.grid.voxel_volume_ml
    assert flagged_ml is not None and p_value is None
    assert 0.5 * lesion_ml < flagged_ml < 3.0 * lesion_ml
    assert flagged(a_patient, model, "T1c") == (None, None)
    calm = replace(model, calibrations=(replace(rows[0], threshold=1e3),))
    assert flagged(a_patient, calm, "FLAIR") == (0.0, None)
    assert np.isfinite(flagged_ml)
