"""Calibrating on a synthetic cohort: who serves for what, and what the threshold promises."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import StandInDenoiser

from counterpart.calibration.calibrating import (
    CalibrationFigures,
    calibrate,
    healthy_calibration,
    simulated_calibration,
)
from counterpart.calibration.conformal import largest_mass
from counterpart.calibration.healthy_threshold import HealthyMap, flagged_in_health
from counterpart.calibration.record import HEALTHY_SCANS, NO_P_VALUE, SIMULATION, Calibration
from counterpart.cohort import Cohort
from counterpart.denoiser import Prediction
from counterpart.errors import CohortError, ModelError
from counterpart.held_out.answers import cross_fitted_maps, fitted_scale, head_answer, head_map
from counterpart.held_out.heads import cohort_heads
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.template import CANVAS

WEIGHTS = "ab" * 32
RECONSTRUCTION = ReconstructionConfig((60,), (1.0,), (1.0,))
ANOMALY = AnomalyConfig()
Calibrated = tuple[Calibration, CalibrationFigures]


class LimitingDenoiser(StandInDenoiser):
    """A healthy slice has nothing above 0.8 spreads; what has departs from health."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(shown.clamp(max=0.8) * brain, 4.0 * (shown - 1.0))


def calibrated_on(cohort: Cohort) -> Calibrated:
    return healthy_calibration(
        LimitingDenoiser(), cohort, RECONSTRUCTION, ANOMALY, WEIGHTS, population="volunteers"
    )


def with_noise(cohort: Cohort, parts: tuple[str, ...]) -> Cohort:
    """The cohort with other scans in some of its parts."""
    generator = torch.Generator().manual_seed(0)
    scan = cohort.scan.clone()
    for row, subject in enumerate(cohort.subjects):
        if subject.part in parts:
            noise = torch.randint(-30, 31, scan[row].shape, generator=generator)
            values = (scan[row].int() + noise).clamp(0, 255) * cohort.brain[row]
            scan[row] = values.to(torch.uint8)
    return replace(cohort, scan=scan)


def only(cohort: Cohort, rows: list[int]) -> Cohort:
    names = ("scan", "brain", "tissue", "inward")
    arrays = {name: getattr(cohort, name)[rows] for name in names}
    return replace(cohort, subjects=tuple(cohort.subjects[row] for row in rows), **arrays)


@pytest.fixture(scope="module")
def the_told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def the_calibrated(a_cohort: Cohort, the_told: list[str]) -> list[Calibrated]:
    """FLAIR from simulation, T1 from healthy scans."""
    found, figures = calibrate(
        LimitingDenoiser(),
        a_cohort,
        RECONSTRUCTION,
        ANOMALY,
        WEIGHTS,
        population="volunteers",
        contrasts=("FLAIR",),
        simulated_subjects=2,
        progress=the_told.append,
    )
    return list(zip(found, figures, strict=True))


@pytest.fixture(scope="module")
def of_simulation(the_calibrated: list[Calibrated]) -> Calibrated:
    return the_calibrated[0]


@pytest.fixture(scope="module")
def of_healthy_scans(the_calibrated: list[Calibrated]) -> Calibrated:
    return the_calibrated[1]


def test_healthy_scans_give_threshold_scale_masses_and_domain(
    of_healthy_scans: Calibrated,
) -> None:
    found, _ = of_healthy_scans
    assert (found.contrast, found.kind, found.population) == ("T1", HEALTHY_SCANS, "volunteers")
    assert found.weights_sha256 == WEIGHTS
    assert (found.n_scale, found.n, found.p_floor) == (2, 3, 0.25)
    assert found.threshold_source == "2 held-out healthy scans"
    assert found.scale is not None and found.scale.subjects == 2
    assert list(found.masses) == sorted(found.masses)
    assert found.masses[-1] > 0


def test_simulation_gives_threshold_and_scale_but_no_p_value(of_simulation: Calibrated) -> None:
    found, figures = of_simulation
    assert (found.contrast, found.kind) == ("FLAIR", SIMULATION)
    assert found.weights_sha256 == WEIGHTS
    assert (found.n_scale, found.n, found.masses) == (2, 0, ())
    assert (found.p_value(1e6), found.domain) == (None, None)
    assert found.threshold_source == f"2 rendered held-out subjects, {NO_P_VALUE}"
    assert found.scale is not None and found.scale.subjects == 2
    assert (figures.contrast, figures.kind, figures.scans) == ("FLAIR", SIMULATION, 2)
    assert figures.findings <= 1 and figures.flagged_ml <= 1


def test_the_threshold_is_the_smallest_that_keeps_the_fit_nearly_unflagged(
    a_cohort: Cohort, of_healthy_scans: Calibrated
) -> None:
    found, _ = of_healthy_scans
    answers = [
        head_answer(LimitingDenoiser(), head, RECONSTRUCTION)
        for head in cohort_heads(a_cohort.part("validate"))
    ]
    maps = [HealthyMap(values) for values in cross_fitted_maps(answers, ANOMALY)]
    findings, flagged_ml = flagged_in_health(maps, found.threshold)
    assert findings <= 1 and flagged_ml <= 1
    lower, more_ml = flagged_in_health(maps, found.threshold * 0.998)
    assert lower > 1 or more_ml > 1
    expected = fitted_scale(answers, ANOMALY).to_arrays()
    assert found.scale is not None
    for name, array in found.scale.to_arrays().items():
        np.testing.assert_array_equal(array, expected[name])


def test_masses_and_figures_are_those_of_the_part_calibrate(
    a_cohort: Cohort, of_healthy_scans: Calibrated
) -> None:
    found, figures = of_healthy_scans
    maps = []
    for head in cohort_heads(a_cohort.part("calibrate")):
        answer = head_answer(LimitingDenoiser(), head, RECONSTRUCTION)
        maps.append(head_map(answer, ANOMALY, found.scale))
    masses = [largest_mass(one, CANVAS, found.threshold) for one in maps]
    assert found.masses == tuple(sorted(masses))
    expected = flagged_in_health([HealthyMap(one) for one in maps], found.threshold)
    assert (figures.findings, figures.flagged_ml) == expected
    assert (figures.contrast, figures.kind, figures.scans) == ("T1", HEALTHY_SCANS, 3)


def test_no_subject_serves_both_threshold_and_p_values(
    a_cohort: Cohort, of_healthy_scans: Calibrated
) -> None:
    """Other scans in calibrate change the masses alone, those who train nothing at all."""
    found, _ = of_healthy_scans
    other, _ = calibrated_on(with_noise(a_cohort, ("train", "calibrate")))
    assert other.threshold == found.threshold
    assert other.scale is not None and found.scale is not None
    for name, array in other.scale.to_arrays().items():
        np.testing.assert_array_equal(array, found.scale.to_arrays()[name])
    assert not set(other.masses) & set(found.masses)


def test_the_same_cohort_gives_the_same_calibration(
    a_cohort: Cohort, of_healthy_scans: Calibrated
) -> None:
    found, figures = of_healthy_scans
    again, again_figures = calibrated_on(with_noise(a_cohort, ("train",)))
    assert again.to_json() == found.to_json()
    for name, array in again.to_arrays().items():
        np.testing.assert_array_equal(array, found.to_arrays()[name])
    assert again_figures == figures


def test_the_domain_is_that_of_the_held_out_scans(
    a_cohort: Cohort, of_healthy_scans: Calibrated
) -> None:
    found, _ = of_healthy_scans
    assert found.domain is not None
    for part in ("validate", "calibrate"):
        for head in cohort_heads(a_cohort.part(part)):
            assert found.domain.agrees(head.domain())[0]
    (noisy, *_) = cohort_heads(with_noise(a_cohort, ("validate",)).part("validate"))
    agrees, reason = found.domain.agrees(noisy.domain())
    assert not agrees
    assert "noise" in reason


def test_progress_names_every_scan(the_calibrated: list[Calibrated], the_told: list[str]) -> None:
    assert len(the_calibrated) == 2
    assert the_told == [
        "rendering FLAIR",
        "FLAIR, rendered subject 1 of 2",
        "FLAIR, rendered subject 2 of 2",
        "healthy scan 1 of 2, part validate",
        "healthy scan 2 of 2, part validate",
        "healthy scan 1 of 3, part calibrate",
        "healthy scan 2 of 3, part calibrate",
        "healthy scan 3 of 3, part calibrate",
    ]


def test_raising_in_progress_cancels(a_cohort: Cohort) -> None:
    def stop(text: str) -> None:
        raise InterruptedError(text)

    with pytest.raises(InterruptedError, match="healthy scan 1 of 2"):
        healthy_calibration(
            LimitingDenoiser(),
            a_cohort,
            RECONSTRUCTION,
            ANOMALY,
            WEIGHTS,
            population="volunteers",
            progress=stop,
        )


def test_a_cohort_without_scans_to_calibrate_on_is_refused(a_cohort: Cohort) -> None:
    with pytest.raises(CohortError, match="no subject in part 'calibrate'"):
        calibrated_on(only(a_cohort, [0, 3, 4]))


def test_too_few_held_out_scans_are_refused(a_cohort: Cohort) -> None:
    with pytest.raises(ModelError, match="at least 5 healthy scans .* got 4"):
        calibrated_on(only(a_cohort, [3, 4, 5, 6]))


def test_one_rendered_subject_is_too_few(a_cohort: Cohort) -> None:
    (head, *_) = cohort_heads(a_cohort.part("validate"))
    answer = head_answer(LimitingDenoiser(), head, RECONSTRUCTION)
    with pytest.raises(ModelError, match="at least two held-out subjects, got 1"):
        simulated_calibration([answer], "FLAIR", ANOMALY, WEIGHTS)
