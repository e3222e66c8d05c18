"""The same head on another grid, or from another format, gives the same maps on its own grid.

The whole chain with the released models, on the sample patient's FLAIR with its skull.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from counterpart import output
from counterpart.brain_extraction import load_brain_model
from counterpart.bundle import load_model
from counterpart.formats.derived_series import write_dicom_series
from counterpart.generate import generate_counterpart
from counterpart.grid import Grid, canonical_orientation, resample
from counterpart.output import write_result
from counterpart.package_data import package_data
from counterpart.results import Result
from counterpart.scans import Scan, read_mask, read_scan

Array = NDArray[np.float32]
Chain = Callable[[Scan], Result]
MAPS = ("reconstruction", "counterpart", "residual", "anomaly")
COMPARED = ("counterpart", "residual", "anomaly")
ALL_ORIENTATIONS = [
    "".join(pair[side] for pair, side in zip(axes, sides, strict=True))
    for axes in permutations(("RL", "AP", "SI"))
    for sides in product((0, 1), repeat=3)
]
SLOPING = Rotation.from_rotvec(np.radians(20.0) * np.ones(3) / np.sqrt(3.0)).as_matrix()
FRONT_UP = Rotation.from_euler("x", 20.0, degrees=True).as_matrix()


@pytest.fixture(scope="module")
def the_samples() -> Path:
    return package_data("sample_data") / "patients"


@pytest.fixture(scope="module")
def a_file(the_samples: Path) -> Path:
    return the_samples / "sample-01_FLAIR.nii.gz"


@pytest.fixture(scope="module")
def a_scan(a_file: Path) -> Scan:
    return read_scan(a_file)


@pytest.fixture(scope="module")
def the_chain() -> Chain:
    model, brain_model = load_model(), load_brain_model()
    return lambda scan: generate_counterpart(scan, model, brain_model=brain_model)


@pytest.fixture(scope="module")
def a_result(a_scan: Scan, the_chain: Chain) -> Result:
    return the_chain(a_scan)


def correlation(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def turn_to(codes: str, grid: Grid) -> NDArray[np.float64]:
    there = nib.orientations.axcodes2ornt(codes)
    turn: NDArray[np.float64] = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(grid.affine), there
    )
    return turn


def stored_as(array: NDArray[np.generic], grid: Grid, codes: str) -> NDArray[np.generic]:
    turned = nib.orientations.apply_orientation(array, turn_to(codes, grid))
    return np.ascontiguousarray(turned)


def scan_stored_as(scan: Scan, codes: str) -> Scan:
    """The same head with its axes in another order and direction."""
    values = stored_as(scan.values, scan.grid, codes)
    step = nib.orientations.inv_ornt_aff(turn_to(codes, scan.grid), scan.grid.shape)
    return replace(
        scan,
        values=values.astype(np.float32),
        grid=Grid(values.shape, scan.grid.affine @ step),
        header=None,
    )


def grid_around(grid: Grid, rotation: NDArray[np.float64], spacing: tuple[float, ...]) -> Grid:
    """Turned voxels of another size around everything that a grid covers, odd numbers of them."""
    corners = np.array(list(product(*((-0.5, size - 0.5) for size in grid.shape))))
    axes = rotation * np.array(spacing)
    index = np.linalg.solve(axes, np.asarray(grid.world(corners)).T).T
    low, high = index.min(axis=0), index.max(axis=0)
    shape = np.ceil(high - low).astype(int) // 2 * 2 + 1
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = axes @ ((low + high) / 2.0 - (shape - 1) / 2.0)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def resampled(scan: Scan, grid: Grid) -> Scan:
    background = float(np.percentile(scan.values, 1.0))
    index_map = np.linalg.inv(scan.grid.affine) @ grid.affine
    values = resample(scan.values, index_map, grid.shape, order=3, fill=background)
    return replace(scan, values=values, grid=grid, header=None)


@pytest.mark.parametrize("name", ["sample-01_FLAIR", "sample-02_FLAIR"])
def test_all_48_orientations_are_the_same_head(name: str, the_samples: Path) -> None:
    scan = read_scan(the_samples / f"{name}.nii.gz")
    turn = canonical_orientation(scan.grid)
    expected = turn.forward(scan.values)
    assert len(set(ALL_ORIENTATIONS)) == 48
    for codes in ALL_ORIENTATIONS:
        stored = scan_stored_as(scan, codes)
        assert "".join(nib.orientations.aff2axcodes(stored.grid.affine)) == codes
        other = canonical_orientation(stored.grid)
        assert other.canonical.same_as(turn.canonical)
        np.testing.assert_array_equal(other.forward(stored.values), expected)
        np.testing.assert_array_equal(other.backward(expected), stored.values)


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["LPI", "PIR", "SAL", "ILP"])
def test_a_turned_head_gives_the_same_maps(
    codes: str, a_result: Result, a_scan: Scan, the_chain: Chain
) -> None:
    stored = scan_stored_as(a_scan, codes)
    result = the_chain(stored)
    assert result.scan.grid.same_as(stored.grid)
    for name in MAPS:
        expected = stored_as(getattr(a_result, name), a_scan.grid, codes)
        assert correlation(getattr(result, name), expected) > 0.9999
    for name in ("brain", "mask"):
        expected = stored_as(getattr(a_result, name), a_scan.grid, codes)
        assert (getattr(result, name) == expected).mean() > 0.9999
    np.testing.assert_allclose(result.template_from_world, a_result.template_from_world, atol=1e-6)
    assert [f.side for f in result.findings] == [f.side for f in a_result.findings]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rotation", "spacing"),
    [
        (SLOPING, (2.4, 2.4, 2.4)),
        (FRONT_UP, (2.0, 2.4, 2.8)),
        (np.eye(3), (1.3, 1.7, 2.9)),
    ],
    ids=["oblique", "oblique and anisotropic", "anisotropic"],
)
def test_a_resampled_head_gives_the_same_maps(
    rotation: NDArray[np.float64],
    spacing: tuple[float, ...],
    a_result: Result,
    a_scan: Scan,
    the_chain: Chain,
) -> None:
    grid = grid_around(a_scan.grid, rotation, spacing)
    assert all(size % 2 for size in grid.shape)
    result = the_chain(resampled(a_scan, grid))
    assert result.scan.grid.same_as(grid)
    index_map = np.linalg.inv(a_scan.grid.affine) @ grid.affine
    there = resample(a_result.brain, index_map, grid.shape) > 0.5
    both = there & (result.brain > 0)
    assert 2.0 * both.sum() > 0.97 * (there.sum() + result.brain.sum())
    for name in COMPARED:
        expected = resample(getattr(a_result, name), index_map, grid.shape)
        assert correlation(getattr(result, name)[both], expected[both]) > 0.98
    largest, expected_largest = result.findings[0], a_result.findings[0]
    assert largest.side == expected_largest.side
    assert largest.volume_ml == pytest.approx(expected_largest.volume_ml, rel=0.1)


def lps_copy(a_file: Path, path: Path) -> Scan:
    """Written by SimpleITK, which knows LPS alone."""
    image = sitk.Cast(sitk.ReadImage(str(a_file)), sitk.sitkFloat32)
    sitk.WriteImage(image, str(path), True)
    return read_scan(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("name", ["sample-01_FLAIR", "sample-02_FLAIR"])
def test_a_copy_in_lps_is_the_same_scan(
    name: str, suffix: str, the_samples: Path, tmp_path: Path
) -> None:
    nifti = read_scan(the_samples / f"{name}.nii.gz")
    copy = lps_copy(the_samples / f"{name}.nii.gz", tmp_path / f"{name}{suffix}")
    np.testing.assert_allclose(copy.grid.affine, nifti.grid.affine, atol=2e-5)
    np.testing.assert_allclose(copy.values, nifti.values, rtol=1e-6)
    assert (copy.name, copy.warnings) == (nifti.name, ())


def nrrd_copy(a_file: Path, scan: Scan, folder: Path) -> Scan:
    return lps_copy(a_file, folder / f"{scan.name}.nrrd")


def dicom_copy(a_file: Path, scan: Scan, folder: Path) -> Scan:
    """A series of slices in whole numbers of 16 bits, as scanners store; its tags say FLAIR."""
    whole = scan.values.astype(np.int16)
    np.testing.assert_array_equal(whole, scan.values)
    write_dicom_series(folder / "series", whole, scan, description="t2_tirm_dark-fluid")
    return read_scan(folder / "series")


@pytest.mark.slow
@pytest.mark.parametrize("copy", [nrrd_copy, dicom_copy])
def test_a_copy_in_another_format_gives_the_same_maps(
    copy: Callable[[Path, Scan, Path], Scan],
    a_file: Path,
    a_scan: Scan,
    a_result: Result,
    the_chain: Chain,
    tmp_path: Path,
) -> None:
    result = the_chain(copy(a_file, a_scan, tmp_path))
    codes = "".join(nib.orientations.aff2axcodes(result.scan.grid.affine))
    assert result.contrast == a_result.contrast == "FLAIR"
    for name in MAPS:
        expected = stored_as(getattr(a_result, name), a_scan.grid, codes)
        assert correlation(getattr(result, name), expected) > 0.9999
    found, expected_found = result.findings[0], a_result.findings[0]
    assert (found.side, found.region) == (expected_found.side, expected_found.region)
    np.testing.assert_allclose(found.centre_ras_mm, expected_found.centre_ras_mm, atol=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("codes", [(1, 4), (2, 0), (0, 3)])
def test_written_maps_keep_affine_and_codes_to_the_last_digit(
    codes: tuple[int, int],
    a_result: Result,
    a_scan: Scan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "render_report", lambda result, path: None)
    monkeypatch.setattr(output, "render_html", lambda result, path: None)
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("xyz", (3, -4, 5), degrees=True).as_matrix()
    image = nib.nifti1.Nifti1Image(a_scan.values, None)
    image.header.set_qform(turned @ a_scan.grid.affine, code=codes[0])
    image.header.set_sform(turned @ a_scan.grid.affine, code=codes[1])
    path = tmp_path / "scan.nii.gz"
    nib.save(image, path)
    stored, scan = nib.load(path), read_scan(path)
    write_result(replace(a_result, scan=scan), tmp_path / "out")
    maps = sorted((tmp_path / "out").glob("*.nii.gz"))
    assert len(maps) == 6
    for name in maps:
        written = nib.load(name)
        np.testing.assert_array_equal(written.affine, stored.affine)
        np.testing.assert_array_equal(written.affine, scan.grid.affine)
        for key in ("qform_code", "sform_code", "pixdim", "srow_x", "srow_y", "srow_z"):
            np.testing.assert_array_equal(written.header[key], stored.header[key])
        for key in ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"):
            assert written.header[key] == stored.header[key]


@pytest.mark.slow
def test_slices_of_8_mm_keep_their_planes_and_the_finding(
    a_scan: Scan, a_result: Result, the_samples: Path, the_chain: Chain
) -> None:
    lesion = read_mask(the_samples / "sample-01_lesion.nii.gz", a_scan.grid)
    planes = 4 * (int(a_scan.grid.shape[2] * 2.4 / 2.0) // 4)
    thin = Grid((*a_scan.grid.shape[:2], planes), a_scan.grid.affine @ np.diag([1, 1, 2 / 2.4, 1]))
    index_map = np.diag([1.0, 1.0, 2.0 / 2.4, 1.0])
    shape = (*thin.shape[:2], planes // 4, 4)
    values = resample(a_scan.values, index_map, thin.shape, order=3).reshape(shape).mean(axis=-1)
    marked = resample(lesion, index_map, thin.shape).reshape(shape).mean(axis=-1) > 0.5
    step = np.diag([1.0, 1.0, 4.0, 1.0])
    step[2, 3] = 1.5
    grid = Grid(shape[:3], thin.affine @ step)
    result = the_chain(replace(a_scan, values=values, grid=grid, header=None))
    assert result.provenance["thick_slices"] is True
    assert result.provenance["spacing_mm"] == pytest.approx([2.4, 2.4, 8.0])
    assert result.scan.grid.same_as(grid)
    assert all(getattr(result, name).shape == grid.shape for name in (*MAPS, "brain", "mask"))
    assert (marked & (result.brain == 0)).sum() <= 0.02 * marked.sum()
    labels, _ = ndimage.label(result.mask, np.ones((3, 3, 3)))
    overlap = max(
        2.0 * ((labels == n) & marked).sum() / ((labels == n).sum() + marked.sum())
        for n in range(1, int(labels.max()) + 1)
    )
    assert overlap > 0.5
    largest = result.findings[0]
    assert largest.direction == a_result.findings[0].direction
    assert largest.side == a_result.findings[0].side
    assert largest.region == a_result.findings[0].region
