"""Scans are read with their grid, maps written on it, and what is no scan is refused in words."""

import gzip
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from counterpart.errors import ScanError
from counterpart.formats.nifti_image import GEOMETRY_FIELDS
from counterpart.grid import Grid
from counterpart.scans import Scan, is_nifti, read_mask, read_scan, scan_name, write_map

SHAPE = (9, 10, 11)


def oblique_affine() -> NDArray[np.float64]:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", (8, -13, 21), degrees=True).as_matrix()
    affine[:3, :3] = turn * (0.9, -1.1, 3.3)
    affine[:3, 3] = (-40.0, 70.0, -20.0)
    return affine.astype(np.float32).astype(np.float64)


def some_values(dtype: Any = np.float32) -> NDArray[Any]:
    return (100 * np.random.default_rng(0).random(SHAPE)).astype(dtype)


def save(path: Path, values: NDArray[Any], affine: NDArray[np.float64] | None = None) -> Path:
    image = nib.nifti1.Nifti1Image(values, oblique_affine() if affine is None else affine)
    nib.save(image, path)
    return path


def patched(path: Path, at: int, content: bytes) -> Path:
    """The NIfTI file, uncompressed, with some header bytes replaced."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[at : at + len(content)] = content
    plain = path.with_name("patched.nii")
    plain.write_bytes(bytes(raw))
    return plain


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    return save(tmp_path / "Patient.A_FLAIR.nii.gz", some_values())


def test_values_grid_and_name_are_those_of_the_file(a_file: Path) -> None:
    scan = read_scan(a_file)
    assert scan.values.dtype == np.float32
    np.testing.assert_array_equal(scan.values, some_values())
    np.testing.assert_array_equal(scan.grid.affine, oblique_affine())
    assert scan.grid.shape == SHAPE
    assert scan.name == "Patient.A_FLAIR"


def test_scale_and_offset_of_the_file_are_applied(tmp_path: Path) -> None:
    image = nib.nifti1.Nifti1Image(some_values(np.int16), oblique_affine())
    image.header.set_slope_inter(0.5, -7.0)
    path = tmp_path / "scaled.nii.gz"
    nib.save(image, path)
    raw = np.asarray(nib.nifti1.load(path).dataobj.get_unscaled())
    slope = float(nib.nifti1.load(path).dataobj.slope)
    intercept = float(nib.nifti1.load(path).dataobj.inter)
    np.testing.assert_allclose(read_scan(path).values, raw * slope + intercept, rtol=1e-6)


def test_a_fourth_axis_of_one_is_no_fourth_dimension(tmp_path: Path) -> None:
    path = save(tmp_path / "one.nii.gz", some_values()[..., None])
    scan = read_scan(path)
    assert scan.grid.shape == SHAPE
    np.testing.assert_array_equal(scan.values, some_values())


@pytest.mark.parametrize(
    ("file", "name"),
    [("a.nii.gz", "a"), ("a.b_T1.NII.GZ", "a.b_T1"), ("c.nii", "c"), ("d.mgz", "d")],
)
def test_scan_name_drops_the_extension_alone(file: str, name: str) -> None:
    assert scan_name(Path("some.folder") / file) == name


def test_nifti_is_told_by_the_extension() -> None:
    assert is_nifti(Path("a.NII.gz"))
    assert not is_nifti(Path("a.nii.png"))


def test_a_map_lies_on_exactly_the_grid_of_the_scan(a_file: Path, tmp_path: Path) -> None:
    scan = read_scan(a_file)
    write_map(tmp_path / "map.nii.gz", scan.values * 2, scan)
    written = read_scan(tmp_path / "map.nii.gz")
    assert written.grid.same_as(scan.grid)
    np.testing.assert_array_equal(written.values, scan.values * 2)


@pytest.mark.parametrize("codes", [(1, 1), (0, 2), (1, 4), (3, 0)])
def test_a_map_keeps_the_codes_of_the_scan(tmp_path: Path, codes: tuple[int, int]) -> None:
    image = nib.nifti1.Nifti1Image(some_values(), oblique_affine())
    image.set_qform(oblique_affine(), code=codes[0])
    image.set_sform(oblique_affine(), code=codes[1])
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    write_map(tmp_path / "map.nii.gz", scan.values, scan)
    written = read_scan(tmp_path / "map.nii.gz")
    assert written.codes == scan.codes == codes
    # A quaternion in float32 does not keep the last digit.
    np.testing.assert_allclose(written.grid.affine, scan.grid.affine, atol=1e-4)


def test_a_map_of_a_scan_without_codes_still_says_where_it_lies(tmp_path: Path) -> None:
    grid = Grid(SHAPE, oblique_affine())
    write_map(tmp_path / "map.nii.gz", some_values(), Scan(some_values(), grid, "scan", (0, 0)))
    assert read_scan(tmp_path / "map.nii.gz").grid.same_as(grid)


def a_file_with_two_geometries(folder: Path) -> Path:
    """qform and sform differ, and every geometry field has digits of its own."""
    image = nib.nifti1.Nifti1Image(some_values(), oblique_affine())
    scanner = oblique_affine()
    scanner[:3, 3] += (1.25, -2.5, 3.75)
    image.set_qform(scanner, code=1)
    image.set_sform(oblique_affine() * 1.001, code=4)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4:] = (2.5, 0.5, 7.0, 9.0)
    image.header["descrip"] = b"Secret^Person"
    nib.save(image, folder / "two.nii.gz")
    return folder / "two.nii.gz"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_map_has_the_geometry_header_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    path = a_file_with_two_geometries(tmp_path)
    write_map(tmp_path / f"map{suffix}", some_values(np.int16), read_scan(path))
    source = nib.nifti1.load(path).header
    written = nib.nifti1.load(tmp_path / f"map{suffix}").header
    for name in GEOMETRY_FIELDS:
        assert written[name].tobytes() == source[name].tobytes(), name
    assert written["descrip"].item() == b""
    assert written.get_data_dtype() == np.int16


def test_a_map_without_orientation_codes_stays_without(tmp_path: Path) -> None:
    path = patched(save(tmp_path / "scan.nii.gz", some_values()), 252, bytes(4))
    scan = read_scan(path)
    write_map(tmp_path / "map.nii", scan.values, scan)
    back = read_scan(tmp_path / "map.nii")
    assert back.codes == (0, 0)
    assert back.grid.same_as(scan.grid)


def test_nifti_2_keeps_all_digits(tmp_path: Path) -> None:
    affine = oblique_affine() + 1e-12
    affine[3] = (0, 0, 0, 1)
    nib.save(nib.nifti2.Nifti2Image(some_values(), affine), tmp_path / "scan.nii")
    scan = read_scan(tmp_path / "scan.nii")
    np.testing.assert_array_equal(scan.grid.affine, affine)
    write_map(tmp_path / "map.nii.gz", scan.values, scan)
    assert read_scan(tmp_path / "map.nii.gz").grid.same_as(scan.grid)


def test_the_other_byte_order_is_read(tmp_path: Path) -> None:
    header = nib.nifti1.Nifti1Header(endianness=">")
    nib.save(nib.nifti1.Nifti1Image(some_values(), oblique_affine(), header), tmp_path / "big.nii")
    scan = read_scan(tmp_path / "big.nii")
    np.testing.assert_array_equal(scan.values, some_values())
    np.testing.assert_array_equal(scan.grid.affine, oblique_affine())


def test_a_file_beside_with_the_same_name_is_not_mixed_up(tmp_path: Path) -> None:
    save(tmp_path / "x.nii", some_values() + 1)
    save(tmp_path / "x.nii.gz", some_values())
    np.testing.assert_array_equal(read_scan(tmp_path / "x.nii.gz").values, some_values())
    np.testing.assert_array_equal(read_scan(tmp_path / "x.nii").values, some_values() + 1)


def test_a_scan_that_says_all_has_no_warnings(a_file: Path) -> None:
    assert read_scan(a_file).warnings == ()


def test_missing_orientation_codes_are_a_warning(a_file: Path) -> None:
    (warning,) = read_scan(patched(a_file, 252, bytes(4))).warnings
    assert "left and right may be swapped, check the sides" in warning


def turned_half(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


@pytest.mark.parametrize("change", [lambda a: np.diag([-1.0, 1, 1, 1]) @ a, turned_half])
def test_forms_that_disagree_on_sides_are_a_warning(tmp_path: Path, change: Any) -> None:
    image = nib.nifti1.Nifti1Image(some_values(), oblique_affine())
    image.set_qform(change(oblique_affine()), code=1)
    image.set_sform(oblique_affine(), code=1)
    nib.save(image, tmp_path / "scan.nii")
    scan = read_scan(tmp_path / "scan.nii")
    np.testing.assert_array_equal(scan.grid.affine, oblique_affine())
    assert "left, back, up against right, back, up" in scan.warnings[0] or (
        "left, front, up against right, back, up" in scan.warnings[0]
    )
    assert "the sform is used, check the sides" in scan.warnings[0]


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_slope_that_says_nothing_scales_nothing(a_file: Path, slope: float) -> None:
    path = patched(a_file, 112, np.array([slope, 0.0], np.float32).tobytes())
    np.testing.assert_array_equal(read_scan(path).values, some_values())


@pytest.mark.parametrize(("at", "number"), [(112, np.inf), (116, np.inf), (80, 0.0), (76, 5.0)])
def test_numbers_that_cannot_be_meant_are_refused(a_file: Path, at: int, number: float) -> None:
    path = patched(a_file, 112, np.array([2.0, 0.0], np.float32).tobytes())
    content = bytearray(path.read_bytes())
    content[at : at + 4] = np.float32(number).tobytes()
    path.write_bytes(content)
    with pytest.raises(ScanError, match=r"not a readable NIfTI image .*\. Export the scan again"):
        read_scan(path)


def test_a_header_that_promises_more_than_there_is_allocates_nothing(a_file: Path) -> None:
    promising = np.array([3, 1000, 1000, 1000, 1], np.int16).tobytes()
    path = patched(a_file, 40, promising)
    tracemalloc.start()
    try:
        with pytest.raises(ScanError, match=r"ends early|GiB of memory"):
            read_scan(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_reading_nifti_loads_neither_torch_nor_simpleitk() -> None:
    heavy = "{'torch', 'SimpleITK'}"
    code = f"import sys, counterpart.scans; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_a_map_of_another_shape_is_not_written(a_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(9, 10, 11\).*\(9, 10, 10\)"):
        write_map(tmp_path / "map.nii.gz", np.zeros((9, 10, 10)), read_scan(a_file))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match=r"gone\.nii\.gz: no such file"):
        read_scan(tmp_path / "gone.nii.gz")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.mgz").write_bytes(b"anything")
    with pytest.raises(ScanError, match=r"expected a NIfTI file.* got '\.mgz'\. Convert"):
        read_scan(tmp_path / "scan.mgz")


@pytest.mark.parametrize("content", [b"", b"not a scan" * 100])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_name_alone_makes_no_scan(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"fake{suffix}"
    path.write_bytes(content)
    with pytest.raises(ScanError, match="not a readable NIfTI image"):
        read_scan(path)


@pytest.mark.parametrize("kept", [100, 1500])
def test_a_truncated_compressed_file_is_refused(a_file: Path, kept: int) -> None:
    a_file.write_bytes(a_file.read_bytes()[:kept])
    with pytest.raises(ScanError, match=r"not a readable NIfTI|ends early or is damaged"):
        read_scan(a_file)


def test_a_truncated_plain_file_is_refused(a_file: Path) -> None:
    plain = patched(a_file, 0, b"")
    plain.write_bytes(plain.read_bytes()[:2000])
    with pytest.raises(ScanError, match="ends early or is damaged"):
        read_scan(plain)


def test_damage_in_the_compressed_values_is_refused(a_file: Path) -> None:
    raw = bytearray(a_file.read_bytes())
    raw[1000:1400] = b"\xff" * 400
    a_file.write_bytes(bytes(raw))
    with pytest.raises(ScanError, match=r"not a readable NIfTI|ends early or is damaged"):
        read_scan(a_file)


@pytest.mark.parametrize(
    ("at", "content", "what"),
    [
        (70, (12345).to_bytes(2, "little"), "12345"),
        (108, np.float32(-5).tobytes(), "-5"),
    ],
    ids=["unknown data type", "impossible offset"],
)
def test_a_header_with_an_impossible_entry_is_refused(
    a_file: Path, at: int, content: bytes, what: str
) -> None:
    with pytest.raises(ScanError, match=f"not a readable NIfTI image .*{what}"):
        read_scan(patched(a_file, at, content))


def test_a_series_of_volumes_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "series.nii.gz", np.stack([some_values()] * 3, axis=-1))
    with pytest.raises(ScanError, match=r"got 4 dimensions \(9, 10, 11, 3\)"):
        read_scan(path)


def test_single_slices_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "slices.nii.gz", some_values()[:, :, :7])
    with pytest.raises(ScanError, match=r"at least 8 slices.*\(9, 10, 7\)"):
        read_scan(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    values = some_values()
    values[4, 5, 6] = values[8, 9, 10] = bad
    path = save(tmp_path / "holes.nii.gz", values)
    with pytest.raises(ScanError, match=r"2 voxels are not finite.*\(4, 5, 6\)"):
        read_scan(path)


def test_values_too_large_for_float32_are_refused(tmp_path: Path) -> None:
    values = some_values(np.float64)
    values[1, 2, 3] = 1e300
    path = save(tmp_path / "huge.nii.gz", values)
    with pytest.raises(ScanError, match=r"1 voxels are not finite.*\(1, 2, 3\)"):
        read_scan(path)


def test_a_constant_image_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "flat.nii.gz", np.full(SHAPE, 42.5, np.float32))
    with pytest.raises(ScanError, match=r"every voxel has the value 42\.5"):
        read_scan(path)


def test_a_colour_image_is_refused(tmp_path: Path) -> None:
    colour = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(ScanError, match=r"one real number per voxel, got .*'R'"):
        read_scan(save(tmp_path / "colour.nii.gz", colour))


def test_a_complex_image_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "phase.nii.gz", some_values(np.complex64))
    with pytest.raises(ScanError, match="one real number per voxel, got complex64"):
        read_scan(path)


@pytest.mark.parametrize("row", [(0.0, 0.0, 0.0, 0.0), (0.0, np.nan, 1.0, 0.0)])
def test_an_affine_that_cannot_be_inverted_is_refused(a_file: Path, row: tuple[float, ...]) -> None:
    third_row = np.array(row, np.float32).tobytes()
    with pytest.raises(ScanError, match=re.escape(str(list(row)))):
        read_scan(patched(a_file, 312, third_row))


@pytest.mark.parametrize("spacing", [0.1, 12.0])
def test_voxels_of_impossible_size_are_refused(tmp_path: Path, spacing: float) -> None:
    path = save(tmp_path / "size.nii.gz", some_values(), np.diag([1.0, spacing, 1.0, 1.0]))
    with pytest.raises(ScanError, match=rf"0\.2 to 10\.0 mm, got \[1\.0, {spacing}, 1\.0\]"):
        read_scan(path)


def test_a_mask_holds_every_voxel_that_is_not_zero(a_file: Path, tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.float32)
    values[2:5, 3, 4] = (0.5, -1.0, 200.0)
    values[0, 0, 0] = np.nan
    mask = read_mask(save(tmp_path / "mask.nii.gz", values), read_scan(a_file).grid)
    assert mask.dtype == np.bool_
    assert np.argwhere(mask).tolist() == [[2, 3, 4], [3, 3, 4], [4, 3, 4]]


def test_an_empty_mask_is_refused(a_file: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "mask.nii.gz", np.zeros(SHAPE, np.uint8))
    with pytest.raises(ScanError, match="the mask is empty"):
        read_mask(path, read_scan(a_file).grid)


def test_a_mask_of_another_shape_is_refused(a_file: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "mask.nii.gz", np.ones((9, 10, 12), np.uint8))
    with pytest.raises(ScanError, match=r"\(9, 10, 11\), but has shape \(9, 10, 12\)\."):
        read_mask(path, read_scan(a_file).grid)


def test_a_mask_that_lies_elsewhere_is_refused(a_file: Path, tmp_path: Path) -> None:
    elsewhere = oblique_affine()
    elsewhere[2, 3] += 1.0
    path = save(tmp_path / "mask.nii.gz", np.ones(SHAPE, np.uint8), elsewhere)
    with pytest.raises(ScanError, match="and another affine"):
        read_mask(path, read_scan(a_file).grid)
