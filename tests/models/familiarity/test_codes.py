"""Distance of codes: to the nearest heads of the same level, compared with the slow way."""

import numpy as np
import pytest

from counterpart.errors import ModelError
from counterpart.familiarity.codes import NEIGHBOURS, HealthyCodes, held_out_distances

LEVELS, SIZE = 6, 10


def codes_of(heads: int, seed: int = 0) -> np.ndarray:
    """(N, L, C) unit codes: each level about a direction of its own."""
    rng = np.random.default_rng(seed)
    drawn = np.eye(LEVELS, SIZE) + 0.2 * rng.standard_normal((heads, LEVELS, SIZE))
    return (drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)).astype(np.float32)


def slow_distance(heads: np.ndarray, codes: np.ndarray) -> float:
    """Level by level, head by head; what is not there is left out."""
    found = []
    for level, code in enumerate(codes):
        cosines = [float(head[level] @ code) for head in heads if head[level].any()]
        if code.any() and len(cosines) >= NEIGHBOURS:
            found.append(1.0 - np.mean(sorted(cosines, reverse=True)[:NEIGHBOURS]))
    return float(np.mean(found))


def test_the_distance_is_the_mean_cosine_distance_to_the_nearest_of_each_level() -> None:
    heads, codes = codes_of(9), codes_of(1, 5)[0]
    assert HealthyCodes.of(heads).distance(codes) == pytest.approx(slow_distance(heads, codes))


def test_levels_without_a_slice_are_left_out() -> None:
    heads, codes = codes_of(9), codes_of(1, 5)[0]
    heads[:7, 2] = 0.0  # two heads are too few to compare with
    heads[:3, 3] = 0.0
    codes[4] = 0.0
    found = HealthyCodes.of(heads).distance(codes)
    assert found == pytest.approx(slow_distance(heads, codes))
    changed = codes.copy()
    changed[2] = -codes[2]
    assert HealthyCodes.of(heads).distance(changed) == pytest.approx(found)


def test_too_few_levels_tell_nothing() -> None:
    codes = codes_of(1, 5)[0]
    codes[2:] = 0.0
    assert np.isnan(HealthyCodes.of(codes_of(9)).distance(codes))


def test_codes_of_another_level_are_far() -> None:
    known, codes = HealthyCodes.of(codes_of(9)), codes_of(1, 5)[0]
    assert known.distance(np.roll(codes, 1, axis=0)) > 3 * known.distance(codes)


def test_each_head_is_measured_by_the_others() -> None:
    heads = codes_of(9)
    found = held_out_distances(heads)
    for row, distance in enumerate(found):
        others = np.delete(heads, row, axis=0)
        assert distance == pytest.approx(slow_distance(others, heads[row]), rel=1e-5)
    known = HealthyCodes.of(heads)
    assert all(known.distance(head) < one for head, one in zip(heads, found, strict=True))


def test_no_head_s_codes_can_be_told_from_another_s() -> None:
    heads = codes_of(9)
    known = HealthyCodes.of(heads).codes
    orders = {
        tuple(int(np.argmax(level @ head[number])) for head in heads)
        for number, level in enumerate(known)
    }
    assert len(orders) == LEVELS
    again = HealthyCodes.of(heads[::-1])
    np.testing.assert_array_equal(again.codes, known)


def test_codes_come_back_in_half_precision() -> None:
    known, codes = HealthyCodes.of(codes_of(9)), codes_of(1, 5)[0]
    arrays = known.to_arrays()
    assert arrays["codes"].dtype == np.float16
    again = HealthyCodes.from_arrays(arrays)
    assert again.distance(codes) == pytest.approx(known.distance(codes), abs=1e-3)


def test_codes_of_another_encoder_and_unknown_arrays_are_refused() -> None:
    known = HealthyCodes.of(codes_of(9))
    with pytest.raises(ModelError, match=r"expected codes of shape \(6, 10\)"):
        known.distance(np.zeros((LEVELS, 64), np.float32))
    with pytest.raises(ModelError, match="unexpected array 'axes'"):
        HealthyCodes.from_arrays({**known.to_arrays(), "axes": np.zeros(3)})
    with pytest.raises(ModelError, match="finite numbers"):
        HealthyCodes(np.full((2, 3, 4), np.nan, np.float32))
