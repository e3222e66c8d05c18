"""Metadata by MONAI's own check: what is released passes, what lacks a key is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.apps import download_url
from monai.bundle import scripts

from counterpart.bundle import METADATA
from counterpart.errors import ModelError
from counterpart.metadata_schema import check_metadata
from counterpart.package_data import package_data

REQUIRED = (
    "schema",
    "version",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
)
TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], object]], Path]:
    """Writes the released model's metadata with a change."""

    def write(change: Callable[[dict[str, Any]], object]) -> Path:
        values = json.loads((package_data("pretrained") / "healthy-brain" / METADATA).read_text())
        change(values)
        path = tmp_path / "metadata.json"
        path.write_text(json.dumps(values))
        return path

    return write


@pytest.mark.parametrize("name", ["healthy-brain", "brain-extraction"])
def test_released_metadata_are_valid(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_metadata(package_data("pretrained") / name / METADATA)
    assert capsys.readouterr() == ("", "")


def test_monai_itself_checks_and_fetches_nothing(
    monkeypatch: pytest.MonkeyPatch, changed: Callable[..., Path]
) -> None:
    fetched = []

    def watch(**options: Any) -> None:
        fetched.append(options["filepath"].exists())
        download_url(**options)

    monkeypatch.setattr(scripts, "download_url", watch)
    check_metadata(changed(lambda values: None))
    assert fetched == [True]


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named(key: str, changed: Callable[..., Path]) -> None:
    path = changed(lambda values: values.pop(key))
    with pytest.raises(ModelError, match=rf"metadata\.json: .*'?{key}'?"):
        check_metadata(path)


@pytest.mark.parametrize("key", TENSOR)
@pytest.mark.parametrize(("side", "name"), [("inputs", "image"), ("outputs", "pred")])
def test_a_missing_key_of_an_image_is_named_with_its_place(
    side: str, name: str, key: str, changed: Callable[..., Path]
) -> None:
    path = changed(lambda values: values["network_data_format"][side][name].pop(key))
    with pytest.raises(ModelError, match=f"network_data_format.{side}.{name}: '{key}'"):
        check_metadata(path)


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_network_needs_inputs_and_outputs(side: str, changed: Callable[..., Path]) -> None:
    path = changed(lambda values: values["network_data_format"].pop(side))
    with pytest.raises(ModelError, match=f"network_data_format: '{side}'"):
        check_metadata(path)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [("version", 1.0), ("authors", ["A", "B"]), ("changelog", "none"), ("references", "a paper")],
)
def test_a_value_of_another_kind_is_named(
    key: str, wrong: object, changed: Callable[..., Path]
) -> None:
    path = changed(lambda values: values.update({key: wrong}))
    with pytest.raises(ModelError, match=f"{key}: .* is not of type"):
        check_metadata(path)


def test_a_second_network_is_checked_as_well(changed: Callable[..., Path]) -> None:
    path = changed(lambda values: values.update(encoder_data_format={"inputs": {}}))
    with pytest.raises(ModelError, match="encoder_data_format: 'outputs'"):
        check_metadata(path)


def test_further_keys_and_plain_arguments_are_welcome(changed: Callable[..., Path]) -> None:
    def add(values: dict[str, Any]) -> None:
        values["extra"] = 3
        values["network_data_format"]["inputs"]["step"] = 250

    check_metadata(changed(add))


def test_an_expression_is_refused(changed: Callable[..., Path]) -> None:
    path = changed(lambda values: values.update(task="$import os"))
    with pytest.raises(ModelError, match="expression"):
        check_metadata(path)
