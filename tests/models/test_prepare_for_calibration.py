"""Scans of another contrast than T1 become a cohort that calibrates and does not train."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from counterpart.cohort import CROSS_FIT, Cohort, read_cohort
from counterpart.errors import CohortError
from counterpart.held_out.heads import cohort_heads, validation_heads
from counterpart.prepare import find_sources, prepare_cohort, prepare_for_calibration, scan_subject
from counterpart.template import CANVAS, load_template


@pytest.fixture(scope="module")
def a_flair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight stripped scans with dark fluid; two can be used, which is quick, six are refused."""
    folder = tmp_path_factory.mktemp("flair")
    template = load_template()
    flair = 100.0 + 60.0 * template.grey - 40.0 * (template.grey + template.white < 0.3)
    for number in range(8):
        scan = flair + np.random.default_rng(number).normal(0, 3, flair.shape)
        values = np.where(template.brain, scan, 0.0).astype(np.float32)
        thick = np.diag([1.0, 1.0, 2.0 if number > 1 else 1.0, 1.0])
        image = nib.nifti1.Nifti1Image(values, CANVAS.affine @ thick)
        nib.save(image, folder / f"s{number}_FLAIR.nii.gz")
    (folder / "s0_T1.nii.gz").touch()
    return folder


@pytest.fixture(scope="module")
def a_flair_cohort_folder(a_flair_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "cohort"
    _, count, refusals = prepare_cohort(a_flair_folder, out, contrast="FLAIR")
    assert count == 2 and len(refusals) == 6
    assert all("4.0 mm" in one.reason for one in refusals)
    return out


@pytest.fixture(scope="module")
def a_flair_cohort(a_flair_cohort_folder: Path) -> Cohort:
    return read_cohort(a_flair_cohort_folder)


def test_sources_are_those_of_the_contrast(a_flair_folder: Path) -> None:
    found = find_sources(a_flair_folder, "FLAIR")
    assert [one.name for one in found] == [f"s{number}" for number in range(8)]
    assert [one.scan.name for one in find_sources(a_flair_folder)] == ["s0_T1.nii.gz"]
    with pytest.raises(CohortError, match="no NIfTI scan with T2 contrast"):
        find_sources(a_flair_folder, "T2")
    assert scan_subject(Path("x/anna_T1c.nii.gz")) == "anna"


def test_the_cohort_knows_its_contrast_and_is_to_be_cross_fitted(a_flair_cohort: Cohort) -> None:
    assert a_flair_cohort.contrast == "FLAIR" == a_flair_cohort.part(CROSS_FIT).contrast
    assert a_flair_cohort.cross_fitted and not a_flair_cohort.has_tissue
    assert int(a_flair_cohort.tissue.max()) == int(a_flair_cohort.inward.max()) == 0


def test_the_scan_is_kept_as_it_was_acquired(a_flair_cohort: Cohort) -> None:
    head = next(cohort_heads(a_flair_cohort))
    template = load_template()
    shown = np.moveaxis(head.shown[:, 0].numpy(), 0, -1)
    fluid = template.brain & (template.grey + template.white < 0.1)
    assert shown[template.grey > 0.9].mean() > shown[template.white > 0.9].mean() + 0.5
    assert shown[fluid].mean() < shown[template.white > 0.9].mean() - 0.5


def test_nothing_is_trained_on_it_or_rendered_from_it(a_flair_cohort: Cohort) -> None:
    with pytest.raises(CohortError, match="FLAIR scans serves calibration alone"):
        validation_heads(
            a_flair_cohort,
            ("T1",),
            1,
            patterned=False,
            device=torch.device("cpu"),
            part=CROSS_FIT,
        )


def test_the_contrast_belongs_to_the_hash(a_flair_cohort_folder: Path, tmp_path: Path) -> None:
    index = json.loads((a_flair_cohort_folder / "cohort.json").read_text())
    (tmp_path / "cohort.json").write_text(json.dumps({**index, "contrast": "T2"}))
    with pytest.raises(CohortError, match="changed since it was written"):
        read_cohort(tmp_path)


def test_thick_slices_are_refused(a_flair_folder: Path) -> None:
    with pytest.raises(CohortError, match="slices of 4.0 mm"):
        prepare_for_calibration(find_sources(a_flair_folder, "FLAIR")[2], CROSS_FIT)
