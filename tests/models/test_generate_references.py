"""Which healthy references the released model names for a sample patient."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from counterpart.brain_extraction import load_brain_model
from counterpart.bundle import Model, load_model
from counterpart.generate import generate_counterpart
from counterpart.output import write_result
from counterpart.package_data import package_data
from counterpart.results import Result
from counterpart.scans import Scan, read_scan
from counterpart.stored_result import read_result


@pytest.fixture(scope="module")
def the_model() -> Model:
    return load_model()


@pytest.fixture(scope="module")
def the_scan() -> Scan:
    return read_scan(package_data("sample_data") / "patients" / "sample-01_FLAIR.nii.gz")


@pytest.fixture(scope="module")
def the_result(the_model: Model, the_scan: Scan) -> Result:
    return generate_counterpart(the_scan, the_model, brain_model=load_brain_model())


@pytest.mark.slow
def test_rising_references_are_named_most_similar_first_with_one_p_value(
    the_model: Model, the_result: Result
) -> None:
    known, found = the_model.references, the_result.references
    assert known is not None and found is not None
    assert 1 <= len(found.ranked) <= 5
    similarities = [one.similarity for one in found.ranked]
    assert similarities == sorted(similarities, reverse=True)
    assert all(one.rise > 0 and one.name in known.index.names for one in found.ranked)
    assert found.largest_similarity == similarities[0]
    assert found.held_out == len(known.healthy["FLAIR"])
    assert found.p_value is not None and 1 / (found.held_out + 1) <= found.p_value <= 1


@pytest.mark.slow
def test_who_is_withdrawn_is_not_named_for_the_same_scan(
    the_model: Model, the_scan: Scan, the_result: Result
) -> None:
    assert the_model.references is not None and the_result.references is not None
    first = the_result.references.ranked[0].name
    without = replace(the_model, references=the_model.references.without([first]))
    found = generate_counterpart(the_scan, without, brain_model=load_brain_model()).references
    assert found is not None and found.withdrawn == 1
    assert first not in {one.name for one in found.ranked}
    assert found.ranked[0].name == the_result.references.ranked[1].name


@pytest.mark.slow
def test_they_are_written_read_back_and_kept_out_of_the_provenance(
    the_result: Result, the_scan: Scan, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    write_result(the_result, folder, image_format="nii")
    assert the_result.references is not None
    names = [one.name for one in the_result.references.ranked]
    told = json.loads((folder / "references.json").read_text())
    assert [one["id"] for one in told["references"]] == names
    assert told["disclaimer"] == "AI-generated, research use only"
    back = read_result(folder, the_scan).references
    assert back is not None and [one.name for one in back.ranked] == names
    assert not any(name in (folder / "provenance.json").read_text() for name in names)
    assert all(name in (folder / "report.html").read_text() for name in names)


def test_references_of_other_weights_are_not_asked(the_model: Model, the_scan: Scan) -> None:
    assert the_model.references is not None
    other = replace(the_model.references, weights_sha256="00" * 32)
    strange = replace(the_model, references=other)
    found = generate_counterpart(the_scan, strange, brain_model=load_brain_model())
    assert found.references is None
