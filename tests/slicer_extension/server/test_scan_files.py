"""The file that a scan of the scene is sent as."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from counterpart.scans import read_scan
from HealthyCounterpartLib.problems import ScanProblem
from HealthyCounterpartLib.scan_files import file_bytes, write_scan
from HealthyCounterpartLib.scan_source import SceneScan
from HealthyCounterpartLib.worker import Stopped

GO = threading.Event()
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def an_affine(*, mirrored: bool = False) -> np.ndarray:
    """Oblique, anisotropic, and left-handed if wanted."""
    affine = np.eye(4)
    affine[:3, :3] = TURN @ np.diag([0.9 * (-1 if mirrored else 1), 1.1, 3.3])
    affine[:3, 3] = (12.3, -45.6, 1 / 3)
    return affine


def some_values(dtype: str = "int16") -> np.ndarray:
    """(K, J, I), all different."""
    return np.arange(9 * 10 * 11).reshape(9, 10, 11).astype(dtype)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "float64", "int32", ">i2", ">f4"])
def test_a_reader_finds_every_voxel_where_it_was(
    tmp_path: Path, dtype: str, mirrored: bool
) -> None:
    scan = SceneScan(some_values(dtype), an_affine(mirrored=mirrored), "scan_T1")
    write_scan(scan, tmp_path / "scan.nrrd", GO)
    found = read_scan(tmp_path / "scan.nrrd")
    np.testing.assert_array_equal(found.values, scan.values.transpose(2, 1, 0))
    np.testing.assert_array_equal(found.grid.affine, scan.ijk_to_ras)


@pytest.mark.parametrize(
    "view",
    [
        lambda values: values[::-1, :, ::-1],
        lambda values: values.transpose(2, 0, 1),
        lambda values: np.repeat(values, 2, axis=1)[:, ::2],
        lambda values: np.broadcast_to(values[:, :, :1], values.shape),
    ],
)
def test_any_view_is_written_as_its_copy_would_be(tmp_path: Path, view) -> None:
    seen = view(some_values())
    one, other = (
        write_scan(SceneScan(values, an_affine(), "scan"), tmp_path / "scan.nrrd", GO)
        for values in (seen, np.ascontiguousarray(seen))
    )
    assert one == other
    assert read_scan(tmp_path / "scan.nrrd").values.shape == seen.shape[::-1]


def test_large_planes_are_written_in_several_blocks(tmp_path: Path) -> None:
    values = np.arange(8 * 700 * 900, dtype=np.int32).reshape(8, 700, 900)  # 2.4 MB a plane
    write_scan(SceneScan(values, an_affine(), "scan"), tmp_path / "scan.nrrd", GO)
    content = (tmp_path / "scan.nrrd").read_bytes()
    assert content.endswith(values.tobytes())


def test_the_hash_is_the_files_and_the_size_is_known_before(tmp_path: Path) -> None:
    scan = SceneScan(some_values(), an_affine(), "scan_T1")
    told = write_scan(scan, tmp_path / "scan.nrrd", GO)
    content = (tmp_path / "scan.nrrd").read_bytes()
    assert told == hashlib.sha256(content).hexdigest()
    assert file_bytes(scan) == len(content)


def test_the_same_scan_has_the_same_hash_and_any_other_has_another(tmp_path: Path) -> None:
    moved, changed = an_affine(), some_values()
    moved[0, 3] += 1e-9
    changed[1, 2, 3] += 1

    def hash_of(values: np.ndarray, affine: np.ndarray, name: str = "scan_T1") -> str:
        return write_scan(SceneScan(values, affine, name), tmp_path / "scan.nrrd", GO)

    hashes = [
        hash_of(some_values(), an_affine()),
        hash_of(changed, an_affine()),
        hash_of(some_values(), moved),
        hash_of(some_values(), an_affine(), "scan_FLAIR"),
    ]
    assert len(set(hashes)) == 4
    assert hash_of(some_values(), an_affine()) == hashes[0]


def test_minus_zero_is_zero(tmp_path: Path) -> None:
    plain, minus = np.eye(4), np.eye(4)
    minus[0, 1] = -0.0
    one, other = (
        write_scan(SceneScan(some_values(), affine, "scan"), tmp_path / "scan.nrrd", GO)
        for affine in (plain, minus)
    )
    assert one == other


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((4, 4, 4), bool),
        np.zeros((4, 4, 4), complex),
        np.zeros((4, 4, 4, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 4, 4), np.uint8),
    ],
)
def test_what_is_no_volume_of_numbers_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(ScanProblem, match="one number for each voxel"):
        write_scan(SceneScan(values, np.eye(4), "scan"), tmp_path / "scan.nrrd", GO)


def test_a_stop_ends_the_writing(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        write_scan(SceneScan(some_values(), np.eye(4), "scan"), tmp_path / "scan.nrrd", stop)


def test_a_name_cannot_add_to_the_header(tmp_path: Path) -> None:
    scan = SceneScan(some_values(), an_affine(), "scan\nsizes: 1 1 1")
    write_scan(scan, tmp_path / "scan.nrrd", GO)
    assert read_scan(tmp_path / "scan.nrrd").values.shape == (11, 10, 9)
