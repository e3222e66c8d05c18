"""What a result's findings are worth: p-values where healthy scans apply, else the reason why not.

With a stand-in network that takes half of everything bright away; what it leaves is a closed form.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stand_ins import StandInDenoiser

from counterpart import posed_scan
from counterpart.bundle import Model, ModelSettings
from counterpart.calibration.conformal import conformal_p, largest_mass
from counterpart.calibration.domain import DomainRange
from counterpart.calibration.place import PLACE
from counterpart.calibration.record import HEALTHY_SCANS, NO_P_VALUE, SIMULATION, Calibration
from counterpart.calibration.residual_scale import ResidualScale
from counterpart.denoiser import DenoiserConfig, Prediction
from counterpart.errors import ModelError
from counterpart.generate import FrameMaps, compare, generate_counterpart, repaint, repaint_again
from counterpart.grid import canonical_orientation
from counterpart.package_data import package_data
from counterpart.posed_scan import PosedScan, pose_scan
from counterpart.reconstruction import Reconstruction, ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.results import Result
from counterpart.scans import Scan, read_mask, read_scan
from counterpart.template import CANVAS

Mask = NDArray[np.bool_]
WEIGHTS = "f" * 64
LIMIT = 1.2
MASSES = (0.0, 0.5, 1.0, 4.0, 20.0, 1e6, 2e6, 3e6, 4e6)
EVERY_KIND = DomainRange(False, (0.0, 9.0), (0.0, 9.0), (-1.0, 1.0), (0.0, 1.0))
HEALTHY = Calibration(
    contrast="FLAIR",
    population="volunteers",
    kind=HEALTHY_SCANS,
    n_scale=20,
    weights_sha256=WEIGHTS,
    threshold=0.3,
    threshold_source="20 held-out healthy scans",
    masses=MASSES,
    domain=EVERY_KIND,
)
RENDERED = Calibration(
    "FLAIR", "rendered", SIMULATION, 12, WEIGHTS, 0.4, f"12 rendered subjects, {NO_P_VALUE}"
)


class HalvingDenoiser(StandInDenoiser):
    """A healthy slice has half as much above the limit; what has departs from health."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        clean = shown - 0.5 * (shown - LIMIT).clamp(min=0.0)
        return Prediction(clean * brain, 8.0 * (shown - 2.0))


@pytest.fixture(scope="module")
def a_model() -> Model:
    reconstruction = ReconstructionConfig((3,), (1.0,), (1.0,))
    settings = ModelSettings(DenoiserConfig(), reconstruction, AnomalyConfig())
    return Model("half", "1.0.0", WEIGHTS, settings, HalvingDenoiser(), (RENDERED, HEALTHY))


@pytest.fixture(scope="module")
def a_scan() -> Scan:
    """A patient with a tumour that is bright on FLAIR, and a bright spot on the other side."""
    samples = package_data("sample_data") / "patients"
    scan = read_scan(samples / "sample-01_FLAIR.nii.gz")
    points = scan.grid.world(np.moveaxis(np.indices(scan.grid.shape), 0, -1))
    lesion = read_mask(samples / "sample-01_lesion.nii.gz", scan.grid)
    brain = read_mask(samples / "sample-01_brain.nii.gz", scan.grid)
    spot = points[lesion].mean(axis=0)
    spot[0] = 2 * points[brain].mean(axis=0)[0] - spot[0]
    near = np.linalg.norm(points - spot, axis=-1) < 7.0  # both are too little to change the scale
    bright = np.float32(np.percentile(scan.values[lesion], 80))
    return replace(scan, values=np.where(near, bright, scan.values))


@pytest.fixture(scope="module")
def a_brain(a_scan: Scan) -> Mask:
    path = package_data("sample_data") / "patients" / "sample-01_brain.nii.gz"
    return read_mask(path, a_scan.grid)


@pytest.fixture(scope="module")
def a_result(a_scan: Scan, a_brain: Mask, a_model: Model) -> Result:
    return generate_counterpart(a_scan, a_model, brain_mask=a_brain)


@pytest.fixture(scope="module")
def a_posed_scan(a_scan: Scan, a_brain: Mask) -> PosedScan:
    turn = canonical_orientation(a_scan.grid)
    return pose_scan(turn, turn.forward(a_scan.values), turn.forward(a_brain))


@pytest.fixture(scope="module")
def an_answer(a_posed_scan: PosedScan, a_model: Model) -> Reconstruction:
    return repaint(a_posed_scan, a_model, 0)


@pytest.fixture(scope="module")
def the_maps(a_posed_scan: PosedScan, an_answer: Reconstruction, a_model: Model) -> FrameMaps:
    return compare(a_posed_scan, an_answer, a_model, HEALTHY, 0)


def a_scale(size: float, location: float = 0.0) -> ResidualScale:
    """Health leaves the same residual everywhere."""
    return ResidualScale(
        intensity=np.array([-1.0, 1.0], np.float32),
        edge=np.array([0.1, 0.4], np.float32),
        location=np.full((2, 2), location, np.float32),
        scale=np.full((2, 2), size, np.float32),
        place_location=np.zeros(PLACE.shape, np.float32),
        place_scale=np.ones(PLACE.shape, np.float32),
        pooled_scale=size,
        subjects=20,
    )


def test_a_pose_that_is_known_is_taken_over(
    a_scan: Scan, a_brain: Mask, a_posed_scan: PosedScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("registered again")

    monkeypatch.setattr(posed_scan, "register", refuse)
    turn = canonical_orientation(a_scan.grid)
    values, brain = turn.forward(a_scan.values), turn.forward(a_brain)
    again = pose_scan(turn, values, brain, pose=a_posed_scan.pose)
    np.testing.assert_array_equal(again.scaled, a_posed_scan.scaled)
    np.testing.assert_array_equal(again.inside, a_posed_scan.inside)
    lifted = a_posed_scan.pose.matrix.copy()
    lifted[2, 3] += 8.0  # four slices of the canvas
    other = pose_scan(turn, values, brain, pose=replace(a_posed_scan.pose, matrix=lifted))
    np.testing.assert_array_equal(other.inside[..., 4:], a_posed_scan.inside[..., :-4])


def test_a_tumour_has_the_p_value_of_its_mass_in_the_frame(
    a_result: Result, the_maps: FrameMaps
) -> None:
    mass = largest_mass(the_maps.anomaly, CANVAS, HEALTHY.threshold)
    assert 20.0 < mass < 1e6
    evidence = a_result.evidence
    assert evidence.largest_mass == pytest.approx(mass)
    assert evidence.p_value == conformal_p(mass, MASSES) == 5 / 10
    assert (evidence.p_floor, evidence.healthy_scans) == (0.1, 9)
    assert evidence.source == "20 held-out healthy scans"
    assert evidence.reason == "Calibrated on volunteers (9 healthy scans)."


def test_the_scan_s_p_value_is_the_least_of_its_findings(a_result: Result) -> None:
    found = [finding.p_value for finding in a_result.findings]
    assert len(found) > 1
    assert all(p is not None and 0.1 <= p <= 1.0 for p in found)
    assert a_result.evidence.p_value == min(p for p in found if p is not None)
    assert found[0] == a_result.evidence.p_value
    assert len(set(found)) > 1


def test_a_scan_without_findings_is_like_every_healthy_one(
    a_scan: Scan, a_brain: Mask, a_model: Model, a_posed_scan: PosedScan
) -> None:
    scale = a_posed_scan.normalisation
    highest = scale.location + 0.9 * LIMIT * scale.spread
    calm = replace(a_scan, values=np.minimum(a_scan.values, np.float32(highest)))
    result = generate_counterpart(calm, a_model, brain_mask=a_brain)
    assert result.findings == []
    assert not result.mask.any()
    assert (result.evidence.p_value, result.evidence.largest_mass) == (1.0, 0.0)
    assert (result.evidence.p_floor, result.threshold) == (0.1, HEALTHY.threshold)


def test_a_scan_of_another_kind_gets_the_simulated_threshold_and_no_p_value(
    a_scan: Scan, a_brain: Mask, a_model: Model
) -> None:
    noisy = replace(HEALTHY, domain=replace(EVERY_KIND, noise=(5.0, 9.0)))
    model = replace(a_model, calibrations=(noisy, RENDERED))
    result = generate_counterpart(a_scan, model, brain_mask=a_brain)
    assert result.threshold == RENDERED.threshold
    assert result.findings
    assert {finding.p_value for finding in result.findings} == {None}
    evidence = result.evidence
    assert (evidence.p_value, evidence.p_floor, evidence.healthy_scans) == (None, None, 0)
    assert evidence.source == RENDERED.threshold_source
    assert "The scan is not of the calibrated kind: noise of " in evidence.reason
    assert evidence.reason.endswith(f"The threshold is {NO_P_VALUE}.")
    assert result.provenance["calibration"] == evidence.reason
    assert result.provenance["calibration_kind"] == SIMULATION


def test_another_contrast_borrows_the_threshold_and_says_so(
    a_scan: Scan, a_brain: Mask, a_model: Model
) -> None:
    model = replace(a_model, calibrations=(replace(HEALTHY, contrast="T2"),))
    result = generate_counterpart(a_scan, model, brain_mask=a_brain)
    evidence = result.evidence
    assert result.threshold == HEALTHY.threshold
    assert (evidence.p_value, evidence.p_floor, evidence.healthy_scans) == (None, None, 0)
    assert evidence.reason == "There is no calibration of FLAIR. The threshold is that of T2."
    assert {finding.p_value for finding in result.findings} == {None}


def test_a_model_without_calibration_is_refused_before_it_repaints(
    a_scan: Scan, a_brain: Mask, a_model: Model
) -> None:
    told: list[str] = []
    with pytest.raises(ModelError, match="half has no healthy threshold"):
        generate_counterpart(
            a_scan,
            replace(a_model, calibrations=()),
            brain_mask=a_brain,
            stage=lambda text, share: told.append(text),
        )
    assert "Repainting the brain as healthy" not in told


def test_the_provenance_names_the_calibration(a_result: Result) -> None:
    told = json.loads(json.dumps(a_result.provenance))
    assert told["calibration"] == a_result.evidence.reason
    assert (told["calibration_kind"], told["calibration_scans"]) == (HEALTHY_SCANS, 9)
    assert told["calibration_population"] == "volunteers"
    assert told["threshold_source"] == "20 held-out healthy scans"


@pytest.mark.parametrize("size", [0.5, 4.0])
def test_the_map_is_in_units_of_what_health_leaves(
    a_posed_scan: PosedScan,
    an_answer: Reconstruction,
    a_model: Model,
    the_maps: FrameMaps,
    size: float,
) -> None:
    scaled = replace(HEALTHY, scale=a_scale(size), threshold=HEALTHY.threshold / size)
    found = compare(a_posed_scan, an_answer, a_model, scaled, 0)
    np.testing.assert_array_equal(found.residual, the_maps.residual)
    np.testing.assert_allclose(found.anomaly, the_maps.anomaly / size, atol=1e-5)
    np.testing.assert_allclose(found.gate, the_maps.gate, atol=1e-3)


def test_what_health_leaves_as_well_is_no_anomaly(
    a_posed_scan: PosedScan, an_answer: Reconstruction, a_model: Model, the_maps: FrameMaps
) -> None:
    highest = float(the_maps.residual.max())
    usual = replace(HEALTHY, scale=a_scale(1.0, location=highest))
    found = compare(a_posed_scan, an_answer, a_model, usual, 0)
    assert (the_maps.anomaly > HEALTHY.threshold).any()
    assert not (found.anomaly > 0).any()


def test_a_second_pass_heals_further_and_finds_nothing_else(
    a_posed_scan: PosedScan, an_answer: Reconstruction, a_model: Model, the_maps: FrameMaps
) -> None:
    """What the first pass halved, the second halves again."""
    again = repaint_again(a_posed_scan, an_answer, the_maps, a_model, 0)
    np.testing.assert_array_equal(again.residual, the_maps.residual)
    np.testing.assert_array_equal(again.anomaly, the_maps.anomaly)
    scaled = a_posed_scan.scaled  # what lies beyond 4 spreads is softly limited
    flagged = (the_maps.gate == 1) & (scaled > LIMIT + 1.0) & (scaled < 3.8)
    assert flagged.sum() > 100
    first, second = (
        float((scaled - maps.change - LIMIT)[flagged].mean()) for maps in (the_maps, again)
    )
    excess = float((scaled - LIMIT)[flagged].mean())
    assert first == pytest.approx(0.5 * excess, rel=0.05)
    assert second == pytest.approx(0.25 * excess, rel=0.1)
    assert not again.change[the_maps.gate == 0].any()


def test_the_second_pass_is_made_where_the_model_asks_for_it(
    a_scan: Scan, a_brain: Mask, a_model: Model, a_result: Result
) -> None:
    settings = a_model.settings
    twice = replace(settings, reconstruction=replace(settings.reconstruction, second_pass=True))
    model = replace(a_model, settings=twice)
    result = generate_counterpart(a_scan, model, brain_mask=a_brain)
    for name in ("residual", "reconstruction", "anomaly", "mask"):
        np.testing.assert_array_equal(getattr(result, name), getattr(a_result, name))
    flagged = a_result.mask > 0
    assert result.counterpart[flagged].mean() < a_result.counterpart[flagged].mean()
    assert result.findings == a_result.findings
