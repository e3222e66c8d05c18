"""Strips: the right slice, everything where it lies in the patient, in one scale."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from counterpart.errors import CounterpartError
from counterpart.evaluation.strips import (
    LESION,
    PANEL_COUNT,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    PIXELS_PER_MM,
    STRIP_WIDTH,
    paint_strip,
    panel_lefts,
    slice_to_show,
)
from counterpart.findings import find_findings
from counterpart.grid import Grid
from counterpart.report.head import canonical_head
from counterpart.results import Evidence, Result
from counterpart.scans import Scan

Mask = NDArray[np.bool_]
Point = tuple[float, float, float]
SCAN, HEALED, RESIDUAL, ANOMALY, COMPARED, PLAIN = range(PANEL_COUNT)
THRESHOLD = 2.0
RIGHT_FRONT: Point = (36.0, 36.0, 8.0)
LEFT_BACK: Point = (-32.0, -42.0, 8.0)


def grid_of(codes: str, spacing: Point) -> Grid:
    """A grid stored in the given axes, centred on the world's origin; spacing is of R, A and S."""
    shape = tuple(2 * round(108.0 / step) for step in spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(shape, spacing, strict=True)]
    stored = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
    )
    order = np.argsort(stored[:, 0])
    affine = affine @ nib.orientations.inv_ornt_aff(stored, shape)
    return Grid(tuple(shape[int(axis)] for axis in order), affine)


def points_of(grid: Grid) -> NDArray[np.float64]:
    return grid.world(np.stack(np.indices(grid.shape), axis=-1).astype(np.float64))


def ball(grid: Grid, centre: Point, radius_mm: float) -> Mask:
    inside: Mask = np.linalg.norm(points_of(grid) - centre, axis=-1) < radius_mm
    return inside


def result_with(grid: Grid, spots: list[Point], half_axes: Point = (70.0, 85.0, 65.0)) -> Result:
    """An ellipsoid of a brain about the origin with bright spots in its anomaly map."""
    points = points_of(grid)
    brain = np.linalg.norm(points / half_axes, axis=-1) < 1
    anomaly = np.zeros(grid.shape, np.float32)
    for spot in spots:
        away = ((points - spot) ** 2).sum(axis=-1)
        anomaly += (8.0 * np.exp(-away / (2 * 7.0**2))).astype(np.float32)
    values = (brain * (400.0 + 0.2 * points[..., 2]) + 10.0 * anomaly).astype(np.float32)
    findings, mask = find_findings(anomaly, grid, THRESHOLD, np.eye(4))
    return Result(
        scan=Scan(values, grid, "a_scan"),
        reconstruction=values - 10.0 * anomaly,
        counterpart=values - 10.0 * anomaly,
        residual=anomaly,
        anomaly=anomaly,
        brain=brain.astype(np.uint8),
        mask=mask,
        findings=findings,
        threshold=THRESHOLD,
        contrast="FLAIR",
        template_from_world=np.eye(4),
        provenance={},
        evidence=Evidence(None, None, 0, "made up", "Made up."),
    )


def panel(strip: NDArray[np.uint8], number: int) -> NDArray[np.int64]:
    left = round(panel_lefts()[number])
    return strip[:, left : left + PANEL_WIDTH].astype(np.int64)


def green(pixels: NDArray[np.int64]) -> Mask:
    """Where the lesion's outline is, its softened edges included."""
    red, level, blue = np.moveaxis(pixels, -1, 0)
    near: Mask = (level > red + 60) & (level > blue + 50)
    return near


def place_of(point: Point) -> tuple[float, float]:
    """Row and column of a world point: the patient's right at the left, the front at the top."""
    return (
        PANEL_HEIGHT / 2 - PIXELS_PER_MM * point[1],
        PANEL_WIDTH / 2 - PIXELS_PER_MM * point[0],
    )


def middle(held: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(held)
    return ((rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2)


@pytest.mark.parametrize(
    ("codes", "spacing"),
    [
        ("RAS", (3.0, 3.0, 3.0)),
        ("LPS", (3.0, 3.0, 3.0)),
        ("PIL", (2.0, 3.0, 4.0)),
        ("SRP", (2.0, 2.0, 12.0)),
    ],
)
def test_lesion_is_outlined_where_it_lies_whatever_the_stored_axes(
    codes: str, spacing: Point
) -> None:
    grid = grid_of(codes, spacing)
    assert nib.orientations.aff2axcodes(grid.affine) == tuple(codes)
    result = result_with(grid, [LEFT_BACK])
    strip = paint_strip(result, ball(grid, RIGHT_FRONT, 15.0))
    assert strip.shape == (PANEL_HEIGHT, STRIP_WIDTH, 3)
    assert strip.dtype == np.uint8
    held = green(panel(strip, COMPARED))
    assert middle(held) == pytest.approx(place_of(RIGHT_FRONT), abs=4.0)
    rows, columns = np.nonzero(held)
    for extent in (np.ptp(rows), np.ptp(columns)):
        assert extent == pytest.approx(
            30.0 * PIXELS_PER_MM, abs=2.2 * PIXELS_PER_MM * max(spacing[:2])
        )
    for other in (SCAN, HEALED, RESIDUAL, ANOMALY, PLAIN):
        assert not green(panel(strip, other)).any()


@pytest.mark.parametrize("codes", ["RAS", "PIL"])
def test_finding_is_outlined_and_coloured_where_it_lies(codes: str) -> None:
    grid = grid_of(codes, (3.0, 3.0, 3.0))
    strip = paint_strip(result_with(grid, [LEFT_BACK]), None)
    scan = panel(strip, SCAN)[:300]  # above the scale bar, which the other panels lack
    for number in (RESIDUAL, ANOMALY, PLAIN):
        red, level, blue = np.moveaxis(panel(strip, number), -1, 0)
        coloured = np.maximum(red, blue) > level + 40
        assert middle(coloured) == pytest.approx(place_of(LEFT_BACK), abs=5.0), number
    outlined = np.abs(panel(strip, COMPARED)[:300] - scan).max(axis=-1) > 30
    assert middle(outlined) == pytest.approx(place_of(LEFT_BACK), abs=4.0)
    row, column = (round(at) for at in place_of(LEFT_BACK))
    assert not outlined[row - 4 : row + 5, column - 4 : column + 5].any()  # a line, not a disc
    assert (scan[row, column] > panel(strip, HEALED)[row, column] + 40).all()


def test_every_panel_has_its_letters_and_only_the_first_a_scale_bar_of_50_mm() -> None:
    strip = paint_strip(result_with(grid_of("RAS", (3.0, 3.0, 3.0)), []), None)
    for number in range(PANEL_COUNT):
        pixels = panel(strip, number)
        half = PANEL_HEIGHT // 2
        for edge in (pixels[half - 10 : half + 10, :24], pixels[half - 10 : half + 10, -24:]):
            assert edge.max() > 200, number
        bright = (pixels[PANEL_HEIGHT - 14 : PANEL_HEIGHT - 8, 150:] > 200).all(axis=-1)
        length = bright.any(axis=0).sum()
        assert length == (pytest.approx(50.0 * PIXELS_PER_MM, abs=1.5) if number == SCAN else 0)


def test_without_a_lesion_or_with_an_empty_mask_nothing_is_green() -> None:
    grid = grid_of("RAS", (3.0, 3.0, 3.0))
    result = result_with(grid, [LEFT_BACK])
    strip = paint_strip(result, None)
    assert not green(strip.astype(np.int64)).any()
    assert np.array_equal(strip, paint_strip(result, np.zeros(grid.shape, np.bool_)))


def test_same_result_gives_the_same_pixels() -> None:
    grid = grid_of("LPS", (3.0, 3.0, 4.0))
    result, lesion = result_with(grid, [LEFT_BACK]), ball(grid, RIGHT_FRONT, 12.0)
    assert np.array_equal(paint_strip(result, lesion), paint_strip(result, lesion))


def test_slice_with_most_lesion_goes_before_the_strongest_finding() -> None:
    grid = grid_of("RAS", (3.0, 3.0, 3.0))
    head = canonical_head(result_with(grid, [(0.0, 30.0, 31.5), (0.0, -30.0, 31.5)]))
    lesion = ball(head.grid, (20.0, 0.0, -22.5), 16.0) | ball(head.grid, (-20.0, 0.0, 1.5), 9.0)
    assert head.height_mm(slice_to_show(head, lesion)) == pytest.approx(-22.5)
    nothing = np.zeros(head.grid.shape, np.bool_)
    assert head.height_mm(slice_to_show(head, nothing)) == pytest.approx(31.5)


def test_without_lesion_and_finding_the_middle_of_the_brain_is_shown() -> None:
    head = canonical_head(result_with(grid_of("RAS", (3.0, 3.0, 3.0)), []))
    shown = slice_to_show(head, np.zeros(head.grid.shape, np.bool_))
    assert abs(head.height_mm(shown)) <= 3.0


def test_head_that_is_too_large_is_shrunk_into_its_panel() -> None:
    grid = grid_of("RAS", (3.0, 3.0, 3.0))
    result = result_with(grid, [], (104.0, 104.0, 60.0))
    strip = paint_strip(result, ball(grid, (60.0, 0.0, 0.0), 20.0))
    zoom = PANEL_WIDTH / (3.0 * canonical_head(result).grid.shape[0])
    assert zoom < 0.9 * PIXELS_PER_MM
    row, column = middle(green(panel(strip, COMPARED)))
    assert row == pytest.approx(PANEL_HEIGHT / 2, abs=4.0)
    assert column == pytest.approx(PANEL_WIDTH / 2 - 60.0 * zoom, abs=4.0)


def test_lesion_beyond_the_brain_mask_does_not_move_the_baseline_or_the_flagged() -> None:
    grid = grid_of("LPS", (3.0, 3.0, 3.0))
    result = result_with(grid, [RIGHT_FRONT])
    lesion = ball(grid, (60.0, 0.0, 8.0), 18.0)
    assert (lesion & (result.brain == 0)).any()
    known, missed = paint_strip(result, lesion), paint_strip(result, lesion & (result.brain > 0))
    for number in (SCAN, HEALED, RESIDUAL, ANOMALY, PLAIN):
        assert np.array_equal(panel(known, number), panel(missed, number))
    assert green(panel(known, COMPARED)).sum() > green(panel(missed, COMPARED)).sum()


def test_lesion_far_outside_the_head_is_left_out() -> None:
    grid = grid_of("RAS", (3.0, 3.0, 3.0))
    result = result_with(grid, [])
    corner = np.zeros(grid.shape, np.bool_)
    corner[0, 0, 0] = True
    assert np.array_equal(paint_strip(result, corner), paint_strip(result, None))


def test_lesion_on_another_grid_is_refused() -> None:
    result = result_with(grid_of("RAS", (3.0, 3.0, 3.0)), [])
    with pytest.raises(CounterpartError, match=r"a_scan: expected a lesion mask of \(72, 72, 72\)"):
        paint_strip(result, np.zeros((72, 72, 71), np.bool_))


def test_empty_brain_and_infinite_threshold_do_not_stop_the_strip() -> None:
    grid = grid_of("RAS", (6.0, 6.0, 6.0))
    result = result_with(grid, [RIGHT_FRONT])
    empty = replace(result, brain=np.zeros_like(result.brain), threshold=float("inf"))
    assert green(panel(paint_strip(empty, ball(grid, RIGHT_FRONT, 20.0)), COMPARED)).any()


def test_lesion_s_colour_is_none_of_the_report_s() -> None:
    red, level, blue = to_rgb(LESION)
    assert level > red + 0.5
    assert level > blue + 0.4
