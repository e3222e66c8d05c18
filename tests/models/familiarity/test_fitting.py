"""Fitting the record on the heads that a calibration goes through, and its place in a bundle."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_ins import TINY_NETWORK, StandInDenoiser

from counterpart.bundle import (
    FAMILIARITY,
    FAMILIARITY_ARRAYS,
    ModelSettings,
    load_model,
    released_weights,
    write_bundle,
    write_familiarity,
    write_manifest,
)
from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION
from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser
from counterpart.errors import ModelError
from counterpart.familiarity.fitting import SeenHeads, cohort_sizes
from counterpart.familiarity.limits import HealthyAmount
from counterpart.familiarity.record import Familiarity
from counterpart.familiarity.traits import BrainSize, ScanTraits
from counterpart.held_out.heads import cohort_heads
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig

TraitsOf = Callable[..., list[ScanTraits]]
WEIGHTS_HASH = "ab" * 32
SIZES = [BrainSize(1450.0 * ratio, 1.1 + 0.1 * ratio) for ratio in np.linspace(0.8, 1.2, 9)]


def seen(**parts: list[ScanTraits]) -> SeenHeads:
    """Heads of a T1 as acquired, by part."""
    heads = SeenHeads(StandInDenoiser(TINY_NETWORK))
    for part, traits in parts.items():
        heads.traits["T1", HEALTHY_SCANS, part] = traits
    return heads


def test_limits_come_from_validate_and_are_tried_on_calibrate(traits_of: TraitsOf) -> None:
    far = [replace(one, noise=9.0) for one in traits_of(3, 7, towards=5)]
    noisy = [replace(one, noise=1.0) for one in traits_of(2, 8)]
    heads = seen(validate=traits_of(20, 1), calibrate=[*traits_of(10, 2), *far, *noisy])
    record = heads.familiarity("staff", WEIGHTS_HASH)
    assert record is not None
    assert record.looks[0].heads == 20
    assert record.check["heads"] == 15
    assert record.check["refused"] == 3
    assert 2 <= record.check["warned"] <= 5
    alone = seen(validate=traits_of(20, 1)).familiarity("staff", WEIGHTS_HASH)
    assert alone is not None
    assert alone.looks[0].amounts == record.looks[0].amounts


def test_a_small_site_uses_all_its_held_out_heads_and_tries_none(traits_of: TraitsOf) -> None:
    heads = seen(validate=traits_of(4, 1), calibrate=traits_of(6, 2))
    record = heads.familiarity("staff", WEIGHTS_HASH)
    assert record is not None
    assert record.looks[0].heads == 10
    assert record.check == {"heads": 0, "warned": 0, "refused": 0}


def test_too_few_heads_make_no_record(traits_of: TraitsOf) -> None:
    assert seen(validate=traits_of(2), calibrate=traits_of(2)).familiarity("x", "y") is None


def test_what_a_site_does_not_show_stays_as_it_was(traits_of: TraitsOf) -> None:
    old = seen(validate=traits_of(20, 1))
    old.traits["FLAIR", SIMULATION, "validate"] = traits_of(8, 5, towards=1)
    known = old.familiarity("volunteers", WEIGHTS_HASH, sizes=SIZES)
    assert known is not None
    site = seen(validate=traits_of(9, 3, towards=2))
    record = site.familiarity("staff", WEIGHTS_HASH, known=known)
    assert record is not None
    looks = {look.key: look for look in record.looks}
    assert looks[f"FLAIR/{SIMULATION}"] is known.looks[0]
    assert looks[f"T1/{HEALTHY_SCANS}"].heads == 9
    assert record.sizes["volume_ml"] == known.sizes["volume_ml"]
    assert record.population == "staff"


def test_codes_of_other_weights_are_not_kept(traits_of: TraitsOf) -> None:
    known = seen(validate=traits_of(20, 1)).familiarity("volunteers", "old", sizes=SIZES)
    site = SeenHeads(StandInDenoiser(TINY_NETWORK))
    site.traits["FLAIR", SIMULATION, "validate"] = traits_of(8)
    record = site.familiarity("staff", "new", known=known)
    assert record is not None
    assert [look.key for look in record.looks] == [f"FLAIR/{SIMULATION}"]
    assert set(record.sizes) == {"volume_ml", "proportion"} | set(known.sizes if known else ())


def test_heads_of_a_cohort_are_measured(a_cohort: Cohort) -> None:
    heads = SeenHeads(StandInDenoiser(TINY_NETWORK))
    for head in cohort_heads(a_cohort.part("calibrate")):
        heads.add("T1", HEALTHY_SCANS, "calibrate", head)
    found = heads.traits["T1", HEALTHY_SCANS, "calibrate"]
    assert len(found) == 3
    assert {one.overlap for one in found} == {0.95}
    assert all(np.isfinite([one.information, one.noise, one.sharpness]).all() for one in found)


def test_a_cohort_without_whole_heads_tells_no_sizes(a_cohort_folder: Path) -> None:
    assert cohort_sizes(a_cohort_folder) == []


def test_known_sizes_are_not_measured_again(tmp_path: Path, traits_of: TraitsOf) -> None:
    known = seen(validate=traits_of(20)).familiarity("volunteers", "old", sizes=SIZES)
    assert cohort_sizes(tmp_path / "nothing is read", known) == []


@pytest.fixture
def a_bundle(tmp_path: Path, traits_of: TraitsOf) -> Path:
    """A bundle of random weights with a record of twenty heads."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        weights = Denoiser(TINY_NETWORK).state_dict()
    digest = hashlib.sha256(released_weights(weights)).hexdigest()
    record = seen(validate=traits_of(20, 1)).familiarity("volunteers", digest, sizes=SIZES)
    settings = ModelSettings(
        TINY_NETWORK, ReconstructionConfig((0,), (1.0,), (1.0,)), AnomalyConfig()
    )
    folder = tmp_path / "tiny"
    write_bundle(folder, weights, settings, {"version": "1"}, "# Tiny\n", familiarity=record)
    return folder


def test_a_bundle_carries_the_record(a_bundle: Path) -> None:
    model = load_model(a_bundle)
    assert model.familiarity is not None
    assert model.familiarity.weights_sha256 == model.weights_sha256
    assert model.familiarity.population == "volunteers"
    listed = json.loads((a_bundle / "manifest.json").read_text())["sha256"]
    assert {FAMILIARITY, FAMILIARITY_ARRAYS} <= set(listed)
    assert (a_bundle / FAMILIARITY_ARRAYS).stat().st_mode & 0o777 == 0o644


def test_a_bundle_without_the_record_still_loads(a_bundle: Path) -> None:
    for name in (FAMILIARITY, FAMILIARITY_ARRAYS):
        (a_bundle / name).unlink()
    write_manifest(a_bundle)
    assert load_model(a_bundle).familiarity is None


@pytest.mark.parametrize("name", [FAMILIARITY, FAMILIARITY_ARRAYS])
def test_a_changed_record_is_refused(a_bundle: Path, name: str) -> None:
    with (a_bundle / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(ModelError, match="missing or changed"):
        load_model(a_bundle)


def test_a_record_that_the_manifest_does_not_list_is_refused(
    a_bundle: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(a_bundle, tmp_path / "other"))
    listed = json.loads((other / "manifest.json").read_text())
    del listed["sha256"][FAMILIARITY]
    (other / "manifest.json").write_text(json.dumps(listed))
    with pytest.raises(ModelError, match=f"no sha256 of {FAMILIARITY}"):
        load_model(other)


def test_the_record_can_be_put_into_a_bundle_that_has_none(
    a_bundle: Path, traits_of: TraitsOf
) -> None:
    weights = load_model(a_bundle).weights_sha256
    record = seen(validate=traits_of(12, 4)).familiarity("staff", weights)
    assert isinstance(record, Familiarity)
    write_familiarity(a_bundle, record)
    write_manifest(a_bundle)
    again = load_model(a_bundle).familiarity
    assert again is not None
    assert (again.population, again.looks[0].heads) == ("staff", 12)
    assert again.sizes == {"misfit": record.sizes["misfit"]}
    assert isinstance(again.sizes["misfit"], HealthyAmount)
