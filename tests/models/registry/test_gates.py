"""Gates: each lets a sound model pass and stops the one that it is there to stop."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from counterpart.bundle import CARD, METADATA, Model, load_model, write_manifest
from counterpart.cohort import Cohort
from counterpart.generate import from_slices
from counterpart.held_out.answers import compared, head_map
from counterpart.held_out.heads import validation_heads
from counterpart.reconstruction import Reconstruction
from counterpart.registry import gates
from counterpart.registry.gates import (
    GATES,
    HEALTHY_TOLERANCE,
    bound_calibration,
    bundle_gate,
    finite_answers,
    gate_name,
    head_precision,
    healed,
    healthy_error,
    healthy_head_error,
    made_up_slice,
    pattern_precision,
)
from counterpart.registry.verdict import Verdict
from counterpart.residual import AnomalyConfig
from counterpart.training.examples import Examples

BundleOf = Callable[..., Path]


@pytest.fixture
def model_of(bundle_of: BundleOf) -> Callable[..., Model]:
    def make(version: str = "1.0.0", **options: object) -> Model:
        return load_model(bundle_of(version, **options))

    return make


@pytest.fixture(autouse=True)
def one_head_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "SUBJECTS", 1)


@pytest.fixture(scope="module")
def the_patterned_head(a_cohort: Cohort) -> Examples:
    device = torch.device("cpu")
    return validation_heads(a_cohort, ("T1",), 1, patterned=True, device=device)[0]


def test_each_gate_gives_its_own_name(model_of: Callable[..., Model], bundle_of: BundleOf) -> None:
    model = model_of()
    for gate in (*GATES, bundle_gate(bundle_of("1.0.0"))):
        assert gate(model, None, None).gate == gate_name(gate)
    assert len({gate_name(gate) for gate in GATES}) == len(GATES) == 4


def test_without_a_cohort_nothing_is_compared_and_it_says_so(
    model_of: Callable[..., Model],
) -> None:
    for gate in (healthy_error, pattern_precision):
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


def test_the_error_in_health_is_what_the_network_is_off_by(
    model_of: Callable[..., Model], a_cohort: Cohort
) -> None:
    heads = validation_heads(a_cohort, ("T1",), 1, patterned=False, device=torch.device("cpu"))
    for off in (0.25, -0.5):
        found = healthy_head_error(model_of(off=off), heads[0], "T1")
        assert found == pytest.approx(abs(off), rel=0.03)
    assert healthy_head_error(model_of(), heads[0], "T1") < 0.03


@pytest.mark.parametrize(
    ("off", "passed"), [(0.1, True), (0.5, True), (0.515, True), (0.56, False)]
)
def test_a_larger_error_in_health_is_tolerated_up_to_a_twentieth(
    model_of: Callable[..., Model], a_cohort: Cohort, off: float, passed: bool
) -> None:
    assert HEALTHY_TOLERANCE == 0.05
    verdict = healthy_error(model_of("2.0.0", off=off), model_of(off=0.5), a_cohort)
    assert verdict.passed is passed and verdict.checked
    assert verdict.figures["T1"] == pytest.approx(off, rel=0.03)
    assert verdict.figures["T1, serving model"] == pytest.approx(0.5, rel=0.03)
    assert f"{verdict.figures['T1']:.4g} on T1" in verdict.reason


def test_without_a_serving_model_figures_are_given_and_not_compared(
    model_of: Callable[..., Model], a_cohort: Cohort
) -> None:
    verdict = healthy_error(model_of(off=0.5), None, a_cohort)
    assert verdict.passed and not verdict.checked
    assert verdict.reason.startswith("not checked: there is no serving model")
    assert set(verdict.figures) == {"T1"}


def test_a_contrast_that_only_one_model_serves_is_not_compared(
    model_of: Callable[..., Model], a_cohort: Cohort
) -> None:
    candidate = model_of("2.0.0", off=0.5, contrasts=("T1",))
    verdict = healthy_error(candidate, model_of(off=0.0, contrasts=("T2",)), a_cohort)
    assert verdict.passed and not verdict.checked


def test_every_contrast_in_common_is_compared(
    model_of: Callable[..., Model], a_cohort: Cohort
) -> None:
    candidate = model_of("2.0.0", contrasts=("T1", "FLAIR"))
    verdict = healthy_error(candidate, model_of(contrasts=("FLAIR", "T1", "T2")), a_cohort)
    names = {"T1", "FLAIR"}
    assert set(verdict.figures) == names | {f"{name}, serving model" for name in names}
    for name in names:
        assert verdict.figures[name] == verdict.figures[f"{name}, serving model"]


def test_an_answer_that_is_no_number_fails_and_one_of_the_serving_model_does_not(
    model_of: Callable[..., Model], a_cohort: Cohort
) -> None:
    sound, broken = model_of(), model_of("2.0.0")
    with torch.no_grad():
        broken.denoiser.state_dict()["net.out.2.conv.bias"][0] = math.nan
    verdict = healthy_error(broken, sound, a_cohort)
    assert not verdict.passed and "not a finite number" in verdict.reason
    assert healthy_error(sound, broken, a_cohort).passed


def test_precision_is_that_of_the_anomaly_map(
    model_of: Callable[..., Model], the_patterned_head: Examples
) -> None:
    model = model_of(level=600)
    found = compared(the_patterned_head, healed(model, the_patterned_head))
    score = abs(head_map(found, model.settings.anomaly, None)[found.brain])
    truth = (from_slices(the_patterned_head.departure) > 0.5)[found.brain]
    positives, hits, total, slow = int(truth.sum()), 0, 0, 0.0
    for value in sorted(set(score.tolist()), reverse=True):
        here = score == value
        gained = int(truth[here].sum())
        hits, total = hits + gained, total + int(here.sum())
        slow += gained / positives * hits / total
    assert head_precision(model, the_patterned_head, "T1") == pytest.approx(slow, rel=1e-4)


def test_finding_less_than_the_serving_model_fails(
    model_of: Callable[..., Model], a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeing, blind = model_of(anomaly=AnomalyConfig(1, 0.0, 1.0)), model_of("2.0.0")

    def answer(model: Model, head: Examples) -> Reconstruction:
        return (
            Reconstruction(head.clean, head.departure) if model is seeing else healed(model, head)
        )

    monkeypatch.setattr(gates, "healed", answer)
    better = pattern_precision(seeing, blind, a_cohort)
    worse = pattern_precision(blind, seeing, a_cohort)
    assert better.passed and better.checked
    assert better.figures["T1"] > 0.8 > 0.2 > better.figures["T1, serving model"]
    assert not worse.passed and "average precision" in worse.reason
    assert worse.figures["T1"] == better.figures["T1, serving model"]


@pytest.mark.parametrize(("less", "passed"), [(-0.1, True), (0.019, True), (0.021, False)])
def test_precision_may_be_a_little_less(
    model_of: Callable[..., Model],
    a_cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
    less: float,
    passed: bool,
) -> None:
    candidate, serving = model_of("2.0.0"), model_of()

    def score(model: Model, head: Examples, contrast: str) -> float:
        return 0.5 - less if model is candidate else 0.5

    monkeypatch.setattr(gates, "head_precision", score)
    verdict = pattern_precision(candidate, serving, a_cohort)
    assert verdict.passed is passed
    assert verdict.figures == {
        "T1": pytest.approx(0.5 - less),
        "T1, serving model": pytest.approx(0.5),
    }


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
    assert verdict.passed and "T2 would be served no more" in verdict.reason
    assert "no more" not in bound_calibration(serving, serving).reason
