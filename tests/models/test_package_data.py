"""Weights and samples: found in a wheel, in a checkout, or missed with a sentence."""

from pathlib import Path

import pytest

from counterpart import package_data
from counterpart.errors import ModelError
from counterpart.serving.demo import DEMO_IMAGE, PATIENTS


@pytest.fixture
def a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package in the place that it has in a checkout."""
    package = tmp_path / "checkout" / "models" / "counterpart"
    package.mkdir(parents=True)
    monkeypatch.setattr(package_data, "files", lambda name: package)
    return package


def test_the_samples_of_the_demo_are_there() -> None:
    samples = package_data.package_data("sample_data")
    assert (samples / PATIENTS / f"{DEMO_IMAGE}.nii.gz").is_file()


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("pretrained", "models/pretrained"),
        ("sample_data", "sample_data"),
        ("monailabel_app", "monailabel_app"),
    ],
)
def test_a_checkout_keeps_its_data_beside_the_code(a_package: Path, kind: str, place: str) -> None:
    folder = a_package.parents[1] / place
    folder.mkdir()
    assert package_data.package_data(kind) == folder


@pytest.mark.parametrize("kind", ["pretrained", "sample_data"])
def test_a_wheel_carries_its_data_inside_and_these_come_first(a_package: Path, kind: str) -> None:
    for folder in (a_package.parent / kind, a_package.parents[1] / kind, a_package / kind):
        folder.mkdir()
    assert package_data.package_data(kind) == a_package / kind


@pytest.mark.parametrize("kind", ["pretrained", "sample_data"])
def test_missing_data_are_named(a_package: Path, kind: str) -> None:
    with pytest.raises(ModelError, match=f"'{kind}' is missing; install"):
        package_data.package_data(kind)


def test_a_file_is_no_folder_of_data(a_package: Path) -> None:
    (a_package / "pretrained").touch()
    with pytest.raises(ModelError, match="'pretrained' is missing"):
        package_data.package_data("pretrained")
