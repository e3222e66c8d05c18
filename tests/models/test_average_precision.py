"""Average precision agrees with scikit-learn, with closed forms and with its symmetries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from counterpart.average_precision import average_precision


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=60))
def test_with_ties_it_agrees_with_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    score = np.array([pair[0] for pair in pairs], float)
    truth = np.array([pair[1] for pair in pairs])
    if not truth.any():
        truth[0] = True
    found = average_precision(torch.from_numpy(score), torch.from_numpy(truth))
    assert float(found) == pytest.approx(average_precision_score(truth, score), abs=1e-6)


def test_on_many_continuous_scores_it_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(50_000) < 0.03
    score = rng.standard_normal(50_000) + 1.5 * truth
    found = average_precision(torch.from_numpy(score), torch.from_numpy(truth))
    assert float(found) == pytest.approx(average_precision_score(truth, score), abs=1e-6)


def test_positives_first_give_one() -> None:
    truth = torch.tensor([True] * 3 + [False] * 9)
    assert float(average_precision(torch.arange(12, 0, -1), truth)) == 1.0


def test_positives_last_give_the_closed_form() -> None:
    truth = torch.tensor([False] * 7 + [True] * 3)
    expected = (1 / 8 + 2 / 9 + 3 / 10) / 3
    assert float(average_precision(torch.arange(10, 0, -1), truth)) == pytest.approx(expected)


def test_one_score_for_all_gives_the_prevalence() -> None:
    truth = torch.tensor([True, False, False, True, False])
    assert float(average_precision(torch.ones(5), truth)) == pytest.approx(0.4)


def test_order_and_monotone_changes_of_the_score_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(500, generator=generator)
    truth = torch.rand(500, generator=generator) < 0.2
    expected = float(average_precision(score, truth))
    order = torch.randperm(500, generator=generator)
    assert float(average_precision(score[order], truth[order])) == pytest.approx(expected)
    assert float(average_precision(score.double().exp(), truth)) == pytest.approx(expected)


def test_without_a_positive_there_is_no_answer() -> None:
    assert math.isnan(float(average_precision(torch.rand(4), torch.zeros(4, dtype=torch.bool))))
