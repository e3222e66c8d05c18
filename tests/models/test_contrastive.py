"""The contrastive loss: against loops over anchors, closed forms, symmetries and its gradient."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from counterpart.contrastive import (
    MARGIN,
    TEMPERATURE,
    alignment,
    epsilon_info_nce,
    rank_info_nce,
    recall_at_one,
    uniformity,
)
from counterpart.errors import ModelError


def some_codes(subjects: int = 5, size: int = 7, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Codes of two views that are alike, of lengths other than 1."""
    generator = torch.Generator().manual_seed(seed)
    first = 3.0 * torch.randn((subjects, size), generator=generator)
    return first, first + torch.randn((subjects, size), generator=generator)


def unit_rows(codes: torch.Tensor) -> NDArray[np.float64]:
    rows = codes.double().numpy()
    normalised: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normalised


def slow_loss(
    first: torch.Tensor, second: torch.Tensor, temperature: float, margin: float
) -> float:
    """The formula as it is written, anchor by anchor."""
    views = [unit_rows(first), unit_rows(second)]
    losses = []
    for view in (0, 1):
        for anchor in range(len(first)):
            code = views[view][anchor]
            positive = float(code @ views[1 - view][anchor]) / temperature
            total = math.exp(positive - margin)
            for other in range(len(first)):
                if other != anchor:
                    total += math.exp(float(code @ views[0][other]) / temperature)
                    total += math.exp(float(code @ views[1][other]) / temperature)
            losses.append(-(positive - math.log(total)))
    return float(np.mean(losses))


@pytest.mark.parametrize("subjects", [2, 5, 9])
@pytest.mark.parametrize(("temperature", "margin"), [(0.07, 0.5), (0.5, 0.0), (1.0, 2.0)])
def test_loss_agrees_with_a_loop_over_anchors(
    subjects: int, temperature: float, margin: float
) -> None:
    first, second = some_codes(subjects)
    found = epsilon_info_nce(first, second, temperature=temperature, margin=margin)
    assert float(found) == pytest.approx(slow_loss(first, second, temperature, margin), rel=1e-4)


def test_published_temperature_and_margin_are_the_default() -> None:
    first, second = some_codes()
    expected = epsilon_info_nce(first, second, temperature=0.07, margin=0.5)
    assert float(epsilon_info_nce(first, second)) == float(expected)


def test_without_margin_it_is_the_cross_entropy_of_finding_the_partner() -> None:
    first, second = some_codes(6)
    codes = functional.normalize(torch.cat((first, second)), dim=1)
    logits = (codes @ codes.T / 0.2).fill_diagonal_(-torch.inf)
    expected = functional.cross_entropy(logits, torch.arange(12).roll(6))
    found = epsilon_info_nce(first, second, temperature=0.2, margin=0.0)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("subjects", [2, 3, 8])
def test_equal_codes_cost_the_logarithm_of_how_many_there_are(subjects: int) -> None:
    same = torch.ones(subjects, 4)
    expected = math.log(math.exp(-MARGIN) + 2 * (subjects - 1))
    assert float(epsilon_info_nce(same, 5 * same)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_orthogonal_subjects_give_the_closed_form(temperature: float) -> None:
    codes = 2.0 * torch.eye(4, 6)
    positive = 1.0 / temperature
    expected = math.log(math.exp(positive - MARGIN) + 6.0) - positive
    found = epsilon_info_nce(codes, codes, temperature=temperature)
    assert float(found) == pytest.approx(expected, abs=2e-6)


def test_opposite_subjects_reach_the_least_loss() -> None:
    codes = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    for margin in (0.0, 0.5, 2.0):
        found = epsilon_info_nce(codes, codes, margin=margin)
        assert float(found) == pytest.approx(-margin, abs=2e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 1.0), st.floats(0.0, 2.0))
def test_no_codes_cost_less_than_minus_the_margin(
    seed: int, temperature: float, margin: float
) -> None:
    first, second = some_codes(4, 3, seed)
    loss = epsilon_info_nce(first, second, temperature=temperature, margin=margin)
    assert float(loss) >= -margin - 1e-5


def test_swapping_views_permuting_subjects_and_scaling_codes_change_nothing() -> None:
    first, second = some_codes(6)
    expected = float(epsilon_info_nce(first, second))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert float(epsilon_info_nce(second, first)) == pytest.approx(expected, rel=1e-5)
    assert float(epsilon_info_nce(first[order], second[order])) == pytest.approx(expected, rel=1e-5)
    assert float(epsilon_info_nce(0.1 * first, 40 * second)) == pytest.approx(expected, rel=1e-5)
    assert float(epsilon_info_nce(first[order], second)) > expected + 1.0


def test_gradient_is_that_of_finite_differences() -> None:
    codes = [view.double().requires_grad_() for view in some_codes(3, 4)]
    epsilon_info_nce(codes[0], codes[1], temperature=0.5).backward()
    step = 1e-4
    for view, code in enumerate(codes):
        assert code.grad is not None
        for row, column in np.ndindex(3, 4):
            ends = []
            for sign in (1, -1):
                moved = [other.detach().clone() for other in codes]
                moved[view][row, column] += sign * step
                ends.append(slow_loss(moved[0], moved[1], 0.5, MARGIN))
            expected = (ends[0] - ends[1]) / (2 * step)
            assert float(code.grad[row, column]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("ranks", [1, 2, 3, 6])
def test_mean_over_ranks_is_the_loss_of_them_all(ranks: int) -> None:
    first, second = (view.requires_grad_() for view in some_codes(6))
    whole = epsilon_info_nce(first, second, temperature=0.3)
    expected = torch.autograd.grad(whole, (first, second))
    each = 6 // ranks
    parts = [
        rank_info_nce(
            first[start : start + each],
            second[start : start + each],
            first,
            second,
            start,
            temperature=0.3,
        )
        for start in range(0, 6, each)
    ]
    mean = torch.stack(parts).mean()
    torch.testing.assert_close(mean, whole)
    for found, wanted in zip(torch.autograd.grad(mean, (first, second)), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_half_precision_codes_are_compared_in_full_precision() -> None:
    first, second = (view.bfloat16() for view in some_codes())
    found = epsilon_info_nce(first, second)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(epsilon_info_nce(first.float(), second.float())))


@pytest.mark.parametrize(
    ("first", "second", "temperature", "message"),
    [
        (torch.ones(3, 4), torch.ones(2, 4), TEMPERATURE, r"\(3, 4\) and \(2, 4\)"),
        (torch.ones(3, 4, 1), torch.ones(3, 4, 1), TEMPERATURE, r"\(B, D\) .* got \(3, 4, 1\)"),
        (torch.ones(1, 4), torch.ones(1, 4), TEMPERATURE, "at least two subjects"),
        (torch.ones(2, 4), torch.ones(2, 4), 0.0, "positive, got 0.0"),
        (torch.ones(2, 4), torch.ones(2, 4), -0.1, "positive, got -0.1"),
    ],
)
def test_codes_without_contrast_are_refused(
    first: torch.Tensor, second: torch.Tensor, temperature: float, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        epsilon_info_nce(first, second, temperature=temperature)


def test_alignment_is_nought_two_and_four_for_equal_orthogonal_and_opposite_codes() -> None:
    codes = torch.eye(3, 6)
    assert float(alignment(codes, 7 * codes)) == pytest.approx(0.0, abs=1e-6)
    assert float(alignment(codes, codes.roll(3, dims=1))) == pytest.approx(2.0)
    assert float(alignment(codes, -codes)) == pytest.approx(4.0)
    half = torch.cat((codes[:1], -codes[1:2]))
    assert float(alignment(codes[:2], half)) == pytest.approx(2.0)


def test_uniformity_is_the_logarithm_of_the_mean_potential() -> None:
    assert float(uniformity(torch.ones(4, 3))) == pytest.approx(0.0, abs=1e-6)
    assert float(uniformity(torch.tensor([[3.0], [-1.0]]))) == pytest.approx(-8.0)
    assert float(uniformity(5 * torch.eye(4))) == pytest.approx(-4.0, rel=1e-5)
    first, _ = some_codes()
    rows = unit_rows(first)
    potentials = [
        math.exp(-2 * float(((rows[a] - rows[b]) ** 2).sum())) for a in range(5) for b in range(a)
    ]
    assert float(uniformity(first)) == pytest.approx(math.log(np.mean(potentials)), rel=1e-4)


def test_recall_is_the_share_of_rows_that_find_their_own() -> None:
    codes = torch.eye(4)
    assert float(recall_at_one(3 * codes, codes)) == 1.0
    assert float(recall_at_one(codes.roll(1, dims=0), codes)) == 0.0
    assert float(recall_at_one(codes[[0, 1, 3, 2]], codes)) == 0.5
    assert float(recall_at_one(-codes, codes)) == 0.0
