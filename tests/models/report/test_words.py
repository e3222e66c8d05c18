"""The reports' words: numbers with units and signs, no folder names, nothing left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from counterpart.report.words import (
    PANELS,
    evidence_words,
    in_plain_words,
    number_lines,
    one_line,
    p_words,
    panel_words,
    plain,
    provenance_rows,
    signed,
    without_folders,
    wrapped,
)
from counterpart.results import Result


def test_finding_numbers_break_into_short_lines() -> None:
    assert number_lines([1, 2, 3, 4, 5]) == ["1, 2, 3, 4,", "5"]
    assert number_lines(list(range(1, 15)))[-1] == "+2 more"


def test_numbers_carry_a_true_minus() -> None:
    assert signed(-12.4) == "−12"
    assert signed(-0.2) == "0"
    assert signed(3.0) == "+3"
    assert plain(-0.0625) == "−0.0625"


def test_plain_words_name_count_volume_side_and_direction(
    make_result: Callable[..., Result],
) -> None:
    one = make_result([((40.0, 0.0, 0.0), 8.0)])
    assert in_plain_words(one).startswith("1 finding above the threshold")
    assert "patient's right, brighter" in in_plain_words(one)
    dark = make_result([((-40.0, 0.0, 0.0), -9.0), ((40.0, 0.0, 0.0), 5.0)])
    assert "2 findings" in in_plain_words(dark)
    assert "patient's left, is darker" in in_plain_words(dark)
    assert "rule out" in in_plain_words(replace(one, findings=[]))


def test_without_a_p_value_the_evidence_says_that_there_is_none(
    make_result: Callable[..., Result],
) -> None:
    for blobs in ([], [((40.0, 0.0, 0.0), 8.0)]):
        words = evidence_words(make_result(blobs))
        assert "not p-values" in words
        assert not any(letter.isdigit() for letter in words)


@pytest.mark.parametrize(
    ("p_values", "count"),
    [
        ([], "Nothing beyond what healthy brains show"),
        ([0.2], "No finding that"),
        ([0.051, 1.0], "No finding that"),
        ([0.05], "1 finding that"),
        ([0.05, 0.4], "1 finding that"),
        ([0.05, 0.05, 0.4], "2 findings that"),
    ],
)
def test_evidence_counts_the_findings_that_are_rare_in_health(
    make_result_with_p: Callable[..., Result], p_values: list[float], count: str
) -> None:
    words = evidence_words(make_result_with_p(p_values))
    rare = "" if not p_values else " fewer than 1 in 20 healthy brains show"
    assert words == f"{count}{rare} (19 healthy scans, least possible p 0.050)."


def test_the_least_possible_p_value_is_told_even_where_it_is_above_a_twentieth(
    make_result_with_p: Callable[..., Result],
) -> None:
    words = evidence_words(make_result_with_p([1 / 6], healthy_scans=5))
    assert words.startswith("No finding")
    assert "(5 healthy scans, least possible p 0.167)" in words


def test_a_p_value_has_three_digits_and_none_is_a_dash() -> None:
    assert p_words(None) == "–"
    assert p_words(0.0123) == "0.012"
    assert p_words(1.0) == "1.000"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("/home/jane doe/scans/head.nii.gz", "head.nii.gz"),
        ("mask from /tmp/x/mask.nii, resampled", "mask from mask.nii, resampled"),
        ("C:\\Users\\jane\\head.nii", "head.nii"),
        ("brighter and/or darker, 3 of 10/20", "brighter and/or darker, 3 of 10/20"),
        ("model a/b", "model a/b"),
    ],
)
def test_folders_are_left_out_and_fractions_are_not(words: str, expected: str) -> None:
    assert without_folders(words) == expected


def test_provenance_is_read_to_its_depth() -> None:
    known = {
        "seed": 0,
        "thick_slices": True,
        "device": None,
        "matrix": [[1.0, -2.5], [0.0, 3.0]],
        "versions": {"torch": "2.8", "inner": {"path": "/home/jane/model"}},
    }
    assert provenance_rows(known) == [
        (0, "seed", "0"),
        (0, "thick slices", "yes"),
        (0, "device", "not recorded"),
        (0, "matrix", "1, −2.5; 0, 3"),
        (0, "versions", ""),
        (1, "torch", "2.8"),
        (1, "inner", ""),
        (2, "path", "model"),
    ]


def test_lines_break_between_words_and_hold_no_control_characters() -> None:
    assert wrapped("one two three four", 9) == ["one two", "three", "four"]
    assert one_line("a\nb\x00\udcff") == "a b□□"


def test_every_panel_has_words() -> None:
    assert tuple(panel_words("T2")) == PANELS
