"""The index of healthy references: exact search, removal, pseudonyms."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.attribution.reference_index import ReferenceIndex, pseudonym, unit
from counterpart.errors import ModelError

Array = NDArray[np.float32]


def features(subjects: int, levels: int = 4, size: int = 5, seed: int = 1) -> Array:
    drawn = np.random.default_rng(seed).standard_normal((subjects, levels, size))
    return drawn.astype(np.float32)


def names(count: int) -> list[str]:
    return [f"r{number}" for number in range(count)]


def test_similarity_is_the_mean_cosine_over_the_levels_that_both_have() -> None:
    known = features(3)
    known[1, 2] = 0.0
    query = features(1, seed=2)[0]
    query[0] = 0.0
    found = ReferenceIndex.of(names(3), known).similarity(query)
    for row in range(3):
        cosines = [
            float(known[row, level] @ query[level])
            / float(np.linalg.norm(known[row, level]) * np.linalg.norm(query[level]))
            for level in range(1, 4)
            if known[row, level].any()
        ]
        assert found[row] == pytest.approx(np.mean(cosines), abs=2e-3)
    assert ReferenceIndex.of(names(3), known).similarity(known[2]).argmax() == 2


def test_chosen_levels_alone_count() -> None:
    known = features(2)
    index = ReferenceIndex.of(names(2), known)
    query = np.zeros((4, 5), np.float32)
    query[1], query[3] = known[0, 1], known[1, 3]
    assert index.similarity(query, np.array([1])).argmax() == 0
    assert index.similarity(query, np.array([3])).argmax() == 1
    assert np.isnan(index.similarity(query, np.array([0]))).all()
    assert np.isnan(index.similarity(query, np.array([], np.int64))).all()


def test_many_subjects_are_searched_as_few_are() -> None:
    known = features(20_000, levels=2)
    index = ReferenceIndex.of(names(20_000), known)
    found = index.similarity(known[17_123])
    assert int(found.argmax()) == 17_123
    few = ReferenceIndex.of(names(1000), known[16_500:17_500]).similarity(known[17_123])
    np.testing.assert_allclose(found[16_500:17_500], few, atol=1e-6)


def test_a_withdrawn_subject_is_gone_and_counted() -> None:
    known = features(4)
    index = ReferenceIndex.of(names(4), known)
    less = index.without("r2")
    assert less.names == ("r0", "r1", "r3")
    assert less.withdrawn == 1
    kept = index.similarity(known[3])[[0, 1, 3]]
    np.testing.assert_allclose(less.similarity(known[3]), kept, atol=1e-6)
    assert less.without("r0").withdrawn == 2
    with pytest.raises(ModelError, match="no reference subject is named 'r2'"):
        less.without("r2")


def test_an_index_survives_being_stored() -> None:
    index = ReferenceIndex.of(names(3), features(3)).without("r1")
    again = ReferenceIndex.read(json.loads(json.dumps(index.to_json())), index.features)
    assert again.names == index.names
    assert again.withdrawn == 1
    np.testing.assert_array_equal(again.features, index.features)
    with pytest.raises(ModelError, match="lacks its names"):
        ReferenceIndex.read({"names": [1]}, index.features)


def test_pseudonyms_tell_nothing_without_the_secret() -> None:
    first = pseudonym("IXI002", "secret")
    assert first == pseudonym("IXI002", "secret")
    assert first != pseudonym("IXI002", "other")
    assert first != pseudonym("IXI003", "secret")
    assert "IXI" not in first
    assert first.startswith("reference-")


def test_what_does_not_fit_is_refused() -> None:
    index = ReferenceIndex.of(names(2), features(2))
    with pytest.raises(ModelError, match=r"expected features of shape \(4, 5\), got \(3, 5\)"):
        index.similarity(features(1, levels=3)[0])
    with pytest.raises(ModelError, match="expected levels of 0 to 3"):
        index.similarity(features(1)[0], np.array([4]))
    with pytest.raises(ModelError, match="of 3 subjects"):
        ReferenceIndex.of(names(3), features(2))
    with pytest.raises(ModelError, match="names a subject twice"):
        ReferenceIndex.of(["a", "a"], features(2))
    broken = features(2)
    broken[0, 0, 0] = np.inf
    with pytest.raises(ModelError, match="not finite"):
        ReferenceIndex.of(names(2), broken)


def test_rows_of_zeros_stay_zeros() -> None:
    found = unit(np.array([[0.0, 0.0], [3.0, 4.0]], np.float32))
    np.testing.assert_allclose(found, [[0.0, 0.0], [0.6, 0.8]])
