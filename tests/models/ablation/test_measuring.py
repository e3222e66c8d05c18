"""Figures of rows on held-out heads, with networks that answer by a rule."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from stand_ins import StandInDenoiser

from counterpart.ablation.measuring import (
    NetworkAnswers,
    baseline_figures,
    cross_fitted,
    mean_error,
    network_answers,
    normal_range,
    precision,
    row_figures,
)
from counterpart.ablation.rows import (
    CALIBRATED,
    DEPARTURE,
    HEALING,
    SECOND_PASS,
    Method,
    Sizes,
    ablation_rows,
)
from counterpart.baselines import baseline_scores
from counterpart.cohort import Cohort
from counterpart.denoiser import DenoiserConfig, Prediction, soft_limit
from counterpart.errors import ModelError
from counterpart.held_out.heads import validation_heads
from counterpart.held_out.selection import HeldOut
from counterpart.reconstruction import ReconstructionConfig
from counterpart.slices import from_slices
from counterpart.template import CANVAS

pytestmark = pytest.mark.slow

SUBJECTS = 4
ONE_LOOK = ReconstructionConfig((0,), (1.0,), (1.0,))
METHODS = {row.name: row.method for row in ablation_rows(Sizes())}


class Fading(StandInDenoiser):
    """Answers 0.9 of what it is shown: the residual is a tenth of the slice."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(0.9 * shown * brain, 4.0 * (shown.abs() - 2.0))


def method(name: str) -> Method:
    found = METHODS[name]
    assert found is not None
    return replace(found, reconstruction=ONE_LOOK)


@pytest.fixture(scope="module")
def some_heads(a_held_out_cohort: Cohort) -> HeldOut:
    patterned, healthy = (
        validation_heads(
            a_held_out_cohort, ("T1",), SUBJECTS, patterned=wanted, device=torch.device("cpu")
        )
        for wanted in (True, False)
    )
    return HeldOut(patterned, healthy)


@pytest.fixture(scope="module")
def some_answers(some_heads: HeldOut) -> NetworkAnswers:
    return network_answers(Fading(DenoiserConfig()), "T1", some_heads, method(HEALING))


def test_precision_is_that_of_the_brain_alone() -> None:
    rng = np.random.default_rng(0)
    brain = rng.random((9, 8, 7)) < 0.6
    truth = (rng.random(brain.shape) < 0.3) & brain
    score = rng.random(brain.shape).astype(np.float32)
    expected = average_precision_score(truth[brain], score[brain])
    assert precision(score, truth, brain) == pytest.approx(expected, rel=1e-5)
    loud = np.where(brain, score, 10.0).astype(np.float32)
    assert precision(loud, truth, brain) == pytest.approx(expected, rel=1e-5)


def test_figures_follow_from_scan_and_answer(
    some_heads: HeldOut, some_answers: NetworkAnswers
) -> None:
    figures = row_figures(Fading(DenoiserConfig()), some_answers, method(HEALING))
    assert [one.subject for one in figures] == list(range(SUBJECTS))
    for one, head, calm in zip(figures, some_heads.patterned, some_heads.healthy, strict=True):
        inside = from_slices(head.departure) > 0.5
        clean, shown = from_slices(head.clean), from_slices(soft_limit(head.shown))
        assert one.pattern_ml == pytest.approx(inside.sum() * 0.008, abs=0.01)
        assert one.pattern_ml >= 2.0
        expected = np.abs(0.9 * shown - clean)[inside].mean()
        assert one.within == pytest.approx(expected, rel=0.05)
        brain = from_slices(calm.brain) > 0.5
        seen = from_slices(soft_limit(calm.shown))
        off = np.abs(0.9 * seen - from_slices(calm.clean))[brain].mean()
        assert one.healthy == pytest.approx(off / normal_range(calm), rel=0.05)
        assert one.ap is not None and 0 < one.ap <= 1
        assert one.findings is None and one.flagged is None


def test_outside_is_what_has_no_pattern(some_heads: HeldOut) -> None:
    head = some_heads.patterned[0]
    member = from_slices(head.departure)
    painted = np.where(member > 0.5, 7.0, from_slices(head.clean)).astype(np.float32)
    assert mean_error(painted, head, member < 0.02) == 0.0
    assert mean_error(painted, head, np.zeros(member.shape, bool)) is None


def test_the_second_channel_enters_the_map_of_its_row_alone(some_answers: NetworkAnswers) -> None:
    network = Fading(DenoiserConfig())
    plain, with_channel = (
        row_figures(network, some_answers, method(name)) for name in (HEALING, DEPARTURE)
    )
    assert [a.ap for a in plain] != [b.ap for b in with_channel]
    assert [a.within for a in plain] == [b.within for b in with_channel]


def test_calibrated_rows_tell_findings_and_leave_errors_as_they_are(
    some_answers: NetworkAnswers,
) -> None:
    network = Fading(DenoiserConfig())
    before, after = (
        row_figures(network, some_answers, method(name)) for name in (DEPARTURE, CALIBRATED)
    )
    assert [a.within for a in before] == [b.within for b in after]
    assert [a.healthy for a in before] == [b.healthy for b in after]
    assert [a.ap for a in before] != [b.ap for b in after]
    for one in after:
        assert one.findings is not None and one.findings >= 0
        assert one.found in (0.0, 1.0)


def test_a_second_pass_changes_the_reconstruction_and_not_the_map(
    some_answers: NetworkAnswers,
) -> None:
    network = Fading(DenoiserConfig())
    before, after = (
        row_figures(network, some_answers, method(name)) for name in (CALIBRATED, SECOND_PASS)
    )
    for name in ("ap", "found", "findings", "flagged_ml"):
        assert [getattr(a, name) for a in before] == [getattr(b, name) for b in after]
    flagged = [(a, b) for a, b in zip(before, after, strict=True) if a.flagged is not None]
    assert flagged
    assert all(b.flagged is not None and b.flagged != a.flagged for a, b in flagged)


def test_no_subject_is_mapped_under_its_own_scale(some_answers: NetworkAnswers) -> None:
    healthy = list(some_answers.healthy)
    before = cross_fitted(healthy, method(CALIBRATED))
    healthy[1] = replace(healthy[1], residual=5.0 * healthy[1].residual)
    after = cross_fitted(healthy, method(CALIBRATED))
    same = [
        (a.scale.pooled_scale, a.threshold) == (b.scale.pooled_scale, b.threshold)
        for a, b in zip(before, after, strict=True)
    ]
    assert same == [False, True, False, False]


def test_too_few_subjects_for_a_scale_are_refused(some_answers: NetworkAnswers) -> None:
    with pytest.raises(ModelError, match="at least three subjects, got 2"):
        cross_fitted(some_answers.healthy[:2], method(CALIBRATED))


def test_the_baseline_is_the_best_on_average_of_all(some_heads: HeldOut) -> None:
    figures = baseline_figures("T1", some_heads)
    means: dict[str, list[float]] = {}
    for head in some_heads.patterned:
        brain = from_slices(head.brain) > 0.5
        truth = (from_slices(head.departure) > 0.5) & brain
        for name, score in baseline_scores(from_slices(head.shown), brain, CANVAS).items():
            means.setdefault(name, []).append(precision(score, truth, brain))
    best = max(means, key=lambda name: np.mean(means[name]))
    assert {one.score for one in figures} == {best}
    assert [one.ap for one in figures] == means[best]
    assert all(one.within is None and one.healthy is None for one in figures)
