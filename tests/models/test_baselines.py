"""Plain baselines: smoothing against a slow version, the choice, and volumes to the voxel."""

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.baselines import (
    baseline_in_words,
    baseline_scores,
    flag_by_baseline,
    flag_highest,
    plain_baseline,
)
from counterpart.grid import Grid

Array = NDArray[np.float32]
SHAPE = (18, 20, 14)
GRID = Grid(SHAPE, np.diag([2.0, -3.0, 4.0, 1.0]))


def a_brain() -> NDArray[np.bool_]:
    brain = np.zeros(SHAPE, bool)
    brain[5:13, 5:15, 4:10] = True
    return brain


def some_values() -> Array:
    rng = np.random.default_rng(0)
    return np.where(a_brain(), 100 + 9 * rng.standard_normal(SHAPE), 0).astype(np.float32)


def test_baselines_are_intensity_its_inverse_and_its_distance_each_at_three_widths() -> None:
    values = some_values()
    scores = baseline_scores(values, a_brain(), GRID)
    assert sorted(scores) == sorted(
        f"{name}{width}"
        for name in ("intensity", "inverted", "robust |z|")
        for width in ("", ", 1.5 mm", ", 3 mm")
    )
    inside = a_brain()
    scaled = scores["intensity"][inside]
    np.testing.assert_allclose(scores["inverted"][inside], -scaled)
    np.testing.assert_allclose(scores["robust |z|"][inside], np.abs(scaled))
    np.testing.assert_array_equal(np.argsort(scaled), np.argsort(values[inside]))
    np.testing.assert_allclose(scores["inverted, 3 mm"], -scores["intensity, 3 mm"], atol=1e-6)


@pytest.mark.parametrize("width_mm", [1.5, 3.0])
def test_smoothing_is_the_gaussian_mean_over_the_brain_alone(width_mm: float) -> None:
    values = some_values()
    scores = baseline_scores(values, a_brain(), GRID)
    points = np.argwhere(a_brain())
    raw = scores["intensity"][a_brain()].astype(np.float64)
    smooth = scores[f"intensity, {width_mm:g} mm"]
    for index in [(5, 5, 4), (8, 9, 6), (12, 14, 9), (5, 10, 7)]:
        away = (points - np.array(index)) * np.array(GRID.spacing)
        weight = np.exp(-0.5 * (away**2).sum(axis=1) / width_mm**2)
        expected = float((weight * raw).sum() / weight.sum())
        assert float(smooth[index]) == pytest.approx(expected, abs=5e-3)
    assert not smooth[~a_brain()].any()


@pytest.mark.parametrize(
    ("contrast", "name", "words"),
    [
        ("FLAIR", "intensity, 3 mm", "brightest tissue (3 mm)"),
        ("T1c", "intensity, 3 mm", "brightest tissue (3 mm)"),
        ("T2", "intensity, 1.5 mm", "brightest tissue (1.5 mm)"),
        ("T1", "inverted, 3 mm", "darkest tissue (3 mm)"),
        ("unknown", "robust |z|, 3 mm", "most unusual tissue (3 mm)"),
    ],
)
def test_each_contrast_has_one_baseline_that_is_measured_too(
    contrast: str, name: str, words: str
) -> None:
    assert plain_baseline(contrast) == name
    assert name in baseline_scores(some_values(), a_brain(), GRID)
    assert baseline_in_words(contrast) == words


@pytest.mark.parametrize("contrast", ["FLAIR", "T2", "T1", "unknown"])
@pytest.mark.parametrize("count", [0, 1, 77, 10_000])
def test_baseline_flags_the_highest_scores_and_as_many_as_asked(contrast: str, count: int) -> None:
    brain = a_brain()
    flagged = flag_by_baseline(contrast, some_values(), brain, GRID, count)
    assert flagged.sum() == min(count, brain.sum())
    assert not flagged[~brain].any()
    score = baseline_scores(some_values(), brain, GRID)[plain_baseline(contrast)]
    if 0 < count < brain.sum():
        assert score[flagged].min() >= score[brain & ~flagged].max()


def test_of_equal_scores_the_first_are_flagged_and_no_more() -> None:
    score = np.array([[[1.0, 5.0, 5.0, 5.0, 7.0, 9.0]]], np.float32)
    brain = np.array([[[True, True, True, True, True, False]]])
    expected = np.array([[[False, True, True, False, True, False]]])
    np.testing.assert_array_equal(flag_highest(score, brain, 3), expected)


def test_an_empty_brain_is_not_flagged() -> None:
    brain = np.zeros(SHAPE, bool)
    assert not flag_by_baseline("FLAIR", some_values(), brain, GRID, 5).any()
