"""Patients and healthy scans of a folder: what is found, what is never measured, what is wrong."""

from pathlib import Path

import pytest

from counterpart.errors import CounterpartError
from counterpart.evaluation.sources import HealthySource, PatientSource, find_sources, subject_of


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def names(sources: tuple[PatientSource, ...] | tuple[HealthySource, ...]) -> list[str]:
    return [source.scan.name for source in sources]


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    return touch(tmp_path / "patients", "lgg_01_FLAIR.nii.gz", "lgg_01_mask.nii.gz")


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    """Six subjects; the last one is in no part."""
    scans = [f"head-{number}_T1.nii.gz" for number in range(6)]
    folder = touch(tmp_path / "healthy", *scans)
    parts = ("train", "validate", "calibrate", "test", "")
    rows = [f"head-{number},{part}" for number, part in enumerate(parts)]
    (folder / "split.csv").write_text("\n".join(["subject,part", *rows, ""]))
    return folder


def test_patients_are_paired_with_their_masks(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("lgg_01_FLAIR.nii.gz", "lgg_01_T1.nii", "lgg_01_mask.nii.gz", "lgg_01_FLAIR.json"),
        *("s_2_T2.nii.gz", "s_2_lesion.nii", "s_2_brain.nii.gz", "s_2_labels.nii.gz"),
        "nomask_T1.nii.gz",
    )
    found = find_sources([tmp_path])
    assert found.healthy == ()
    assert found.patients == (
        PatientSource(tmp_path / "lgg_01_FLAIR.nii.gz", tmp_path / "lgg_01_mask.nii.gz"),
        PatientSource(tmp_path / "lgg_01_T1.nii", tmp_path / "lgg_01_mask.nii.gz"),
        PatientSource(
            tmp_path / "s_2_T2.nii.gz", tmp_path / "s_2_lesion.nii", tmp_path / "s_2_brain.nii.gz"
        ),
    )
    assert len(found.patients[0].files) == 2
    assert found.patients[2].files[2] == tmp_path / "s_2_brain.nii.gz"


def test_a_folder_is_looked_at_with_the_folders_in_it(patients: Path, healthy: Path) -> None:
    found = find_sources([patients.parent])
    assert names(found.patients) == ["lgg_01_FLAIR.nii.gz"]
    assert names(found.healthy) == ["head-2_T1.nii.gz", "head-3_T1.nii.gz"]


def test_what_a_model_was_trained_on_or_chosen_by_is_never_measured(healthy: Path) -> None:
    found = find_sources([healthy])
    assert [(one.scan.name, one.part) for one in found.healthy] == [
        ("head-2_T1.nii.gz", "calibrate"),
        ("head-3_T1.nii.gz", "test"),
    ]
    assert names(find_sources([], [healthy]).healthy) == names(found.healthy)


@pytest.mark.parametrize("part", ["Train", "traning", "held out"])
def test_a_part_that_is_not_known_is_an_error(healthy: Path, part: str) -> None:
    """It may be a training subject whose part is misspelt."""
    (healthy / "split.csv").write_text(f"subject,part\nhead-0,{part}\nhead-3,test\n")
    with pytest.raises(CounterpartError, match=f"split.csv: expected the parts .* got '{part}'"):
        find_sources([healthy])


def test_spaces_around_a_part_do_not_matter(healthy: Path) -> None:
    (healthy / "split.csv").write_text("subject,part\nhead-0, train \nhead-3, test\n")
    assert names(find_sources([healthy]).healthy) == ["head-3_T1.nii.gz"]


def test_a_folder_of_patients_that_is_named_as_healthy_has_healthy_scans(tmp_path: Path) -> None:
    folder = touch(tmp_path / "controls", "c-1_T1.nii.gz", "c-1_brain.nii.gz", "c-2_T1.nii.gz")
    found = find_sources([], [folder])
    assert found.patients == ()
    assert found.healthy == (
        HealthySource(folder / "c-1_T1.nii.gz", "", None, folder / "c-1_brain.nii.gz"),
        HealthySource(folder / "c-2_T1.nii.gz", "", None, None),
    )
    assert found.healthy[0].files == (folder / "c-1_T1.nii.gz", folder / "c-1_brain.nii.gz")
    assert found.healthy[1].files == (folder / "c-2_T1.nii.gz",)


def test_ages_are_read_and_may_be_missing(tmp_path: Path) -> None:
    folder = touch(tmp_path / "ixi", *(f"ixi-{n}_T1.nii.gz" for n in range(4)))
    table = "\ufeffsubject,sex,age_years\nixi-0,f,34.5\nixi-1,m,\nixi-2,m, 70 \n"  # a spreadsheet's
    (folder / "participants.csv").write_text(table, encoding="utf-8")
    found = find_sources([tmp_path]).healthy
    assert [one.age_years for one in found] == [34.5, None, 70.0, None]
    assert {one.part for one in found} == {""}


def test_ages_and_parts_may_both_be_known(healthy: Path) -> None:
    (healthy / "participants.csv").write_text("subject,age_years\nhead-0,20\nhead-3,50\n")
    found = find_sources([healthy]).healthy
    assert [(one.part, one.age_years) for one in found] == [("calibrate", None), ("test", 50.0)]


@pytest.mark.parametrize("age", ["old", "n/a", "nan", "inf"])
def test_an_age_that_is_no_number_is_an_error_that_names_it(healthy: Path, age: str) -> None:
    (healthy / "participants.csv").write_text(f"subject,age_years\nhead-3,{age}\n")
    with pytest.raises(CounterpartError, match=f"participants.csv: '{age}' is no age"):
        find_sources([healthy])


@pytest.mark.parametrize(
    ("table", "head", "column"),
    [
        ("split.csv", "subject,group", "part"),
        ("split.csv", "name,part", "subject"),
        ("split.csv", "", "part"),
        ("participants.csv", "subject,age", "age_years"),
    ],
)
def test_a_table_without_its_columns_is_an_error(
    healthy: Path, table: str, head: str, column: str
) -> None:
    (healthy / table).write_text(f"{head}\nhead-3,test\n" if head else "")
    with pytest.raises(CounterpartError, match=f"{table}: expected the columns .*'{column}'"):
        find_sources([healthy])


def test_two_scans_of_one_name_are_an_error_that_names_both(patients: Path) -> None:
    other = touch(patients.parent / "more", "lgg_01_FLAIR.nii", "lgg_01_mask.nii")
    with pytest.raises(CounterpartError, match="same folder") as caught:
        find_sources([patients.parent])
    assert str(patients / "lgg_01_FLAIR.nii.gz") in str(caught.value)
    assert str(other / "lgg_01_FLAIR.nii") in str(caught.value)


def test_a_patient_and_a_healthy_subject_of_one_name_are_an_error(patients: Path) -> None:
    controls = touch(patients.parent / "controls", "lgg_01_FLAIR.nii.gz")
    with pytest.raises(CounterpartError, match="same folder"):
        find_sources([patients], [controls])


def test_a_folder_that_is_named_twice_is_looked_at_once(patients: Path, healthy: Path) -> None:
    whole = find_sources([patients.parent])
    assert find_sources([patients.parent, patients, patients.parent], [healthy, healthy]) == whole
    here = patients.parent / "patients" / ".." / "healthy"
    assert names(find_sources([patients.parent], [here]).healthy) == names(whole.healthy)


def test_a_folder_without_masks_or_without_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a_T1.nii.gz").touch()
    with pytest.raises(CounterpartError, match="no scan with a lesion mask"):
        find_sources([tmp_path])
    with pytest.raises(CounterpartError, match="gone: no such folder"):
        find_sources([tmp_path / "gone"])
    with pytest.raises(CounterpartError, match="missing: no such folder"):
        find_sources([tmp_path], [tmp_path / "missing"])


@pytest.mark.parametrize(
    ("name", "subject"),
    [("lgg_01_FLAIR.nii.gz", "lgg_01"), ("sub-3_T1.nii", "sub-3"), ("wmh12.nii.gz", "wmh12")],
)
def test_a_subject_is_the_name_without_the_contrast(name: str, subject: str) -> None:
    assert subject_of(Path(name)) == subject
