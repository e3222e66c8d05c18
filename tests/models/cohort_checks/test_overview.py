"""The overview of a healthy cohort: what is told by headers, and what only whole scans tell."""

import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from counterpart.brain_extraction import load_brain_model
from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.cohort_checks.overview import CohortOverview, cohort_overview
from counterpart.package_data import package_data
from counterpart.scans import Scan, read_scan, write_map

HEALTHY = package_data("sample_data") / "healthy"


def scan(folder: Path, name: str, shape: tuple[int, ...] = (12, 12, 12), mm: float = 1.5) -> Path:
    """A file with a header of its own and voxels that no other has."""
    path = folder / f"{name}.nii.gz"
    values = np.random.default_rng(zlib.crc32(name.encode())).integers(1, 255, shape)
    affine = np.diag([1.5, 1.5, mm, 1.0])
    nib.save(nib.nifti1.Nifti1Image(values.astype(np.uint8), affine), path)
    return path


def marked(path: Path, subject: str | None = None, contrast: str | None = None) -> MarkedScan:
    return MarkedScan(subject or path.name.split("_")[0], path, contrast)


def reasons(found: CohortOverview) -> dict[str, str]:
    return {one.scan: one.reason for one in found.refused}


def test_headers_tell_contrasts_subjects_and_voxel_sizes(tmp_path: Path) -> None:
    scans = [marked(scan(tmp_path, f"s{n}_T1")) for n in range(40)]
    scans += [marked(scan(tmp_path, f"s{n}_FLAIR", mm=2.5)) for n in range(9)]
    scans += [marked(scan(tmp_path, "s50_x")), marked(scan(tmp_path, "s51_y"), contrast="T2")]
    values = cohort_overview(scans).to_json()
    assert (values["subjects"], values["scans"], values["looked_at"]) == (42, 51, "headers")
    assert values["contrasts"] == {
        "T1": {"scans": 40, "subjects": 40, "advice": "train"},
        "FLAIR": {"scans": 9, "subjects": 9, "advice": "calibrate"},
        "T2": {"scans": 1, "subjects": 1, "advice": "nothing"},
        "unknown": {"scans": 1, "subjects": 1, "advice": "nothing"},
    }
    assert values["voxel_sizes"] == [
        {"mm": [1.5, 1.5, 1.5], "scans": 42},
        {"mm": [1.5, 1.5, 2.5], "scans": 9},
    ]
    assert (values["advice"], values["refused"]) == ("train", [])
    assert (
        "contrasts are mixed (subjects: T1 40, FLAIR 9, T2 1, unknown 1)" in values["warnings"][0]
    )


@pytest.mark.parametrize(
    ("count", "advice", "words"),
    [(0, "nothing", "mark healthy scans"), (7, "nothing", "at least 8"), (8, "calibrate", "asked")],
)
def test_too_few_subjects_are_said(tmp_path: Path, count: int, advice: str, words: str) -> None:
    found = cohort_overview([marked(scan(tmp_path, f"s{n}_T1")) for n in range(count)])
    assert found.advice == advice
    assert len(found.warnings) == 1 and words in found.warnings[0]


def test_what_headers_show_to_be_no_use_is_refused_with_the_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken_T1.nii.gz"
    broken.write_bytes(b"\x1f\x8b no")
    scans = [
        marked(broken),
        marked(tmp_path / "gone_T1.nii.gz"),
        marked(scan(tmp_path, "thick_T1", mm=5.0)),
        marked(scan(tmp_path, "series_T1", shape=(12, 12, 12, 3))),
        marked(scan(tmp_path, "slices_T1", shape=(12, 12, 3))),
        marked(scan(tmp_path, "fine_T1")),
    ]
    found = cohort_overview(scans)
    assert [one.label for one in found.seen] == ["fine_T1.nii.gz"]
    said = reasons(found)
    assert "header cannot be read" in said["broken_T1.nii.gz"]
    assert "no such file" in said["gone_T1.nii.gz"]
    assert "slices of 5.0 mm" in said["thick_T1.nii.gz"]
    assert "4 dimensions" in said["series_T1.nii.gz"]
    assert "at least 8 slices" in said["slices_T1.nii.gz"]
    assert all(str(tmp_path) not in reason for reason in said.values())


def test_thick_slices_are_those_along_the_head_however_they_are_stored(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9, (12, 12, 12)).astype(np.uint8)
    affine = np.array([[0.0, 1.5, 0, 0], [0, 0, 1.5, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
    for name, voxels in (("thick", affine), ("sagittal", affine[[2, 0, 1, 3]])):
        nib.save(nib.nifti1.Nifti1Image(values, voxels), tmp_path / f"{name}_T1.nii")
        values = values + 1
    found = cohort_overview([marked(path) for path in sorted(tmp_path.glob("*.nii"))])
    assert list(reasons(found)) == ["thick_T1.nii"]


def test_the_same_bytes_under_two_names_are_refused_and_said(tmp_path: Path) -> None:
    first = scan(tmp_path, "a_T1")
    second = tmp_path / "b_T1.nii.gz"
    second.write_bytes(first.read_bytes())
    again = tmp_path / "a_T1_copy.nii.gz"
    again.write_bytes(first.read_bytes())
    found = cohort_overview([marked(first), marked(second), marked(again)])
    assert "the same bytes as a_T1.nii.gz, which is named subject a." in reasons(found)[second.name]
    assert again.name in reasons(found)
    twice = [one for one in found.warnings if "one person" in one]
    assert len(twice) == 1 and "Subjects a and b" in twice[0]


def test_two_files_of_one_name_are_told_by_their_path(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    paths = [scan(tmp_path / "one", "a_T1"), scan(tmp_path / "two", "a_T1", mm=5.0)]
    found = cohort_overview([marked(path) for path in paths])
    assert list(reasons(found)) == [str(paths[1])]


def test_progress_names_each_scan_and_may_cancel(tmp_path: Path) -> None:
    scans = [marked(scan(tmp_path, f"s{n}_T1")) for n in range(2)]
    told: list[str] = []
    cohort_overview(scans, progress=told.append)
    assert told == ["looking at scan 1 of 2", "looking at scan 2 of 2"]

    def stop(text: str) -> None:
        raise InterruptedError(text)

    with pytest.raises(InterruptedError):
        cohort_overview(scans, progress=stop)


@pytest.fixture(scope="module")
def the_read_cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortOverview:
    """A head, the same head saved anew under another name, a CT, and something that is no brain."""
    folder = tmp_path_factory.mktemp("read")
    head = read_scan(HEALTHY / "healthy-01_T1.nii.gz")
    again = folder / "other_T1.nii.gz"
    rng = np.random.default_rng(0)
    noisy = 2.0 * head.values + rng.normal(0.0, 0.05 * head.values.std(), head.values.shape)
    write_map(again, np.where(head.values > 0, noisy, 0.0).astype(np.float32), head)
    brain = read_scan(HEALTHY / "healthy-01_brain.nii.gz")
    write_map(folder / "other_brain.nii.gz", brain.values.astype(np.uint8), head)
    air = np.where(brain.values > 0, 40.0 + rng.normal(0, 5, head.values.shape), -1000.0)
    write_map(folder / "ct_T1.nii.gz", air.astype(np.float32), head)
    blob = scan_of_noise(head)
    write_map(folder / "blob_T1.nii.gz", blob, head)
    scans = [
        marked(HEALTHY / "healthy-01_T1.nii.gz"),
        marked(again),
        marked(folder / "ct_T1.nii.gz"),
        marked(folder / "blob_T1.nii.gz"),
    ]
    return cohort_overview(scans, brain_model=load_brain_model())


def scan_of_noise(like: Scan) -> np.ndarray:
    return np.random.default_rng(1).random(like.grid.shape).astype(np.float32)


def test_what_only_the_voxels_tell_is_refused(the_read_cohort: CohortOverview) -> None:
    said = reasons(the_read_cohort)
    assert "looks like CT" in said["ct_T1.nii.gz"]
    assert "brain" in said["blob_T1.nii.gz"]
    assert the_read_cohort.looked_at == "whole scans"


def test_the_same_head_saved_anew_is_found_by_its_picture(the_read_cohort: CohortOverview) -> None:
    assert [one.label for one in the_read_cohort.seen] == ["healthy-01_T1.nii.gz"]
    reason = reasons(the_read_cohort)["other_T1.nii.gz"]
    assert "the same head as healthy-01_T1.nii.gz" in reason and "likeness" in reason
    assert any(
        "Subjects healthy-01 and other are one person" in w for w in the_read_cohort.warnings
    )
