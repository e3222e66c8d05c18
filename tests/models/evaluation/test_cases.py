"""The best and the worst scans: order, what stands out by which figure, and no names."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_up_figures import evaluation, froc, keeping, patient

from counterpart.evaluation.cases import (
    NOTHING,
    best_and_worst,
    case_parts,
    most_and_least_healed,
    what_stands_out,
)
from counterpart.evaluation.records import PatientFigures, Traits, case_name


def scans_of(count: int) -> list[PatientFigures]:
    """Scans s00, s01, … with falling average precision and more edge left, in no order."""
    rows = [
        patient(
            f"s{n:02d}_FLAIR",
            0.9 - 0.01 * n,
            keeping=keeping(lesion_contrast=0.3, contrast_removed=0.5, edge_left=0.01 * n),
        )
        for n in range(count)
    ]
    order = np.random.default_rng(1).permutation(count)
    return [rows[n] for n in order]


def names(rows: list[PatientFigures]) -> list[str]:
    return [row.scan.removesuffix("_FLAIR") for row in rows]


def told(scan: str = "lgg-1_FLAIR", **others: Any) -> list[str]:
    return what_stands_out(patient(scan, **others), ("FLAIR", "T1"))


@pytest.mark.parametrize("chosen", [best_and_worst, most_and_least_healed])
def test_ten_best_begin_with_the_best_and_ten_worst_with_the_worst(chosen: Any) -> None:
    best, worst = chosen(scans_of(25))
    assert names(best) == [f"s{n:02d}" for n in range(10)]
    assert names(worst) == [f"s{n:02d}" for n in range(24, 14, -1)]


@pytest.mark.parametrize(
    ("count", "best_count", "worst_count"),
    [(0, 0, 0), (1, 1, 0), (2, 1, 1), (15, 8, 7), (20, 10, 10)],
)
def test_few_scans_are_split_in_the_middle_and_none_is_in_both(
    count: int, best_count: int, worst_count: int
) -> None:
    best, worst = best_and_worst(scans_of(count), 10)
    assert (len(best), len(worst)) == (best_count, worst_count)
    assert len({*names(best), *names(worst)}) == count
    assert names(best) == [f"s{n:02d}" for n in range(best_count)]
    assert names(worst) == [f"s{n:02d}" for n in range(count - 1, count - 1 - worst_count, -1)]


def test_odd_count_is_split_without_leaving_the_halves() -> None:
    best, worst = best_and_worst(scans_of(7), 3)
    assert names(best) == ["s00", "s01", "s02"]
    assert names(worst) == ["s06", "s05", "s04"]


def test_equal_scans_are_told_apart_by_name_whatever_their_order() -> None:
    rows = [patient(f"{name}_FLAIR", 0.5) for name in "cadb"]
    for given in (rows, rows[::-1]):
        for chosen in (best_and_worst, most_and_least_healed):
            best, worst = chosen(given, 2)
            assert (names(best), names(worst)) == (["a", "b"], ["d", "c"])


def test_scans_without_an_edge_to_take_away_are_in_no_list_of_edges() -> None:
    rows = [patient("a_FLAIR"), patient("b_FLAIR", keeping=keeping(edge_left=0.9))]
    rows.append(patient("c_FLAIR", keeping=keeping(contrast_removed=0.9)))
    best, worst = most_and_least_healed(rows)
    assert (names(best), worst) == (["a"], [])


def test_nothing_stands_out_in_an_ordinary_scan() -> None:
    assert told() == []
    assert told("lgg-1_T1", keeping=keeping(lesion_contrast=-0.3)) == []


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"keeping": keeping(lesion_contrast=0.04)}, "hardly differs from the brain beside it"),
        ({"keeping": keeping(lesion_contrast=-0.2)}, "darker than the brain beside it"),
        (
            {"traits": Traits(like_brain=0.6)},
            "60% of the lesion no brighter than much of the brain",
        ),
        ({"lesion_ml": 0.8}, "little lesion (0.8 ml)"),
        ({"prevalence": 0.2}, "lesion fills 20% of the brain"),
        ({"traits": Traits(by_ventricles=0.7)}, "70% of the lesion at the ventricles"),
        ({"outside": 0.06}, "brain mask cuts off 6% of the lesion"),
        ({"traits": Traits(wide_ventricles=0.8)}, "wide ventricles"),
        ({"traits": Traits(pose_overlap=0.83)}, "poor fit to the template (overlap 0.83)"),
        ({"flagged_ml": 0.0}, "nothing flagged"),
        ({"at_threshold": froc((0, 2))[0]}, "what is flagged lies elsewhere"),
        ({"at_threshold": froc((2, 12))[0]}, "12 false positives"),
    ],
)
def test_each_rule_looks_at_one_figure(others: dict[str, Any], words: str) -> None:
    (found,) = told(**others)
    assert words in found


def test_a_contrast_without_a_threshold_of_its_own_is_told() -> None:
    assert told("brats-1_T1c") == ["no threshold for T1c"]


def test_a_lesion_brighter_than_the_brain_is_rare_in_t1_alone() -> None:
    bright = keeping(lesion_contrast=0.3)
    (words,) = told("lgg-1_T1", keeping=bright)
    assert words == "lesion brighter than the brain beside it, which is rare in T1"
    assert told("lgg-1_unknown", keeping=bright) == ["no threshold for unknown"]


def test_the_tables_name_cases_and_no_scans() -> None:
    rows = [replace(row, scan=f"lgg_secret{n}_FLAIR") for n, row in enumerate(scans_of(25))]
    heading, _, best, worst = case_parts(evaluation(rows))
    assert heading == "### The best and the worst"
    assert best.splitlines()[0].startswith("| the 10 best | AP | baseline |")
    assert len(worst.splitlines()) == 12
    assert "secret" not in best + worst
    ordered = sorted(rows, key=lambda row: row.map.ap)
    assert worst.splitlines()[2].startswith(f"| {ordered[0].case} | 0.660 | – |")
    assert NOTHING in best


def test_a_case_is_the_same_in_every_run_and_tells_scans_apart() -> None:
    assert case_name("lgg", "T1", "abc") == "lgg T1 ba78"  # the sha256 of "abc" as published
    assert case_name("lgg", "T1", "abd") != case_name("lgg", "T1", "abc")
    assert patient("lgg-1_FLAIR").case.startswith("lgg FLAIR ")
