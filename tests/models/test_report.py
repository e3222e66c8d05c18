"""The report: what it shows, where it shows it, and that it always says what it is."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from counterpart import report_panels as panels
from counterpart.findings import find_findings
from counterpart.grid import Grid, canonical_orientation
from counterpart.report import (
    build_figure,
    in_plain_words,
    number_lines,
    render_report,
    spread_apart,
)
from counterpart.report_page import Page, plain, printable, signed
from counterpart.results import DISCLAIMER, Result
from counterpart.scans import Scan

THRESHOLD = 2.0
PROVENANCE = {
    "model": "counterpart-flair",
    "version": "0.1.0",
    "weights_sha256": "0123456789abcdef" * 4,
    "seed": 7,
    "threshold_source": "from simulation, no p-value",
}
SHAPE = (30, 36, 28)
AFFINE = np.array(
    [[6.0, 0, 0, -87.0], [0, 6.0, 0, -105.0], [0, 0, 6.0, -81.0], [0, 0, 0, 1.0]], np.float64
)

Blob = tuple[tuple[float, float, float], float]


def a_result(
    blobs: list[Blob],
    affine: NDArray[np.float64] = AFFINE,
    shape: tuple[int, int, int] = SHAPE,
    name: str = "a_scan",
    provenance: dict[str, Any] | None = None,
) -> Result:
    """A ball of a brain with Gaussian blobs (centre in RAS mm, signed peak) in its anomaly map."""
    grid = Grid(shape, affine)
    points = grid.world(np.stack(np.indices(shape), axis=-1).astype(np.float64))
    brain = np.linalg.norm(points / [70.0, 85.0, 65.0], axis=-1) < 1
    anomaly = np.zeros(shape, np.float32)
    for centre, peak in blobs:
        away = ((points - centre) ** 2).sum(axis=-1)
        anomaly += (peak * np.exp(-away / (2 * 5.5**2))).astype(np.float32)
    values = (brain * (400.0 + points[..., 2]) + 40.0 * anomaly).astype(np.float32)
    health = (values - 40.0 * anomaly).astype(np.float32)
    findings, mask = find_findings(anomaly, grid, THRESHOLD, np.eye(4))
    return Result(
        scan=Scan(values, grid, name),
        reconstruction=health,
        counterpart=health,
        residual=anomaly,
        anomaly=anomaly,
        brain=brain.astype(np.uint8),
        mask=mask,
        findings=findings,
        threshold=THRESHOLD,
        contrast="FLAIR",
        template_from_world=np.eye(4),
        provenance=PROVENANCE if provenance is None else provenance,
    )


def many_blobs(count: int) -> list[Blob]:
    generator = np.random.default_rng(5)
    spots = [
        (float(x), float(y), float(z))
        for x in (-40, -14, 14, 40)
        for y in (-45, -15, 15, 45)
        for z in (-28, 0, 28)
    ]
    order = generator.permutation(len(spots))[:count]
    return [(spots[n], float((-1) ** n * (4 + 4 * generator.random()))) for n in order]


def an_oblique_affine() -> NDArray[np.float64]:
    """Axes stored as P, I, L, then turned by 12 degrees about the first world axis."""
    angle = np.deg2rad(12.0)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    stored = nib.orientations.inv_ornt_aff(
        nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("PIL"), nib.orientations.axcodes2ornt("RAS")
        ),
        (SHAPE[1], SHAPE[2], SHAPE[0]),
    )
    affine: NDArray[np.float64] = turn @ AFFINE @ np.linalg.inv(stored)
    if not np.allclose(np.abs(np.linalg.det(affine)), 216.0):
        raise ValueError("the fixture's affine changes volumes")
    return affine


def words_of(result: Result) -> list[str]:
    return [text.get_text() for text in build_figure(result).findobj(Text) if text.get_text()]


def test_report_is_a_png_2000_pixels_wide_that_is_no_blank(tmp_path: Path) -> None:
    render_report(a_result([((30.0, 20.0, 10.0), 6.0)]), tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as image:
        assert image.format == "PNG"
        assert image.width == 2000
        assert 2000 < image.height < 4000
        assert DISCLAIMER in image.text["Description"]
        assert np.asarray(image.convert("L")).std() > 20


def test_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    result = a_result(many_blobs(4))
    render_report(result, tmp_path / "one.png")
    render_report(result, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("count", [0, 1, 20])
def test_disclaimer_and_origin_are_always_written(count: int) -> None:
    words = words_of(a_result(many_blobs(count)))
    assert DISCLAIMER in words
    assert "Not for clinical use" in words
    assert any("0123456789ab ·" in line and "seed 7" in line for line in words)
    assert any("counterpart-flair 0.1.0" in line for line in words)
    assert any("from simulation, no p-value" in line for line in words)


def test_missing_provenance_is_said_to_be_missing() -> None:
    words = " ".join(words_of(a_result([], provenance={})))
    assert "weights not recorded" in words
    assert "seed not recorded" in words
    assert "source not recorded" in words


def test_no_finding_is_said_without_a_table() -> None:
    words = words_of(a_result([]))
    assert any(line.startswith("No finding above the threshold") for line in words)
    assert "volume, ml" not in words
    assert words.count("no finding") == 5


def test_twenty_findings_fill_the_table_and_the_rest_is_counted() -> None:
    result = a_result(many_blobs(20))
    assert len(result.findings) == 20
    words = words_of(result)
    rest = sum(finding.volume_ml for finding in result.findings[8:])
    assert f"+12 more, {rest:.1f} ml" in words
    assert sum(line in ("■ brighter", "■ darker") for line in words) == 8


@pytest.mark.parametrize("count", [0, 1, 20])
def test_no_text_overlaps_another_or_leaves_the_page(count: int) -> None:
    long = {key: f"{value}-that-goes-on-and-on" * 5 for key, value in PROVENANCE.items()}
    result = a_result(many_blobs(count), name="a_very_long_name_" * 12, provenance=long)
    figure = build_figure(result)
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    page = figure.bbox
    for text, box in zip(texts, boxes, strict=True):
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1
        assert inside, text.get_text()
    for (one, first), (other, second) in combinations(zip(texts, boxes, strict=True), 2):
        apart = (
            first.x1 <= second.x0
            or second.x1 <= first.x0
            or first.y1 <= second.y0
            or second.y1 <= first.y0
        )
        assert apart, f"{one.get_text()!r} over {other.get_text()!r}"


def test_names_with_dollars_and_unknown_glyphs_do_not_break_the_page(tmp_path: Path) -> None:
    render_report(a_result([], name="a$b_{c$ 脑"), tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 10_000
    assert printable("a$b\n脑") == "a$b □"


@pytest.mark.parametrize("turned", [False, True])
def test_right_anterior_marker_appears_at_the_upper_left(turned: bool) -> None:
    affine = an_oblique_affine() if turned else AFFINE @ np.diag([-1.0, -1.0, 1.0, 1.0])
    shape = (SHAPE[1], SHAPE[2], SHAPE[0]) if turned else SHAPE
    if not turned:
        affine[:2, 3] *= -1
    result = a_result([((40.0, 45.0, 10.0), 8.0)], affine, shape)
    head = panels.canonical_head(result)
    i, j, k = np.unravel_index(int(head.scan.argmax()), head.scan.shape)
    axial = panels.axial_view(head.anomaly, int(k))
    row, column = np.unravel_index(int(axial.argmax()), axial.shape)
    assert axial.shape == (head.grid.shape[1], head.grid.shape[0])
    assert row < axial.shape[0] / 3
    assert column < axial.shape[1] / 3
    coronal = panels.coronal_view(head.anomaly, int(j))
    assert np.unravel_index(int(coronal.argmax()), coronal.shape)[1] < coronal.shape[1] / 3
    sagittal = panels.sagittal_view(head.anomaly, int(i))
    row, column = np.unravel_index(int(sagittal.argmax()), sagittal.shape)
    assert column < sagittal.shape[1] / 3
    assert row < sagittal.shape[0] / 2


def test_cropped_grid_still_tells_where_voxels_lie() -> None:
    result = a_result([((40.0, 45.0, 10.0), 8.0)], an_oblique_affine(), (36, 28, 30))
    head = panels.canonical_head(result)
    peak = np.array(np.unravel_index(int(head.anomaly.argmax()), head.anomaly.shape), np.float64)
    stored = np.array(
        np.unravel_index(int(result.anomaly.argmax()), result.anomaly.shape), np.float64
    )
    np.testing.assert_allclose(head.grid.world(peak), result.scan.grid.world(stored), atol=1e-9)
    assert head.labels[tuple(peak.astype(int))] == 1
    assert head.slice_count == canonical_orientation(result.scan.grid).canonical.shape[2]
    assert head.grid.shape < canonical_orientation(result.scan.grid).canonical.shape


def test_anisotropic_view_keeps_its_aspect_in_millimetres() -> None:
    page = Page.blank(1000)
    panel = page.panel((100.0, 200.0, 300.0, 400.0), (40 * 0.8, 20 * 2.4))
    left, top, wide, tall = panel.view_box
    assert tall / wide == pytest.approx(48.0 / 32.0)
    assert wide == pytest.approx(min(300.0, 400.0 * 32.0 / 48.0))
    assert left + wide / 2 == pytest.approx(250.0)
    assert top + tall / 2 == pytest.approx(400.0)
    assert panel.zoom == pytest.approx(wide / 32.0)


def test_thick_slices_keep_the_page_and_their_positions(tmp_path: Path) -> None:
    affine = np.diag([3.0, 6.0, 12.0, 1.0])
    affine[:3, 3] = [-87.0, -105.0, -78.0]
    result = a_result([((30.0, 20.0, 18.0), 6.0)], affine, (59, 36, 14))
    words = words_of(result)
    heights = [line for line in words if line.startswith("S ") and line.endswith(" mm")]
    assert "S +18 mm" in heights
    assert len(heights) == len({line for line in words if line.startswith("Slice ")})
    assert f"Slice {round((18 + 78) / 12) + 1}" in words


def test_strongest_findings_are_among_the_slices_in_rising_order() -> None:
    mass = np.zeros((5, 100))
    for finding, (k, strength) in enumerate([(20, 5.0), (80, 9.0), (50, 7.0), (30, 1.0), (31, 1)]):
        mass[finding, k] = strength
    chosen = panels.choose_slices(mass, 10, 90)
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
    chosen = panels.choose_slices(mass, 5, 55)
    assert 30 in chosen
    assert 32 not in chosen


def test_single_tall_finding_gets_its_lower_and_upper_part() -> None:
    mass = np.zeros((1, 100))
    mass[0, 40:61] = 10.0 - np.abs(np.arange(-10, 11)) * 0.5
    chosen = panels.choose_slices(mass, 10, 90)
    assert sum(40 <= k <= 60 for k in chosen) >= 3
    assert 50 in chosen


def test_without_findings_slices_are_even() -> None:
    chosen = panels.choose_slices(np.zeros((0, 120)), 10, 110)
    assert chosen == [24, 43, 62, 81, 100]


def test_few_slices_are_shown_once_each() -> None:
    chosen = panels.choose_slices(np.eye(3, 8), 0, 7)
    assert len(chosen) == len(set(chosen)) <= 8
    assert {0, 1, 2} <= set(chosen)


def test_mass_by_slice_sums_the_anomaly_map() -> None:
    labels = np.zeros((3, 3, 4), np.int64)
    labels[0, 0, 1] = labels[1, 0, 1] = labels[0, 0, 2] = 1
    labels[2, 2, 3] = 2
    anomaly = np.full(labels.shape, -2.0, np.float32)
    expected = [[0, 4, 2, 0], [0, 0, 0, 2]]
    np.testing.assert_array_equal(panels.mass_by_slice(labels, anomaly, 2), expected)
    assert panels.mass_by_slice(np.zeros_like(labels), anomaly, 0).shape == (0, 4)


def test_labels_are_found_again_from_a_mask_of_ones() -> None:
    result = a_result([((-30.0, 0.0, 0.0), 8.0), ((30.0, 0.0, 0.0), -6.0), ((0.0, 50.0, 0.0), 4.0)])
    labels = panels.label_findings(
        result.findings, result.mask > 0, result.anomaly, result.scan.grid
    )
    assert len(result.findings) == 3
    np.testing.assert_array_equal(labels, result.mask)


def test_window_ignores_the_skull_and_few_extreme_voxels() -> None:
    generator = np.random.default_rng(0)
    scan = generator.uniform(100.0, 200.0, (30, 30, 30)).astype(np.float32)
    brain = np.zeros(scan.shape, np.bool_)
    brain[5:25, 5:25, 5:25] = True
    scan[~brain] = 5000.0
    scan[10, 10, 10] = 1e5
    low, high = panels.grey_window(scan, brain)
    assert 90.0 < low < 105.0
    assert 195.0 < high < 210.0


def test_window_of_a_constant_brain_is_not_empty() -> None:
    low, high = panels.grey_window(
        np.full((4, 4, 4), 7.0, np.float32), np.ones((4, 4, 4), np.bool_)
    )
    assert high > low


def test_constant_background_is_found_only_where_there_is_one() -> None:
    brain = np.zeros((10, 10, 10), np.bool_)
    brain[3:7, 3:7, 3:7] = True
    values = np.random.default_rng(0).normal(size=brain.shape).astype(np.float32)
    assert not panels.constant_background(values, brain).any()
    stripped = np.where(brain, values, np.float32(0.0))
    np.testing.assert_array_equal(panels.constant_background(stripped, brain), ~brain)


def test_crop_keeps_a_margin_in_millimetres_within_the_array() -> None:
    inside = np.zeros((40, 40, 10), np.bool_)
    inside[10:20, 15:35, 4:6] = True
    cut = panels.crop_box(inside, (1.0, 2.0, 8.0), margin_mm=10.0)
    assert cut == (slice(0, 30), slice(10, 40), slice(2, 8))
    assert panels.crop_box(np.zeros((3, 4, 5), np.bool_), (1.0, 1.0, 1.0)) == (
        slice(0, 3),
        slice(0, 4),
        slice(0, 5),
    )


def test_residual_colours_are_neutral_at_zero_and_mirror_each_other_in_lightness() -> None:
    colours = panels.residual_colours()
    red, green, blue, _ = colours(0.5)
    assert max(red, green, blue) - min(red, green, blue) < 0.05
    warm, cool = colours(0.75), colours(0.25)
    assert warm[0] > warm[2]
    assert cool[2] > cool[0]
    for share in (0.0, 0.1):
        assert np.mean(colours(share)[:3]) == pytest.approx(
            np.mean(colours(1 - share)[:3]), abs=0.2
        )


def test_overlay_is_transparent_exactly_below_the_threshold() -> None:
    colours = panels.anomaly_colours(0.4)
    at = np.array([-1.0, -0.41, -0.39, 0.0, 0.39, 0.41, 1.0])
    opacity = colours((at + 1) / 2)[:, 3]
    np.testing.assert_array_equal(opacity > 0, np.abs(at) >= 0.4)


@pytest.mark.parametrize(("value", "limit"), [(0.0, 1.0), (2.0, 2.0), (2.1, 3.0), (0.07, 0.08)])
def test_limits_are_round_numbers_that_hold_the_value(value: float, limit: float) -> None:
    assert panels.nice_limit(value) == pytest.approx(limit)


def test_anomaly_scale_keeps_the_threshold_within_its_middle() -> None:
    assert panels.anomaly_limit(2.0, []) == pytest.approx(4.0)
    assert panels.anomaly_limit(2.0, [5.5]) == pytest.approx(6.0)
    assert panels.anomaly_limit(2.0, [500.0]) == pytest.approx(8.0)
    assert panels.anomaly_limit(float("inf"), []) == pytest.approx(1.0)


def test_outline_runs_around_the_finding_alone() -> None:
    anomaly = np.array([[0.0, 3.0, 1.0, 5.0]], np.float32)
    inside = np.array([[False, True, False, False]])
    np.testing.assert_array_equal(panels.outline_field(anomaly, inside, 2.0) > 0, inside)


def test_numbers_keep_clear_of_each_other_and_within_the_panel() -> None:
    targets = [(50.0, 50.0, 58.0, 58.0)] * 6
    places = panels.place_numbers(targets, [(12.0, 16.0)] * 6, [], (0.0, 0.0, 200.0, 200.0))
    found = [place for place in places if place is not None]
    assert len(found) == 6
    for one, other in combinations(found, 2):
        assert abs(one[0] - other[0]) >= 12 or abs(one[1] - other[1]) >= 16
    crowded = panels.place_numbers(targets[:1], [(300.0, 16.0)], [], (0.0, 0.0, 200.0, 200.0))
    assert crowded == [None]


def test_localiser_labels_are_spread_apart() -> None:
    assert spread_apart([10.0, 12.0, 60.0], 15.0) == [10.0, 25.0, 60.0]
    assert spread_apart([], 15.0) == []


def test_finding_numbers_break_into_short_lines() -> None:
    assert number_lines([1, 2, 3, 4, 5]) == ["1, 2, 3, 4,", "5"]
    assert number_lines(list(range(1, 15)))[-1] == "+2 more"


def test_numbers_carry_a_true_minus() -> None:
    assert signed(-12.4) == "−12"
    assert signed(-0.2) == "0"
    assert signed(3.0) == "+3"
    assert plain(-0.0625) == "−0.0625"


def test_plain_words_name_count_volume_side_and_direction() -> None:
    one = a_result([((40.0, 0.0, 0.0), 8.0)])
    assert in_plain_words(one).startswith("1 finding above the threshold")
    assert "patient's right, brighter" in in_plain_words(one)
    dark = a_result([((-40.0, 0.0, 0.0), -9.0), ((40.0, 0.0, 0.0), 5.0)])
    assert "2 findings" in in_plain_words(dark)
    assert "patient's left, is darker" in in_plain_words(dark)
    assert "rule out" in in_plain_words(replace(one, findings=[]))


def test_anomalies_too_extreme_or_empty_masks_do_not_stop_the_report(tmp_path: Path) -> None:
    result = a_result([((40.0, 0.0, 0.0), 800.0)])
    empty = replace(result, brain=np.zeros_like(result.brain), threshold=float("inf"))
    render_report(empty, tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 10_000
