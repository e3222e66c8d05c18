"""The record of a model's healthy references: what it answers, and that it survives the disk."""

import json

import numpy as np
import pytest

from counterpart.attribution.domain_maps import LinearMap
from counterpart.attribution.flagged_slices import LEVELS_MM, FlaggedCodes
from counterpart.attribution.record import ReferenceRecord
from counterpart.attribution.reference_index import ReferenceIndex
from counterpart.errors import ModelError

RNG = np.random.default_rng(5)
NAMES = ("reference-a", "reference-b", "reference-c")
CODES = RNG.standard_normal((3, len(LEVELS_MM), 16)).astype(np.float32)
CODES[2, 7] = 0.0  # has no slice there
STILL = LinearMap(np.zeros((len(LEVELS_MM), 16), np.float32), np.eye(16, dtype=np.float32))
RECORD = ReferenceRecord(
    "ab" * 32, LEVELS_MM, ReferenceIndex.of(NAMES, CODES), STILL, "nothing", {"T1": (0.1, 0.2, 1.9)}
)


def turned_to(subject: int, level: int = 20) -> FlaggedCodes:
    """A scan that is like nobody, whose counterpart is a subject in one slice."""
    scan = np.zeros((len(LEVELS_MM), 16), np.float32)
    healed = scan.copy()
    scan[level] = np.linalg.svd(CODES[:, level])[2][-1]
    healed[level] = CODES[subject, level]
    return FlaggedCodes(scan, healed, np.array([level]))


def test_the_subject_that_the_counterpart_turned_to_comes_first_with_one_p_value() -> None:
    found = RECORD.answer(turned_to(1), "T1")
    assert found.ranked[0].name == "reference-b"
    assert found.ranked[0].similarity == pytest.approx(1.0, abs=1e-3)
    assert found.ranked[0].rise == pytest.approx(1.0, abs=1e-2)
    assert (found.p_value, found.held_out) == (pytest.approx(2 / 4), 3)
    assert not found.note


def test_a_contrast_without_held_out_subjects_has_no_p_value() -> None:
    found = RECORD.answer(turned_to(1), "T2")
    assert found.ranked[0].name == "reference-b"
    assert found.p_value is None


def test_where_nothing_is_flagged_a_sentence_says_so() -> None:
    nothing = FlaggedCodes(CODES[0], CODES[0], np.array([], np.int64))
    found = RECORD.answer(nothing, "T1")
    assert not found.ranked
    assert found.note == "Nothing is flagged, so there is nothing to compare."


def test_what_is_flagged_at_no_level_of_the_index_is_said_to_be_so() -> None:
    low = FlaggedCodes(CODES[0], CODES[0], np.array([], np.int64), elsewhere=True)
    assert (
        "that no reference was indexed at (indexed: -46 to 70 mm" in RECORD.answer(low, "T1").note
    )


def test_a_counterpart_like_nobody_names_nobody_and_says_so() -> None:
    there = turned_to(1)
    back = FlaggedCodes(there.counterpart, there.scan, there.levels)
    alone = RECORD.without(["reference-a", "reference-c"])
    found = alone.answer(back, "T1")
    assert not found.ranked and found.largest_similarity is None and found.p_value is None
    assert found.note.startswith("No healthy reference is more similar")


def test_a_withdrawn_subject_is_named_by_no_answer_and_counted() -> None:
    found = RECORD.without(["reference-b", "reference-of-nobody"]).answer(turned_to(1), "T1")
    assert "reference-b" not in {one.name for one in found.ranked}
    assert found.withdrawn == 1
    none = RECORD.without(NAMES).answer(turned_to(1), "T1")
    assert (none.ranked, none.withdrawn) == ((), 3)
    assert none.note == "Every healthy reference was withdrawn."


def test_the_record_survives_the_disk_within_a_hundredth() -> None:
    told = json.loads(json.dumps(RECORD.to_json()))
    back = ReferenceRecord.read(told, RECORD.to_arrays())
    assert (back.weights_sha256, back.levels_mm, back.method) == ("ab" * 32, LEVELS_MM, "nothing")
    assert back.healthy == RECORD.healthy and back.index.names == NAMES
    np.testing.assert_allclose(
        back.index.features.astype(float), RECORD.index.features.astype(float), atol=0.01
    )
    assert not back.index.features[7, 2].any()
    before, after = (one.answer(turned_to(2), "T1") for one in (RECORD, back))
    assert [one.name for one in after.ranked] == [one.name for one in before.ranked]


@pytest.mark.parametrize("key", ["format", "names", "healthy", "levels_mm", "weights_sha256"])
def test_a_damaged_record_is_refused(key: str) -> None:
    told = RECORD.to_json()
    del told[key]
    with pytest.raises(ModelError, match="healthy references"):
        ReferenceRecord.read(told, RECORD.to_arrays())


def test_arrays_that_do_not_fit_are_refused() -> None:
    arrays = RECORD.to_arrays()
    with pytest.raises(ModelError, match="healthy references"):
        ReferenceRecord.read(RECORD.to_json(), {**arrays, "features": arrays["features"][:5]})
    with pytest.raises(ModelError, match="healthy references"):
        ReferenceRecord.read(RECORD.to_json(), {"features": arrays["features"]})
