"""A model that has kept its subjects is told from one that has not, on made-up answers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.attribution.memorised import Memorisation, compared
from counterpart.attribution.whole_heads import RepaintedHead

Array = NDArray[np.float32]
TRAINED = tuple(f"trained-{n}" for n in range(30))
HELD_OUT = tuple(f"held-out-{n}" for n in range(30))
LEVELS, SIZE = 20, 24


def subjects(seed: int = 1) -> Array:
    rng = np.random.default_rng(seed)
    levels = 3.0 * rng.standard_normal((LEVELS, SIZE))
    own = rng.standard_normal((60, 1, SIZE))
    return (levels + own + rng.standard_normal((60, LEVELS, SIZE))).astype(np.float32)


def judged(kept: Array, errors: Array, real: Array, answers: Array | None = None) -> Memorisation:
    """Answers that hold on to a share of each subject, and their errors."""
    rng = np.random.default_rng(2)
    mean = real.mean(axis=0)
    noise = rng.standard_normal(real.shape).astype(np.float32)
    shown = mean + kept[:, None, None] * (real - mean) + noise if answers is None else answers
    repainted = [
        RepaintedHead(codes, float(error))
        for codes, error in zip(shown.astype(np.float32), errors, strict=True)
    ]
    return compared(TRAINED, HELD_OUT, real, repainted, 750)


def drawn_errors(shift: float = 0.0) -> Array:
    errors = 1.0 + 0.1 * np.random.default_rng(3).standard_normal(60)
    errors[:30] -= shift
    return errors.astype(np.float32)


def test_a_model_that_treats_both_alike_passes() -> None:
    found = judged(np.full(60, 0.4, np.float32), drawn_errors(), subjects())
    assert found.passes
    assert found.error.low < 0.5 < found.error.high
    assert found.nearest.low < 0.5 < found.nearest.high
    assert "none is nearer" in found.words


def test_one_that_repaints_its_own_subjects_better_fails_by_the_error() -> None:
    found = judged(np.full(60, 0.4, np.float32), drawn_errors(0.3), subjects())
    assert found.error.fails and not found.nearest.fails and not found.passes
    assert found.figures["AUC by error, lower end"] > 0.6


def test_one_that_recalls_its_own_subjects_fails_by_the_similarity() -> None:
    kept = np.repeat(np.array([0.8, 0.1], np.float32), 30)
    found = judged(kept, drawn_errors(), subjects())
    assert found.nearest.fails and not found.error.fails and not found.passes


def test_a_held_out_subject_repainted_as_one_trained_on_is_a_named_pair() -> None:
    real = subjects()
    answers = real.copy()
    answers[31] = real[4]
    found = judged(np.ones(60, np.float32), drawn_errors(), real, answers)
    assert (found.pairs[0].repainted, found.pairs[0].trained) == ("held-out-1", "trained-4")
    assert not found.passes
    assert "of 30 (held-out-1 like trained-4" in found.words
    assert f" {len(found.pairs)} of 30 is nearer" in found.nameless_words
    assert "held-out-1" not in found.nameless_words and "trained-4" not in found.nameless_words
    assert found.figures["held-out-1 like trained-4"] == pytest.approx(found.pairs[0].similarity)
    assert found.pairs[0].similarity > found.usual


def test_the_figures_do_not_depend_on_the_order_of_subjects() -> None:
    real, kept, errors = subjects(), np.linspace(0.2, 0.6, 60, dtype=np.float32), drawn_errors(0.1)
    mean = real.mean(axis=0)
    answers = mean + kept[:, None, None] * (real - mean)
    order = np.r_[np.arange(30)[::-1], 30 + np.arange(30)[::-1]]
    one = judged(kept, errors, real, answers)
    other = judged(kept[order], errors[order], real[order], answers[order])
    assert other.error.auc == pytest.approx(one.error.auc)
    assert other.nearest.auc == pytest.approx(one.nearest.auc)
    assert other.usual == pytest.approx(one.usual, abs=1e-5)
