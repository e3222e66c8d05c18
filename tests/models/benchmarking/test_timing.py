"""Medians, percentiles, works in turn, and the clock of stages."""

from collections.abc import Callable
from itertools import count

import pytest
import torch

from counterpart.benchmarking.timing import (
    Seconds,
    StageClock,
    in_turn,
    percentile,
    summarised,
)


@pytest.fixture
def ticks() -> Callable[[], float]:
    """A clock that goes on by one second whenever it is read."""
    seconds = count()
    return lambda: float(next(seconds))


def test_the_summary_of_some_repeats() -> None:
    assert Seconds.of([3.0, 1.0, 2.0, 10.0]) == Seconds(2.5, 1.0, 10.0, 4)
    with pytest.raises(ValueError, match="at least one"):
        Seconds.of([])


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)]
)
def test_percentiles_of_one_to_a_hundred(share: float, expected: float) -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, share) == expected


def test_percentiles_of_few_values_are_values() -> None:
    twenty = [float(value) for value in range(1, 21)]
    assert percentile(twenty, 0.95) == 19.0
    assert percentile(twenty, 0.99) == 20.0
    assert percentile([7.0], 0.5) == 7.0


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.5)])
def test_percentiles_of_nothing_are_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="expected values and a share"):
        percentile(values, share)


def test_works_take_turns_after_one_round_that_does_not_count() -> None:
    done: list[str] = []
    works = {"a": lambda: done.append("a"), "b": lambda: done.append("b")}
    taken = in_turn(works, 2, torch.device("cpu"))
    assert done == ["a", "b"] * 3
    assert list(taken) == ["a", "b"]
    assert all(one.times == 2 and 0.0 <= one.least <= one.most for one in taken.values())


def test_a_stage_lasts_until_another_is_told(ticks: Callable[[], float]) -> None:
    clock = StageClock(ticks)
    clock.tell("Reading")  # at 0 s
    clock.tell("Finding", 0.1)  # ends at 1 s, begins at 2 s
    clock.finish()  # at 3 s
    assert clock.seconds == {"Reading": 1.0, "Finding": 1.0}
    assert clock.running is None


def test_progress_belongs_to_the_running_stage(ticks: Callable[[], float]) -> None:
    clock = StageClock(ticks)
    clock.tell("Repainting the brain as healthy", 0.3)
    clock.tell("Repainting", 0.5)
    clock.tell("Repainting", 0.7)
    assert clock.running == "Repainting the brain as healthy"
    clock.tell("Repainting what was flagged once more", 0.9)
    clock.finish()
    assert list(clock.seconds) == [
        "Repainting the brain as healthy",
        "Repainting what was flagged once more",
    ]


def test_a_stage_that_comes_again_is_added_up(ticks: Callable[[], float]) -> None:
    clock = StageClock(ticks)
    for stage in ("a", "b", "a"):
        clock.tell(stage)
    clock.finish()
    clock.finish()
    assert clock.seconds == {"a": 2.0, "b": 1.0}


def test_a_stage_that_a_run_lacks_took_it_no_time() -> None:
    found = summarised([{"a": 1.0}, {"a": 3.0, "b": 2.0}])
    assert found == {"a": Seconds(2.0, 1.0, 3.0, 2), "b": Seconds(1.0, 0.0, 2.0, 2)}
