"""NIfTI, NRRD and MetaImage of one head give the same values at the same places, bit for bit."""

import gzip
import re
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from counterpart.errors import ScanError
from counterpart.formats.derived_series import write_dicom_series
from counterpart.formats.meta_image import split_column
from counterpart.grid import Grid
from counterpart.scans import Scan, read_mask, read_scan, write_map

SHAPE = (9, 10, 11)
SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")


def oblique_affine() -> NDArray[np.float64]:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", (8, -13, 21), degrees=True).as_matrix()
    affine[:3, :3] = turn * (0.9, -1.1, 3.3)
    affine[:3, 3] = (-40.0, 70.0, -20.0)
    return affine


def some_values(shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    return (100 * np.random.default_rng(0).random(shape)).astype(np.float32)


def a_scan() -> Scan:
    return Scan(some_values(), Grid(SHAPE, oblique_affine()), "head")


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    """Any shape, oblique, flipped, permuted, anisotropic."""
    shape = tuple(draw(st.integers(8, 13)) for _ in range(3))
    angles = [draw(st.floats(-180, 180)) for _ in range(3)]
    spacing = [draw(st.floats(0.21, 9.9)) for _ in range(3)]
    signs = [draw(st.sampled_from((-1.0, 1.0))) for _ in range(3)]
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn[:, draw(st.permutations(range(3)))] * spacing * signs
    affine[:3, 3] = [draw(st.floats(-300, 300)) for _ in range(3)]
    return Scan(some_values(shape), Grid((shape[0], shape[1], shape[2]), affine), "head")


@settings(max_examples=40, deadline=None)
@given(scans())
def test_any_grid_survives_the_round_trip(scan: Scan) -> None:
    with TemporaryDirectory() as folder:
        for suffix in (".nrrd", ".mha"):
            write_map(Path(folder) / f"a{suffix}", scan.values, scan)
            back = read_scan(Path(folder) / f"a{suffix}")
            assert back.grid.same_as(scan.grid), suffix
            np.testing.assert_array_equal(back.values, scan.values)
        for suffix in (".nii", ".nii.gz"):
            write_map(Path(folder) / f"a{suffix}", scan.values, scan)
            back = read_scan(Path(folder) / f"a{suffix}")
            np.testing.assert_array_equal(back.values, scan.values)
            # NIfTI-1 holds 32-bit numbers; from the second time on nothing changes any more.
            np.testing.assert_allclose(back.grid.affine, scan.grid.affine, rtol=1e-6, atol=1e-5)
            write_map(Path(folder) / f"b{suffix}", back.values, back)
            assert read_scan(Path(folder) / f"b{suffix}").grid.same_as(back.grid)


@settings(max_examples=8, deadline=None)
@given(scans())
def test_any_grid_has_its_values_at_the_same_places_in_dicom(scan: Scan) -> None:
    with TemporaryDirectory() as folder:
        write_dicom_series(Path(folder) / "s", scan.values, scan, description="map")
        back = read_scan(Path(folder) / "s")
    index = np.array([2.0, 3.0, 4.0])
    there = np.linalg.solve(
        back.grid.affine[:3, :3], scan.grid.world(index) - back.grid.affine[:3, 3]
    )
    np.testing.assert_allclose(there, np.rint(there), atol=1e-6)
    at = tuple(np.rint(there).astype(int))
    assert abs(float(back.values[at]) - float(scan.values[2, 3, 4])) < 0.01


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-9.0, 9.0), min_size=3, max_size=3).filter(lambda x: max(map(abs, x)) > 0.2)
)
def test_a_column_is_split_without_losing_a_digit(column: list[float]) -> None:
    column = [x if abs(x) > 1e-200 else 0.0 for x in column]
    direction, length = split_column(np.array(column))
    np.testing.assert_array_max_ulp(direction * length, np.array(column), 1)
    assert abs(float((direction**2).sum()) - 1.0) < 1e-12


def test_nearly_every_column_is_split_exactly() -> None:
    columns = np.random.default_rng(0).uniform(-9.0, 9.0, (3000, 3))
    columns[::3] = np.round(columns[::3] * 1024) / 1024
    missed = 0
    for column in columns:
        direction, length = split_column(column)
        missed += not np.array_equal(direction * length, column)
    assert missed <= 1


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nhdr", ".mhd"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_simpleitk_writes_lies_where_it_says(
    tmp_path: Path, suffix: str, packed: bool
) -> None:
    image = sitk.GetImageFromArray(some_values().T.astype(np.int16))
    turn = Rotation.from_euler("xyz", (8, -13, 21), degrees=True).as_matrix()
    image.SetDirection(turn.ravel().tolist())
    image.SetSpacing((0.9, 1.1, 3.3))
    image.SetOrigin((40.0, -70.0, -20.0))
    path = tmp_path / f"head{suffix}"
    sitk.WriteImage(image, str(path), packed)
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.values, some_values().astype(np.int16))
    lps = np.array(image.TransformIndexToPhysicalPoint((8, 2, 5)))
    ras = lps * (-1.0, -1.0, 1.0)
    np.testing.assert_allclose(scan.grid.world(np.array([8.0, 2.0, 5.0])), ras, atol=1e-9)
    assert (scan.name, scan.warnings) == ("head", ())


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int16, np.bool_])
def test_simpleitk_reads_what_is_written(tmp_path: Path, suffix: str, dtype: Any) -> None:
    values = (some_values() - 20.0 * (dtype in (np.float32, np.int16))).astype(dtype)
    write_map(tmp_path / f"map{suffix}", values, a_scan())
    image = sitk.ReadImage(str(tmp_path / f"map{suffix}"))
    array = sitk.GetArrayFromImage(image).T
    assert array.dtype == (np.uint8 if dtype is np.bool_ else dtype)
    np.testing.assert_array_equal(array, values)
    lps = np.array(image.TransformIndexToPhysicalPoint((8, 9, 10)))
    expected = a_scan().grid.world(np.array([8.0, 9.0, 10.0]))
    np.testing.assert_allclose(lps * (-1.0, -1.0, 1.0), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
    ],
)
def test_each_space_of_nrrd_has_its_own_signs(
    tmp_path: Path, space: str, signs: tuple[int, int, int]
) -> None:
    path = changed(tmp_path, ".nrrd", b"left-posterior-superior", space.encode())
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ oblique_affine()
    expected = np.diag([*signs, 1.0]) @ lps
    np.testing.assert_array_equal(read_scan(path).grid.affine, expected)


def changed(folder: Path, suffix: str, old: bytes, new: bytes) -> Path:
    """A valid file with some of its header replaced (a pattern)."""
    path = folder / f"head{suffix}"
    write_map(path, some_values(), a_scan())
    content, count = re.subn(old, new, path.read_bytes(), count=1)
    assert count == 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("suffix", "old", "new", "message"),
    [
        (".nrrd", rb"NRRD0004", b"NRRD9", "not a readable NRRD image .expected NRRD0001"),
        (".nrrd", rb"space: .*\n", b"", "the affine is missing. Export with orientation"),
        (".nrrd", rb"space: .*\n", b"space dimension: 3\n", "the affine is missing"),
        (".nrrd", rb"space dir.*\n", b"spacings: 1 1 1\n", "0 directions: the affine is missing"),
        (".nrrd", rb"(directions: \([^,]*),", rb"\1,x", "should hold three numbers"),
        (".nrrd", rb"directions: .*\n", b"directions: (1,0,0) (1,0,0) (0,0,1)\n", "singular"),
        (".nrrd", rb"directions: \S*", b"directions: (0,99,0)", "voxels of 0.2 to 10.0 mm"),
        (".nrrd", rb"dimension: 3", b"dimension: 4", "should have 4 entries, got 3"),
        (".nrrd", rb"kinds: domain", b"kinds: RGB-color", "one real number per voxel, got axes"),
        (".nrrd", rb"type: .*\n", b"type: block\n", "a number's type, got 'block'"),
        (".nrrd", rb"endian: .*\n", b"", "the field 'endian' is missing"),
        (".nrrd", rb"encoding: gzip", b"encoding: bzip2", "raw or gzip, got 'bzip2'. Export"),
        (".nrrd", rb"sizes: 9", b"sizes: 90000000", "at most 1,073,741,824 voxels"),
        (".nrrd", rb"sizes: 9", b"sizes: 7", r"at least 8 slices .*\(7, 10, 11\)"),
        (".nrrd", rb"sizes: 9", b"sizes: 9000", "ends early or is damaged: expected"),
        (".nrrd", rb"encoding:", b"data file: ../x.raw\nencoding:", "one data file beside the"),
        (".mha", rb"ObjectType = Image", b"junk", "not a readable MetaImage .expected lines"),
        (".mha", rb"TransformMatrix = .*\n", b"", "TransformMatrix is not there: the affine is"),
        (".mha", rb"ElementSpacing = .*\n", b"", "ElementSpacing is not there: the affine is"),
        (".mha", rb"TransformMatrix = \S+", b"TransformMatrix = x", "should hold numbers"),
        (".mha", rb"ElementSpacing = \S+", b"ElementSpacing = 0", "singular or not finite"),
        (".mha", rb"ElementSpacing = \S+", b"ElementSpacing = 12", "voxels of 0.2 to 10.0 mm"),
        (".mha", rb"NDims = 3", b"NDims = 4", "NDims is 4, but DimSize has 3"),
        (".mha", rb"DimSize", b"ElementNumberOfChannels = 3\nDimSize", "got 3 .colour or vectors"),
        (".mha", rb"BinaryData = True", b"BinaryData = False", "expected binary voxels, got text"),
        (".mha", rb"MET_FLOAT", b"MET_OTHER", "ElementType 'MET_OTHER'"),
        (".mha", rb"DimSize = 9", b"DimSize = 90000000", "at most 1,073,741,824 voxels"),
        (".mha", rb"DimSize = 9", b"DimSize = 9000", "ends early or is damaged: expected"),
        (".mha", rb"= LOCAL", b"= gone.raw", "names 'gone.raw', which is none. Put header and"),
    ],
)
def test_a_header_that_cannot_be_meant_is_refused(
    tmp_path: Path, suffix: str, old: bytes, new: bytes, message: str
) -> None:
    with pytest.raises(ScanError, match=message):
        read_scan(changed(tmp_path, suffix, old, new))


def test_a_missing_origin_is_a_warning(tmp_path: Path) -> None:
    for suffix, line in ((".nrrd", rb"space origin: .*\n"), (".mha", rb"Offset = .*\n")):
        scan = read_scan(changed(tmp_path, suffix, line, b""))
        assert scan.warnings == (
            "The file does not say where its first voxel lies; the origin is assumed.",
        )


def test_a_scale_in_a_metaimage_is_applied(tmp_path: Path) -> None:
    scale = b"ElementToIntensityFunctionSlope = 2\nElementToIntensityFunctionOffset = -3\nDimSize"
    scan = read_scan(changed(tmp_path, ".mha", rb"DimSize", scale))
    np.testing.assert_allclose(scan.values, some_values() * 2 - 3, rtol=1e-5)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("lost", [1, 5, 9, 1500])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, suffix: str, lost: int) -> None:
    path = tmp_path / f"head{suffix}"
    write_map(path, some_values(), a_scan())
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(ScanError, match=r"ends early or is damaged: expected .* export it again"):
        read_scan(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_wrong_checksum_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"head{suffix}"
    write_map(path, some_values(), a_scan())
    content = bytearray(path.read_bytes())
    content[-6 if suffix != ".mha" else -2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ScanError, match="expected intact compressed voxels"):
        read_scan(path)


def test_a_file_packed_in_several_members_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "head.nii"
    write_map(path, some_values(), a_scan())
    content = path.read_bytes()
    parts = (content[:100], content[100:2000], content[2000:])
    packed = tmp_path / "head.nii.gz"
    packed.write_bytes(b"".join(gzip.compress(part) for part in parts))
    np.testing.assert_array_equal(read_scan(packed).values, some_values())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_bytes_that_the_header_does_not_know_are_a_warning(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "head.nii"
    write_map(path, some_values(), a_scan())
    content = path.read_bytes() + bytes(40)
    path = tmp_path / f"long{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    warning = "The file holds 40 bytes that its header does not account for"
    assert read_scan(path).warnings[0].startswith(warning)


def test_a_file_that_unpacks_without_end_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mha"
    write_map(path, some_values(), a_scan())
    header = path.read_bytes().partition(b"LOCAL\n")
    endless = zlib.compress(some_values().tobytes("F") + bytes(2**28), 1)
    path.write_bytes(header[0] + header[1] + endless)
    assert "or more bytes" in read_scan(path).warnings[0]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_mask_stored_along_other_axes_is_turned(tmp_path: Path, suffix: str) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[2, 3, 4] = 1
    grid = Grid(SHAPE, oblique_affine())
    turned = nib.as_closest_canonical(nib.nifti1.Nifti1Image(mask, grid.affine))
    stored = np.asarray(turned.dataobj)
    assert stored[2, 6, 4] == 1
    like = Scan(stored.astype(np.float32), Grid(SHAPE, turned.affine), "mask")
    write_map(tmp_path / f"mask{suffix}", stored, like)
    assert np.argwhere(read_mask(tmp_path / f"mask{suffix}", grid)).tolist() == [[2, 3, 4]]


def test_an_unknown_suffix_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected \.nii, .* got 'map\.png'"):
        write_map(tmp_path / "map.png", some_values(), a_scan())
