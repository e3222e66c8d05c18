"""Which references a counterpart has come nearer to, and the one test of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.attribution.domain_maps import LinearMap
from counterpart.attribution.flagged_slices import FlaggedCodes
from counterpart.attribution.reference_index import ReferenceIndex
from counterpart.attribution.references import Reference, References
from counterpart.attribution.rising import largest_similarity, rises, rising_references
from counterpart.errors import ModelError

Array = NDArray[np.float32]
NAMES = ("a", "b", "c", "d")
KNOWN = np.random.default_rng(1).standard_normal((4, 6, 16)).astype(np.float32)
INDEX = ReferenceIndex.of(NAMES, KNOWN)
STILL = LinearMap(np.zeros(16, np.float32), np.eye(16, dtype=np.float32))


def answered(rise: list[float], healthy: list[float] | None = None) -> References:
    """An answer where who rises more is also more similar; -0.2 is the most similar of all."""
    values = np.array(rise, np.float32)
    similarity = np.where(values < 0, 0.9, 0.5 + values).astype(np.float32)
    return rising_references(INDEX, similarity, values, healthy or [])


def rounded(told: References) -> References:
    ranked = tuple(
        Reference(one.name, round(one.similarity, 4), round(one.rise, 4)) for one in told.ranked
    )
    largest = None if told.largest_similarity is None else round(told.largest_similarity, 4)
    return replace(told, ranked=ranked, largest_similarity=largest)


def test_a_counterpart_that_turns_to_a_subject_raises_it_in_flagged_levels_alone() -> None:
    scan = np.random.default_rng(2).standard_normal((6, 16)).astype(np.float32)
    scan[2] = np.linalg.svd(KNOWN[:, 2])[2][-1]  # like no subject
    counterpart = scan.copy()
    counterpart[2] = KNOWN[1, 2]  # flagged: the subject b
    counterpart[4] = KNOWN[3, 4]  # not flagged: d, which must not count
    similarity, rise = rises(INDEX, STILL, FlaggedCodes(scan, counterpart, np.array([2])))
    assert similarity[1] == pytest.approx(1.0, abs=1e-3)
    assert rise.argmax() == 1
    elsewhere = rises(INDEX, STILL, FlaggedCodes(scan, counterpart, np.array([4])))[1]
    assert elsewhere.argmax() == 3


def test_references_are_ranked_and_falling_ones_left_out() -> None:
    found = answered([0.1, 0.3, -0.2, 0.2])
    assert [one.name for one in found.ranked] == ["b", "d", "a"]
    assert found.ranked[0].rise == pytest.approx(0.3)
    assert found.ranked[0].similarity == pytest.approx(0.8)
    assert found.largest_similarity == pytest.approx(0.8)
    assert found.p_value is None


def test_one_p_value_says_how_often_held_out_subjects_reach_as_much() -> None:
    healthy = [0.55, 0.6, 0.65, 0.75, 0.8, 0.85, 0.52, 0.51, -1.0]
    assert answered([0.0, 0.2, 0.1, 0.1], healthy).p_value == pytest.approx(4 / 10)
    assert answered([0.0, 0.9, 0.1, 0.1], healthy).p_value == pytest.approx(1 / 10)
    assert answered([0.0, 0.9, 0.1, 0.1], healthy).held_out == 9


def test_the_statistic_is_that_of_rising_references_alone() -> None:
    similarity, rise = np.array([0.2, 0.9, 0.4]), np.array([0.1, -0.1, np.nan])
    assert largest_similarity(similarity, rise) == pytest.approx(0.2)
    assert largest_similarity(similarity, -np.abs(rise)) == -1.0


def test_without_anything_flagged_no_reference_is_named() -> None:
    scan = np.random.default_rng(3).standard_normal((6, 16)).astype(np.float32)
    nothing = FlaggedCodes(scan, scan, np.array([], np.int64))
    found = rising_references(INDEX, *rises(INDEX, STILL, nothing), [0.1])
    assert found == References((), None, None, 1)
    assert found.to_json()["references"] == []


def test_the_answer_is_in_words_that_claim_no_cause() -> None:
    told = answered([0.1, 0.3, -0.2, 0.2], [0.9]).to_json()
    assert told["heading"] == "Most similar healthy references"
    assert told["references"][0] == {"id": "b", "similarity": 0.8, "rise": 0.3}
    assert told["p_value"] == 1.0


def test_what_was_told_is_read_back() -> None:
    for told in (answered([0.1, 0.25, -0.2, 0.2], [0.5]), References((), None, None, 3, 1, "No.")):
        assert References.from_json(json.loads(json.dumps(told.to_json()))) == rounded(told)


def test_figures_of_other_subjects_are_refused() -> None:
    with pytest.raises(ModelError, match="expected figures of 4 subjects"):
        rising_references(INDEX, np.zeros(3, np.float32), np.zeros(3, np.float32), [])
