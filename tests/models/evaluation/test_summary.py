"""From scans to sets: strongest baseline, paired differences, sensitivity, and scans told apart."""

import pytest
from made_up_figures import evaluation, froc, healthy, patient, score

from counterpart.evaluation.bootstrap import mean_interval
from counterpart.evaluation.records import MAP, RESIDUAL, FrocPoint, PatientFigures
from counterpart.evaluation.summary import (
    by_set,
    model_difference,
    sensitivity_at,
    strongest_baseline,
    summarise,
)


def with_curve(*points: tuple[int, int], lesions: int = 10, scan: str = "g-1_T1") -> PatientFigures:
    """A scan whose map has this curve of (lesions found, false positives)."""
    return patient(scan, lesions=lesions, scores={MAP: score(0.5, froc=froc(*points))})


def test_sets_are_of_one_contrast_each_and_sorted() -> None:
    rows = [patient(name) for name in ("ms-2_T1", "ms-1_FLAIR", "lgg-1_T1", "ms-1_T1")]
    found = by_set(rows)
    assert list(found) == [("lgg", "T1"), ("ms", "FLAIR"), ("ms", "T1")]
    assert [row.scan for row in found["ms", "T1"]] == ["ms-2_T1", "ms-1_T1"]


def test_the_strongest_baseline_has_the_highest_mean() -> None:
    rows = [
        patient("a_1_T1", 0.1, {"intensity": 0.9, "inverted": 0.5}),
        patient("a_2_T1", 0.1, {"intensity": 0.1, "inverted": 0.6}),
    ]
    assert strongest_baseline(rows) == "inverted"


def test_a_baseline_that_one_scan_lacks_is_not_the_strongest() -> None:
    rows = [
        patient("a_1_T1", 0.1, {"intensity": 0.9, "inverted": 0.5}),
        patient("a_2_T1", 0.1, {"inverted": 0.6}),
    ]
    assert strongest_baseline(rows) == "inverted"
    assert strongest_baseline(rows[::-1]) == "inverted"
    assert strongest_baseline([rows[0], patient("a_3_T1")]) is None


def test_each_set_has_its_own_strongest_baseline() -> None:
    rows = [
        patient("a_1_T1", 0.4, {"intensity": 0.3, "inverted": 0.6}),
        patient("a_1_FLAIR", 0.7, {"intensity": 0.5, "inverted": 0.2}),
    ]
    flair, t1 = summarise(evaluation(rows))
    assert (flair.contrast, t1.contrast) == ("FLAIR", "T1")
    assert flair.baseline is not None
    assert t1.baseline is not None
    assert (flair.baseline.name, flair.baseline.ap) == ("intensity", 0.5)
    assert (t1.baseline.name, t1.baseline.ap) == ("inverted", 0.6)
    assert (flair.map.ap, t1.map.ap) == (0.7, 0.4)
    assert flair.residual.ap == pytest.approx(0.35)


def test_means_are_over_scans() -> None:
    rows = [
        patient("a-1_T1", 0.2, prevalence=0.01, lesions=1, at_threshold=FrocPoint(0.5, 0, 3)),
        patient("a-2_T1", 0.6, prevalence=0.03, lesions=4, at_threshold=FrocPoint(0.5, 3, 0)),
    ]
    (found,) = summarise(evaluation(rows))
    assert (found.scans, found.lesions) == (2, 5)
    assert found.prevalence == pytest.approx(0.02)
    assert (found.map.ap, found.map.best_dice) == pytest.approx((0.4, 0.2))
    assert found.found == pytest.approx(3 / 5)
    assert found.false_positives == pytest.approx(1.5)
    assert (found.baseline, found.ap_difference, found.dice_difference) == (None, None, None)


def test_scans_without_lesions_that_count_have_no_share_of_them() -> None:
    (found,) = summarise(evaluation([patient(lesions=0, at_threshold=FrocPoint(0.5, 0, 1))]))
    assert (found.found, found.map.sensitivity) == (None, None)


def test_differences_to_the_baseline_are_paired_by_scan() -> None:
    """The scans differ far more than the two scores do in any of them."""
    precision = [0.1, 0.3, 0.5, 0.7, 0.9, 0.4]
    rows = [
        patient(f"a-{n}_T1", ap, {"intensity": ap - 0.02 - 0.001 * n})
        for n, ap in enumerate(precision)
    ]
    (found,) = summarise(evaluation(rows))
    alone = mean_interval([0.02 + 0.001 * n for n in range(6)])
    assert found.ap_difference is not None
    assert alone is not None
    for end in ("value", "low", "high"):
        assert getattr(found.ap_difference, end) == pytest.approx(getattr(alone, end))
    assert alone.low < 0.0225 < alone.high < 0.025
    assert found.dice_difference is not None
    assert found.dice_difference.value == pytest.approx(0.01125)


def test_with_few_scans_a_difference_has_no_interval() -> None:
    rows = [patient(f"a-{n}_T1", 0.5, {"intensity": 0.4}) for n in range(4)]
    (found,) = summarise(evaluation(rows))
    assert (found.ap_difference, found.dice_difference) == (None, None)
    assert found.baseline is not None


def test_models_are_compared_scan_by_scan_whatever_the_order() -> None:
    one = [patient(f"a-{n}_T1", 0.1 * n) for n in range(7)]
    other = [patient(f"a-{n}_T1", 0.1 * n + 0.05) for n in (6, 0, 3, 2, 1, 9)]
    found = model_difference(one, other)
    assert found is not None
    assert found.value == pytest.approx(0.05)
    assert found.high - found.low == pytest.approx(0.0)
    assert model_difference(one, other[-2:]) is None


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (((8, 4), (6, 2), (5, 1), (2, 0)), 0.5),  # a point at one false positive
        (((9, 3), (5, 0)), 0.5 + 0.4 / 3),  # between two points
        (((6, 0), (2, 0)), 0.6),  # never a false positive
        (((9, 4), (8, 3)), None),  # never so few
        (((9, 3), (7, 2), (5, 2)), None),
        (((9, 4), (3, 2), (5, 0)), 0.5 + 0.4 / 4),  # (3, 2) loses to both its neighbours
        (((9, 2), (3, 1), (5, 0)), 0.7),  # so does (3, 1), which is at one false positive itself
        (((7, 2), (9, 2), (5, 0)), 0.7),  # of two points at one cost the better one
        (((4, 9), (5, 0)), 0.5),
        (((0, 0),), 0.0),
    ],
)
def test_sensitivity_at_one_false_positive_follows_the_best_points(
    curve: tuple[tuple[int, int], ...], expected: float | None
) -> None:
    found = sensitivity_at([with_curve(*curve)], MAP, 1.0)
    assert found == (None if expected is None else pytest.approx(expected))


def test_sensitivity_counts_the_lesions_and_false_positives_of_all_scans() -> None:
    """At the second threshold 2 + 3 of 4 + 6 lesions, and 2 + 0 false positives in two scans."""
    rows = [
        with_curve((4, 5), (2, 2), (1, 0), lesions=4, scan="g-1_T1"),
        with_curve((6, 3), (3, 0), (0, 0), lesions=6, scan="g-2_T1"),
    ]
    assert sensitivity_at(rows, MAP, 1.0) == pytest.approx(0.5)
    assert sensitivity_at(rows, MAP, 4.0) == pytest.approx(1.0)
    assert sensitivity_at(rows, MAP, 0.0) == pytest.approx(0.1)
    assert sensitivity_at(rows[:1], MAP, 1.0) == pytest.approx(3 / 8)


def test_a_score_without_a_curve_has_no_sensitivity() -> None:
    rows = [with_curve((4, 1))]
    assert sensitivity_at(rows, RESIDUAL, 1.0) is None
    assert sensitivity_at([*rows, patient("g-2_T1")], MAP, 1.0) is None


def test_scans_are_told_from_healthy_ones_of_their_contrast_alone() -> None:
    """Of six pairs the patients' scans win four, and tie in one."""
    rows = [
        patient("a-1_T1", scores={MAP: score(0.5, scan_score=3.0)}),
        patient("a-2_T1", scores={MAP: score(0.5, scan_score=2.0)}),
    ]
    controls = [
        healthy(f"h-{n}_T1", scan_scores={MAP: value}) for n, value in enumerate((1.0, 2.0, 2.5))
    ]
    others = [healthy("h-9_FLAIR", scan_scores={MAP: 99.0})]
    (found,) = summarise(evaluation(rows, controls + others))
    assert found.map.scan_auroc == pytest.approx(4.5 / 6)
    assert found.residual.scan_auroc is None  # which no healthy scan has
    (alone,) = summarise(evaluation(rows, others))
    assert alone.map.scan_auroc is None


def test_slices_are_averaged_over_the_scans_that_have_both_kinds() -> None:
    rows = [
        patient(f"a-{n}_T1", scores={MAP: score(0.5, slice_auroc=area)})
        for n, area in enumerate((0.9, None, 0.7))
    ]
    (found,) = summarise(evaluation(rows))
    assert found.map.slice_auroc == pytest.approx(0.8)
    assert found.residual.slice_auroc is None
