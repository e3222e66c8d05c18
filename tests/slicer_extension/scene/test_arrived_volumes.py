from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from made_up_runs import OBLIQUE, Phantom, orthonormal

from HealthyCounterpartLib.problems import ArrivalProblem
from HealthyCounterpartLib.scene.arrived_volumes import read_map, read_mask
from HealthyCounterpartLib.scene.voxels import flip_in_place, ijk_to_ras, voxels

SHAPE = (7, 9, 5)
AFFINES = {
    "plain": np.diag([1.0, 1.0, 1.0, 1.0]),
    "anisotropic": np.diag([0.5, 0.9, 6.0, 1.0]),
    "oblique": orthonormal(OBLIQUE),
    "left-handed": orthonormal(OBLIQUE) @ np.diag([-1.0, 1.0, 1.0, 1.0]),
    "left-handed along k": np.diag([1.0, 2.0, -3.0, 1.0]),
    "two axes turned": np.diag([-1.0, -1.0, 2.0, 1.0]),
    "all turned": np.diag([-1.0, -2.0, -3.0, 1.0]),
    "sagittal": np.array([[0, 0, 3.0, -4], [-1.0, 0, 0, 9], [0, -1.0, 0, 8], [0, 0, 0, 1]]),
}


@pytest.fixture(params=AFFINES.values(), ids=AFFINES)
def an_affine(request: pytest.FixtureRequest) -> np.ndarray:
    return np.array(request.param)


def test_a_voxel_found_in_space_is_the_same_voxel_in_the_file(
    a_scene: Any, an_affine: np.ndarray, tmp_path: Path
) -> None:
    phantom = Phantom(shape=SHAPE, affine=an_affine, places=())
    scan = phantom.scan(a_scene)
    sent = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    volume = read_map(_file(tmp_path, sent, an_affine), scan)
    assert np.array_equal(ijk_to_ras(volume), ijk_to_ras(scan))
    inverse = np.linalg.inv(ijk_to_ras(volume))
    for ijk in ((0, 0, 0), (6, 0, 0), (1, 7, 3), (6, 8, 4)):
        place = an_affine @ [*ijk, 1.0]
        i, j, k = np.rint(inverse @ place)[:3].astype(int)
        assert voxels(volume)[k, j, i] == sent[ijk]
        assert voxels(scan)[k, j, i] == phantom.values()[ijk]


@pytest.mark.parametrize(
    "change",
    [
        np.array([[1, 0, 0, 0.002], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        np.diag([1.01, 1.01, 1.01, 1.0]),
        np.diag([-1.0, -1.0, 1.0, 1.0]),
        np.diag([1.0, 1.0, -1.0, 1.0]),
        np.array([[0, -1.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]]),
    ],
    ids=["2 µm aside", "larger", "LPS for RAS", "upside down", "a quarter turn"],
)
def test_another_place_in_space_is_refused(
    a_scene: Any, change: np.ndarray, tmp_path: Path
) -> None:
    affine = orthonormal(OBLIQUE)
    scan = Phantom(shape=SHAPE, affine=affine, places=()).scan(a_scene)
    path = _file(tmp_path, np.zeros(SHAPE, np.float32), change @ affine)
    with pytest.raises(ArrivalProblem, match="elsewhere"):
        read_map(path, scan)


def test_a_spacing_that_is_off_a_little_adds_up_along_the_scan(
    a_scene: Any, tmp_path: Path
) -> None:
    shape = (300, 4, 4)
    scan = Phantom(shape=shape, affine=np.eye(4), places=()).scan(a_scene)
    path = _file(tmp_path, np.zeros(shape, np.float32), np.diag([1.0009, 1.0, 1.0, 1.0]))
    with pytest.raises(ArrivalProblem, match="elsewhere"):
        read_map(path, scan)


def test_a_place_that_is_off_by_rounding_alone_is_taken(a_scene: Any, tmp_path: Path) -> None:
    affine = orthonormal(OBLIQUE)
    scan = Phantom(shape=SHAPE, affine=affine, places=()).scan(a_scene)
    path = _file(tmp_path, np.zeros(SHAPE, np.float32), np.round(affine, 5))
    assert np.array_equal(ijk_to_ras(read_map(path, scan)), ijk_to_ras(scan))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((7, 9, 6), np.float32), "7 × 9 × 6"),
        (np.zeros((9, 7, 5), np.float32), "9 × 7 × 5"),
        (np.zeros((7, 9, 5, 2), np.float32), "not a volume"),
        (np.full(SHAPE, np.nan, np.float32), "not numbers"),
        (np.full(SHAPE, np.inf, np.float32), "not numbers"),
        (np.zeros(SHAPE, np.int16), "another type"),
        (np.zeros(SHAPE, np.float64), "another type"),
    ],
    ids=["longer", "swapped", "4-D", "nan", "inf", "int16", "float64"],
)
def test_what_does_not_fit_is_refused_with_its_reason(
    a_scene: Any, values: np.ndarray, reason: str, tmp_path: Path
) -> None:
    scan = Phantom(shape=SHAPE, affine=np.eye(4), places=()).scan(a_scene)
    with pytest.raises(ArrivalProblem, match=reason) as problem:
        read_map(_file(tmp_path, values, np.eye(4)), scan)
    assert problem.value.cure


def test_a_single_value_that_is_not_finite_is_found(a_scene: Any, tmp_path: Path) -> None:
    scan = Phantom(shape=SHAPE, affine=np.eye(4), places=()).scan(a_scene)
    values = np.zeros(SHAPE, np.float32)
    values[-1, -1, -1] = np.nan
    with pytest.raises(ArrivalProblem, match="not numbers"):
        read_map(_file(tmp_path, values, np.eye(4)), scan)


@pytest.mark.parametrize(
    ("length", "reason"),
    [(0, "not a volume"), (100, "not a volume"), (348, "part only"), (650, "part only")],
)
@pytest.mark.parametrize("read", [read_map, read_mask])
def test_a_file_that_broke_off_is_refused(
    a_scene: Any, read: Any, length: int, reason: str, tmp_path: Path
) -> None:
    scan = Phantom(shape=SHAPE, affine=np.eye(4), places=()).scan(a_scene)
    kind = np.float32 if read is read_map else np.uint8
    path = _file(tmp_path, np.zeros(SHAPE, kind), np.eye(4))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ArrivalProblem, match=reason):
        read(path, scan)


def test_a_missing_file_is_refused(a_scene: Any, a_scan: Any, tmp_path: Path) -> None:
    with pytest.raises(ArrivalProblem, match=r"anomaly\.nii is not a volume"):
        read_map(tmp_path / "anomaly.nii", a_scan)


def test_a_mask_holds_0_and_1_alone(a_scene: Any, tmp_path: Path) -> None:
    scan = Phantom(shape=SHAPE, affine=np.eye(4), places=()).scan(a_scene)
    mask = np.zeros(SHAPE, np.uint8)
    mask[3, 3, 3] = 1
    assert voxels(read_mask(_file(tmp_path, mask, np.eye(4)), scan)).sum() == 1
    mask[3, 3, 3] = 2
    with pytest.raises(ArrivalProblem, match="0 and 1"):
        read_mask(_file(tmp_path, mask, np.eye(4)), scan)


def test_the_scene_and_its_files_are_not_tied_to_what_was_read(
    a_scene: Any, a_scan: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    before = a_scene.GetNumberOfNodes()
    volume = read_map(a_phantom.files(tmp_path)["anomaly"], a_scan)
    assert a_scene.GetNumberOfNodes() == before
    assert volume.GetStorageNode() is None  # the folder of a job is removed


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_turning_an_axis_in_place_is_what_numpy_does(axis: int, length: int) -> None:
    shape = [3, 4, 2]
    shape[axis] = length
    values = np.arange(np.prod(shape)).reshape(shape)
    expected = np.flip(values, axis).copy()
    flip_in_place(values, axis)
    assert np.array_equal(values, expected)


def _file(folder: Path, values: np.ndarray, affine: np.ndarray) -> Path:
    path = folder / "map.nii"
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path
