"""What the tests of the brain stage share: a few synthetic whole heads, as few as will do."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.heads import (
    CEREBELLUM,
    GREY,
    HEAD_SHAPE,
    OUTER_FLUID,
    VENTRICLE,
    WHITE,
    HeadEntry,
    Heads,
    PreparedHead,
    read_heads,
    write_heads,
)

SKULL, SKIN = 9, 10
T1 = {OUTER_FLUID: 35, GREY: 110, WHITE: 180, VENTRICLE: 30, CEREBELLUM: 115, SKULL: 20, SKIN: 230}


@pytest.fixture(scope="session")
def a_folder_with_heads(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort with whole heads: a scan and a label map to train, a scan to validate."""
    folder = tmp_path_factory.mktemp("heads") / "cohort"
    shutil.copytree(a_cohort_folder, folder)
    write_heads(
        folder,
        [
            a_head(0, HeadEntry("train", "train", True)),
            a_head(1, HeadEntry("map", "train", False)),
            a_head(2, HeadEntry("validate", "validate", True)),
        ],
    )
    return folder


@pytest.fixture(scope="session")
def some_heads(a_folder_with_heads: Path) -> Heads:
    return read_heads(a_folder_with_heads)


def a_head(seed: int, entry: HeadEntry) -> PreparedHead:
    """Nested ellipsoids: skin, skull, fluid, grey and white matter, ventricle, cerebellum."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.97, 1.03)
    tissue = np.zeros(HEAD_SHAPE, np.uint8)
    for code, half in (
        (SKIN, (88, 108, 98)),
        (SKULL, (80, 98, 88)),
        (OUTER_FLUID, (70, 86, 66)),
        (GREY, (66, 82, 62)),
        (WHITE, (52, 66, 48)),
        (VENTRICLE, (14, 24, 12)),
    ):
        tissue[_ellipsoid(size * np.array(half))] = code
    tissue[_ellipsoid((30.0, 20.0, 16.0), (0.0, -45.0, -36.0)) & (tissue == GREY)] = CEREBELLUM
    means = np.zeros(64)
    means[list(T1)] = list(T1.values())
    noisy = means[tissue] + rng.normal(0.0, 5.0, HEAD_SHAPE)
    image = np.clip(noisy, 0, 255).astype(np.uint8) * np.uint8(entry.has_image)
    return PreparedHead(entry, image, tissue)


def _ellipsoid(
    half_axes_mm: NDArray[np.float64] | tuple[float, ...],
    centre_mm: tuple[float, ...] = (0.0, 0.0, 0.0),
) -> NDArray[np.bool_]:
    axes = [2.0 * (np.arange(n) - (n - 1) / 2.0) for n in HEAD_SHAPE]
    offset = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) - np.array(centre_mm)
    inside: NDArray[np.bool_] = ((offset / np.array(half_axes_mm)) ** 2).sum(axis=-1) <= 1.0
    return inside
