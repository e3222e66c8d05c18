"""What every scan must satisfy is checked before memory is spent, and CT is told from MR."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.errors import ScanError
from counterpart.formats import scan_checks
from counterpart.formats.scan_checks import (
    available_memory,
    check_memory,
    check_values,
    checked_affine,
    looks_like_ct,
    spatial_shape,
)

PATH = Path("scan.nii")


def a_ct(background: float = -1000.0, shape: tuple[int, ...] = (30, 30, 30)) -> NDArray[np.float32]:
    """A head in Hounsfield units: air, a shell of bone, and soft tissue."""
    radius = np.sqrt(((np.indices(shape) - 14.5) ** 2).sum(axis=0))
    rng = np.random.default_rng(0)
    values = np.where(radius < 11, rng.normal(35, 8, shape), rng.normal(900, 100, shape))
    values = np.where(radius < 13, values, background + rng.normal(0, 5, shape))
    return values.astype(np.float32)


@pytest.mark.parametrize("background", [-1000.0, -1024.0, -3024.0])
def test_hounsfield_units_look_like_ct(background: float) -> None:
    with pytest.raises(ScanError, match="expected an MR scan, but this looks like CT.*Give an MR"):
        check_values(PATH, a_ct(background))


def mr_images() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    head = np.where(a_ct() > -500, rng.normal(400, 90, (30, 30, 30)), rng.rayleigh(8, (30, 30, 30)))
    return {
        "magnitude": head,
        "magnitude, air at 0": np.where(a_ct() > -500, head, 0.0),
        "standardised": (head - head.mean()) / head.std(),
        "phase": rng.uniform(-4096, 4095, head.shape),
        "lowered by 1000": head - 1000.0,
        "signed residual": rng.normal(0, 300, head.shape),
    }


@pytest.mark.parametrize("kind", list(mr_images()))
def test_mr_does_not_look_like_ct(kind: str) -> None:
    assert not looks_like_ct(mr_images()[kind].astype(np.float32))


def test_a_volume_beyond_the_free_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_checks, "available_memory", lambda: 16 * 1000)
    check_memory(PATH, (10, 10, 10))
    with pytest.raises(ScanError, match=r"\(10, 10, 11\) needs .* GiB are free. Close other"):
        check_memory(PATH, (10, 10, 11))


def test_a_volume_beyond_any_head_is_refused() -> None:
    with pytest.raises(ScanError, match=r"at most 1,073,741,824 voxels, .* export it again"):
        check_memory(PATH, (30000, 30000, 30000))


def test_free_memory_is_known() -> None:
    assert 2**27 < available_memory() < 2**50


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1e18, -3.0], r"expected the values of an MR scan, got -3 to 1e\+18.*byte order is wrong"),
        ([1e-38, 0.0], "expected the values of an MR scan"),
        ([5.0, 5.0], "every voxel has the value 5"),
        ([np.nan, 5.0], r"1 voxels are not finite, the first at \(0, 0, 0\). Replace"),
    ],
)
def test_values_that_are_no_picture_are_refused(values: list[float], message: str) -> None:
    array = np.array(values, np.float32).reshape(2, 1, 1)
    with pytest.raises(ScanError, match=message):
        check_values(PATH, array)


def test_axes_in_one_plane_are_singular() -> None:
    flat = np.eye(4)
    flat[:3, 2] = flat[:3, 0] + 0.01 * flat[:3, 1]
    with pytest.raises(ScanError, match="singular or not finite.*export the scan again"):
        checked_affine(PATH, flat)


@pytest.mark.parametrize("spacing", [0.2, 10.0])
def test_the_limits_of_voxel_size_belong_to_it(spacing: float) -> None:
    affine = np.diag([1.0, spacing, 1.0, 1.0]).astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(checked_affine(PATH, affine), affine)


def test_an_empty_volume_is_refused() -> None:
    with pytest.raises(ScanError, match=r"at least 8 slices in each direction, got \(0, 9, 9\)"):
        spatial_shape(PATH, (0, 9, 9))
