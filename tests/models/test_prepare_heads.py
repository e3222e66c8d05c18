"""Whole heads and label maps come onto one grid, and only the brain counts as brain."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.errors import CohortError
from counterpart.grid import Grid
from counterpart.heads import (
    BRAIN_TISSUES,
    BRAINSTEM,
    CEREBELLUM,
    DEEP,
    FIRST_OUTSIDE,
    GREY,
    HEAD_SHAPE,
    OUTER_FLUID,
    VENTRICLE,
    WHITE,
    HeadEntry,
    PreparedHead,
)
from counterpart.prepare_heads import head_of_scan, heads_of_label_maps, synthseg_tissue

Mask = NDArray[np.bool_]
ENTRY = HeadEntry("somebody", "train", has_image=True)


def a_grid(spacing: tuple[float, float, float]) -> Grid:
    """About 200 x 230 x 200 mm around the origin."""
    shape = tuple(round(size / mm) for size, mm in zip((200, 230, 200), spacing, strict=True))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -0.5 * np.array(spacing) * (np.array(shape) - 1)
    return Grid((shape[0], shape[1], shape[2]), affine)


GRID = a_grid((4.0, 4.0, 4.0))
SPACINGS = [(4.0, 4.0, 4.0), (2.0, 3.0, 5.0), (3.5, 1.9, 3.0)]


def ellipsoid(
    grid: Grid, half_mm: tuple[float, ...], centre_mm: tuple[float, ...] = (0.0, 0.0, 0.0)
) -> Mask:
    points = grid.world(np.moveaxis(np.indices(grid.shape), 0, -1).astype(float))
    inside: Mask = (((points - np.array(centre_mm)) / np.array(half_mm)) ** 2).sum(-1) <= 1.0
    return inside


def brain_in(grid: Grid) -> Mask:
    """A brain that does not lie in the middle of the scan."""
    return ellipsoid(grid, (62.0, 80.0, 58.0), (6.0, -9.0, 12.0))


def scan_in(grid: Grid, brain: Mask) -> NDArray[np.float32]:
    values = np.where(ellipsoid(grid, (84, 100, 84), (6.0, -9.0, 12.0)), 500.0, 0.0)
    return np.where(brain, 300.0, values).astype(np.float32)


def made(head: PreparedHead | None) -> PreparedHead:
    assert head is not None
    return head


def brain_of(head: PreparedHead) -> Mask:
    return np.isin(head.tissue, BRAIN_TISSUES)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_brain_lies_in_the_middle_in_its_true_size(
    spacing: tuple[float, float, float],
) -> None:
    grid = a_grid(spacing)
    brain = brain_in(grid)
    head = made(head_of_scan(ENTRY, scan_in(grid, brain), brain, None, grid))
    assert head.image.shape == head.tissue.shape == HEAD_SHAPE
    assert head.image.dtype == head.tissue.dtype == np.uint8
    index = np.argwhere(brain_of(head))
    middle = (index.min(axis=0) + index.max(axis=0)) / 2
    np.testing.assert_allclose(middle, (np.array(HEAD_SHAPE) - 1) / 2, atol=1.0)
    extent = 2.0 * (index.max(axis=0) - index.min(axis=0) + 1)
    np.testing.assert_allclose(extent, (124, 160, 116), atol=max(spacing) + 2.0)
    expected = brain.sum() * grid.voxel_volume_ml
    assert brain_of(head).sum() * 0.008 == pytest.approx(expected, rel=0.02)


def test_the_image_moves_with_the_brain() -> None:
    brain = brain_in(GRID)
    values = np.where(brain, 300.0, scan_in(GRID, brain)).astype(np.float32)
    values[brain] += np.arange(brain.sum(), dtype=np.float32) % 7
    head = made(head_of_scan(ENTRY, values, brain, None, GRID))
    inside, outside = head.image[brain_of(head)], head.image[~brain_of(head)]
    assert np.median(inside) == pytest.approx(255 * 303 / 500, abs=4)
    assert outside.max() == 255
    assert outside.min() == 0


def test_the_image_spans_all_bytes_whatever_the_unit() -> None:
    brain = brain_in(GRID)
    values = scan_in(GRID, brain)
    expected = made(head_of_scan(ENTRY, values, brain, None, GRID)).image
    scaled = made(head_of_scan(ENTRY, values * np.float32(0.002), brain, None, GRID)).image
    assert np.abs(scaled.astype(int) - expected).max() <= 1
    assert (expected.min(), expected.max()) == (0, 255)


def test_negative_values_are_kept_apart_from_zero() -> None:
    brain = brain_in(GRID)
    values = scan_in(GRID, brain)
    values[ellipsoid(GRID, (20, 20, 20), (6, -9, 12))] = -200.0
    head = made(head_of_scan(ENTRY, values, brain, None, GRID))
    middle = tuple(n // 2 for n in HEAD_SHAPE)
    assert head.image[middle] == 0
    assert head.image[0, 0, 0] == pytest.approx(255 * 200 / 700, abs=2)


def test_a_stripped_scan_is_no_head() -> None:
    brain = brain_in(GRID)
    stripped = np.where(brain, scan_in(GRID, brain), 0.0).astype(np.float32)
    assert head_of_scan(ENTRY, stripped, brain, None, GRID) is None
    noisy = stripped + np.random.default_rng(0).uniform(0, 5, stripped.shape).astype(np.float32)
    assert head_of_scan(ENTRY, noisy, brain, None, GRID) is None


def test_a_mask_that_is_a_little_too_small_makes_no_head_of_a_stripped_scan() -> None:
    brain = brain_in(GRID)
    stripped = np.where(brain, scan_in(GRID, brain), 0.0).astype(np.float32)
    smaller = ellipsoid(GRID, (60.0, 78.0, 56.0), (6.0, -9.0, 12.0))
    assert head_of_scan(ENTRY, stripped, smaller, None, GRID) is None


def test_without_labels_the_brain_is_grey_and_the_rest_unknown() -> None:
    brain = brain_in(GRID)
    head = made(head_of_scan(ENTRY, scan_in(GRID, brain), brain, None, GRID))
    assert np.unique(head.tissue).tolist() == [0, GREY]


@pytest.mark.parametrize(
    ("label", "code"),
    [
        *((81, WHITE), (61, WHITE), (57, DEEP), (59, DEEP), (51, VENTRICLE), (11, VENTRICLE)),
        *((38, CEREBELLUM), (41, WHITE), (72, CEREBELLUM), (35, BRAINSTEM), (104, GREY)),
        *((1, OUTER_FLUID), (0, OUTER_FLUID)),
    ],
)
def test_labels_become_tissues(label: int, code: int) -> None:
    brain = brain_in(GRID)
    labels = np.where(brain, 104, 0)
    labels[ellipsoid(GRID, (30, 30, 30), (6, -9, 12))] = label
    head = made(head_of_scan(ENTRY, scan_in(GRID, brain), brain, labels, GRID))
    assert head.tissue[tuple(n // 2 for n in HEAD_SHAPE)] == code
    assert set(np.unique(head.tissue).tolist()) == {0, GREY, code}


@pytest.mark.parametrize("label", [1, 35, 38, 51, 57, 81, 104])
def test_a_label_outside_the_brain_mask_is_no_brain(label: int) -> None:
    brain = brain_in(GRID)
    labels = np.where(brain, 104, 0)
    labels[2:5, 2:5, 2:5] = label
    with_island = made(head_of_scan(ENTRY, scan_in(GRID, brain), brain, labels, GRID))
    labels[2:5, 2:5, 2:5] = 0
    without = made(head_of_scan(ENTRY, scan_in(GRID, brain), brain, labels, GRID))
    np.testing.assert_array_equal(with_island.tissue, without.tissue)


MAP_GRID = a_grid((3.0, 3.0, 3.0))
EYE = (35.0, 88.0, -30.0)


def a_label_map() -> NDArray[np.int_]:
    """Grey with white inside, a sulcus and an eye of fluid, a hole, skin around."""
    labels = np.where(ellipsoid(MAP_GRID, (96, 112, 98)), 502, 0)
    labels[ellipsoid(MAP_GRID, (14, 14, 14), EYE)] = 24
    labels[ellipsoid(MAP_GRID, (72, 86, 68))] = 24
    labels[ellipsoid(MAP_GRID, (66, 80, 62))] = 3
    labels[ellipsoid(MAP_GRID, (50, 64, 46))] = 41
    column = labels[33:35, 38:40, 40:]
    column[column == 3] = 24
    labels[30, 40, 30] = 0
    return labels


def at(place_mm: tuple[float, float, float]) -> tuple[int, ...]:
    index = (np.array(place_mm) - MAP_GRID.affine[:3, 3]) / np.diag(MAP_GRID.affine)[:3]
    return tuple(int(n) for n in np.rint(index))


def test_fluid_is_brain_in_a_sulcus_but_not_in_the_eye() -> None:
    labels = a_label_map()
    tissue = synthseg_tissue(labels, MAP_GRID)
    eye = ellipsoid(MAP_GRID, (13, 13, 13), EYE) & (labels == 24)
    assert eye.sum() > 100
    assert (tissue[eye] == FIRST_OUTSIDE).all()
    sulcus = tissue[33:35, 38:40, 50]
    assert (labels[33:35, 38:40, 50] == 24).all()
    assert (sulcus == OUTER_FLUID).all()


def test_a_hole_in_the_brain_is_fluid_and_air_outside_is_nothing() -> None:
    tissue = synthseg_tissue(a_label_map(), MAP_GRID)
    assert tissue[30, 40, 30] == OUTER_FLUID
    assert tissue[0, 0, 0] == 0


@pytest.mark.parametrize(
    ("label", "code"),
    [
        *((2, WHITE), (46, WHITE), (25, WHITE), (57, WHITE), (42, GREY), (10, DEEP), (58, DEEP)),
        *((43, VENTRICLE), (14, VENTRICLE), (8, CEREBELLUM), (47, CEREBELLUM), (16, BRAINSTEM)),
    ],
)
def test_synthseg_labels_become_tissues_and_lesions_white_matter(label: int, code: int) -> None:
    labels = a_label_map()
    labels[ellipsoid(MAP_GRID, (15, 15, 15))] = label
    assert synthseg_tissue(labels, MAP_GRID)[at((0.0, 0.0, 0.0))] == code


def test_what_lies_outside_keeps_its_own_codes_up_to_63() -> None:
    labels = a_label_map()
    numbers = (501, 502, 515, 555, 556, 900)
    for row, number in enumerate(numbers):
        labels[2 * row, 0, 0] = number
    tissue = synthseg_tissue(labels, MAP_GRID)
    found = [int(tissue[2 * row, 0, 0]) for row in range(len(numbers))]
    assert found == [8, 9, 22, 62, 63, 63]


def save(path: Path, labels: NDArray[Any], affine: NDArray[np.float64]) -> Path:
    nib.save(nib.nifti1.Nifti1Image(labels.astype(np.int16), affine), path)
    return path


def test_label_maps_train_without_an_image(tmp_path: Path) -> None:
    save(tmp_path / "one.nii.gz", a_label_map(), MAP_GRID.affine)
    save(tmp_path / "two.nii", a_label_map(), MAP_GRID.affine)
    (tmp_path / "README.md").touch()
    heads = list(heads_of_label_maps(tmp_path))
    assert [head.entry for head in heads] == [
        HeadEntry("one", "train", has_image=False),
        HeadEntry("two", "train", has_image=False),
    ]
    for head in heads:
        assert not head.image.any()
        assert {WHITE, GREY, OUTER_FLUID, FIRST_OUTSIDE, FIRST_OUTSIDE + 1} <= set(
            np.unique(head.tissue).tolist()
        )


def test_the_order_of_a_maps_axes_does_not_matter(tmp_path: Path) -> None:
    labels = a_label_map()
    labels[:20] = np.where(labels[:20] == 3, 8, labels[:20])  # so that the sides differ
    save(tmp_path / "a.nii.gz", labels, MAP_GRID.affine)
    turned = labels[::-1, :, ::-1].transpose(2, 0, 1)
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    flip[[0, 2], 3] = np.array(labels.shape)[[0, 2]] - 1
    order = np.zeros((4, 4))
    order[0, 1] = order[1, 2] = order[2, 0] = order[3, 3] = 1
    save(tmp_path / "b.nii.gz", turned, MAP_GRID.affine @ flip @ order)
    first, second = heads_of_label_maps(tmp_path)
    np.testing.assert_array_equal(first.tissue, second.tissue)
    left = first.tissue[: HEAD_SHAPE[0] // 2]
    assert (left == CEREBELLUM).any()
    assert not (first.tissue[HEAD_SHAPE[0] // 2 :] == CEREBELLUM).any()


def test_a_folder_without_label_maps_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CohortError, match="no label map"):
        heads_of_label_maps(tmp_path)


def test_a_map_without_a_brain_is_named(tmp_path: Path) -> None:
    labels = np.full((40, 40, 40), 502)
    labels[0] = 503
    save(tmp_path / "skin.nii.gz", labels, np.diag([3.0, 3.0, 3.0, 1.0]))
    with pytest.raises(CohortError, match=r"skin\.nii\.gz: no SynthSeg brain label"):
        list(heads_of_label_maps(tmp_path))
