"""From a scan to its counterpart: on the sample patient, with a network whose answer is known.

The stand-in holds that a healthy slice has nothing above 1.2 spreads: on FLAIR it finds lesions,
and what it must answer is a closed form of the scan.
"""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from stand_ins import StandInDenoiser

from counterpart.bundle import DEFAULT_MODEL, Model, ModelSettings, load_model
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.denoiser import DenoiserConfig, Prediction
from counterpart.errors import BrainError
from counterpart.evaluation.patients import patient_figures
from counterpart.findings import MIN_VOLUME_ML
from counterpart.generate import compare, generate_counterpart, repaint
from counterpart.grid import Grid, canonical_orientation
from counterpart.package_data import package_data
from counterpart.posed_scan import PosedScan, pose_scan
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig, healing_gate, tissue_texture
from counterpart.results import DISCLAIMER, Result
from counterpart.scans import Scan, read_mask, read_scan
from counterpart.slices import as_slices, from_slices

Mask = NDArray[np.bool_]
FLOAT_MAPS = ("reconstruction", "counterpart", "residual", "anomaly")
MAPS = (*FLOAT_MAPS, "mask", "brain")
LIMIT = 1.2
THRESHOLD = 0.5
WEIGHTS = "f" * 64
ORIENTATIONS = ("LPS", "ASR", "IPL", "SRA", "RIP", "PLI")


class LimitingDenoiser(StandInDenoiser):
    """A healthy slice has nothing above the limit; what has departs from health."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(shown.clamp(max=LIMIT) * brain, 8.0 * (shown - 2.0))


@pytest.fixture(scope="module")
def a_model() -> Model:
    settings = ModelSettings(
        DenoiserConfig(),
        ReconstructionConfig((3, 8), (1.0, 1.0), (1.0, 1.0)),
        AnomalyConfig(),
    )
    calibration = Calibration("FLAIR", "nobody", SIMULATION, 2, WEIGHTS, THRESHOLD, "made up")
    return Model("limit", "1.0.0", WEIGHTS, settings, LimitingDenoiser(), (calibration,))


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
def a_lesion(the_samples: Path, a_scan: Scan) -> Mask:
    return read_mask(the_samples / "sample-01_lesion.nii.gz", a_scan.grid)


@pytest.fixture(scope="module")
def a_result(a_scan: Scan, a_model: Model, a_brain: Mask) -> Result:
    return generate_counterpart(a_scan, a_model, brain_mask=a_brain, seed=3)


@pytest.fixture(scope="module")
def a_posed_scan(a_scan: Scan, a_brain: Mask) -> PosedScan:
    turn = canonical_orientation(a_scan.grid)
    return pose_scan(turn, turn.forward(a_scan.values), turn.forward(a_brain))


def stored_as(array: NDArray[np.generic], grid: Grid, codes: str) -> tuple[NDArray, Grid]:
    """The same head stored with its axes in another order and direction."""
    there = nib.orientations.axcodes2ornt(codes)
    turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(grid.affine), there)
    turned = nib.orientations.apply_orientation(array, turn)
    affine = grid.affine @ nib.orientations.inv_ornt_aff(turn, grid.shape)
    return np.ascontiguousarray(turned), Grid(turned.shape, affine)


def correlation(one: NDArray, other: NDArray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def assert_relations_hold(result: Result) -> None:
    """What every result must satisfy, whatever the model says."""
    shape = result.scan.grid.shape
    outside = result.brain == 0
    values = result.scan.values
    for name in MAPS:
        array = getattr(result, name)
        assert array.shape == shape
        assert array.dtype == (np.float32 if name in FLOAT_MAPS else np.uint8)
        assert np.isfinite(array).all()
    np.testing.assert_array_equal(result.reconstruction[outside], values[outside])
    np.testing.assert_array_equal(result.counterpart[outside], values[outside])
    for name in ("residual", "anomaly", "mask"):
        assert not getattr(result, name)[outside].any()
    spread = result.provenance["spread"]
    expected = (values - result.reconstruction) / spread
    np.testing.assert_allclose(result.residual, expected, atol=1e-5 * np.abs(values).max() / spread)
    np.testing.assert_array_equal(result.mask, slow_mask(result))
    assert set(np.unique(result.mask)) <= {0, 1}


def slow_mask(result: Result) -> NDArray[np.uint8]:
    """Components of the passed threshold, one by one, without the small ones."""
    mask = np.zeros(result.scan.grid.shape, np.uint8)
    for sign in (1, -1):
        labels, count = ndimage.label(sign * result.anomaly >= result.threshold, np.ones((3, 3, 3)))
        for number in range(1, count + 1):
            part = labels == number
            if part.sum() * result.scan.grid.voxel_volume_ml >= MIN_VOLUME_ML:
                mask[part] = 1
    return mask


def test_all_maps_lie_on_the_scan_s_grid_and_keep_their_relations(
    a_result: Result, a_scan: Scan
) -> None:
    assert a_result.scan is a_scan
    assert a_result.mask.any()
    assert_relations_hold(a_result)


def test_the_given_mask_is_the_brain(a_result: Result, a_brain: Mask) -> None:
    np.testing.assert_array_equal(a_result.brain > 0, a_brain)


def test_the_reconstruction_is_the_network_s_answer_in_scan_units(
    a_result: Result, a_posed_scan: PosedScan
) -> None:
    inner = ndimage.binary_erosion(a_result.brain, iterations=3)
    scaled = ndimage.uniform_filter(a_posed_scan.normalisation.apply(a_result.scan.values), 3)
    expected = np.maximum(scaled - LIMIT, 0.0)
    smooth = ndimage.uniform_filter(a_result.residual, 3)
    assert correlation(smooth[inner], expected[inner]) > 0.95
    flagged = inner & (expected > 1.5)
    assert np.median(smooth[flagged] / expected[flagged]) == pytest.approx(1.0, abs=0.1)


def test_the_lesion_is_found_where_it_lies(a_result: Result, a_lesion: Mask) -> None:
    largest = a_result.findings[0]
    assert largest.direction == "brighter"
    to_index = np.linalg.inv(a_result.scan.grid.affine)
    index = to_index[:3, :3] @ np.array(largest.centre_ras_mm) + to_index[:3, 3]
    assert a_lesion[tuple(np.rint(index).astype(int))]
    overlap = 2 * (a_lesion & (a_result.mask > 0)).sum() / (a_lesion.sum() + a_result.mask.sum())
    assert overlap > 0.5
    centre = a_result.scan.grid.world(np.argwhere(a_lesion)).mean(axis=0)
    across = (a_result.template_from_world[:3, :3] @ centre + a_result.template_from_world[:3, 3])[
        0
    ]
    assert abs(across) > 8
    assert largest.side == ("right" if across > 0 else "left")


def test_the_counterpart_heals_the_lesion_and_keeps_the_rest(
    a_result: Result, a_lesion: Mask
) -> None:
    scan, healed = a_result.scan.values, a_result.counterpart
    tissue = (a_result.brain > 0) & ~ndimage.binary_dilation(a_lesion, iterations=3)
    limit = a_result.provenance["location"] + LIMIT * a_result.provenance["spread"]
    bright = a_lesion & (a_result.mask > 0)
    assert scan[bright].mean() > limit + a_result.provenance["spread"]
    assert healed[bright].mean() == pytest.approx(limit, abs=0.25 * a_result.provenance["spread"])
    assert (healed == scan)[tissue].mean() > 0.8
    assert (healed != scan)[bright].all()


def test_the_counterpart_blends_scan_and_answer_by_the_gate(
    a_posed_scan: PosedScan, a_model: Model
) -> None:
    answer = repaint(a_posed_scan, a_model, 3)
    maps = compare(a_posed_scan, answer, a_model, a_model.calibrations[0], 3)
    gate = healing_gate(maps.anomaly, THRESHOLD, thick=False)
    np.testing.assert_array_equal(maps.gate, gate)
    texture = tissue_texture(maps.residual, gate, a_posed_scan.inside, np.random.default_rng(3))
    scaled = a_posed_scan.scaled
    expected = (1 - gate) * scaled + gate * (from_slices(answer.clean) + texture)
    inside = a_posed_scan.inside
    np.testing.assert_allclose((scaled - maps.change)[inside], expected[inside], atol=1e-4)
    untouched = inside & (gate == 0)
    assert untouched.sum() > 0.5 * inside.sum()
    assert not maps.change[untouched].any()
    assert not maps.change[~inside].any()


def test_the_same_seed_gives_identical_arrays(
    a_result: Result, a_scan: Scan, a_model: Model, a_brain: Mask
) -> None:
    again = generate_counterpart(a_scan, a_model, brain_mask=a_brain, seed=3)
    for name in MAPS:
        np.testing.assert_array_equal(getattr(again, name), getattr(a_result, name))
    assert again.findings == a_result.findings
    assert again.provenance == a_result.provenance


def test_another_seed_gives_another_noise(a_posed_scan: PosedScan, a_model: Model) -> None:
    one, other = (repaint(a_posed_scan, a_model, seed).clean for seed in (3, 4))
    assert not torch.equal(one, other)
    assert float((one - other).abs().max()) < 1.0


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_the_stored_orientation_does_not_matter(
    a_result: Result, a_scan: Scan, a_model: Model, a_brain: Mask, codes: str
) -> None:
    values, grid = stored_as(a_scan.values, a_scan.grid, codes)
    brain, _ = stored_as(a_brain, a_scan.grid, codes)
    turned = generate_counterpart(
        replace(a_scan, values=values, grid=grid), a_model, brain_mask=brain, seed=3
    )
    assert turned.scan.grid.same_as(grid)
    for name in ("counterpart", "reconstruction", "residual", "anomaly", "mask"):
        expected, _ = stored_as(getattr(a_result, name), a_scan.grid, codes)
        assert correlation(getattr(turned, name), expected) > 0.9999
    assert [finding.side for finding in turned.findings] == [
        finding.side for finding in a_result.findings
    ]
    np.testing.assert_allclose(
        [finding.centre_ras_mm for finding in turned.findings],
        [finding.centre_ras_mm for finding in a_result.findings],
        atol=0.2,
    )


def test_the_scale_of_the_intensities_does_not_matter(
    a_result: Result, a_scan: Scan, a_model: Model, a_brain: Mask
) -> None:
    scaled = replace(a_scan, values=(0.01 * a_scan.values - 7).astype(np.float32))
    result = generate_counterpart(scaled, a_model, brain_mask=a_brain, seed=3)
    assert correlation(result.anomaly, a_result.anomaly) > 0.999
    expected = 0.01 * a_result.counterpart - 7
    assert correlation(result.counterpart, expected) > 0.9999
    assert np.abs(result.counterpart - expected).mean() < 0.02 * result.provenance["spread"]


def test_a_stripped_scan_needs_no_mask(
    a_result: Result, a_scan: Scan, a_model: Model, a_brain: Mask
) -> None:
    stripped = replace(a_scan, values=a_scan.values * a_brain)
    result = generate_counterpart(stripped, a_model, seed=3)
    assert ((result.brain > 0) == a_brain).mean() > 0.999
    assert correlation(result.anomaly, a_result.anomaly) > 0.99
    assert_relations_hold(result)


def test_what_lies_outside_the_mask_does_not_matter(
    a_posed_scan: PosedScan, a_scan: Scan, a_brain: Mask
) -> None:
    other = replace(a_scan, values=np.where(a_brain, a_scan.values, 5000.0).astype(np.float32))
    turn = canonical_orientation(other.grid)
    posed = pose_scan(turn, turn.forward(other.values), turn.forward(a_brain))
    np.testing.assert_array_equal(posed.pose.matrix, a_posed_scan.pose.matrix)
    assert posed.normalisation == a_posed_scan.normalisation
    np.testing.assert_array_equal(posed.scaled, a_posed_scan.scaled)


def test_a_whole_head_without_mask_is_refused_with_a_hint(a_scan: Scan, a_model: Model) -> None:
    with pytest.raises(BrainError, match="--brain-mask"):
        generate_counterpart(a_scan, a_model)


def test_thick_slices_stay_on_their_planes(
    a_scan: Scan, a_model: Model, a_brain: Mask, a_lesion: Mask
) -> None:
    grid = Grid((72, 92, 27), a_scan.grid.affine @ np.diag([1.0, 1.0, 3.0, 1.0]))
    thick = replace(a_scan, values=np.ascontiguousarray(a_scan.values[:, :, ::3]), grid=grid)
    result = generate_counterpart(thick, a_model, brain_mask=a_brain[:, :, ::3], seed=3)
    assert result.provenance["thick_slices"] is True
    assert result.provenance["spacing_mm"] == pytest.approx([2.4, 2.4, 7.2])
    assert_relations_hold(result)
    lesion = a_lesion[:, :, ::3]
    overlap = 2 * (lesion & (result.mask > 0)).sum() / (lesion.sum() + result.mask.sum())
    assert overlap > 0.5


def test_an_oblique_head_stored_lps_keeps_its_grid(the_samples: Path, a_model: Model) -> None:
    scan = read_scan(the_samples / "sample-02_FLAIR.nii.gz")
    brain = read_mask(the_samples / "sample-02_brain.nii.gz", scan.grid)
    lesion = read_mask(the_samples / "sample-02_lesion.nii.gz", scan.grid)
    result = generate_counterpart(scan, a_model, brain_mask=brain)
    assert_relations_hold(result)
    assert np.abs(result.anomaly[lesion]).mean() > 5 * np.abs(result.anomaly[brain]).mean()


def test_the_provenance_says_where_everything_comes_from(a_result: Result) -> None:
    told = json.loads(json.dumps(a_result.provenance))
    assert told["disclaimer"] == DISCLAIMER
    assert told["scan"] == "sample-01_FLAIR"
    assert (told["model"], told["version"]) == ("limit", "1.0.0")
    assert told["weights_sha256"] == WEIGHTS
    assert told["seed"] == 3
    assert (told["contrast"], told["contrast_source"]) == ("FLAIR", "file name")
    assert (told["threshold"], told["threshold_source"]) == (THRESHOLD, "made up")
    assert told["reconstruction"]["levels"] == [3, 8]
    assert told["anomaly"]["median_voxels"] == 3
    np.testing.assert_array_equal(told["template_from_world"], a_result.template_from_world)
    assert set(told["versions"]) == {"counterpart", "torch", "python"}


def test_stages_rise_and_raising_in_one_cancels(
    a_scan: Scan, a_model: Model, a_brain: Mask
) -> None:
    shares: list[float] = []

    def tell(text: str, share: float) -> None:
        shares.append(share)
        if share > 0.5:
            raise InterruptedError(text)

    with pytest.raises(InterruptedError, match="Repainting"):
        generate_counterpart(a_scan, a_model, brain_mask=a_brain, stage=tell)
    assert shares == sorted(shares)
    assert shares[-1] < 0.6


def test_slices_and_volume_are_the_same_numbers() -> None:
    volume = np.random.default_rng(0).random((5, 6, 7)).astype(np.float32)
    slices = as_slices(volume)
    assert slices.shape == (7, 1, 5, 6)
    for number in range(7):
        np.testing.assert_array_equal(slices[number, 0].numpy(), volume[:, :, number])
    np.testing.assert_array_equal(from_slices(slices), volume)


@pytest.fixture(scope="module")
def the_released_model() -> Model:
    return load_model(DEFAULT_MODEL)


@pytest.mark.slow
@pytest.mark.parametrize("contrast", ["FLAIR", "T1", "T2"])
def test_the_released_model_finds_the_sample_s_tumour(
    the_released_model: Model, the_samples: Path, a_brain: Mask, a_lesion: Mask, contrast: str
) -> None:
    scan = read_scan(the_samples / f"sample-01_{contrast}.nii.gz")
    result = generate_counterpart(scan, the_released_model, brain_mask=a_brain)
    assert_relations_hold(result)
    figures = patient_figures(result, a_lesion, baselines=False)
    assert figures.map.ap > 3 * figures.prevalence


@pytest.mark.slow
def test_the_released_model_has_a_threshold_for_every_contrast(the_released_model: Model) -> None:
    for contrast in ("T1", "T1c", "T2", "FLAIR", "unknown"):
        assert the_released_model.calibration(contrast)[0].threshold > 0
    assert {"T1", "T2", "FLAIR"} <= set(the_released_model.contrasts)


def test_a_mask_that_holds_no_whole_brain_is_refused(
    a_scan: Scan, a_model: Model, a_brain: Mask
) -> None:
    cut = a_brain.copy()
    cut[:, :, 30:] = False
    with pytest.raises(BrainError, match="expected a brain of 500 to 2200 ml"):
        generate_counterpart(a_scan, a_model, brain_mask=cut)
