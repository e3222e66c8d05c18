"""Cross-fitting of small cohorts: no head is judged by a fit that saw it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import StandInDenoiser

from counterpart.calibration import cross_fitting
from counterpart.calibration.calibrating import calibrate
from counterpart.calibration.cross_fitting import (
    FOLDS,
    LEAST_SUBJECTS,
    CrossFit,
    cross_fit,
    refuse_few,
)
from counterpart.calibration.healthy_threshold import HealthyMap
from counterpart.calibration.record import HEALTHY_SCANS
from counterpart.cohort import CROSS_FIT, Cohort
from counterpart.denoiser import Prediction
from counterpart.errors import CohortError
from counterpart.held_out.answers import HeadAnswer, fitted_scale, head_answer
from counterpart.held_out.heads import cohort_heads
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig

RECONSTRUCTION = ReconstructionConfig((60,), (1.0,), (1.0,))
ANOMALY = AnomalyConfig()


class LimitingDenoiser(StandInDenoiser):
    """A healthy slice has nothing above 0.8 spreads; what has departs from health."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(shown.clamp(max=0.8) * brain, 4.0 * (shown - 1.0))


@pytest.fixture(scope="module", autouse=True)
def a_quick_threshold() -> Iterator[None]:
    """The search for a threshold takes seconds and has its own tests."""

    def found(maps: Sequence[HealthyMap]) -> float:
        return 0.5 * float(np.mean([np.abs(one.values).max() for one in maps]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_fitting, "healthy_threshold", found)
        yield


@pytest.fixture(scope="module")
def a_small_cohort(a_cohort: Cohort) -> Cohort:
    """Eight subjects, of FLAIR by its name: nothing can be rendered from it."""
    subjects = tuple(replace(one, part=CROSS_FIT) for one in a_cohort.subjects)
    return replace(a_cohort, subjects=subjects, contrast="FLAIR")


@pytest.fixture(scope="module")
def the_answers(a_small_cohort: Cohort) -> list[HeadAnswer]:
    heads = cohort_heads(a_small_cohort)
    return [head_answer(LimitingDenoiser(), head, RECONSTRUCTION) for head in heads]


@pytest.fixture(scope="module")
def the_fit(the_answers: list[HeadAnswer]) -> CrossFit:
    return cross_fit(the_answers, ANOMALY)


def test_the_fits_that_serve_come_from_all(
    the_fit: CrossFit, the_answers: list[HeadAnswer]
) -> None:
    assert the_fit.scale.subjects == len(the_answers) == 8
    expected = fitted_scale(the_answers, ANOMALY).to_arrays()
    for name, array in the_fit.scale.to_arrays().items():
        np.testing.assert_array_equal(array, expected[name])
    assert len(set(the_fit.thresholds)) == FOLDS


def test_no_head_is_judged_by_a_fit_that_saw_it(
    the_fit: CrossFit, the_answers: list[HeadAnswer], monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[Sequence[HeadAnswer]] = []

    def fitted(answers: Sequence[HeadAnswer], anomaly: AnomalyConfig) -> tuple[object, float]:
        fits.append(answers)
        return the_fit.scale, float(len(fits))

    monkeypatch.setattr(cross_fitting, "_fitted", fitted)
    found = cross_fit(the_answers, ANOMALY)
    assert [len(answers) for answers in fits] == [6] * FOLDS + [8]
    assert found.threshold == FOLDS + 1
    for place, threshold in enumerate(found.thresholds):
        saw = fits[int(threshold) - 1]
        assert all(one is not the_answers[place] for one in saw)


def test_masses_rise_and_go_with_what_is_flagged(the_fit: CrossFit) -> None:
    masses = the_fit.masses()
    assert masses == sorted(masses) and len(masses) == 8
    assert sum(mass > 0 for mass in masses) == sum(count > 0 for count, _ in the_fit.flagged())


def test_a_cohort_without_tissue_is_calibrated_in_its_own_contrast_alone(
    a_small_cohort: Cohort, the_fit: CrossFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "counterpart.calibration.calibrating.cross_fit", lambda *ignored, **also: the_fit
    )
    found, figures = calibrate(
        LimitingDenoiser(), a_small_cohort, RECONSTRUCTION, ANOMALY, "ab" * 32, population="ours"
    )
    (one,), (row,) = found, figures
    assert (one.contrast, one.kind, one.n, one.n_scale) == ("FLAIR", HEALTHY_SCANS, 8, 8)
    assert one.population == "ours, cross-fitted over 4 folds of 8 subjects"
    assert one.p_floor == pytest.approx(1 / 9)
    assert one.threshold == the_fit.threshold and one.masses == tuple(the_fit.masses())
    assert (row.contrast, row.scans) == ("FLAIR", 8)
    volumes = [volume for _, volume in the_fit.flagged()]
    assert row.flagged_ml == pytest.approx(sum(volumes) / 8)


def test_fewer_than_eight_are_refused_in_words(
    the_answers: list[HeadAnswer], a_small_cohort: Cohort
) -> None:
    assert LEAST_SUBJECTS == 8
    refuse_few(8)
    with pytest.raises(CohortError, match="at least 8 healthy subjects, got 7. Mark more"):
        cross_fit(the_answers[:7], ANOMALY)
    few = replace(a_small_cohort, subjects=a_small_cohort.subjects[:7])
    with pytest.raises(CohortError, match="got 7"):
        calibrate(LimitingDenoiser(), few, RECONSTRUCTION, ANOMALY, "ab" * 32, population="x")


def test_raising_in_progress_cancels(the_answers: list[HeadAnswer]) -> None:
    def stop(text: str) -> None:
        raise InterruptedError(text)

    with pytest.raises(InterruptedError, match="fold 1 of 4"):
        cross_fit(the_answers, ANOMALY, progress=stop)
    assert cross_fitting.FOLDS == 4
