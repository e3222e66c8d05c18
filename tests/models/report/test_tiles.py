"""Tiles of the HTML report: in the report's window, in proportion, the patient's right at left."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from counterpart.report.content import gather_content
from counterpart.report.look import PLAIN, Look
from counterpart.report.tiles import (
    MOST_PIXELS,
    OVERLAY_ZOOM,
    SHEET_COLUMNS,
    SHEET_TILES,
    Tiles,
    encode,
    outline,
    overlay_levels,
    overlay_palette,
    paint_tiles,
    tile_size,
)
from counterpart.results import Result


def tiles_of(result: Result) -> Tiles:
    content = gather_content(result)
    return paint_tiles(content.head, content.look, list(content.head.brain_slices()))


def picture_of(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def a_look(threshold: float = 2.0, anomaly: float = 6.0) -> Look:
    return Look((0.0, 100.0), 3.0, anomaly, threshold, np.zeros((1, 1, 1), np.bool_))


@pytest.mark.parametrize("turned", [False, True])
def test_right_anterior_marker_lies_at_the_upper_left_of_every_layer(
    make_result: Callable[..., Result], an_oblique_affine: NDArray[np.float64], turned: bool
) -> None:
    blobs = [((35.0, 40.0, 6.0), 8.0)]
    result = make_result(blobs, an_oblique_affine, (36, 28, 30)) if turned else make_result(blobs)
    tiles = tiles_of(result)
    layers = {
        "scan": tiles.greys["scan"].astype(int) - tiles.greys["counterpart"] > 60,
        "residual": tiles.residual[..., 0] > 150,
        "anomaly": (tiles.overlays["anomaly"] > 100) & (tiles.overlays["anomaly"] < 255),
        "baseline": tiles.overlays["baseline"] == 201,
    }
    for name, held in layers.items():
        _, rows, columns = np.nonzero(held)
        assert rows.mean() / held.shape[1] < 0.4, name
        assert columns.mean() / held.shape[2] < 0.4, name


def test_greys_share_one_window_and_change_only_where_the_scan_was_healed(
    make_result: Callable[..., Result],
) -> None:
    tiles = tiles_of(make_result([((35.0, 10.0, 6.0), 8.0)]))
    changed = np.abs(tiles.greys["scan"].astype(int) - tiles.greys["counterpart"]) > 8
    assert changed.any()
    _, rows, columns = np.nonzero(changed)
    assert np.ptp(rows) < 60
    assert np.ptp(columns) < 60


def test_tiles_keep_the_proportions_of_thick_and_uneven_voxels(
    make_result: Callable[..., Result],
) -> None:
    affine = np.diag([3.0, 6.0, 12.0, 1.0])
    affine[:3, 3] = [-87.0, -105.0, -78.0]
    content = gather_content(make_result([((30.0, 20.0, 18.0), 6.0)], affine, (59, 36, 14)))
    wide, tall, _ = content.head.size_mm
    assert tile_size(content.head, 14) == (round(wide), round(tall))
    tiles = paint_tiles(content.head, content.look, range(3))
    assert tiles.greys["scan"].shape == (3, round(tall), round(wide))
    assert tiles.overlays["anomaly"].shape == (3, OVERLAY_ZOOM * round(tall), 2 * round(wide))


def test_many_tiles_become_smaller_in_proportion(make_result: Callable[..., Result]) -> None:
    head = gather_content(make_result([])).head
    wide, tall = tile_size(head, 1000)
    assert 1000 * wide * tall == pytest.approx(MOST_PIXELS, rel=0.05)
    assert wide / tall == pytest.approx(head.size_mm[0] / head.size_mm[1], rel=0.03)


def test_overlay_is_transparent_below_the_threshold_and_keeps_the_sign() -> None:
    look = a_look()
    values = np.array([[-9.0, -2.0, -1.99, 0.0, 1.99, 2.0, 9.0]], np.float32)
    level = overlay_levels(values, look)
    np.testing.assert_array_equal(level, [[100, 1, 0, 0, 0, 101, 200]])
    palette = overlay_palette(look)
    np.testing.assert_array_equal(palette[level[0], 3] > 0, np.abs(values[0]) >= 2.0)
    red, _, blue, _ = palette[101]
    assert red > blue
    red, _, blue, _ = palette[1]
    assert blue > red
    assert "#" + "".join(f"{part:02x}" for part in palette[201, :3]) == PLAIN


def test_palette_follows_the_legend_s_colours() -> None:
    look = a_look()
    for strength in (2.1, 4.0, 6.0):
        (level,) = overlay_levels(np.array([strength], np.float32), look)
        expected = 255 * np.array(look.overlay(0.5 + 0.5 * strength / look.anomaly))
        np.testing.assert_allclose(overlay_palette(look)[level], expected, atol=6)


def test_outline_lies_just_outside_the_finding() -> None:
    anomaly = np.zeros((20, 24), np.float32)
    anomaly[8:12, 9:15] = 5.0
    ring = outline(anomaly, anomaly > 2, 2.0, (48, 40))
    inside = np.asarray(Image.fromarray(anomaly).resize((48, 40), Image.Resampling.BILINEAR)) > 2
    assert ring.any()
    assert not (ring & inside).any()
    rows, columns = np.nonzero(ring)
    assert (rows.min(), rows.max()) == (np.nonzero(inside)[0].min() - 1, 24)
    assert columns.min() == np.nonzero(inside)[1].min() - 1


def test_sheets_hold_every_tile_in_order(make_result: Callable[..., Result]) -> None:
    tiles = tiles_of(make_result([((30.0, 0.0, 6.0), 8.0)]))
    count = SHEET_TILES + 3
    many = np.repeat(np.arange(count, dtype=np.uint8)[:, None, None] * 9, 16, axis=1)
    many = np.repeat(many, 16, axis=2)
    sheets = replace(tiles, greys={**tiles.greys, "scan": many}).sheets("scan")
    assert len(sheets) == 2
    for number in range(count):
        sheet = np.asarray(picture_of(sheets[number // SHEET_TILES]))
        assert sheet.shape[1] == 16 * SHEET_COLUMNS
        row, column = divmod(number % SHEET_TILES, SHEET_COLUMNS)
        assert abs(int(sheet[16 * row + 8, 16 * column + 8]) - 9 * number) <= 2


def test_pictures_of_overlays_lie_over_the_scan(make_result: Callable[..., Result]) -> None:
    result = make_result([((30.0, 0.0, 6.0), 8.0)])
    tiles = tiles_of(result)
    number = int((tiles.overlays["anomaly"] > 0).sum(axis=(1, 2)).argmax())
    scan = np.asarray(picture_of(tiles.picture("scan", number)).convert("RGB")).astype(int)
    over = picture_of(tiles.picture("anomaly", number)).convert("RGB")
    over = np.asarray(over.resize((scan.shape[1], scan.shape[0]))).astype(int)
    coloured = np.ptp(over, axis=2) > 60
    assert 50 < coloured.sum() < 0.2 * coloured.size
    far = np.abs(over - scan).max(axis=2) > 40
    flagged = tiles.overlays["anomaly"][number, ::2, ::2] > 0
    grown = np.pad(flagged, 4)
    near = sum(np.roll(grown, (i, j), (0, 1)) for i in range(-4, 5) for j in range(-4, 5))
    assert not (far & (near[4:-4, 4:-4] == 0)).any()


def test_pictures_are_jpeg_or_png_with_a_palette() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert picture_of(encode(pixels)).format == "JPEG"
    palette = np.stack([np.arange(256)] * 4, axis=1).astype(np.uint8)
    picture = picture_of(encode(pixels, palette))
    assert picture.format == "PNG"
    np.testing.assert_array_equal(np.asarray(picture.convert("RGBA"))[..., 3], pixels)
