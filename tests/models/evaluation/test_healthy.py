"""Figures of healthy scans: closed forms, slow versions, and the p-value that leaves itself out."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_results import BRAIN, GRID, Array, box, result_of
from stand_ins import StandInDenoiser

from counterpart.bundle import Model, ModelSettings
from counterpart.calibration.domain import DomainRange
from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION, Calibration
from counterpart.denoiser import DenoiserConfig
from counterpart.evaluation.healthy import edges_kept, healthy_figures, structural_similarity
from counterpart.evaluation.records import MAP, RESIDUAL, HealthyFigures
from counterpart.evaluation.scores import top_mean
from counterpart.evaluation.sources import HealthySource
from counterpart.findings import Finding
from counterpart.grid import Grid
from counterpart.reconstruction import ReconstructionConfig
from counterpart.regions import REGIONS, RegionAtlas
from counterpart.residual import AnomalyConfig
from counterpart.results import Evidence, Result
from counterpart.template import CANVAS

WEIGHTS = "f" * 64
NO_MAP = np.zeros(GRID.shape, np.float32)
MASSES = (0.0, 1.0, 2.0, 5.0)
EVERY_KIND = DomainRange(False, (0.0, 9.0), (0.0, 9.0), (-1.0, 1.0), (0.0, 1.0))
KNOWN = Calibration(
    contrast="FLAIR",
    population="volunteers",
    kind=HEALTHY_SCANS,
    n_scale=20,
    weights_sha256=WEIGHTS,
    threshold=0.5,
    threshold_source="20 scans",
    masses=MASSES,
    domain=EVERY_KIND,
)
RENDERED = Calibration("FLAIR", "rendered", SIMULATION, 2, WEIGHTS, 0.5, "made up")
OTHER = replace(KNOWN, contrast="T1", masses=(7.0, 8.0, 9.0))
SOURCE = HealthySource(Path("healthy-01_FLAIR.nii.gz"), "test", 34.5)
CALIBRATE = replace(SOURCE, part="calibrate")


@pytest.fixture(scope="module")
def a_model() -> Model:
    settings = ModelSettings(
        DenoiserConfig(), ReconstructionConfig((0,), (1.0,), (1.0,)), AnomalyConfig()
    )
    known = (OTHER, RENDERED, KNOWN)
    return Model("rule", "1.0.0", WEIGHTS, settings, StandInDenoiser(), known)


def painted(change: Array | float, **others: Any) -> Result:
    """A result whose reconstruction is the scan plus a change."""
    result = result_of(NO_MAP, name="healthy-01_FLAIR")
    return replace(result, reconstruction=result.scan.values + np.float32(change), **others)


def normal_range(result: Result) -> float:
    low, high = np.percentile(result.scan.values[BRAIN], (1, 99))
    return float(high - low)


def smooth(shape: tuple[int, int, int], seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_perfect_reconstruction_has_no_error_and_keeps_everything(a_model: Model) -> None:
    found = healthy_figures(painted(0.0), SOURCE, a_model)
    assert (found.error, found.psnr_db) == (0.0, 120.0)
    assert found.ssim == pytest.approx(1.0)
    assert found.edges_kept == pytest.approx(1.0)


def test_error_and_peak_signal_to_noise_are_shares_of_the_normal_range(a_model: Model) -> None:
    result = painted(3.0)
    found = healthy_figures(result, SOURCE, a_model)
    share = 3.0 / normal_range(result)
    assert found.error == pytest.approx(share, rel=1e-4)
    assert found.psnr_db == pytest.approx(-20.0 * np.log10(share), rel=1e-4)


def test_a_few_wide_errors_cost_more_signal_to_noise_than_many_small_ones(a_model: Model) -> None:
    few = np.where(box((5, 13), (5, 15), (4, 5)), 12.0, 0.0)  # one of six slices of the brain
    result = painted(few.astype(np.float32))
    found = healthy_figures(result, SOURCE, a_model)
    share = 12.0 / normal_range(result)
    assert found.error == pytest.approx(share / 6, rel=1e-4)
    assert found.psnr_db == pytest.approx(-10.0 * np.log10(share**2 / 6), rel=1e-4)


def test_what_lies_outside_the_brain_does_not_count(a_model: Model) -> None:
    beyond = np.where(BRAIN, 0.0, 50.0).astype(np.float32)
    found = healthy_figures(painted(beyond), SOURCE, a_model)
    assert found.error == 0.0
    assert found.edges_kept == pytest.approx(1.0)


def test_figures_do_not_depend_on_the_scan_s_units(a_model: Model) -> None:
    result = painted(np.where(BRAIN, 20.0 * smooth(GRID.shape), 0.0).astype(np.float32))
    scaled = replace(
        result,
        scan=replace(result.scan, values=40 * result.scan.values),
        reconstruction=40 * result.reconstruction,
    )
    here, there = (healthy_figures(one, SOURCE, a_model) for one in (result, scaled))
    for name in ("error", "psnr_db", "ssim", "edges_kept"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), rel=1e-4), name
    assert 0.1 < here.ssim < 0.999


def test_structural_similarity_is_that_of_a_slow_version() -> None:
    """Windows of seven voxels at all places where they fit, weighted by a Gaussian."""
    one, other = smooth((9, 10, 8)), smooth((9, 10, 8), 1)
    other = 0.7 * one + 0.3 * other
    away = np.arange(7) - 3.0
    bell = np.exp(-(away**2) / (2 * 1.5**2))
    weight = np.einsum("i,j,k->ijk", bell, bell, bell)
    weight /= weight.sum()
    found = []
    for i, j, k in np.ndindex(3, 4, 2):
        a, b = (part[i : i + 7, j : j + 7, k : k + 7].astype(np.float64) for part in (one, other))
        mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
        spread_a, spread_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
        shared = (weight * (a - mean_a) * (b - mean_b)).sum()
        alike = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
        found.append(alike * (2 * shared + 0.03**2) / (spread_a + spread_b + 0.03**2))
    whole = np.ones(one.shape, np.bool_)
    assert structural_similarity(one, other, whole) == pytest.approx(np.mean(found), rel=1e-4)


def test_structural_similarity_is_symmetric_and_that_of_equals_is_one() -> None:
    one, other = smooth((9, 10, 8)), smooth((9, 10, 8), 1)
    whole = np.ones(one.shape, np.bool_)
    assert structural_similarity(one, one, whole) == pytest.approx(1.0)
    there = structural_similarity(other, one, whole)
    assert structural_similarity(one, other, whole) == pytest.approx(there, rel=1e-5)
    assert there < 0.5


def test_structural_similarity_is_averaged_over_the_brain_alone() -> None:
    one = smooth((20, 9, 9))
    other = one.copy()
    other[10:] = smooth((10, 9, 9), 1)
    front = np.zeros(one.shape, np.bool_)
    front[:7] = True  # whose windows end before the tenth layer
    assert structural_similarity(one, other, front) == pytest.approx(1.0)
    assert structural_similarity(one, other, ~front) < 0.7


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_edges_of_a_weaker_copy_are_kept_by_its_share(share: float) -> None:
    scan = 100 * smooth(GRID.shape)
    whole = np.ones(GRID.shape, np.bool_)
    assert edges_kept(scan, 40 + share * scan, whole, GRID) == pytest.approx(share, abs=1e-5)


def test_only_the_strongest_tenth_of_the_edges_counts() -> None:
    """Two steps of ten spread over four of 28 inner layers, a small one over two more."""
    large, small = np.zeros((2, 30, 8, 8), np.float32)
    large[8:] += 10.0
    large[16:] += 10.0
    small[24:] += 1.0
    whole = np.ones(large.shape, np.bool_)
    grid = Grid((30, 8, 8), np.eye(4))
    assert edges_kept(large + small, large, whole, grid) == pytest.approx(1.0)
    assert edges_kept(large + small, small, whole, grid) == pytest.approx(0.0)


def test_edges_are_measured_in_millimetres() -> None:
    """Across thick slices a step is a weaker edge than within them."""
    scan, kept = np.zeros((2, 12, 12, 12), np.float32)
    scan[6:] += 10.0
    scan[:, :, 6:] += 15.0
    kept[6:] += 10.0
    whole = np.ones((12, 12, 12), np.bool_)
    thick = Grid((12, 12, 12), np.diag([1.0, 1.0, 5.0, 1.0]))
    even = Grid((12, 12, 12), np.eye(4))
    assert edges_kept(scan, kept, whole, thick) > 0.95
    assert edges_kept(scan, kept, whole, even) < 0.4


@pytest.mark.parametrize(
    ("mass", "part", "p_value", "left_out"),
    [
        (2.0, "test", 3 / 5, False),
        (2.0, "calibrate", 2 / 4, True),  # against 0, 1 and 5
        (0.0, "calibrate", 4 / 4, True),  # against 1, 2 and 5
        (5.0, "calibrate", 1 / 4, True),
        (4.9, "calibrate", 1 / 4, True),  # the same scan on another machine
        (2.1, "calibrate", 2 / 4, True),
        (4.9, "", 2 / 5, False),
    ],
)
def test_a_scan_of_the_calibration_is_compared_with_the_others_alone(
    a_model: Model, mass: float, part: str, p_value: float, left_out: bool
) -> None:
    evidence = Evidence(KNOWN.p_value(mass), 0.2, 4, "20 scans", "Calibrated.", mass)
    found = healthy_figures(painted(0.0, evidence=evidence), replace(SOURCE, part=part), a_model)
    assert found.p_value == pytest.approx(p_value)
    assert (found.left_out, found.largest_mass) == (left_out, mass)


def test_a_scan_without_p_value_is_compared_with_nothing(a_model: Model) -> None:
    found = healthy_figures(painted(0.0), CALIBRATE, a_model)
    assert (found.p_value, found.left_out) == (None, False)


def test_errors_are_told_by_region(a_model: Model) -> None:
    """The lower slices lie in the first region, the upper ones in the second, two in none."""
    codes = np.zeros(CANVAS.shape, np.uint8)
    heights = CANVAS.world(np.moveaxis(np.indices(CANVAS.shape), 0, -1).astype(float))[..., 2]
    codes[heights < 7 * 4.0 + 20.0 - 2.0] = 1
    codes[heights > 8 * 4.0 + 20.0 + 2.0] = 2
    model = replace(a_model, regions=RegionAtlas(codes))
    upwards = np.eye(4)
    upwards[:3, 3] = (-18.0, 30.0, 20.0)
    change = np.where(box((0, 18), (0, 20), (0, 7)), 1.0, 4.0).astype(np.float32)
    result = painted(change, template_from_world=upwards)
    found = healthy_figures(result, SOURCE, model)
    normal = normal_range(result)
    assert found.region_errors == {
        REGIONS[0].name: pytest.approx(1.0 / normal, rel=1e-4),
        REGIONS[1].name: pytest.approx(4.0 / normal, rel=1e-4),
    }
    assert healthy_figures(result, SOURCE, a_model).region_errors == {}


def test_findings_are_counted_by_region(a_model: Model) -> None:
    one = Finding(1, "brighter", 1.0, 1.0, 1.0, (0.0, 0.0, 0.0), "left", "insula")
    found = [one, replace(one, number=2, region="thalamus"), replace(one, number=3), one]
    found[3] = replace(one, number=4, region="")
    flagged = box((6, 9), (6, 10), (5, 8))
    result = painted(0.0, findings=found, mask=flagged.astype(np.uint8))
    figures = healthy_figures(result, SOURCE, a_model)
    assert figures.region_findings == {"insula": 2, "thalamus": 1, "elsewhere": 1}
    assert figures.findings == 4
    assert figures.flagged_ml == pytest.approx(36 * 0.024)


def test_a_scan_is_scored_by_the_brain_s_highest_hundredth(a_model: Model) -> None:
    anomaly = -np.abs(smooth(GRID.shape))
    anomaly[~BRAIN] = 99.0
    result = result_of(anomaly, name="healthy-01_FLAIR")
    found = healthy_figures(result, SOURCE, a_model)
    assert found.scan_scores[MAP] == pytest.approx(top_mean(-anomaly[BRAIN]))
    assert found.scan_scores[RESIDUAL] == pytest.approx(2 * top_mean(-anomaly[BRAIN]))
    assert len(found.scan_scores) == 11
    plain = healthy_figures(result, SOURCE, a_model, baselines=False)
    assert list(plain.scan_scores) == [MAP, RESIDUAL]


def test_what_is_known_of_the_scan_is_recorded_and_survives_json(a_model: Model) -> None:
    result = painted(1.0, warnings=("Noisy.",))
    found = healthy_figures(result, SOURCE, a_model, seconds=2.5)
    assert (found.scan, found.part, found.age_years) == ("healthy-01_FLAIR", "test", 34.5)
    assert (found.contrast, found.seconds, found.warnings) == ("FLAIR", 2.5, ("Noisy.",))
    assert HealthyFigures.from_json(json.loads(json.dumps(asdict(found)))) == found
