"""Slices worth showing, outlines around findings, and numbers that keep clear of each other."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from counterpart.report.panels import choose_slices, mass_by_slice, outline_field, place_numbers


def test_strongest_findings_are_among_the_slices_in_rising_order() -> None:
    mass = np.zeros((5, 100))
    for finding, (k, strength) in enumerate([(20, 5.0), (80, 9.0), (50, 7.0), (30, 1.0), (31, 1)]):
        mass[finding, k] = strength
    chosen = choose_slices(mass, 10, 90)
    assert {20, 80, 50} <= set(chosen)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 6
    assert chosen[0] >= 10
    assert chosen[-1] <= 90
    assert max(np.diff(chosen)) < 25


def test_finding_that_a_chosen_slice_shows_well_gets_no_slice_of_its_own() -> None:
    mass = np.zeros((2, 60))
    mass[0, 30] = 40.0
    mass[1, 29:33] = [5.0, 4.8, 5.0, 5.1]
    chosen = choose_slices(mass, 5, 55)
    assert 30 in chosen
    assert 32 not in chosen


def test_single_tall_finding_gets_its_lower_and_upper_part() -> None:
    mass = np.zeros((1, 100))
    mass[0, 40:61] = 10.0 - np.abs(np.arange(-10, 11)) * 0.5
    chosen = choose_slices(mass, 10, 90)
    assert sum(40 <= k <= 60 for k in chosen) >= 3
    assert 50 in chosen


def test_without_findings_slices_are_even() -> None:
    chosen = choose_slices(np.zeros((0, 120)), 10, 110)
    assert chosen == [24, 43, 62, 81, 100]


def test_few_slices_are_shown_once_each() -> None:
    chosen = choose_slices(np.eye(3, 8), 0, 7)
    assert len(chosen) == len(set(chosen)) <= 8
    assert {0, 1, 2} <= set(chosen)


def test_mass_by_slice_sums_the_anomaly_map() -> None:
    labels = np.zeros((3, 3, 4), np.int64)
    labels[0, 0, 1] = labels[1, 0, 1] = labels[0, 0, 2] = 1
    labels[2, 2, 3] = 2
    anomaly = np.full(labels.shape, -2.0, np.float32)
    expected = [[0, 4, 2, 0], [0, 0, 0, 2]]
    np.testing.assert_array_equal(mass_by_slice(labels, anomaly, 2), expected)
    assert mass_by_slice(np.zeros_like(labels), anomaly, 0).shape == (0, 4)


def test_outline_runs_around_the_finding_alone() -> None:
    anomaly = np.array([[0.0, 3.0, 1.0, 5.0]], np.float32)
    inside = np.array([[False, True, False, False]])
    np.testing.assert_array_equal(outline_field(anomaly, inside, 2.0) > 0, inside)


def test_numbers_keep_clear_of_each_other_and_within_the_panel() -> None:
    targets = [(50.0, 50.0, 58.0, 58.0)] * 6
    places = place_numbers(targets, [(12.0, 16.0)] * 6, [], (0.0, 0.0, 200.0, 200.0))
    found = [place for place in places if place is not None]
    assert len(found) == 6
    for one, other in combinations(found, 2):
        assert abs(one[0] - other[0]) >= 12 or abs(one[1] - other[1]) >= 16
    crowded = place_numbers(targets[:1], [(300.0, 16.0)], [], (0.0, 0.0, 200.0, 200.0))
    assert crowded == [None]
