"""Tissue fractions: they add up, follow the T1 and obey anatomy where it is known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.template import CANVAS, load_template
from counterpart.tissue import (
    DEEP,
    FLUID,
    GREY,
    WHITE,
    Anatomy,
    label_classes,
    template_anatomy,
    tissue_fractions,
)

SHAPE = (30, 34, 26)
LEVELS = {"fluid": -2.5, "grey": -0.6, "white": 0.9, "deep": 0.3}


def box(half: int, centre: tuple[int, int, int] = (15, 17, 13)) -> NDArray[np.bool_]:
    inside = np.zeros(SHAPE, bool)
    inside[tuple(slice(c - half, c + half) for c in centre)] = True
    return inside


BRAIN = box(12)
WHITE_BOX = box(8)
VENTRICLES = box(3)
DEEP_BOX = box(2, (20, 20, 13))


@pytest.fixture
def an_anatomy() -> Anatomy:
    return Anatomy(
        white=(WHITE_BOX & ~VENTRICLES & ~DEEP_BOX).astype(np.float32),
        deep=(DEEP_BOX & ~VENTRICLES).astype(np.float32),
        ventricles=VENTRICLES.astype(np.float32),
        fluid=(BRAIN & ~box(11)).astype(np.float32),
    )


@pytest.fixture
def a_t1(an_anatomy: Anatomy) -> NDArray[np.float32]:
    values = np.full(SHAPE, LEVELS["grey"], np.float32)
    values[an_anatomy.fluid > 0] = LEVELS["fluid"]
    values[an_anatomy.white > 0] = LEVELS["white"]
    values[an_anatomy.deep > 0] = LEVELS["deep"]
    values[an_anatomy.ventricles > 0] = LEVELS["fluid"]
    return values + np.random.default_rng(0).normal(0, 0.05, SHAPE).astype(np.float32)


def test_fractions_add_up_to_one_inside_and_zero_outside(
    a_t1: NDArray[np.float32], an_anatomy: Anatomy
) -> None:
    fractions = tissue_fractions(a_t1, BRAIN, an_anatomy)
    assert fractions.shape == (4, *SHAPE)
    assert fractions.dtype == np.float32
    assert fractions.min() >= 0
    np.testing.assert_allclose(fractions.sum(axis=0), BRAIN, atol=1e-6)


def test_each_tissue_is_found_where_it_is(a_t1: NDArray[np.float32], an_anatomy: Anatomy) -> None:
    fractions = tissue_fractions(a_t1, BRAIN, an_anatomy)
    cortex = box(10) & ~box(9)
    deep_white = box(7) & ~box(4) & (an_anatomy.deep == 0)
    for tissue, place, least in (
        (FLUID, box(2), 0.99),
        (FLUID, an_anatomy.fluid > 0, 0.9),
        (GREY, cortex, 0.9),
        (WHITE, deep_white, 0.9),
        (DEEP, box(1, (20, 20, 13)), 0.99),
    ):
        assert fractions[tissue][place].mean() > least, (tissue, least)


def test_partial_volume_lies_between_the_means(
    a_t1: NDArray[np.float32], an_anatomy: Anatomy
) -> None:
    place = (15, 17 - 11, 13)
    assert BRAIN[place] and not WHITE_BOX[place]
    for share in (0.25, 0.5, 0.75):
        a_t1[place] = share * LEVELS["white"] + (1 - share) * LEVELS["grey"]
        fractions = tissue_fractions(a_t1, BRAIN, an_anatomy)[(slice(None), *place)]
        assert fractions[WHITE] == pytest.approx(share, abs=0.05)
        assert fractions[GREY] == pytest.approx(1 - share, abs=0.05)


def test_dark_spots_deep_inside_white_matter_stay_white(
    a_t1: NDArray[np.float32], an_anatomy: Anatomy
) -> None:
    spot = box(1, (9 + 1, 17, 13))
    assert an_anatomy.white[spot].all()
    a_t1[spot] = LEVELS["fluid"]
    fractions = tissue_fractions(a_t1, BRAIN, an_anatomy)
    np.testing.assert_allclose(fractions[WHITE][spot], 1.0)


def test_ventricles_are_fluid_whatever_the_t1_says(
    a_t1: NDArray[np.float32], an_anatomy: Anatomy
) -> None:
    plexus = box(1)
    a_t1[plexus] = LEVELS["white"]
    fractions = tissue_fractions(a_t1, BRAIN, an_anatomy)
    np.testing.assert_allclose(fractions[FLUID][plexus], 1.0)


def test_the_scale_of_the_t1_does_not_matter(
    a_t1: NDArray[np.float32], an_anatomy: Anatomy
) -> None:
    found = tissue_fractions(3 * a_t1 - 20, BRAIN, an_anatomy)
    np.testing.assert_allclose(found, tissue_fractions(a_t1, BRAIN, an_anatomy), atol=1e-4)


def test_without_any_known_tissue_the_usual_means_are_taken() -> None:
    nothing = np.zeros(SHAPE, np.float32)
    anatomy = Anatomy(nothing, nothing, nothing, np.ones(SHAPE, np.float32))
    values = np.full(SHAPE, 1.0, np.float32)
    values[15:] = -2.2
    fractions = tissue_fractions(values, BRAIN, anatomy)
    assert fractions[WHITE][10, 17, 13] == pytest.approx(1.0)
    assert fractions[FLUID][20, 17, 13] == pytest.approx(1.0)


def test_labels_fall_into_classes_by_their_dlmuse_number() -> None:
    labels = np.array([[[0, 1, 4, 11, 51], [44, 45, 86, 23, 59], [100, 47, 207, 40, 3]]])
    classes = label_classes(labels)
    found = {name: labels[mask == 1].tolist() for name, mask in classes.items()}
    assert found == {
        "white": [44, 45, 86, 40],
        "deep": [23, 59],
        "ventricles": [4, 11, 51],
        "fluid": [1],
    }
    assert all(mask.dtype == np.float32 for mask in classes.values())


def test_no_label_belongs_to_two_classes() -> None:
    every = np.arange(256).reshape(4, 8, 8)
    assert sum(label_classes(every).values()).max() == 1


def test_the_template_serves_as_anatomy() -> None:
    anatomy = template_anatomy(load_template())
    ventricles_ml = anatomy.ventricles.sum() * CANVAS.voxel_volume_ml
    assert 5 < ventricles_ml < 120
    total = anatomy.white + anatomy.deep + anatomy.ventricles + anatomy.fluid
    assert total.max() < 1.02
    mirrored = replace(anatomy, ventricles=anatomy.ventricles[::-1])
    np.testing.assert_allclose(
        mirrored.ventricles.sum(axis=(1, 2))[26:54],
        anatomy.ventricles.sum(axis=(1, 2))[26:54],
        rtol=0.2,
        atol=5.0,
    )
