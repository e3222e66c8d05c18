"""Whether trained subjects can be told from held-out ones, and whose copies come too near."""

import numpy as np
import pytest
from scipy import stats

from counterpart.attribution.memorisation import LIMIT, Pair, similarities, told_apart, too_near
from counterpart.errors import ModelError


def drawn(count: int, seed: int, shift: float = 0.0) -> list[float]:
    return (np.random.default_rng(seed).standard_normal(count) + shift).tolist()


def test_the_auc_is_the_rank_sum_s() -> None:
    ones, others = [*drawn(40, 1, 0.5), 0.25], [*drawn(30, 2), 0.25]
    rank_sum = stats.mannwhitneyu(ones, others).statistic
    assert told_apart(ones, others).auc == pytest.approx(rank_sum / (41 * 31))


def test_a_model_that_keeps_its_subjects_fails_and_one_that_does_not_passes() -> None:
    kept = told_apart(drawn(60, 3, 1.5), drawn(60, 4))
    assert kept.low > LIMIT
    assert kept.fails
    alike = told_apart([n + 0.0 for n in range(60)], [n + 0.5 for n in range(60)])
    assert alike.low < 0.5 < alike.high
    assert not alike.fails
    assert (alike.trained, alike.held_out) == (60, 60)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    truth = stats.norm.cdf(1.0 / np.sqrt(2.0))
    held = [
        told.low <= truth <= told.high
        for told in (told_apart(drawn(25, 100 + n, 1.0), drawn(25, 500 + n)) for n in range(40))
    ]
    assert sum(held) >= 33


def test_a_wide_interval_above_chance_does_not_fail() -> None:
    few = told_apart([1.0, 2.0, 0.0], [0.5, 1.5, -1.0])
    assert few.auc > LIMIT
    assert not few.fails


def test_groups_need_two_subjects_and_numbers() -> None:
    with pytest.raises(ModelError, match="needs two of each, got 1 and 3"):
        told_apart([1.0], [1.0, 2.0, 3.0])
    with pytest.raises(ModelError, match="not finite"):
        told_apart([1.0, float("nan")], [1.0, 2.0])


def test_similarity_counts_shared_levels_alone() -> None:
    ones = np.zeros((1, 3, 2), np.float32)
    ones[0, 0], ones[0, 1] = (1.0, 0.0), (0.0, 2.0)
    others = np.zeros((2, 3, 2), np.float32)
    others[0, 1], others[0, 2] = (3.0, 3.0), (1.0, 0.0)
    found = similarities(ones, others)
    assert found[0, 0] == pytest.approx(np.sqrt(0.5))
    assert np.isnan(found[0, 1])


def test_a_copy_of_a_trained_subject_is_named() -> None:
    rng = np.random.default_rng(7)
    trained = rng.standard_normal((6, 4, 32)).astype(np.float32)
    real = rng.standard_normal((5, 4, 32)).astype(np.float32)
    repainted = rng.standard_normal((3, 4, 32)).astype(np.float32)
    repainted[1] = trained[4] + 0.05 * repainted[1]
    repainted[2] = trained[0] + 0.5 * repainted[2]
    names = [f"t{number}" for number in range(6)]
    usual, pairs = too_near((["a", "b", "c"], repainted), real, (names, trained))
    assert usual == pytest.approx(float(similarities(real, trained).max()))
    assert [(pair.repainted, pair.trained) for pair in pairs] == [("b", "t4"), ("c", "t0")]
    assert isinstance(pairs[0], Pair)
    assert pairs[0].similarity > pairs[1].similarity > usual


def test_real_subjects_alone_are_too_near_to_no_one() -> None:
    rng = np.random.default_rng(8)
    trained, real = (rng.standard_normal((6, 4, 32)).astype(np.float32) for _ in range(2))
    assert too_near((["a"], real[:1]), real, (["t"] * 6, trained))[1] == []
    with pytest.raises(ModelError, match="needs held-out subjects"):
        too_near((["a"], real[:1]), real[:0], (["t"] * 6, trained))
