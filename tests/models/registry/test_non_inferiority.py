"""Non-inferiority: the interval of paired differences against the margin, and nothing else."""

import math

import numpy as np
import pytest

from counterpart.evaluation.bootstrap import mean_interval
from counterpart.registry.non_inferiority import (
    INCONCLUSIVE,
    INFERIOR,
    PASSED,
    Measure,
    compare_paired,
)

LESS = Measure("error", "spreads", 0.1)
SHARE = Measure("error", "spreads", 0.05, relative=True)
MORE = Measure("average precision", "", 0.02, more_is_better=True)
SPREAD = np.array([-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.0])


def outcome(measure: Measure, mean: float, spread: float = 1.0, level: float = 1.0) -> str:
    serving = level + np.linspace(0.0, 3.0, len(SPREAD))
    serving += level - serving.mean()
    candidate = serving + mean + spread * SPREAD
    found = compare_paired(measure, "T1", candidate.tolist(), serving.tolist())
    assert found is not None
    return found.outcome


@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [
        (0.0, 1.0, PASSED),
        (-5.0, 1.0, PASSED),
        (0.08, 1.0, PASSED),
        (0.1, 1.0, INCONCLUSIVE),
        (0.12, 1.0, INFERIOR),
        (0.0, 20.0, INCONCLUSIVE),
    ],
)
def test_the_whole_interval_decides_where_less_is_better(
    mean: float, spread: float, expected: str
) -> None:
    assert outcome(LESS, mean, spread) == expected


@pytest.mark.parametrize(
    ("mean", "expected"),
    [(0.5, PASSED), (0.0, PASSED), (-0.02, INCONCLUSIVE), (-0.05, INFERIOR)],
)
def test_the_whole_interval_decides_where_more_is_better(mean: float, expected: str) -> None:
    assert outcome(MORE, mean) == expected


def test_a_relative_margin_is_a_share_of_the_serving_mean() -> None:
    assert outcome(SHARE, 0.06, level=2.0) == PASSED
    assert outcome(SHARE, 0.06, level=0.5) == INFERIOR


def test_pairing_takes_away_what_subjects_differ_in() -> None:
    """Subjects differ by far more than the margin; their differences do not."""
    serving = [1.0, 9.0, 3.0, 7.0, 5.0, 2.0, 8.0]
    candidate = [one + 0.05 for one in serving]
    found = compare_paired(LESS, "T1", candidate, serving)
    assert found is not None and found.outcome == PASSED
    unpaired = compare_paired(LESS, "T1", candidate, serving[::-1])
    assert unpaired is not None and unpaired.outcome == INCONCLUSIVE


def test_the_interval_is_that_of_the_differences() -> None:
    candidate, serving = [1.0, 2.0, 4.0, 8.0, 16.0], [1.0, 1.0, 1.0, 1.0, 1.0]
    found = compare_paired(LESS, "FLAIR", candidate, serving)
    assert found is not None
    assert found.difference == mean_interval([0.0, 1.0, 3.0, 7.0, 15.0])
    assert found.figures()["FLAIR, difference"] == 5.2
    assert found.figures()["FLAIR, subjects"] == 5.0
    assert "6.2 spreads on FLAIR (serving model 1 spreads, difference +5.2" in found.words()


def test_equal_figures_pass_and_too_few_subjects_do_not() -> None:
    five = compare_paired(LESS, "T1", [1.0] * 5, [1.0] * 5)
    four = compare_paired(LESS, "T1", [1.0] * 4, [1.0] * 4)
    assert five is not None and five.outcome == PASSED
    assert four is not None and four.outcome == INCONCLUSIVE
    assert "4 subjects, an interval needs 5" in four.words()


@pytest.mark.parametrize("measure", [LESS, MORE, SHARE])
def test_no_number_of_the_candidate_is_inferior(measure: Measure) -> None:
    found = compare_paired(measure, "T1", [1.0] * 6 + [math.nan], [1.0] * 7)
    assert found is not None and found.outcome == INFERIOR


def test_no_number_of_the_serving_model_leaves_nothing_to_compare() -> None:
    assert compare_paired(LESS, "T1", [1.0] * 6, [1.0] * 5 + [math.inf]) is None
    assert compare_paired(LESS, "T1", [], []) is None
