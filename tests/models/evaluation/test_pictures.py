"""Pictures at full resolution: size, what each panel shows, and the same bytes twice."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_results import Array, Mask, box, result_of
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from counterpart.evaluation.pictures import (
    GAP,
    LEAST_PIXELS_PER_MM,
    PANELS,
    TOP,
    Picture,
    draw_picture,
    note,
)
from counterpart.evaluation.strips import LESION
from counterpart.grid import Grid
from counterpart.report.header import EDGE
from counterpart.results import DISCLAIMER, Result

SHAPE = (70, 80, 6)
BRAIN = box((5, 65), (5, 75), (0, 6), shape=SHAPE)
SPOT = box((15, 27), (40, 60), (2, 5), shape=SHAPE)
NOWHERE = np.zeros(SHAPE, np.bool_)


def a_result(step_mm: float = 2.0, *, flagged: bool = True) -> Result:
    grid = Grid(SHAPE, np.diag([step_mm, step_mm, 5.0, 1.0]))
    noise = 0.5 * np.random.default_rng(0).standard_normal(SHAPE)
    values: Array = np.where(BRAIN, 100.0 + noise + 100.0 * SPOT, 0.0).astype(np.float32)
    anomaly: Array = np.where(SPOT & flagged, 2.0, 0.0).astype(np.float32)
    mask: Mask = SPOT if flagged else NOWHERE
    found = result_of(anomaly, mask=mask, brain=BRAIN, values=values, grid=grid)
    healed = np.where(BRAIN, 100.0, 0.0).astype(np.float32)
    return replace(found, counterpart=healed, residual=2 * anomaly)


def drawn(result: Result, lesion: Mask | None, path: Path) -> NDArray[np.uint8]:
    draw_picture(Picture.of(result, lesion), path)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def panel(picture: NDArray[np.uint8], number: int, result: Result) -> NDArray[np.uint8]:
    """One panel of the upper row."""
    wide, tall = Picture.of(result, None).panel_size
    left = EDGE + number * (wide + GAP)
    return picture[TOP : TOP + tall, left : left + wide]


@pytest.mark.parametrize("step_mm", [0.5, 1.0, 2.0])
def test_every_voxel_has_two_pixels_or_more(step_mm: float, tmp_path: Path) -> None:
    result = a_result(step_mm)
    known = Picture.of(result, SPOT)
    picture = drawn(result, SPOT, tmp_path / "one.png")
    zoom = known.pixels_per_mm
    assert zoom >= LEAST_PIXELS_PER_MM
    assert zoom * step_mm >= 2.0
    tall, wide, _ = picture.shape
    across, down = known.size_mm(known.views)
    assert across == pytest.approx(SHAPE[0] * step_mm)
    assert wide >= PANELS * zoom * across
    assert tall >= TOP + 2 * zoom * down
    assert f"Voxels of {step_mm:g} × {step_mm:g} × 5 mm" in note(known)


def test_panels_show_scan_counterpart_residual_map_and_outlines(tmp_path: Path) -> None:
    result = a_result()
    picture = drawn(result, SPOT, tmp_path / "one.png")
    scan, healed, residual, anomaly, compared = (
        panel(picture, number, result).astype(int) for number in range(PANELS)
    )
    rows, columns = np.nonzero(scan.min(axis=-1) > 200)  # the bright spot, and the letters
    middle = int(np.median(rows)), int(np.median(columns))
    assert middle[1] > scan.shape[1] / 2  # the patient's left is at the right
    assert scan[middle].min() > 240
    assert healed[middle].max() < 200
    assert residual[middle][0] > residual[middle][2] + 50  # warm
    assert anomaly[middle][0] > anomaly[middle][2] + 50
    np.testing.assert_allclose(compared[middle], scan[middle], atol=2)
    green = np.abs(compared / 255.0 - to_rgb(LESION)).max(axis=-1) < 0.15
    assert green.sum() > 20
    assert not (np.abs(scan / 255.0 - to_rgb(LESION)).max(axis=-1) < 0.15).any()


def test_the_lower_row_is_the_middle_of_the_finding_at_twice_the_scale(tmp_path: Path) -> None:
    result = a_result()
    picture = drawn(result, SPOT, tmp_path / "one.png")
    upper = panel(picture, 0, result)
    tall, wide, _ = upper.shape
    top = TOP + tall + GAP
    lower = picture[top : top + tall, EDGE : EDGE + wide]
    bright = [int((part.min(axis=-1) > 240).sum()) for part in (upper, lower)]
    assert bright[1] == pytest.approx(4 * bright[0], rel=0.1)


def test_a_scan_without_lesion_and_finding_is_drawn_too(tmp_path: Path) -> None:
    result = a_result(flagged=False)
    picture = drawn(result, None, tmp_path / "one.png")
    compared = panel(picture, 4, result)
    assert not (np.abs(compared / 255.0 - to_rgb(LESION)).max(axis=-1) < 0.15).any()
    residual = panel(picture, 2, result).astype(int)
    assert np.ptp(residual.reshape(-1, 3), axis=0).max() > 0
    assert (residual[..., 0] - residual[..., 2]).max() < 40


def test_a_picture_that_was_kept_gives_the_same_bytes_and_says_what_it_is(
    tmp_path: Path,
) -> None:
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    known = Picture.of(a_result(), SPOT)
    draw_picture(known, one)
    known.write(tmp_path / "kept.npz")
    draw_picture(Picture.read(tmp_path / "kept.npz"), other)
    assert one.read_bytes() == other.read_bytes()
    with Image.open(one) as picture:
        assert picture.info["Description"] == DISCLAIMER
        assert picture.info["Title"].startswith("lgg_01_FLAIR, slice ")
