"""Adding healthy scans to a studies folder that MONAI Label reads too."""

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from filelock import FileLock

from counterpart.cli import main
from counterpart.cohort_checks import datastore
from counterpart.cohort_checks.adding import add_cohort
from counterpart.cohort_checks.datastore import DATASTORE, LOCK, mark_healthy, marked_scans
from counterpart.errors import CohortError


def save(path: Path, seed: int, mm: float = 1.5) -> Path:
    values = np.random.default_rng(seed).integers(0, 99, (9, 9, 9)).astype(np.uint8)
    nib.save(nib.nifti1.Nifti1Image(values, np.diag([1.5, 1.5, mm, 1.0])), path)
    return path


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    folder = tmp_path / "healthy"
    folder.mkdir()
    save(folder / "a_T1.nii.gz", 1)
    save(folder / "b_FLAIR.nii", 2)
    save(folder / "a_brain.nii.gz", 3)
    (folder / "notes.txt").write_text("x")
    return folder


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder with a patient and a list that MONAI Label wrote."""
    folder = tmp_path / "studies"
    folder.mkdir()
    save(folder / "patient_T1.nii.gz", 9)
    entry = {"image": {"ext": ".nii.gz", "info": {"ts": 5, "age": 70}}, "labels": {}}
    listed = {
        "name": "ours",
        "description": "d",
        "images_dir": ".",
        "labels_dir": "labels",
        "objects": {"patient_T1": entry},
    }
    (folder / DATASTORE).write_text(json.dumps(listed))
    return folder


def objects(studies: Path) -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]]
    found = json.loads((studies / DATASTORE).read_text())["objects"]
    return found


def test_scans_are_copied_and_marked_and_nothing_else_is_touched(
    healthy: Path, studies: Path
) -> None:
    patient = objects(studies)["patient_T1"]
    done = add_cohort(healthy, studies)
    assert (done.new, done.there, done.marked) == (("a_T1.nii.gz", "b_FLAIR.nii"), (), 2)
    for name in done.new:
        assert (studies / name).read_bytes() == (healthy / name).read_bytes()
    listed = objects(studies)
    assert set(listed) == {"patient_T1", "a_T1", "b_FLAIR"}
    assert listed["patient_T1"] == patient
    assert listed["b_FLAIR"]["image"]["ext"] == ".nii"
    found = [(one.subject, one.contrast, one.path.name) for one in marked_scans(studies)]
    assert found == [("a", "T1", "a_T1.nii.gz"), ("b", "FLAIR", "b_FLAIR.nii")]
    left = {path.name for path in studies.iterdir()}
    assert left == {*done.new, "patient_T1.nii.gz", DATASTORE, LOCK}


def test_monai_label_reads_the_marks(healthy: Path, studies: Path) -> None:
    from monailabel.datastore.local import LocalDatastore

    store = LocalDatastore(str(studies))
    before = os.stat(studies / DATASTORE)
    add_cohort(healthy, studies)
    after = os.stat(studies / DATASTORE)
    assert (after.st_ino, after.st_mtime_ns) != (before.st_ino, before.st_mtime_ns)
    store.refresh()
    assert store.get_image_info("a_T1")["cohort"] == "healthy"
    assert sorted(store.list_images()) == ["a_T1", "b_FLAIR", "patient_T1"]
    assert store.get_image_info("patient_T1")["age"] == 70


def test_adding_again_changes_nothing(healthy: Path, studies: Path) -> None:
    add_cohort(healthy, studies)
    before = (studies / DATASTORE).stat()
    done = add_cohort(healthy, studies)
    assert (done.new, done.there, done.marked) == ((), ("a_T1.nii.gz", "b_FLAIR.nii"), 0)
    assert (studies / DATASTORE).stat().st_ino == before.st_ino


def test_links_point_to_the_scans(healthy: Path, studies: Path) -> None:
    add_cohort(healthy, studies, link=True)
    assert (studies / "a_T1.nii.gz").is_symlink()
    assert (studies / "a_T1.nii.gz").resolve() == (healthy / "a_T1.nii.gz").resolve()
    assert len(marked_scans(studies)) == 2


@pytest.mark.parametrize("name", ["b_FLAIR.nii", "b_FLAIR.nii.gz"])
def test_another_file_of_the_name_is_never_overwritten(
    healthy: Path, studies: Path, name: str
) -> None:
    other = save(studies / name, 77)
    before = other.read_bytes()
    with pytest.raises(CohortError, match="b_FLAIR"):
        add_cohort(healthy, studies)
    assert other.read_bytes() == before
    assert not (studies / "a_T1.nii.gz").exists() and marked_scans(studies) == []


def test_an_unreadable_scan_is_left_out_and_named(healthy: Path, studies: Path) -> None:
    (healthy / "c_T1.nii.gz").write_bytes(b"no scan")
    done = add_cohort(healthy, studies)
    assert [one.scan for one in done.refused] == ["c_T1.nii.gz"]
    assert not (studies / "c_T1.nii.gz").exists() and len(done.new) == 2


def test_a_damaged_list_and_a_held_lock_are_said(
    studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datastore, "_PATIENCE_S", 0.1)
    with FileLock(str(studies / LOCK)), pytest.raises(CohortError, match="holds the list"):
        mark_healthy(studies, ["patient_T1.nii.gz"])
    (studies / DATASTORE).write_text('{"objects": {"x": {}}}')
    with pytest.raises(CohortError, match="not MONAI Label's list"):
        marked_scans(studies)


def test_what_is_not_there_is_said(tmp_path: Path, healthy: Path, studies: Path) -> None:
    for folder, target, words in (
        (tmp_path / "gone", studies, "healthy scans"),
        (healthy, tmp_path / "gone", "the studies"),
        (tmp_path, studies, "no NIfTI scan"),
    ):
        with pytest.raises(CohortError, match=words):
            add_cohort(folder, target)


def test_the_commands_say_what_they_did(
    healthy: Path, studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(healthy / "thick_T1.nii.gz", 4, mm=5.0)
    assert main(["cohort", "add", str(healthy), "--studies", str(studies)]) == 0
    assert "3 scans copied" in capsys.readouterr().out
    assert main(["cohort", "show", "--studies", str(studies)]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "2 healthy scans of 2 subjects" in text
    assert "refused thick_T1.nii.gz: slices of 5.0 mm" in text
    assert "Advice: too few scans for anything." in text
    assert main(["cohort", "show", "--studies", str(studies / "gone")]) == 1
