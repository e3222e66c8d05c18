"""A calibration: where it applies, its p-values, and that it comes back as it was written."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from counterpart.calibration.domain import DomainRange, ScanDomain
from counterpart.calibration.place import PLACE
from counterpart.calibration.record import (
    HEALTHY_SCANS,
    NO_P_VALUE,
    SIMULATION,
    Calibration,
    choose_calibration,
    pack_calibrations,
    unpack_calibrations,
)
from counterpart.calibration.residual_scale import ResidualScale
from counterpart.errors import ModelError

WEIGHTS = "ab" * 32
DOMAIN = ScanDomain(False, 0.1, 0.12, -0.2, 0.95)


def a_scale(seed: int = 0) -> ResidualScale:
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


def a_calibration(**changes: Any) -> Calibration:
    known = Calibration(
        contrast="T1",
        population="healthy adults of one hospital",
        kind=HEALTHY_SCANS,
        n_scale=20,
        weights_sha256=WEIGHTS,
        threshold=5.971,
        threshold_source="20 held-out healthy scans",
        masses=(0.0, 0.0, 1.25, 2.5, 2.5, 7.1, 8.8, 9.3, 1e3 / 3),
        scale=a_scale(),
        domain=DomainRange(False, (0.05, 0.15), (0.1, 0.2), (-0.3, 0.0), (0.9, 1.0)),
    )
    return replace(known, **changes)


def a_simulation(**changes: Any) -> Calibration:
    return a_calibration(
        **{"kind": SIMULATION, "masses": (), "domain": None, "threshold": 7.5, **changes}
    )


def same(one: Calibration, other: Calibration) -> bool:
    arrays, others = one.to_arrays(), other.to_arrays()
    return (
        one.to_json() == other.to_json()
        and set(arrays) == set(others)
        and all(np.array_equal(arrays[name], others[name]) for name in arrays)
    )


def test_p_values_compare_with_the_masses() -> None:
    known = a_calibration()
    assert known.n == 9
    assert known.p_floor == 0.1
    assert known.p_value(500.0) == 0.1
    assert known.p_value(2.5) == 0.7
    assert known.p_value(0.0) == 1.0


def test_simulation_and_missing_scans_give_no_p_value() -> None:
    for known in (a_simulation(), a_calibration(masses=())):
        assert known.p_value(3.0) is None
        assert known.p_floor is None


def test_it_applies_to_a_scan_of_its_kind() -> None:
    applies, reason = a_calibration().applies_to("T1", WEIGHTS, DOMAIN)
    assert applies
    assert reason == "Calibrated on healthy adults of one hospital (9 healthy scans)."
    applies, reason = a_simulation().applies_to("T1", WEIGHTS, None)
    assert applies
    assert NO_P_VALUE in reason


@pytest.mark.parametrize(
    ("contrast", "weights", "domain", "words"),
    [
        ("FLAIR", WEIGHTS, DOMAIN, "The calibration is of T1, the scan is FLAIR."),
        ("T1", "cd" * 32, DOMAIN, "other weights (abababababab, these are cdcdcdcdcdcd)"),
        ("T1", WEIGHTS, replace(DOMAIN, noise=0.31), "noise of 0.310 spreads, outside 0.050 to"),
        ("T1", WEIGHTS, replace(DOMAIN, thick=True), "thick slices, the calibration's are thin"),
        ("T1", WEIGHTS, None, "Nothing is known of the scan"),
    ],
)
def test_it_does_not_apply_and_says_why(
    contrast: str, weights: str, domain: ScanDomain | None, words: str
) -> None:
    applies, reason = a_calibration().applies_to(contrast, weights, domain)
    assert not applies
    assert words in reason
    assert reason[0].isupper()
    assert reason.endswith(".")


def test_simulation_is_bound_to_contrast_and_weights_too() -> None:
    assert not a_simulation().applies_to("T2", WEIGHTS, DOMAIN)[0]
    assert not a_simulation().applies_to("T1", "cd" * 32, DOMAIN)[0]


def test_healthy_scans_come_before_simulation() -> None:
    known = [a_simulation(), a_calibration(), a_simulation(contrast="T2")]
    found, reason = choose_calibration(known, "T1", WEIGHTS, DOMAIN)
    assert found is known[1]
    assert reason.startswith("Calibrated on")


def test_a_scan_of_another_kind_falls_back_to_simulation_and_says_why() -> None:
    known = [a_calibration(), a_simulation()]
    found, reason = choose_calibration(known, "T1", WEIGHTS, replace(DOMAIN, noise=0.31))
    assert found is known[1]
    assert "noise of 0.310 spreads" in reason
    assert reason.endswith(f"The threshold is {NO_P_VALUE}.")


def test_nothing_applies_to_an_unknown_contrast() -> None:
    found, reason = choose_calibration([a_calibration()], "T2", WEIGHTS, DOMAIN)
    assert found is None
    assert reason == "There is no calibration of T2."
    found, reason = choose_calibration([a_calibration()], "T1", "cd" * 32, DOMAIN)
    assert found is None
    assert "other weights" in reason


def test_files_bring_everything_back(tmp_path: Path) -> None:
    known = [a_calibration(), a_simulation(), a_simulation(contrast="FLAIR", scale=a_scale(7))]
    values, arrays = pack_calibrations(known)
    save_file(arrays, tmp_path / "arrays.safetensors")
    (tmp_path / "values.json").write_text(json.dumps(values))
    read = json.loads((tmp_path / "values.json").read_text())
    again = unpack_calibrations(read, load_file(tmp_path / "arrays.safetensors"))
    assert len(again) == 3
    assert all(same(one, other) for one, other in zip(known, again, strict=True))


def test_a_calibration_without_a_scale_has_no_arrays() -> None:
    values, arrays = pack_calibrations([a_calibration(scale=None)])
    assert arrays == {}
    assert unpack_calibrations(json.loads(json.dumps(values)), {})[0].scale is None


def test_two_calibrations_of_one_contrast_and_kind_are_refused() -> None:
    with pytest.raises(ModelError, match="one calibration per contrast and kind"):
        pack_calibrations([a_calibration(), a_calibration()])


def test_a_foreign_array_is_named() -> None:
    values, arrays = pack_calibrations([a_calibration()])
    with pytest.raises(ModelError, match="'T2/simulation/scale' belongs to none"):
        unpack_calibrations(values, {**arrays, "T2/simulation/scale": np.zeros(3, np.float32)})
    with pytest.raises(ModelError, match="'colour'"):
        unpack_calibrations(values, {**arrays, "T1/healthy scans/colour": np.zeros(3, np.float32)})


@pytest.mark.parametrize("key", ["contrast", "masses", "scale", "n"])
def test_a_missing_key_is_named(key: str) -> None:
    known = a_calibration()
    values = known.to_json()
    del values[key]
    with pytest.raises(ModelError, match=f"missing key '{key}'; calibrate again"):
        Calibration.from_json(values, known.to_arrays())


def test_an_unknown_key_is_named() -> None:
    known = a_calibration()
    with pytest.raises(ModelError, match="unexpected or missing key 'colour'"):
        Calibration.from_json({**known.to_json(), "colour": 1}, known.to_arrays())


def test_arrays_and_values_must_agree() -> None:
    known = a_calibration()
    with pytest.raises(ModelError, match="missing key 'edge'"):
        Calibration.from_json(known.to_json(), {})
    with pytest.raises(ModelError, match="without a residual scale"):
        Calibration.from_json({**known.to_json(), "scale": None}, known.to_arrays())
    with pytest.raises(ModelError, match="'n' is 10, but there are 9 'masses'"):
        Calibration.from_json({**known.to_json(), "n": 10}, known.to_arrays())


@pytest.mark.parametrize(
    ("key", "value"),
    [("masses", 3.0), ("threshold", "high"), ("domain", {"noise": 1.0}), ("n_scale", None)],
)
def test_a_value_of_the_wrong_kind_is_refused(key: str, value: object) -> None:
    known = a_calibration()
    with pytest.raises(ModelError, match="wrong kind"):
        Calibration.from_json({**known.to_json(), key: value}, known.to_arrays())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"contrast": "CT"}, "contrast must be one of"),
        ({"kind": "guesswork"}, "'kind' must be"),
        ({"threshold": 0.0}, "'threshold' must be positive"),
        ({"threshold": float("nan")}, "'threshold' must be positive"),
        ({"masses": (2.0, 1.0)}, "'masses' must rise"),
        ({"masses": (-1.0, 1.0)}, "not negative"),
        ({"masses": (1.0, float("inf"))}, "must be finite"),
        ({"kind": SIMULATION}, "no 'masses'"),
        ({"domain": None}, "'domain' is missing"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        a_calibration(**changes)
