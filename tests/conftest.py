"""What the tests share: where real scans lie, and a small synthetic cohort of canvas size."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.cohort import Cohort, PreparedSubject, Subject, read_cohort, write_cohort
from counterpart.template import CANVAS

ROOT = Path(__file__).resolve().parents[1]
TISSUE_T1 = (-2.2, -0.5, 1.0, 0.2)
PARTS = (*("train",) * 3, *("validate",) * 2, *("calibrate",) * 3)


@pytest.fixture(scope="session")
def the_repository() -> Path:
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def the_threads() -> Iterator[None]:
    """Gives each of several pytest processes, and what it starts, one thread for arithmetic."""
    with pytest.MonkeyPatch.context() as patch:
        if "PYTEST_XDIST_WORKER" in os.environ:
            patch.setenv("OMP_NUM_THREADS", "1")
            torch.set_num_threads(1)
        yield


@pytest.fixture(scope="session", autouse=True)
def the_empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keeps models that the user of this machine has published out of the tests."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERPART_MODELS", str(folder))
        yield folder


@pytest.fixture(scope="session")
def the_real_data() -> Path:
    """The folder with scans of real people, which lies outside the repository."""
    folder = Path(os.environ.get("COUNTERPART_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real scans at {folder}; name their folder in COUNTERPART_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def a_cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared cohort of eight synthetic heads: three train, two validate, three calibrate."""
    folder = tmp_path_factory.mktemp("cohort")
    prepared = (_prepared_subject(number, part) for number, part in enumerate(PARTS))
    write_cohort(folder, prepared, {"source": "synthetic"})
    return folder


@pytest.fixture(scope="session")
def a_cohort(a_cohort_folder: Path) -> Cohort:
    return read_cohort(a_cohort_folder)


def _prepared_subject(number: int, part: str) -> PreparedSubject:
    rng = np.random.default_rng(number)
    tissue = _tissue(rng)
    brain = tissue.sum(axis=0) > 0.5
    fractions = tissue / np.maximum(tissue.sum(axis=0), 1e-6) * brain
    t1 = np.tensordot(np.array(TISSUE_T1), fractions, axes=1)
    t1 += 0.5 * ndimage.gaussian_filter(rng.standard_normal(t1.shape), 1.5)
    low, high = float(t1[brain].min()), float(t1[brain].max())
    step = (high - low) / 255.0
    inward = 2.0 * ndimage.distance_transform_edt(~_ellipsoid((14, 24, 12)))
    arrays = {
        "scan": np.rint((t1 - low) / step) * brain,
        "brain": brain,
        "tissue": np.rint(255.0 * fractions),
        "inward": np.minimum(np.rint(inward), 255.0),
    }
    slices_first = {
        name: np.ascontiguousarray(np.moveaxis(array, -1, -3).astype(np.uint8))
        for name, array in arrays.items()
    }
    return PreparedSubject(Subject(f"head-{number}", part, low, step, 0.95), slices_first)


def _tissue(rng: np.random.Generator) -> NDArray[np.float64]:
    """(4, I, J, K) nested soft ellipsoids: fluid, grey, white, and fluid in the middle."""
    size = np.array([66.0, 82.0, 58.0]) * rng.uniform(0.95, 1.05, 3)
    head, grey, white = (_ellipsoid(size * share) for share in (1.0, 0.96, 0.78))
    ventricles = _ellipsoid((14, 24, 12))
    deep = _ellipsoid((8, 12, 8), (24, 4, 6)) | _ellipsoid((8, 12, 8), (-24, 4, 6))
    masks = (
        (head & ~grey) | ventricles,
        grey & ~white,
        white & ~ventricles & ~deep,
        deep & ~ventricles,
    )
    soft = np.stack([ndimage.gaussian_filter(mask.astype(float), 0.7) for mask in masks])
    return soft * head


def _ellipsoid(
    half_axes_mm: NDArray[np.float64] | tuple[float, ...],
    centre_mm: tuple[float, float, float] = (0.0, -16.0, 5.0),
) -> NDArray[np.bool_]:
    index = np.moveaxis(np.indices(CANVAS.shape), 0, -1)
    offset = np.asarray(CANVAS.world(index)) - np.array(centre_mm)
    inside: NDArray[np.bool_] = ((offset / np.array(half_axes_mm)) ** 2).sum(axis=-1) <= 1.0
    return inside
