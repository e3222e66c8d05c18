"""A bundle's calibrations: they travel with the weights they were made with, and only with them."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from stand_ins import TINY_NETWORK

from counterpart.bundle import (
    CALIBRATION_ARRAYS,
    CALIBRATIONS,
    WEIGHTS,
    Model,
    ModelSettings,
    load_model,
    released_weights,
    write_bundle,
    write_calibrations,
    write_manifest,
)
from counterpart.calibration.domain import DomainRange, ScanDomain
from counterpart.calibration.place import PLACE
from counterpart.calibration.record import HEALTHY_SCANS, NO_P_VALUE, SIMULATION, Calibration
from counterpart.calibration.residual_scale import ResidualScale
from counterpart.denoiser import Denoiser
from counterpart.errors import ModelError
from counterpart.hashing import file_sha256
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig

NETWORK = TINY_NETWORK
SETTINGS = ModelSettings(NETWORK, ReconstructionConfig((120,), (1.0,), (1.0,)), AnomalyConfig())
OF_ITS_KIND = ScanDomain(False, 0.1, 0.12, -0.2, 0.95)
MASSES = (0.0, 1.25, 2.5, 1e3 / 3)
MADE = {"version": "1.0.0"}
HEALTHY, RENDERED, OTHER = range(3)


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    empty = Denoiser(NETWORK).state_dict()
    return {key: torch.randn(value.shape, generator=generator) for key, value in empty.items()}


def a_scale(seed: int) -> ResidualScale:
    rng = np.random.default_rng(seed)
    return ResidualScale(
        intensity=np.array([-2.0, 0.0, 1.0], np.float32),
        edge=np.array([0.1, 0.4], np.float32),
        location=rng.standard_normal((3, 2)).astype(np.float32),
        scale=rng.uniform(0.1, 1.0, (3, 2)).astype(np.float32),
        place_location=rng.standard_normal(PLACE.shape).astype(np.float32),
        place_scale=rng.uniform(0.5, 2.0, PLACE.shape).astype(np.float32),
        pooled_scale=0.123456789,
        subjects=20,
    )


@pytest.fixture(scope="module")
def the_calibrations() -> list[Calibration]:
    """T1 of healthy scans and from simulation, T2 from simulation with the highest threshold."""
    healthy = Calibration(
        contrast="T1",
        population="healthy adults of one hospital",
        kind=HEALTHY_SCANS,
        n_scale=20,
        weights_sha256=hashlib.sha256(released_weights(weights())).hexdigest(),
        threshold=0.4,
        threshold_source="20 held-out healthy scans",
        masses=MASSES,
        scale=a_scale(1),
        domain=DomainRange(False, (0.05, 0.15), (0.1, 0.2), (-0.3, 0.0), (0.9, 1.0)),
    )
    rendered = replace(
        healthy,
        kind=SIMULATION,
        threshold=0.6,
        threshold_source=f"12 rendered held-out subjects, {NO_P_VALUE}",
        masses=(),
        scale=a_scale(2),
        domain=None,
    )
    return [healthy, rendered, replace(rendered, contrast="T2", threshold=0.9, scale=None)]


@pytest.fixture(scope="module")
def the_written_bundle(
    tmp_path_factory: pytest.TempPathFactory, the_calibrations: list[Calibration]
) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_bundle(folder, weights(), SETTINGS, MADE, "# Card\n", calibrations=the_calibrations)
    return folder


@pytest.fixture(scope="module")
def a_model(the_written_bundle: Path) -> Model:
    return load_model(the_written_bundle)


@pytest.fixture
def a_bundle(the_written_bundle: Path, tmp_path: Path) -> Path:
    """A copy that may be tampered with."""
    return Path(shutil.copytree(the_written_bundle, tmp_path / "tiny"))


def rewrite(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the calibrations' JSON and bring the manifest up to date."""
    values = json.loads((folder / CALIBRATIONS).read_text())
    change(values["calibrations"])
    (folder / CALIBRATIONS).write_text(json.dumps(values))
    write_manifest(folder)


def rewrite_arrays(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    arrays = load_file(folder / CALIBRATION_ARRAYS)
    change(arrays)
    save_file(arrays, folder / CALIBRATION_ARRAYS)
    write_manifest(folder)


def test_calibrations_survive_the_round_trip(
    a_model: Model, the_calibrations: list[Calibration]
) -> None:
    assert len(a_model.calibrations) == 3
    for found, written in zip(a_model.calibrations, the_calibrations, strict=True):
        assert found.to_json() == written.to_json()
        arrays, expected = found.to_arrays(), written.to_arrays()
        assert set(arrays) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(arrays[name], array)
    assert a_model.contrasts == ("T1", "T2")


def test_the_released_bytes_are_those_of_the_weights_file(the_written_bundle: Path) -> None:
    released = released_weights(weights())
    assert (the_written_bundle / WEIGHTS).read_bytes() == released
    digest = hashlib.sha256(released).hexdigest()
    assert digest == file_sha256(the_written_bundle / WEIGHTS)
    other = weights()
    next(iter(other.values())).flatten()[0] += 1
    assert hashlib.sha256(released_weights(other)).hexdigest() != digest


def test_the_settings_hold_no_threshold(the_written_bundle: Path) -> None:
    settings = json.loads((the_written_bundle / "configs" / "inference.json").read_text())
    assert set(settings) == {"network", "reconstruction", "anomaly"}


def test_a_scan_of_the_calibrated_kind_gets_the_healthy_scans(a_model: Model) -> None:
    found, reason = a_model.calibration("T1", OF_ITS_KIND)
    assert found is a_model.calibrations[HEALTHY]
    assert reason == "Calibrated on healthy adults of one hospital (4 healthy scans)."
    assert found.p_value(2.5) == 3 / 5


@pytest.mark.parametrize(
    ("domain", "words"),
    [(replace(OF_ITS_KIND, noise=0.31), "noise of 0.310 spreads"), (None, "Nothing is known")],
)
def test_a_scan_of_another_kind_gets_the_simulation_and_the_reason(
    a_model: Model, domain: ScanDomain | None, words: str
) -> None:
    found, reason = a_model.calibration("T1", domain)
    assert found is a_model.calibrations[RENDERED]
    assert words in reason
    assert reason.endswith(f"The threshold is {NO_P_VALUE}.")
    assert found.p_value(1e6) is None


def test_another_contrast_borrows_the_highest_threshold_without_p_value_and_says_so(
    a_model: Model,
) -> None:
    found, reason = a_model.calibration("FLAIR", OF_ITS_KIND)
    assert found.threshold == 0.9
    assert reason == "There is no calibration of FLAIR. The threshold is that of T2."
    assert (found.p_value(1e6), found.p_floor) == (None, None)


def test_a_borrowed_calibration_of_healthy_scans_loses_its_p_values(a_model: Model) -> None:
    alone = replace(a_model, calibrations=(a_model.calibrations[HEALTHY],))
    found, reason = alone.calibration("FLAIR", OF_ITS_KIND)
    assert (found.threshold, found.kind, found.masses) == (0.4, SIMULATION, ())
    assert found.p_value(1e6) is None
    assert reason.endswith("The threshold is that of T1.")


def test_a_calibration_of_other_weights_is_not_applied(a_model: Model) -> None:
    bound = [replace(one, weights_sha256="cd" * 32) for one in a_model.calibrations]
    of_own, of_others = a_model.calibrations[OTHER], replace(bound[HEALTHY], threshold=0.2)
    model = replace(a_model, calibrations=(of_others, of_own))
    found, reason = model.calibration("T1", OF_ITS_KIND)
    assert found.threshold == 0.9
    assert found.p_value(1e6) is None
    assert "made with other weights (cdcdcdcdcdcd, these are " in reason
    assert "Calibrate again." in reason
    assert "The threshold is that of T2." in reason
    simulated = replace(a_model, calibrations=(of_others, a_model.calibrations[RENDERED]))
    found, reason = simulated.calibration("T1", OF_ITS_KIND)
    assert found is a_model.calibrations[RENDERED]
    assert "other weights" in reason


def test_a_model_without_calibrations_loads_and_gives_no_threshold(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bare", weights(), SETTINGS, MADE, "# Card\n")
    assert not (tmp_path / "bare" / CALIBRATIONS).exists()
    model = load_model(tmp_path / "bare")
    assert (model.calibrations, model.contrasts) == ((), ())
    with pytest.raises(ModelError, match="bare has no healthy threshold.*counterpart calibrate"):
        model.calibration("T1")


def test_a_bundle_written_without_calibrations_does_not_keep_older_ones(a_bundle: Path) -> None:
    write_bundle(a_bundle, weights(), SETTINGS, MADE, "# Card\n")
    assert load_model(a_bundle).calibrations == ()
    assert not (a_bundle / CALIBRATIONS).exists()
    assert not (a_bundle / CALIBRATION_ARRAYS).exists()


def test_written_calibrations_replace_the_older_ones(
    a_bundle: Path, the_calibrations: list[Calibration]
) -> None:
    before = (a_bundle / WEIGHTS).read_bytes()
    write_calibrations(a_bundle, [replace(the_calibrations[OTHER], threshold=0.3)])
    write_manifest(a_bundle)
    (found,) = load_model(a_bundle).calibrations
    assert (found.contrast, found.threshold, found.scale) == ("T2", 0.3, None)
    assert (a_bundle / WEIGHTS).read_bytes() == before
    assert (a_bundle / CALIBRATION_ARRAYS).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "key", ["threshold", "threshold_source", "weights_sha256", "kind", "masses", "n", "domain"]
)
def test_a_missing_key_is_named(a_bundle: Path, key: str) -> None:
    rewrite(a_bundle, lambda values: values[HEALTHY].pop(key))
    with pytest.raises(ModelError, match=f"missing key '{key}'"):
        load_model(a_bundle)


def test_an_unknown_key_is_named(a_bundle: Path) -> None:
    rewrite(a_bundle, lambda values: values[OTHER].update(speed=3))
    with pytest.raises(ModelError, match="'speed'"):
        load_model(a_bundle)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -0.1])
def test_a_threshold_that_would_flag_all_or_nothing_is_refused(
    a_bundle: Path, value: float
) -> None:
    rewrite(a_bundle, lambda values: values[OTHER].update(threshold=value))
    with pytest.raises(ModelError, match=f"'threshold' must be positive, got {value}"):
        load_model(a_bundle)


@pytest.mark.parametrize("wrong", [{"scale": 3}, {"masses": 3}, {"domain": 0.1}, {"n_scale": "x"}])
def test_a_value_of_another_kind_is_refused(a_bundle: Path, wrong: dict[str, Any]) -> None:
    rewrite(a_bundle, lambda values: values[HEALTHY].update(wrong))
    with pytest.raises(ModelError, match="a value has the wrong kind"):
        load_model(a_bundle)


def test_masses_that_do_not_fit_their_number_are_refused(a_bundle: Path) -> None:
    rewrite(a_bundle, lambda values: values[HEALTHY]["masses"].pop())
    with pytest.raises(ModelError, match="'n' is 4, but there are 3 'masses'"):
        load_model(a_bundle)


@pytest.mark.parametrize("text", ["{}", '{"calibrations": 3}', '{"calibrations": ["T1"]}'])
def test_a_file_without_the_list_is_named(a_bundle: Path, text: str) -> None:
    (a_bundle / CALIBRATIONS).write_text(text)
    write_manifest(a_bundle)
    with pytest.raises(ModelError, match=f"{CALIBRATIONS}: the key 'calibrations' is missing"):
        load_model(a_bundle)


def test_a_missing_array_is_named(a_bundle: Path) -> None:
    rewrite_arrays(a_bundle, lambda arrays: arrays.pop(f"T1/{HEALTHY_SCANS}/place_scale"))
    with pytest.raises(ModelError, match="'place_scale'"):
        load_model(a_bundle)


def test_an_array_of_no_calibration_is_named(a_bundle: Path) -> None:
    stray = np.ones(3, np.float32)
    rewrite_arrays(a_bundle, lambda arrays: arrays.update({"FLAIR/simulation/scale": stray}))
    with pytest.raises(ModelError, match="'FLAIR/simulation/scale' belongs to none"):
        load_model(a_bundle)


@pytest.mark.parametrize("content", [None, b"\x80\x04pickle", b""])
def test_arrays_that_cannot_be_read_are_named(a_bundle: Path, content: bytes | None) -> None:
    if content is None:
        (a_bundle / CALIBRATION_ARRAYS).unlink()
    else:
        (a_bundle / CALIBRATION_ARRAYS).write_bytes(content)
    write_manifest(a_bundle)
    with pytest.raises(ModelError, match=f"{CALIBRATION_ARRAYS}: not readable"):
        load_model(a_bundle)


def test_two_calibrations_of_one_contrast_and_kind_are_refused(
    the_calibrations: list[Calibration], tmp_path: Path
) -> None:
    twice = [*the_calibrations, the_calibrations[OTHER]]
    with pytest.raises(ModelError, match="one calibration per contrast and kind"):
        write_bundle(tmp_path / "twice", weights(), SETTINGS, MADE, "", calibrations=twice)
