"""The schedule that all stages share."""

import pytest

from counterpart.training.schedule import Schedule, learning_rate_factor


def test_learning_rate_rises_stays_and_falls_in_straight_lines() -> None:
    schedule = Schedule(steps=1000, warmup_steps=100, decay_share=0.25)
    factor = [learning_rate_factor(step, schedule) for step in range(1001)]
    assert factor[0] == pytest.approx(0.01)
    assert factor[49] == pytest.approx(0.5)
    assert factor[99:751] == [1.0] * 652
    assert factor[875] == pytest.approx(0.5)
    assert factor[1000] == 0.0
    assert max(factor) == 1.0


def test_learning_rate_stays_zero_beyond_the_last_step() -> None:
    assert learning_rate_factor(1500, Schedule(steps=1000)) == 0.0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_learning_rate_without_warm_up_or_plateau(share: float) -> None:
    schedule = Schedule(steps=10, warmup_steps=0, decay_share=share)
    factor = [learning_rate_factor(step, schedule) for step in range(10)]
    expected = [1.0] * 10 if share == 0.0 else [1 - step / 10 for step in range(10)]
    assert factor == pytest.approx(expected)
