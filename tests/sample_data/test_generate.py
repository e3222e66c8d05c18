"""The committed sample data is what its generator and its provenance say it is."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
HEALTHY = [f"healthy-{number:02d}" for number in range(1, 9)]
SIZE_LIMIT_BYTES = 4_000_000


@dataclass(frozen=True)
class Scan:
    """Values of a file and where its voxels lie."""

    values: npt.NDArray[np.float64]
    affine: npt.NDArray[np.float64]

    @property
    def voxel_ml(self) -> float:
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000


def load(path: str) -> Scan:
    image = nib.nifti1.load(SAMPLES / path)
    return Scan(image.get_fdata(), np.asarray(image.affine))


def mask(path: str) -> npt.NDArray[np.bool_]:
    return load(path).values > 0


def surroundings(lesion: npt.NDArray[np.bool_], brain: npt.NDArray[np.bool_]) -> Any:
    near = ndimage.binary_dilation(lesion, iterations=4)
    touching = ndimage.binary_dilation(lesion, iterations=1)
    return near & ~touching & brain


@pytest.fixture(scope="module")
def the_provenance() -> dict[str, Any]:
    record: dict[str, Any] = json.loads((SAMPLES / "PROVENANCE.json").read_text())
    return record


@pytest.fixture(scope="module")
def a_regenerated_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("samples")
    command = [sys.executable, SAMPLES / "generate.py", "-o", output, "--only", "healthy-01"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, check=True, env=environment, timeout=300)
    return output


def test_every_committed_file_has_the_recorded_hash(the_provenance: dict[str, Any]) -> None:
    for path, entry in the_provenance["files"].items():
        data = (SAMPLES / path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"], path
        raw = gzip.decompress(data)
        assert hashlib.sha256(raw).hexdigest() == entry["voxels_sha256"], path
        assert load(path).values.shape == tuple(entry["shape"]), path


def test_provenance_lists_exactly_the_images_that_are_there(
    the_provenance: dict[str, Any],
) -> None:
    there = {path.relative_to(SAMPLES).as_posix() for path in SAMPLES.rglob("*.nii.gz")}
    assert there == set(the_provenance["files"])
    assert len(there) == 5 + 3 + 2 * len(HEALTHY)
    for entry in the_provenance["files"].values():
        assert entry["study"] in the_provenance["studies"]


def test_the_folder_stays_within_its_budget() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files if "__pycache__" not in path.parts)
    assert total <= SIZE_LIMIT_BYTES


def test_gzip_headers_carry_no_time_and_no_name(the_provenance: dict[str, Any]) -> None:
    for path in the_provenance["files"]:
        header = (SAMPLES / path).read_bytes()[:10]
        assert header[3] == 0, f"{path} stores a name in its gzip header"
        assert header[4:8] == bytes(4), f"{path} stores a time in its gzip header"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["T1", "brain"])
def test_regenerating_gives_the_committed_voxels(a_regenerated_study: Path, kind: str) -> None:
    path = f"healthy/healthy-01_{kind}.nii.gz"
    again = nib.nifti1.load(a_regenerated_study / path)
    committed = nib.nifti1.load(SAMPLES / path)
    np.testing.assert_array_equal(again.affine, committed.affine)
    stored = [np.asarray(image.dataobj.get_unscaled(), int) for image in (again, committed)]
    difference = np.abs(stored[0] - stored[1])
    # Other versions of numpy and scipy may round a value to the neighbouring grey level.
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3


@pytest.mark.slow
def test_regenerating_gives_the_committed_parameters(
    a_regenerated_study: Path, the_provenance: dict[str, Any]
) -> None:
    again = json.loads((a_regenerated_study / "PROVENANCE.json").read_text())
    assert again["studies"]["healthy-01"] == the_provenance["studies"]["healthy-01"]
    assert again["template"] == the_provenance["template"]


def test_an_unknown_study_is_refused_by_name(tmp_path: Path) -> None:
    command = [sys.executable, SAMPLES / "generate.py", "-o", tmp_path, "--only", "healthy-99"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode != 0
    assert "No study named healthy-99" in answer.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "low_ml", "high_ml"), [("01", 22, 28), ("02", 6.5, 9.5)])
def test_lesions_lie_inside_the_brain_and_have_the_stated_volume(
    name: str, low_ml: float, high_ml: float
) -> None:
    lesion = mask(f"patients/sample-{name}_lesion.nii.gz")
    brain = mask(f"patients/sample-{name}_brain.nii.gz")
    assert not np.any(lesion & ~brain)
    voxel_ml = load(f"patients/sample-{name}_lesion.nii.gz").voxel_ml
    assert low_ml < lesion.sum() * voxel_ml < high_ml


def test_white_matter_lesions_are_many_and_small() -> None:
    scan = load("patients/sample-02_lesion.nii.gz")
    parts, count = ndimage.label(scan.values)
    assert count >= 10
    assert np.bincount(parts.ravel())[1:].max() * scan.voxel_ml < 3


@pytest.mark.parametrize(
    ("scan", "brighter"),
    [("01_FLAIR", True), ("01_T2", True), ("01_T1", False), ("02_FLAIR", True)],
)
def test_lesion_differs_from_its_surroundings_in_the_right_direction(
    scan: str, brighter: bool
) -> None:
    name = scan[:2]
    values = load(f"patients/sample-{scan}.nii.gz").values
    lesion = mask(f"patients/sample-{name}_lesion.nii.gz")
    around = surroundings(lesion, mask(f"patients/sample-{name}_brain.nii.gz"))
    ratio = np.median(values[lesion]) / np.median(values[around])
    assert (ratio > 1.2) if brighter else (ratio < 0.88)


def test_tissues_of_the_tumour_patient_have_the_contrast_of_real_sequences() -> None:
    t1, t2, flair = (
        load(f"patients/sample-01_{name}.nii.gz").values for name in ("T1", "T2", "FLAIR")
    )
    lesion = mask("patients/sample-01_lesion.nii.gz")
    brain = mask("patients/sample-01_brain.nii.gz")
    healthy = ndimage.binary_erosion(brain, iterations=3)
    healthy &= ~ndimage.binary_dilation(lesion, iterations=3)
    # Fluid is picked on FLAIR, the rest on T1; what is asserted below is mostly about the others.
    csf = healthy & (flair < np.percentile(flair[healthy], 3))
    white = healthy & (t1 > np.percentile(t1[healthy], 80))
    grey = healthy & (np.abs(t1 / np.median(t1[white]) - 0.7) < 0.05)

    def level(values: npt.NDArray[np.float64], tissue: npt.NDArray[np.bool_]) -> float:
        return float(np.median(values[tissue]))

    assert level(t1, white) > level(t1, grey) > 1.5 * level(t1, csf)
    assert level(t2, csf) > 1.3 * level(t2, grey) > 1.3 * level(t2, white)
    assert 1.4 * level(flair, white) > level(flair, grey) > level(flair, white)
    assert level(flair, csf) < 0.7 * level(flair, white)


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_heads_are_whole_heads_on_quiet_air(name: str) -> None:
    scan = load(f"healthy/{name}_T1.nii.gz")
    brain = mask(f"healthy/{name}_brain.nii.gz")
    assert ndimage.label(brain)[1] == 1
    assert 1200 < brain.sum() * scan.voxel_ml < 2000
    bulk = np.median(scan.values[brain])
    # Away from the intracranial space: scalp brighter than brain, and air that is only noise.
    far = ~ndimage.binary_dilation(brain, iterations=2)
    assert np.mean(scan.values[far] > 1.1 * bulk) > 0.02
    corners = scan.values[:6, -6:, -6:]
    assert 0 < corners.mean() < 0.1 * bulk
    assert corners.std() > 0


def test_healthy_heads_differ_from_each_other() -> None:
    heads = [load(f"healthy/{name}_T1.nii.gz").values for name in HEALTHY]
    brains = [mask(f"healthy/{name}_brain.nii.gz") for name in HEALTHY]
    for one, two in combinations(range(len(HEALTHY)), 2):
        overlap = 2 * np.sum(brains[one] & brains[two]) / (brains[one].sum() + brains[two].sum())
        assert 0.75 < overlap < 0.985
        both = brains[one] & brains[two]
        assert np.corrcoef(heads[one][both], heads[two][both])[0, 1] < 0.9


def test_sample_02_is_stored_oblique_and_flipped() -> None:
    affine = load("patients/sample-02_FLAIR.nii.gz").affine
    assert nib.orientations.aff2axcodes(affine) == ("L", "P", "S")
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    tilt_deg = np.degrees(np.arccos(axes[2, 2]))
    assert tilt_deg == pytest.approx(10, abs=0.5)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("name", ["sample-01", "sample-02"])
def test_all_files_of_a_patient_share_one_grid(name: str) -> None:
    files = sorted((SAMPLES / "patients").glob(f"{name}_*.nii.gz"))
    assert len(files) >= 3
    images = [nib.nifti1.load(file) for file in files]
    for image in images[1:]:
        assert image.shape == images[0].shape
        np.testing.assert_array_equal(image.affine, images[0].affine)
    for image in images:
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)
