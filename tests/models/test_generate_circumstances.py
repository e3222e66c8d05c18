"""What a result says beside its maps: sequence, doubts about the scan, and regions of findings.

With a stand-in network that takes everything bright for sick; only what is told matters here.
"""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stand_ins import StandInDenoiser

from counterpart.brain_extraction import BrainModel, load_brain_model
from counterpart.bundle import Model, ModelSettings
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.denoiser import DenoiserConfig, Prediction
from counterpart.errors import ScanError
from counterpart.generate import generate_counterpart
from counterpart.package_data import package_data
from counterpart.reconstruction import ReconstructionConfig
from counterpart.regions import REGIONS, RegionAtlas
from counterpart.residual import AnomalyConfig
from counterpart.results import Result
from counterpart.scans import Scan, read_mask, read_scan
from counterpart.template import CANVAS

Mask = NDArray[np.bool_]
WEIGHTS = "f" * 64
CALIBRATIONS = (
    Calibration("FLAIR", "nobody", SIMULATION, 2, WEIGHTS, 0.5, "made up"),
    Calibration("T1", "nobody", SIMULATION, 2, WEIGHTS, 0.8, "also made up"),
)


class BrightIsSick(StandInDenoiser):
    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(shown.clamp(max=1.2) * brain, 8.0 * (shown - 2.0))


def a_model(regions: RegionAtlas | None = None) -> Model:
    settings = ModelSettings(
        DenoiserConfig(),
        ReconstructionConfig((3,), (1.0,), (1.0,)),
        AnomalyConfig(),
    )
    return Model("sick", "1.0.0", WEIGHTS, settings, BrightIsSick(), CALIBRATIONS, regions)


@pytest.fixture(scope="module")
def the_samples() -> Path:
    return package_data("sample_data") / "patients"


@pytest.fixture(scope="module")
def a_scan(the_samples: Path) -> Scan:
    return read_scan(the_samples / "sample-01_FLAIR.nii.gz")


@pytest.fixture(scope="module")
def a_brain(the_samples: Path, a_scan: Scan) -> Mask:
    return read_mask(the_samples / "sample-01_brain.nii.gz", a_scan.grid)


@pytest.fixture(scope="module")
def a_result(a_scan: Scan, a_brain: Mask) -> Result:
    """Of a user who says T1, on a scan whose name and tissue say FLAIR."""
    return generate_counterpart(a_scan, a_model(), brain_mask=a_brain, contrast="t1")


@pytest.fixture(scope="module")
def the_brain_model() -> BrainModel:
    return load_brain_model()


def test_the_user_s_contrast_decides_the_threshold(a_result: Result) -> None:
    assert (a_result.contrast, a_result.threshold) == ("T1", 0.8)
    told = a_result.provenance
    assert (told["contrast"], told["contrast_source"]) == ("T1", "user")
    assert (told["threshold"], told["threshold_source"]) == (0.8, "also made up")


def test_a_contrast_that_the_tissue_contradicts_is_a_warning(a_result: Result) -> None:
    (warning,) = a_result.warnings
    assert "taken for T1 (user)" in warning
    assert "look like FLAIR" in warning
    assert a_result.provenance["warnings"] == [warning]


def test_a_contrast_that_fits_is_no_warning(a_scan: Scan, a_brain: Mask) -> None:
    result = generate_counterpart(a_scan, a_model(), brain_mask=a_brain, contrast="FLAIR")
    assert (result.contrast, result.threshold, result.warnings) == ("FLAIR", 0.5, ())
    assert result.provenance["contrast_source"] == "user"


def test_tags_come_before_the_name(a_scan: Scan, a_brain: Mask) -> None:
    tagged = replace(a_scan, name="head_T2", tags={"SeriesDescription": "tirm dark-fluid"})
    result = generate_counterpart(tagged, a_model(), brain_mask=a_brain)
    assert (result.contrast, result.provenance["contrast_source"]) == ("FLAIR", "DICOM tags")


def test_a_contrast_that_is_none_is_refused(a_scan: Scan, a_brain: Mask) -> None:
    with pytest.raises(ScanError, match="expected one of T1, T1c, T2, FLAIR, unknown, got 'CT'"):
        generate_counterpart(a_scan, a_model(), brain_mask=a_brain, contrast="CT")


def test_doubts_about_scan_brain_and_contrast_are_collected_in_order(
    a_scan: Scan, the_brain_model: BrainModel
) -> None:
    cut = np.ascontiguousarray(a_scan.values[:, :, :62])
    grid = replace(a_scan.grid, shape=cut.shape)
    scan = replace(a_scan, values=cut, grid=grid, header=None, warnings=("Of the file.",))
    result = generate_counterpart(scan, a_model(), brain_model=the_brain_model, contrast="T1")
    of_file, of_brain, of_contrast = result.warnings
    assert of_file == "Of the file."
    assert "cut off at the highest slice" in of_brain
    assert "taken for T1 (user)" in of_contrast
    assert result.provenance["warnings"] == list(result.warnings)
    assert result.provenance["brain_source"].startswith("network brain-extraction ")


def test_forms_that_disagree_on_left_and_right_reach_the_reader(
    a_scan: Scan, a_brain: Mask, tmp_path: Path
) -> None:
    image = nib.nifti1.Nifti1Image(a_scan.values, a_scan.grid.affine)
    image.set_sform(a_scan.grid.affine, code=1)
    image.set_qform(np.diag([-1.0, 1.0, 1.0, 1.0]) @ a_scan.grid.affine, code=1)
    nib.save(image, tmp_path / "head_FLAIR.nii.gz")
    scan = read_scan(tmp_path / "head_FLAIR.nii.gz")
    result = generate_counterpart(scan, a_model(), brain_mask=a_brain)
    (warning,) = result.warnings
    assert "qform and sform disagree" in warning
    assert "left" in warning
    assert "right" in warning
    assert result.provenance["warnings"] == [warning]


def test_findings_name_no_region_without_an_atlas(a_result: Result) -> None:
    assert a_result.findings
    assert {finding.region for finding in a_result.findings} == {""}


def test_findings_name_the_region_of_the_atlas(a_scan: Scan, a_brain: Mask) -> None:
    """An atlas whose lower half is one region, and its upper half another."""
    low, high = REGIONS[0], REGIONS[1]
    middle = CANVAS.shape[2] // 2
    codes = np.full(CANVAS.shape, low.code, np.uint8)
    codes[:, :, middle:] = high.code
    result = generate_counterpart(a_scan, a_model(RegionAtlas(codes)), brain_mask=a_brain)
    tumour = result.findings[0]
    assert tumour.region == high.name
    assert {finding.region for finding in result.findings} <= {low.name, high.name}
    point = result.template_from_world @ np.array([*tumour.centre_ras_mm, 1.0])
    assert (np.linalg.inv(CANVAS.affine) @ point)[2] > middle


def test_the_model_is_chosen_once_the_contrast_is_told(a_scan: Scan, a_brain: Mask) -> None:
    """The version that did the work is named, and the other one does nothing."""
    asked: list[str] = []
    unused = replace(a_model(), version="2.0.0", calibrations=())

    def choose(contrast: str) -> Model:
        asked.append(contrast)
        return replace(a_model(), version="0.9.0")

    result = generate_counterpart(a_scan, unused, brain_mask=a_brain, choose=choose)
    assert asked == ["FLAIR"]
    assert (result.provenance["version"], result.threshold) == ("0.9.0", 0.5)
