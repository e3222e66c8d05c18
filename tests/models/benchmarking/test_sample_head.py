"""The sample head at the size of a real scan."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from counterpart.benchmarking.sample_head import SAMPLE, write_sample_head
from counterpart.errors import CounterpartError
from counterpart.package_data import package_data
from counterpart.scans import read_scan


def test_the_head_lies_where_it_lay_in_voxels_of_one_millimetre(tmp_path: Path) -> None:
    shape = (60, 50, 41)
    path = write_sample_head(tmp_path, shape)
    sample = read_scan(package_data("sample_data") / SAMPLE)
    head = read_scan(path)
    assert path.name == f"{sample.name}.nii"
    assert head.grid.shape == shape
    assert head.grid.spacing == pytest.approx((1.0, 1.0, 1.0), abs=1e-6)
    middles = [grid.world((np.array(grid.shape) - 1) / 2) for grid in (head.grid, sample.grid)]
    np.testing.assert_allclose(*middles, atol=1e-4)
    index = np.stack(np.meshgrid(*(range(0, n, 7) for n in shape), indexing="ij"), axis=-1)
    to_sample = np.linalg.inv(sample.grid.affine)
    points = head.grid.world(index) @ to_sample[:3, :3].T + to_sample[:3, 3]
    expected = ndimage.map_coordinates(sample.values, np.moveaxis(points, -1, 0), order=1)
    found = head.values[tuple(np.moveaxis(index, -1, 0))]
    assert found.std() > 1.0
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_beyond_the_sample_there_is_nothing(tmp_path: Path) -> None:
    head = read_scan(write_sample_head(tmp_path, (220, 20, 20)))
    assert not head.values[:10].any()
    assert not head.values[-10:].any()


@pytest.mark.parametrize("shape", [(4, 100, 100), (100, 100, 5000), (100, 100)])
def test_a_shape_of_no_scan_is_refused(shape: tuple[int, int, int], tmp_path: Path) -> None:
    with pytest.raises(CounterpartError, match="expected three sizes from 8 to 1024 voxels"):
        write_sample_head(tmp_path, shape)
    assert not list(tmp_path.iterdir())
