"""From heads to rows: means, and differences that are paired by subject."""

import pytest

from counterpart.ablation.records import HeadFigures
from counterpart.ablation.rows import (
    BASELINE,
    CALIBRATED,
    HEALING,
    PAPER_TEXT,
    SECOND_PASS,
    Sizes,
    ablation_rows,
)
from counterpart.ablation.summary import RowSummary, summarise_rows

ROWS = ablation_rows(Sizes())


def heads(values: list[float], contrast: str = "T1", first: int = 0) -> list[HeadFigures]:
    return [
        HeadFigures(first + number, contrast, 3.0, ap=value, within=1.0 - value)
        for number, value in enumerate(values)
    ]


def summary(found: list[RowSummary], name: str, contrast: str = "T1") -> RowSummary:
    return next(one for one in found if (one.row, one.contrast) == (name, contrast))


def test_the_difference_is_that_to_the_row_before() -> None:
    low, high = [0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.4, 0.4, 0.5, 0.8]
    found = summarise_rows(ROWS, {PAPER_TEXT: heads(low), HEALING: heads(high)})
    one = summary(found, HEALING)
    assert one.compared_with == PAPER_TEXT
    between = one.differences["ap"]
    assert between is not None
    assert between.value == pytest.approx(0.16)
    assert 0.1 <= between.low < between.value < between.high <= 0.3
    within = one.differences["within"]
    assert within is not None and within.value == pytest.approx(-0.16)
    assert summary(found, PAPER_TEXT).compared_with is None  # the row before it has no figures
    assert summary(found, PAPER_TEXT).differences["ap"] is None


def test_the_baseline_is_taken_from_the_full_method() -> None:
    found = summarise_rows(ROWS, {SECOND_PASS: heads([0.9] * 5), BASELINE: heads([0.3] * 5)})
    between = summary(found, BASELINE).differences["ap"]
    assert between is not None
    assert (between.value, between.low, between.high) == pytest.approx((0.6, 0.6, 0.6))


def test_only_subjects_that_both_rows_have_are_paired() -> None:
    known = {CALIBRATED: heads([0.5] * 6), SECOND_PASS: heads([0.7] * 6, first=2)}
    assert summary(summarise_rows(ROWS, known), SECOND_PASS).differences["ap"] is None  # four pairs
    known[SECOND_PASS] = heads([0.7] * 6, first=1)
    between = summary(summarise_rows(ROWS, known), SECOND_PASS).differences["ap"]
    assert between is not None and between.value == pytest.approx(0.2)


def test_contrasts_are_kept_apart() -> None:
    known = {HEALING: heads([0.2] * 5) + heads([0.6] * 7, "FLAIR")}
    found = summarise_rows(ROWS, known)
    assert [(one.row, one.contrast, one.subjects) for one in found] == [
        (HEALING, "T1", 5),
        (HEALING, "FLAIR", 7),
    ]
    mean = summary(found, HEALING, "FLAIR").means["ap"]
    assert mean is not None and mean.value == pytest.approx(0.6)
    assert summary(found, HEALING).means["findings"] is None
