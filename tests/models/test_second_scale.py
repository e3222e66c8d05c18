"""The second intensity scale, from which what was flagged in the first round is left out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from stand_ins import StandInDenoiser

from counterpart.bundle import Model, ModelSettings
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.denoiser import DenoiserConfig, Prediction
from counterpart.generate import compare, generate_counterpart, repaint
from counterpart.grid import canonical_orientation
from counterpart.intensity import fit_normalisation
from counterpart.package_data import package_data
from counterpart.posed_scan import PosedScan, pose_scan, rescaled
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.results import Result
from counterpart.scans import Scan, read_mask, read_scan

Mask = NDArray[np.bool_]
LIMIT = 1.5
WEIGHTS = "f" * 64


class LimitingDenoiser(StandInDenoiser):
    """A healthy slice has nothing above the limit; what has departs from health."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(shown.clamp(max=LIMIT) * brain, 8.0 * (shown - LIMIT))


@pytest.fixture(scope="module")
def a_model() -> Model:
    settings = ModelSettings(
        DenoiserConfig(), ReconstructionConfig((3,), (1.0,), (1.0,)), AnomalyConfig()
    )
    calibration = Calibration("FLAIR", "nobody", SIMULATION, 2, WEIGHTS, 0.2, "made up")
    return Model("limit", "1.0.0", WEIGHTS, settings, LimitingDenoiser(), (calibration,))


@pytest.fixture(scope="module")
def a_scan() -> Scan:
    return read_scan(package_data("sample_data") / "patients" / "sample-01_FLAIR.nii.gz")


@pytest.fixture(scope="module")
def a_brain(a_scan: Scan) -> Mask:
    path = package_data("sample_data") / "patients" / "sample-01_brain.nii.gz"
    return read_mask(path, a_scan.grid)


@pytest.fixture(scope="module")
def a_large_lesion(a_brain: Mask) -> Mask:
    """Nearly a third of the brain, at one side of it."""
    order = np.argwhere(a_brain)[:, 0]
    side = np.zeros(a_brain.shape, bool)
    side[: int(np.quantile(order, 0.3))] = True
    return side & ndimage.binary_erosion(a_brain, iterations=2)


@pytest.fixture(scope="module")
def a_sick_scan(a_scan: Scan, a_brain: Mask, a_large_lesion: Mask) -> Scan:
    """A lesion of low contrast, which pulls the scale more than a bright one."""
    gain = 1.2 * fit_normalisation(a_scan.values[a_brain]).spread
    values = a_scan.values + gain * ndimage.gaussian_filter(a_large_lesion.astype(np.float32), 1)
    return replace(a_scan, values=values.astype(np.float32))


def posed(scan: Scan, brain: Mask) -> PosedScan:
    turn = canonical_orientation(scan.grid)
    return pose_scan(turn, turn.forward(scan.values), turn.forward(brain))


def in_frame(scan: Scan, found: PosedScan, mask: Mask) -> Mask:
    gathered = found.frame.gather(found.turn.forward(mask).astype(np.float32), found.turn.canonical)
    inside: Mask = gathered > 0.3
    return inside


def healthy_location(found: PosedScan, flagged: Mask) -> float:
    return float(np.median(found.scaled[found.inside & ~flagged]))


def test_the_rest_of_the_brain_sets_the_second_scale(
    a_scan: Scan, a_sick_scan: Scan, a_brain: Mask, a_large_lesion: Mask
) -> None:
    first = posed(a_sick_scan, a_brain)
    flagged = in_frame(a_sick_scan, first, a_large_lesion)
    second = rescaled(first, flagged)
    assert second is not None
    healthy = posed(a_scan, a_brain)
    expected = healthy_location(healthy, flagged)
    before, after = (abs(healthy_location(one, flagged) - expected) for one in (first, second))
    assert before > 0.1
    assert after < 0.5 * before


def test_both_scales_stand_for_the_same_scan(
    a_sick_scan: Scan, a_brain: Mask, a_large_lesion: Mask
) -> None:
    first = posed(a_sick_scan, a_brain)
    second = rescaled(first, in_frame(a_sick_scan, first, a_large_lesion))
    assert second is not None
    one, two = (each.normalisation.invert(each.scaled) for each in (first, second))
    inside = first.inside
    np.testing.assert_allclose(two[inside], one[inside], rtol=1e-4, atol=0.05)
    assert not second.scaled[~inside].any()
    assert second.pose is first.pose and second.brain is first.brain


@pytest.mark.parametrize("share", [0.0, 0.03, 0.7, 1.0])
def test_little_or_most_of_the_brain_leaves_the_scale_as_it_is(
    share: float, a_sick_scan: Scan, a_brain: Mask
) -> None:
    first = posed(a_sick_scan, a_brain)
    bright = np.quantile(first.scaled[first.inside], 1.0 - share)
    assert rescaled(first, first.inside & (first.scaled > bright)) is None


def test_what_does_not_move_the_scale_needs_no_second_one(a_scan: Scan, a_brain: Mask) -> None:
    first = posed(a_scan, a_brain)
    scattered = np.random.default_rng(0).random(first.scaled.shape) < 0.1
    assert rescaled(first, scattered) is None


@pytest.fixture(scope="module")
def a_result(a_sick_scan: Scan, a_model: Model, a_brain: Mask) -> Result:
    return generate_counterpart(a_sick_scan, a_model, brain_mask=a_brain)


def test_a_result_is_on_the_second_scale(
    a_result: Result, a_sick_scan: Scan, a_model: Model, a_brain: Mask
) -> None:
    first = posed(a_sick_scan, a_brain)
    once = compare(first, repaint(first, a_model, 0), a_model, a_model.calibrations[0], 0)
    second = rescaled(first, once.gate >= 0.5)
    assert second is not None
    found = a_result.provenance
    assert found["location"] == second.normalisation.location != first.normalisation.location
    assert found["spread"] == second.normalisation.spread
    expected = a_sick_scan.values - found["spread"] * a_result.residual
    np.testing.assert_allclose(a_result.reconstruction, expected, rtol=1e-4)


def test_more_of_the_lesion_is_found_than_in_one_round(
    a_result: Result,
    a_sick_scan: Scan,
    a_model: Model,
    a_brain: Mask,
    a_large_lesion: Mask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("counterpart.generate.rescaled", lambda scan, flagged: None)
    once = generate_counterpart(a_sick_scan, a_model, brain_mask=a_brain)
    first, second = (float(np.abs(one.residual[a_large_lesion]).mean()) for one in (once, a_result))
    assert second > 1.1 * first
