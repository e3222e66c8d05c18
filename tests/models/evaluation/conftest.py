"""What the tests of whole evaluations share: folders of small scans and what is measured anew."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from made_up_results import BRAIN, GRID, LESION, Array, Mask, result_of

from counterpart.bundle import Model
from counterpart.evaluation import running
from counterpart.package_data import package_data
from counterpart.results import Result
from counterpart.scans import Scan, read_mask, read_scan


def save(path: Path, values: Array | Mask, affine: Any) -> None:
    """Write a NIfTI file; a mask as bytes."""
    stored = values.astype(np.uint8 if values.dtype == np.bool_ else np.float32)
    nib.save(nib.nifti1.Nifti1Image(stored, affine), path)


@pytest.fixture
def a_data_folder(tmp_path: Path) -> Path:
    """Two patients, one whose scan is no image, and two healthy subjects with ages."""
    patients, controls = tmp_path / "data" / "patients", tmp_path / "data" / "healthy"
    rng = np.random.default_rng(0)
    for folder, names in ((patients, ("ms-1", "ms-2")), (controls, ("ixi-1", "ixi-2"))):
        folder.mkdir(parents=True)
        for name in names:
            values = np.where(BRAIN, 100 + 9 * rng.standard_normal(GRID.shape), 0.0)
            save(folder / f"{name}_T1.nii.gz", values.astype(np.float32), GRID.affine)
            if folder == patients:
                save(folder / f"{name}_mask.nii.gz", LESION, GRID.affine)
    (patients / "broken_T1.nii.gz").write_bytes(b"no scan")
    save(patients / "broken_mask.nii.gz", LESION, GRID.affine)
    (controls / "participants.csv").write_text("subject,age_years\nixi-1,30\nixi-2,41\n")
    return tmp_path / "data"


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Puts a quick answer in the place of the product's, and tells which scans were generated."""
    known: list[str] = []

    def answer(scan: Scan, model: Model, *, seed: int, **others: Any) -> Result:
        known.append(scan.name)
        rng = np.random.default_rng(seed)
        anomaly = np.where(BRAIN, rng.random(GRID.shape) + LESION, 0.0).astype(np.float32)
        return result_of(anomaly, mask=LESION, name=scan.name, values=scan.values)

    monkeypatch.setattr(running, "generate_counterpart", answer)
    return known


@pytest.fixture
def tiny_scans(tmp_path: Path) -> Callable[[], Path]:
    """Writes a folder with a patient and a healthy subject, stripped, at 5 mm."""

    def write() -> Path:
        samples = package_data("sample_data")
        folder = tmp_path / "tiny"
        (folder / "healthy").mkdir(parents=True)
        for name, place in (
            ("patients/sample-01_FLAIR", folder),
            ("healthy/healthy-08_T1", folder / "healthy"),
        ):
            subject = name.rsplit("_", 1)[0]
            scan = read_scan(samples / f"{name}.nii.gz")
            brain = read_mask(samples / f"{subject}_brain.nii.gz", scan.grid)
            values = (scan.values * brain)[::2, ::2, ::2]
            affine = scan.grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
            save(place / f"{Path(name).name}.nii.gz", values, affine)
            if place == folder:
                lesion = read_mask(samples / f"{subject}_lesion.nii.gz", scan.grid)
                save(folder / "sample-01_mask.nii.gz", lesion[::2, ::2, ::2], affine)
        (folder / "healthy" / "split.csv").write_text("subject,part\nhealthy-08,calibrate\n")
        return folder

    return write
