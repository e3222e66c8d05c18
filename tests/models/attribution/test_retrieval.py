"""Ranks of the right subject, what is made of them, and ways to map features on made-up heads."""

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.attribution.measuring import CodedHeads, RetrievalRow, retrieval_rows, row_json
from counterpart.attribution.retrieval import difference, found_by, slice_ranks
from counterpart.errors import ModelError

Array = NDArray[np.float32]


def test_the_rank_is_that_of_the_right_subject_at_the_same_level() -> None:
    references = np.zeros((3, 2, 3), np.float32)
    references[:, 0] = np.eye(3)
    references[:, 1] = np.eye(3)[[1, 2, 0]]
    query = np.array([[[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]]], np.float32)
    assert slice_ranks(query, references, [0])[0].tolist() == [1.0, 2.0]
    assert slice_ranks(query, references, [2])[0].tolist() == [3.0, 1.0]


def test_levels_without_a_slice_are_left_out_and_ties_lie_in_the_middle() -> None:
    references = np.ones((4, 3, 2), np.float32)
    references[0, 1] = 0.0
    query = np.ones((1, 3, 2), np.float32)
    query[0, 2] = 0.0
    ranks = slice_ranks(query, references, [0])
    assert [one.tolist() for one in ranks] == [[2.5]]
    with pytest.raises(ModelError, match="same levels"):
        slice_ranks(query, references[:, :2], [0])


def test_recall_and_precision_are_those_of_one_right_answer() -> None:
    found = found_by([np.array([1.0, 2.0]), np.array([6.0, 20.0])])
    assert found.recall == (0.25, 0.5, 0.75)
    assert found.precision == pytest.approx((1 + 1 / 2 + 1 / 6 + 1 / 20) / 4)
    assert found.slices == 4


def test_the_difference_has_an_interval_by_subjects() -> None:
    rng = np.random.default_rng(1)
    good = [rng.integers(1, 4, 20).astype(float) for _ in range(20)]
    poor = [rng.integers(1, 40, 20).astype(float) for _ in range(20)]
    gap = difference(good, poor)
    assert gap.low < gap.mean < gap.high
    assert gap.low > 0.2
    same = difference(good, good)
    assert same.mean == 0.0 and same.low < 0.0 < same.high


def coded(kept_of_trained: float) -> CodedHeads:
    """Heads of two levels' means, some noise, and a share of each subject that is kept."""
    rng = np.random.default_rng(4)
    count, levels, size = 24, 12, 10
    scales = np.geomspace(1.0, 0.1, size)
    means = 4.0 * rng.standard_normal((levels, size))
    own = scales * rng.standard_normal((count, 1, size))
    own = own + 0.3 * scales * rng.standard_normal((count, levels, size))
    kept = np.where(np.arange(count) < 12, kept_of_trained, 0.3)[:, None, None]

    def view(share: Array | float) -> Array:
        noise = 0.15 * scales * rng.standard_normal(own.shape)
        return (means + share * own + noise).astype(np.float32)

    real = np.stack([view(1.0), view(1.0)])
    generated = np.stack([view(kept), view(kept)]) + np.float32(2.0)
    return CodedHeads(tuple(str(n) for n in range(count)), 12, real, {750: generated})


def by_method(rows: list[RetrievalRow]) -> dict[str, RetrievalRow]:
    return {row.method: row for row in rows}


def test_without_the_means_of_levels_and_domains_subjects_are_found() -> None:
    rows = by_method(retrieval_rows(coded(0.3)))
    raw, centred = rows["raw"], rows["mean of the level removed"]
    assert centred.trained.precision > raw.trained.precision + 0.2
    assert rows["whitening"].trained.precision > centred.trained.precision
    assert rows["learned, log-determinant"].trained.precision > raw.trained.precision
    assert abs(rows["whitening"].gap.mean) < 0.1


def test_a_model_that_keeps_its_own_subjects_shows_in_the_difference() -> None:
    row = by_method(retrieval_rows(coded(2.0)))["whitening"]
    assert row.gap.low > 0.0
    told = row_json(row)
    assert told["difference"][0] == pytest.approx(
        told["trained"]["precision"] - told["held_out"]["precision"]
    )
