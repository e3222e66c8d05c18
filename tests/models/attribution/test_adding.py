"""From a bundle and its cohort to references that a scan is answered with, and withdrawal."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from counterpart.attribution.adding import add_references
from counterpart.attribution.pictures import KEY, ReferencePictures, cohort_secret
from counterpart.attribution.record import ReferenceRecord
from counterpart.attribution.reference_index import pseudonym
from counterpart.bundle import (
    CARD,
    REFERENCE_ARRAYS,
    REFERENCES,
    load_model,
    write_manifest,
)
from counterpart.bundle_files import read_json, write_json
from counterpart.cli import main
from counterpart.cohort import read_cohort
from counterpart.errors import CohortError, ModelError
from counterpart.registry.publishing import Terms, publish
from counterpart.registry.serving_models import ServingModels
from counterpart.registry.withdrawals import WITHDRAWN, withdrawn_references
from counterpart.template import CANVAS


def names_of(cohort: Path) -> list[str]:
    secret = cohort_secret(cohort)
    trained = [one.name for one in read_cohort(cohort).subjects if one.part == "train"]
    return [pseudonym(name, secret) for name in trained]


def test_every_trained_subject_is_indexed_under_a_pseudonym_and_no_other(
    references: ReferenceRecord, a_coded_bundle: Path, a_cohort_of_its_own: Path
) -> None:
    assert list(references.index.names) == names_of(a_cohort_of_its_own)
    assert len(references.index.names) == 3
    stored = (a_coded_bundle / REFERENCES).read_text()
    assert not any(one.name in stored for one in read_cohort(a_cohort_of_its_own).subjects)
    assert cohort_secret(a_cohort_of_its_own) not in stored
    assert (a_cohort_of_its_own / KEY).stat().st_mode & 0o077 == 0


def test_held_out_subjects_of_every_calibrated_contrast_stand_behind_the_p_value(
    references: ReferenceRecord,
) -> None:
    assert {name: len(rises) for name, rises in references.healthy.items()} == {"FLAIR": 2, "T1": 2}


def test_the_bundle_loads_with_them_and_its_card_says_so(
    references: ReferenceRecord, a_coded_bundle: Path
) -> None:
    model = load_model(a_coded_bundle)
    assert model.references is not None
    assert model.references.index.names == references.index.names
    card = (a_coded_bundle / CARD).read_text()
    assert "## Healthy references" in card and "3 healthy subjects" in card
    assert "(2 for FLAIR, 2 for T1)" in card


def test_a_second_time_the_same_pseudonyms_come_out_and_one_section(
    references: ReferenceRecord, a_coded_bundle: Path, a_cohort_of_its_own: Path
) -> None:
    again = add_references(a_coded_bundle, a_cohort_of_its_own, subjects=2)
    assert again is not None and again.index.names == references.index.names
    assert (a_coded_bundle / CARD).read_text().count("## Healthy references") == 1


def test_references_of_other_weights_answer_nothing(
    references: ReferenceRecord, a_coded_bundle: Path
) -> None:
    values = read_json(a_coded_bundle / REFERENCES)
    write_json(a_coded_bundle / REFERENCES, {**values, "weights_sha256": "00" * 32})
    write_manifest(a_coded_bundle)
    model = load_model(a_coded_bundle)
    assert model.references is not None
    assert model.references.weights_sha256 != model.weights_sha256


def test_damaged_references_are_an_error_that_says_so(
    references: ReferenceRecord, a_coded_bundle: Path
) -> None:
    (a_coded_bundle / REFERENCE_ARRAYS).write_bytes(b"nothing")
    write_manifest(a_coded_bundle)
    with pytest.raises(ModelError, match="not readable"):
        load_model(a_coded_bundle)


def test_a_model_without_an_encoder_knows_no_references(
    bundle_of: Callable[..., Path], a_cohort_of_its_own: Path
) -> None:
    bundle = bundle_of("1.0.0")
    assert add_references(bundle, a_cohort_of_its_own) is None
    assert not (bundle / REFERENCES).exists()
    assert main(["references", "add", str(bundle), "--cohort", str(a_cohort_of_its_own)]) == 1


@pytest.fixture
def published(references: ReferenceRecord, a_coded_bundle: Path, a_registry: Path) -> str:
    publish(a_coded_bundle, terms=Terms(gates=()))
    return "coded"


def test_a_withdrawn_subject_is_known_to_no_version_and_counted(
    published: str, a_registry: Path, a_cohort_of_its_own: Path, spoken: Callable[[], str]
) -> None:
    gone, *left = names_of(a_cohort_of_its_own)
    serving = ServingModels(published)
    before = serving.fingerprint()
    assert serving.serving.references is not None
    assert main(["references", "withdraw", published, gone, "--reason", "asked for"]) == 0
    assert "until the model is retrained" in spoken()
    assert withdrawn_references(published) == {gone}
    model = load_model(published)
    assert model.references is not None
    assert list(model.references.index.names) == left
    assert model.references.index.withdrawn == 1
    assert serving.fingerprint() != before
    assert serving.reload_if_changed()
    assert serving.serving.references is not None
    assert list(serving.serving.references.index.names) == left
    listed = json.loads((a_registry / published / WITHDRAWN).read_text())["withdrawn"]
    assert [(one["reference"], one["reason"]) for one in listed] == [(gone, "asked for")]
    assert main(["references", "list", published]) == 0
    told = spoken()
    assert main(["models", "show", published]) == 0
    assert "2 healthy references; 1 withdrawn, whom the weights stay trained on" in spoken()
    assert gone not in told and left[0] in told and "withdrawn since the training: 1" in told


def test_a_subject_is_withdrawn_by_its_name_in_the_cohort(
    published: str, a_cohort_of_its_own: Path
) -> None:
    cohort = ["--cohort", str(a_cohort_of_its_own)]
    assert main(["references", "withdraw", published, "--subject", "head-1", *cohort]) == 0
    assert withdrawn_references(published) == {names_of(a_cohort_of_its_own)[1]}


def test_a_withdrawal_of_nobody_or_twice_is_refused(
    published: str, a_cohort_of_its_own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = names_of(a_cohort_of_its_own)[0]
    for words, told in (
        (["reference-unknown"], "knows no such reference"),
        ([], "give the pseudonym"),
        ([name, "--subject", "head-1"], "give the pseudonym"),
        (["--subject", "nobody", "--cohort", str(a_cohort_of_its_own)], "has no subject"),
    ):
        assert main(["references", "withdraw", published, *words]) == 1
        assert told in capsys.readouterr().err
    assert not withdrawn_references(published)
    assert main(["references", "withdraw", published, name]) == 0
    assert main(["references", "withdraw", published, name]) == 1
    assert "was withdrawn from coded before" in capsys.readouterr().err


def test_a_damaged_list_of_withdrawals_lets_no_model_answer(
    published: str, a_registry: Path
) -> None:
    (a_registry / published / WITHDRAWN).write_text("{}")
    with pytest.raises(ModelError, match="list of withdrawn references is damaged"):
        load_model(published)


def test_a_reference_s_picture_is_the_prepared_scan_where_the_patient_lies(
    references: ReferenceRecord, a_cohort_of_its_own: Path, tmp_path: Path
) -> None:
    import nibabel as nib

    pictures = ReferencePictures(a_cohort_of_its_own)
    name = names_of(a_cohort_of_its_own)[1]
    assert name in pictures and "reference-unknown" not in pictures
    cohort = read_cohort(a_cohort_of_its_own)
    brain = np.moveaxis(cohort.brain[1].numpy(), 0, -1) > 0
    scan = np.moveaxis(cohort.scan[1].numpy(), 0, -1).astype(float)
    shown = pictures.volume(name)
    assert shown.shape == CANVAS.shape and not shown[~brain].any()
    assert np.corrcoef(shown[brain], scan[brain])[0, 1] > 0.999
    pose = np.eye(4)
    pose[:3, 3] = (5.0, -7.0, 9.0)
    pictures.write(name, tmp_path / "one.nii.gz", pose)
    image = nib.nifti1.load(tmp_path / "one.nii.gz")
    np.testing.assert_allclose(image.affine[:3, 3], CANVAS.affine[:3, 3] - pose[:3, 3], atol=1e-4)
    np.testing.assert_allclose(image.get_fdata(), shown, atol=1e-5)
    with pytest.raises(CohortError, match="no such reference"):
        pictures.volume("reference-unknown")


def test_a_cohort_that_no_references_were_made_from_has_no_pictures(
    a_cohort_folder: Path,
) -> None:
    with pytest.raises(CohortError, match="no model's references were made from this cohort"):
        ReferencePictures(a_cohort_folder)
