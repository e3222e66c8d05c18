"""Parts without training: halves by subject, or all cross-fitted where they are few."""

from pathlib import Path

import pytest

from counterpart.cohort import CROSS_FIT
from counterpart.cohort_split import held_out_parts, read_split
from counterpart.errors import CohortError


def names(count: int) -> list[str]:
    return [f"subject-{number}" for number in range(count)]


def test_twenty_and_more_are_dealt_into_halves_by_name_alone(tmp_path: Path) -> None:
    split = read_split(tmp_path, names(21), "FLAIR")
    parts = list(split.values())
    assert (parts.count("validate"), parts.count("calibrate")) == (10, 11)
    assert held_out_parts(names(21)[::-1]) == split


def test_fewer_are_cross_fitted_and_too_few_refused() -> None:
    for count in (8, 19):
        assert held_out_parts(names(count)) == dict.fromkeys(names(count), CROSS_FIT)
    with pytest.raises(CohortError, match="at least 8 healthy subjects, got 7"):
        held_out_parts(names(7))
