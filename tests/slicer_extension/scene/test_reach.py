import numpy as np
import pytest

from HealthyCounterpartLib.scene.map_colours import window_of
from HealthyCounterpartLib.scene.reach import (
    default_limits,
    largest_value,
    rounded_up,
    slider_end,
    tail_value,
)


def test_largest_value_looks_at_both_signs() -> None:
    values = np.zeros((5, 4, 3), np.float32)
    values[4, 3, 2] = -7.5
    values[0, 0, 0] = 2.0
    assert largest_value(values) == 7.5


def test_tail_is_the_percentile_of_what_is_shown_alone() -> None:
    values = np.zeros((50, 50, 50), np.float32)
    values[0].flat[:1000] = np.linspace(10, 20, 1000)
    values[1].flat[:1000] = -np.linspace(10, 20, 1000)
    assert tail_value(values, 9.0) == pytest.approx(
        np.percentile(np.linspace(10, 20, 1000), 99.5), 1e-3
    )
    assert tail_value(values, 30.0) == 0.0


def test_the_score_is_hidden_below_the_healthy_threshold() -> None:
    values = np.zeros((9, 9, 9), np.float32)
    values[3:6, 3:6, 3:6] = 80.0
    overlay = default_limits(values, "score", 12.9)
    assert overlay.hide_below == 12.9
    assert overlay.saturate_above == pytest.approx(80.0, rel=0.25)


@pytest.mark.parametrize("largest", [20.0, 50.0, 185.0, 900.0])
def test_slider_and_legend_begin_with_the_same_saturation(largest: float) -> None:
    values = np.linspace(-largest, largest, 27, dtype=np.float32).reshape(3, 3, 3)
    overlay = default_limits(values, "score", 12.9)
    assert window_of(overlay) == pytest.approx(overlay.saturate_above, rel=1e-3)


@pytest.mark.parametrize("shown_map", ["score", "residual"])
@pytest.mark.parametrize("values", [np.zeros((3, 3, 3)), np.full((3, 3, 3), 1e-3), None])
def test_a_map_without_findings_has_limits_too(shown_map: str, values: np.ndarray) -> None:
    overlay = default_limits(values, shown_map, 12.9)
    assert overlay.hide_below < overlay.saturate_above <= slider_end(0.0, overlay)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(209.55, 210.0), (210.0, 210.0), (9.33, 9.4), (0.0123, 0.013), (0.0, 1.0), (1000, 1000)],
)
def test_the_slider_ends_at_a_round_number(value: float, expected: float) -> None:
    assert rounded_up(value) == expected
