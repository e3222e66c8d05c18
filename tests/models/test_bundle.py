"""Bundles: what is written is read back, and whatever was tampered with is refused by name."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from stand_ins import TINY_NETWORK

from counterpart.bundle import (
    CALIBRATION_ARRAYS,
    CALIBRATIONS,
    CARD,
    MANIFEST,
    METADATA,
    REGIONS,
    SETTINGS,
    WEIGHTS,
    ModelSettings,
    load_model,
    released_weights,
    write_bundle,
    write_manifest,
)
from counterpart.bundle_files import read_json
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.denoiser import Denoiser
from counterpart.errors import ModelError
from counterpart.hashing import file_sha256
from counterpart.reconstruction import ReconstructionConfig
from counterpart.regions import RegionAtlas
from counterpart.residual import AnomalyConfig
from counterpart.template import CANVAS

NETWORK = TINY_NETWORK
FILES = [WEIGHTS, METADATA, SETTINGS, CARD, CALIBRATIONS, CALIBRATION_ARRAYS]
CHOSEN = ModelSettings(
    NETWORK,
    ReconstructionConfig((120, 400), (1.0, 0.0), (0.5, 1.0), draws=2),
    AnomalyConfig(3, 0.5, 1.0),
)


def random_weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    empty = Denoiser(NETWORK).state_dict()
    return {key: torch.randn(value.shape, generator=generator) for key, value in empty.items()}


def calibrated(contrast: str, threshold: float) -> Calibration:
    """A calibration that is bound to the random weights."""
    digest = hashlib.sha256(released_weights(random_weights())).hexdigest()
    return Calibration(contrast, "nobody", SIMULATION, 2, digest, threshold, "made up")


@pytest.fixture(scope="module")
def the_written_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_bundle(
        folder,
        random_weights(),
        CHOSEN,
        {"version": "1.2.3"},
        "# Card\n",
        calibrations=[calibrated("T1", 0.4), calibrated("T2", 0.9)],
    )
    return folder


@pytest.fixture
def a_bundle(the_written_bundle: Path, tmp_path: Path) -> Path:
    """A copy that may be tampered with."""
    return Path(shutil.copytree(the_written_bundle, tmp_path / "tiny"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a bundle's JSON and bring its manifest up to date."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    if path.name != MANIFEST:
        write_manifest(path.parents[1])


def test_a_bundle_survives_the_round_trip(the_written_bundle: Path) -> None:
    model = load_model(the_written_bundle)
    assert (model.name, model.version) == ("tiny", "1.2.3")
    assert model.settings == CHOSEN
    assert model.weights_sha256 == file_sha256(the_written_bundle / WEIGHTS)
    assert not model.denoiser.training
    assert not any(parameter.requires_grad for parameter in model.denoiser.parameters())


def test_weights_are_those_written_rounded_to_half(the_written_bundle: Path) -> None:
    found = load_model(the_written_bundle).denoiser.state_dict()
    for key, value in random_weights().items():
        assert torch.equal(found[key], value.to(torch.float16).to(torch.float32))
        assert found[key].dtype == torch.float32


def test_the_loaded_network_answers_as_the_written_one(the_written_bundle: Path) -> None:
    loaded = load_model(the_written_bundle).denoiser
    direct = Denoiser(NETWORK).eval()
    direct.load_state_dict({key: value.half().float() for key, value in random_weights().items()})
    noisy, brain = torch.randn(2, 1, 16, 24), torch.ones(2, 1, 16, 24)
    step = torch.tensor([100, 600])
    with torch.inference_mode():
        found, expected = loaded(noisy, brain, step), direct(noisy, brain, step)
    scale = float(expected.clean.abs().max())
    torch.testing.assert_close(found.clean, expected.clean, atol=1e-4 * scale, rtol=0)


def test_the_manifest_lists_every_other_file(the_written_bundle: Path) -> None:
    listed = json.loads((the_written_bundle / MANIFEST).read_text())["sha256"]
    assert sorted(listed) == sorted(FILES)
    for name, digest in listed.items():
        assert file_sha256(the_written_bundle / name) == digest


def test_writing_again_replaces_the_older_bundle(a_bundle: Path) -> None:
    other = ModelSettings(NETWORK, CHOSEN.reconstruction, AnomalyConfig(5, 0.0, 1.0))
    new = [calibrated("T1", 0.7)]
    write_bundle(
        a_bundle, random_weights(), other, {"version": "2.0.0"}, "# New\n", calibrations=new
    )
    model = load_model(a_bundle)
    assert model.version == "2.0.0"
    assert model.settings == other
    assert model.contrasts == ("T1",)
    assert model.calibration("T1")[0].threshold == 0.7


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(ModelError, match=r"no-such-model|pretrained"):
        load_model("no-such-model")


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=MANIFEST):
        load_model(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(a_bundle: Path, name: str) -> None:
    content = bytearray((a_bundle / name).read_bytes())
    content[-1] ^= 1
    (a_bundle / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name}: missing or changed"):
        load_model(a_bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(a_bundle: Path, name: str) -> None:
    (a_bundle / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: missing or changed"):
        load_model(a_bundle)


@pytest.mark.parametrize("name", [WEIGHTS, METADATA, SETTINGS, CALIBRATIONS, CALIBRATION_ARRAYS])
def test_a_file_that_the_manifest_leaves_out_is_not_trusted(a_bundle: Path, name: str) -> None:
    rewrite(a_bundle / MANIFEST, lambda values: values["sha256"].pop(name))
    with pytest.raises(ModelError, match=name):
        load_model(a_bundle)


def test_a_manifest_without_hashes_is_refused(a_bundle: Path) -> None:
    rewrite(a_bundle / MANIFEST, lambda values: values.pop("sha256"))
    with pytest.raises(ModelError, match="sha256"):
        load_model(a_bundle)


@pytest.mark.parametrize("text", ["{", "[1, 2]", "", "\x00"])
def test_a_file_that_is_no_json_object_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "inference.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"inference\.json"):
        read_json(path)


@pytest.mark.parametrize(
    "value",
    ["$import os", "@network", "%file::key", ["safe", "$1 + 1"], {"deep": [{"er": "$x"}]}],
)
@pytest.mark.parametrize("name", [METADATA, SETTINGS, CALIBRATIONS])
def test_an_expression_is_refused(a_bundle: Path, name: str, value: object) -> None:
    rewrite(a_bundle / name, lambda values: values.update(extra=value))
    with pytest.raises(ModelError, match=r"expression .* is refused"):
        load_model(a_bundle)


def test_a_target_is_refused_however_deep(a_bundle: Path) -> None:
    rewrite(a_bundle / SETTINGS, lambda values: values["network"].update(_target_="subprocess.run"))
    with pytest.raises(ModelError, match="'_target_' is refused"):
        load_model(a_bundle)


@pytest.mark.parametrize("part", [(), ("network",), ("reconstruction",), ("anomaly",)])
def test_an_unknown_setting_is_named(a_bundle: Path, part: tuple[str, ...]) -> None:
    def add(values: dict[str, Any]) -> None:
        for key in part:
            values = values[key]
        values["speed"] = 3

    rewrite(a_bundle / SETTINGS, add)
    with pytest.raises(ModelError, match="'speed'"):
        load_model(a_bundle)


@pytest.mark.parametrize("key", ["network", "reconstruction", "anomaly"])
def test_a_missing_setting_is_named(a_bundle: Path, key: str) -> None:
    rewrite(a_bundle / SETTINGS, lambda values: values.pop(key))
    with pytest.raises(ModelError, match=f"'{key}'"):
        load_model(a_bundle)


def test_settings_of_the_older_form_are_refused_by_name(a_bundle: Path) -> None:
    old = {"T1": {"value": 0.4, "source": "20 scans"}}
    rewrite(a_bundle / SETTINGS, lambda values: values.update(thresholds=old))
    with pytest.raises(ModelError, match="'thresholds'"):
        load_model(a_bundle)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [("reconstruction", {"levels": 250}), ("network", {"channels": 8}), ("anomaly", 3)],
)
def test_a_setting_of_another_kind_is_refused(a_bundle: Path, part: str, wrong: object) -> None:
    rewrite(a_bundle / SETTINGS, lambda values: values.update({part: wrong}))
    with pytest.raises(ModelError, match=SETTINGS):
        load_model(a_bundle)


def test_a_missing_version_is_named(a_bundle: Path) -> None:
    rewrite(a_bundle / METADATA, lambda values: values.pop("version"))
    with pytest.raises(ModelError, match="'version'"):
        load_model(a_bundle)


def test_weights_of_another_size_are_refused(a_bundle: Path) -> None:
    rewrite(a_bundle / SETTINGS, lambda values: values["network"].update(channels=[16, 16]))
    with pytest.raises(ModelError, match="do not fit"):
        load_model(a_bundle)


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_weights_must_be_all_there_and_no_others(a_bundle: Path, change: str) -> None:
    weights = load_file(a_bundle / WEIGHTS)
    if change == "missing":
        weights.pop(next(iter(weights)))
    else:
        weights["net.surprise"] = torch.zeros(1)
    save_file(weights, a_bundle / WEIGHTS)
    write_manifest(a_bundle)
    with pytest.raises(ModelError, match="do not fit"):
        load_model(a_bundle)


def test_weights_that_are_no_safetensors_are_refused(a_bundle: Path) -> None:
    (a_bundle / WEIGHTS).write_bytes(b"\x80\x04pickle")
    write_manifest(a_bundle)
    with pytest.raises(ModelError, match=WEIGHTS):
        load_model(a_bundle)


@pytest.mark.parametrize("device", ["toaster", "cuda:99"])
def test_a_device_that_is_not_there_is_named(the_written_bundle: Path, device: str) -> None:
    with pytest.raises(ModelError, match=device):
        load_model(the_written_bundle, device=device)


@pytest.fixture
def a_bundle_with_regions(tmp_path: Path) -> Path:
    """A bundle whose atlas says frontal lobe on the left and parietal lobe on the right."""
    codes = np.ones(CANVAS.shape, np.uint8)
    codes[40:] = 2
    folder = tmp_path / "named"
    atlas = RegionAtlas(codes)
    write_bundle(folder, random_weights(), CHOSEN, {"version": "1"}, "# Card\n", regions=atlas)
    return folder


def test_regions_travel_with_the_bundle(a_bundle_with_regions: Path) -> None:
    regions = load_model(a_bundle_with_regions).regions
    assert regions is not None
    assert regions.region(np.array([[-20.0, 0.0, 0.0]])) == "frontal lobe"
    assert regions.region(np.array([[20.0, 0.0, 0.0]])) == "parietal lobe"
    assert REGIONS in json.loads((a_bundle_with_regions / MANIFEST).read_text())["sha256"]


def test_a_bundle_without_regions_loads(the_written_bundle: Path) -> None:
    assert load_model(the_written_bundle).regions is None


def test_a_bundle_written_without_regions_does_not_keep_older_ones(
    a_bundle_with_regions: Path,
) -> None:
    write_bundle(a_bundle_with_regions, random_weights(), CHOSEN, {"version": "2"}, "# Card\n")
    assert load_model(a_bundle_with_regions).regions is None
    assert not (a_bundle_with_regions / REGIONS).exists()


def test_changed_regions_are_named(a_bundle_with_regions: Path) -> None:
    content = bytearray((a_bundle_with_regions / REGIONS).read_bytes())
    content[-1] ^= 1
    (a_bundle_with_regions / REGIONS).write_bytes(content)
    with pytest.raises(ModelError, match=f"{REGIONS}: missing or changed"):
        load_model(a_bundle_with_regions)


def test_regions_that_the_manifest_leaves_out_are_not_trusted(a_bundle_with_regions: Path) -> None:
    rewrite(a_bundle_with_regions / MANIFEST, lambda values: values["sha256"].pop(REGIONS))
    with pytest.raises(ModelError, match=f"no sha256 of {REGIONS}"):
        load_model(a_bundle_with_regions)


def test_regions_of_unknown_codes_are_refused(a_bundle_with_regions: Path) -> None:
    codes = np.full(CANVAS.shape, 200, np.uint8)
    nib.save(nib.nifti1.Nifti1Image(codes, CANVAS.affine), a_bundle_with_regions / REGIONS)
    write_manifest(a_bundle_with_regions)
    with pytest.raises(ModelError, match=f"{REGIONS}: the region code 200 is unknown"):
        load_model(a_bundle_with_regions)
