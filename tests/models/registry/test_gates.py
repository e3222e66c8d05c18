"""Gates: each lets a sound model pass and stops the one that it is there to stop."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from counterpart.attribution.memorisation import Pair, told_apart
from counterpart.attribution.memorised import Memorisation
from counterpart.bundle import CARD, METADATA, Model, load_model, write_manifest
from counterpart.cohort import Cohort
from counterpart.encoder import EncoderConfig
from counterpart.registry import memorisation_gate
from counterpart.registry.gates import (
    GATES,
    bound_calibration,
    bundle_gate,
    finite_answers,
    gate_name,
    made_up_slice,
)
from counterpart.registry.verdict import Verdict

BundleOf = Callable[..., Path]


@pytest.fixture
def model_of(bundle_of: BundleOf) -> Callable[..., Model]:
    def make(version: str = "1.0.0", **options: object) -> Model:
        return load_model(bundle_of(version, **options))

    return make


def test_each_gate_gives_its_own_name(model_of: Callable[..., Model], bundle_of: BundleOf) -> None:
    model = model_of()
    for gate in (*GATES, bundle_gate(bundle_of("1.0.0"))):
        assert gate(model, None, None).gate == gate_name(gate)
    assert len({gate_name(gate) for gate in GATES}) == len(GATES) == 6


def test_without_a_cohort_nothing_is_compared_and_it_says_so(
    model_of: Callable[..., Model],
) -> None:
    for gate in GATES[2:]:
        verdict = gate(model_of(), model_of("2.0.0"), None)
        assert verdict == Verdict(
            gate_name(gate), True, "not checked: no cohort given.", checked=False
        )


def test_a_sound_bundle_passes(bundle_of: BundleOf) -> None:
    folder = bundle_of("1.0.0")
    verdict = bundle_gate(folder)(load_model(folder), None, None)
    assert verdict.passed and verdict.checked
    assert verdict.figures == {"files": 6.0}


@pytest.mark.parametrize("key", ["authors", "task", "monai_version"])
def test_metadata_without_a_key_fail_with_the_key_named(bundle_of: BundleOf, key: str) -> None:
    folder = bundle_of("1.0.0")
    path = folder / METADATA
    path.write_text(path.read_text().replace(f'"{key}"', f'"no_{key}"'))
    write_manifest(folder)
    verdict = bundle_gate(folder)(load_model(folder), None, None)
    assert not verdict.passed
    assert f"{METADATA}: " in verdict.reason and f"'{key}'" in verdict.reason


def test_a_file_that_changed_since_it_was_loaded_fails(bundle_of: BundleOf) -> None:
    folder = bundle_of("1.0.0")
    model = load_model(folder)
    (folder / CARD).write_text("# Another\n")
    verdict = bundle_gate(folder)(model, None, None)
    assert not verdict.passed and f"{CARD}: missing or changed" in verdict.reason


def test_weights_other_than_those_loaded_fail(bundle_of: BundleOf) -> None:
    folder = bundle_of("1.0.0")
    other = replace(load_model(folder), weights_sha256="ab" * 32)
    verdict = bundle_gate(folder)(other, None, None)
    assert not verdict.passed and "not those that were loaded" in verdict.reason


def test_a_bundle_without_a_card_fails(bundle_of: BundleOf) -> None:
    folder = bundle_of("1.0.0")
    (folder / CARD).unlink()
    write_manifest(folder)
    verdict = bundle_gate(folder)(load_model(folder), None, None)
    assert not verdict.passed and CARD in verdict.reason


def test_finite_weights_and_answers_pass(model_of: Callable[..., Model]) -> None:
    verdict = finite_answers(model_of(off=0.5))
    assert verdict.passed and verdict.checked
    assert 1.0 < verdict.figures["largest value"] < 20.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_weight_that_is_not_finite_is_named(model_of: Callable[..., Model], value: float) -> None:
    model = model_of()
    with torch.no_grad():
        model.denoiser.state_dict()["net.out.2.conv.bias"][0] = value
    verdict = finite_answers(model)
    assert not verdict.passed and "net.out.2.conv.bias" in verdict.reason


@pytest.mark.parametrize(("part", "name"), [(slice(4), "clean slice"), (slice(4, 8), "departure")])
def test_an_answer_that_overflows_fails(
    model_of: Callable[..., Model], part: slice, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of()

    def overflow(module: torch.nn.Module, given: object, answer: torch.Tensor) -> torch.Tensor:
        answer[:, part] = math.nan
        return answer

    hook = model.denoiser.net.register_forward_hook(overflow)
    verdict = finite_answers(model)
    hook.remove()
    assert not verdict.passed and name in verdict.reason
    assert finite_answers(model).passed


def test_the_made_up_slice_is_always_the_same_and_has_a_brain() -> None:
    one, two = made_up_slice(), made_up_slice()
    assert torch.equal(one.shown, two.shown)
    assert 0.3 < float(one.brain.mean()) < 0.8
    assert float((one.shown * (1 - one.brain)).abs().max()) == 0.0


def test_calibrations_bound_to_the_weights_pass(model_of: Callable[..., Model]) -> None:
    verdict = bound_calibration(model_of(contrasts=("T1", "FLAIR")))
    assert verdict.passed
    assert "T1" in verdict.reason and "FLAIR" in verdict.reason
    assert verdict.figures == {"calibrations": 2.0, "contrasts": 2.0}


def test_a_calibration_of_other_weights_fails(model_of: Callable[..., Model]) -> None:
    model = model_of(bound_to="ab" * 32)
    verdict = bound_calibration(model)
    assert not verdict.passed
    assert "abababababab" in verdict.reason and model.weights_sha256[:12] in verdict.reason


def test_a_model_without_a_threshold_fails(model_of: Callable[..., Model]) -> None:
    verdict = bound_calibration(model_of(contrasts=()))
    assert not verdict.passed and "no healthy threshold" in verdict.reason


def test_a_contrast_that_would_be_lost_is_named(model_of: Callable[..., Model]) -> None:
    serving = model_of(contrasts=("T1", "T2"))
    verdict = bound_calibration(model_of("2.0.0", contrasts=("T1",)), serving)
    assert verdict.passed and "T2 stays with the version that serves it now" in verdict.reason
    assert "stays with" not in bound_calibration(serving, serving).reason


def test_without_a_serving_model_nothing_is_compared_and_it_says_so(
    model_of: Callable[..., Model], a_cohort: Cohort
) -> None:
    for gate in GATES[2:-1]:
        verdict = gate(model_of(), None, a_cohort)
        assert verdict.passed and not verdict.checked
        assert verdict.reason.startswith("not checked: there is no serving model")


def test_memorisation_is_looked_for_where_the_weights_are_others_and_can_be(
    model_of: Callable[..., Model], a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, serving = model_of("2.0.0", off=0.5), model_of()
    assert "no encoder" in GATES[-1](candidate, serving, a_cohort).reason
    coded = replace(candidate.denoiser.config, encoder=EncoderConfig(), condition="embedding")
    monkeypatch.setattr(candidate.denoiser, "config", coded)
    assert "too few subjects" in GATES[-1](candidate, serving, a_cohort).reason
    many = replace(
        a_cohort, subjects=tuple(replace(a_cohort.subjects[0], part="train") for _ in range(9))
    )
    told = told_apart([1.0] * 9, [0.0] * 9)
    kept = Memorisation(750, told, told, 0.2, (Pair("one", "other", 0.9),))
    monkeypatch.setattr(memorisation_gate, "measure_memorisation", lambda *args, **how: kept)
    verdict = GATES[-1](candidate, serving, many)
    assert verdict.checked and not verdict.passed
    assert verdict.figures["one like other"] == 0.9 and "AUC of 1.00" in verdict.reason
    same = GATES[-1](serving, serving, many)
    assert same.passed and "the weights are those that serve" in same.reason
