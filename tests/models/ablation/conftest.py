"""What the tests of the ablation share: a cohort with enough held-out subjects to cross-fit."""

from dataclasses import replace
from pathlib import Path

import pytest

from counterpart.cohort import Cohort, PreparedSubject, read_cohort, write_cohort

PARTS = (*("train",) * 3, *("validate",) * 4, "calibrate")


@pytest.fixture(scope="session")
def a_held_out_cohort_folder(a_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same eight synthetic heads, four of them in the part *validate*."""
    folder = tmp_path_factory.mktemp("held-out-cohort")
    prepared = (
        PreparedSubject(
            replace(subject, part=part),
            {
                name: getattr(a_cohort, name)[row].numpy()
                for name in ("scan", "brain", "tissue", "inward")
            },
        )
        for row, (subject, part) in enumerate(zip(a_cohort.subjects, PARTS, strict=True))
    )
    write_cohort(folder, prepared, {"source": "synthetic"})
    return folder


@pytest.fixture(scope="session")
def a_held_out_cohort(a_held_out_cohort_folder: Path) -> Cohort:
    return read_cohort(a_held_out_cohort_folder)
