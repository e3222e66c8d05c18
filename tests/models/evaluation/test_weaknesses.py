"""Weak points: each rule speaks where the figures call for it, and is silent where they do not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from made_up_figures import evaluation, healthy, patient

from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION
from counterpart.evaluation.probe import DISEASE, SCANNER, WITHIN
from counterpart.evaluation.records import (
    FrocPoint,
    ModelEvaluation,
    PatientFigures,
    ProbeFigures,
    Refusal,
)
from counterpart.evaluation.weaknesses import weaknesses


def ten_patients(better_by: float = 0.1, **others: Any) -> list[PatientFigures]:
    """Scans in which the map is better than the baseline by this much, more or less."""
    return [
        patient(f"lgg-{n}_FLAIR", 0.5 + better_by + 0.01 * n, {"intensity": 0.5}, **others)
        for n in range(-5, 5)
    ]


def flawless(**others: Any) -> ModelEvaluation:
    """An evaluation that calls for no sentence; ``others`` takes its place in part."""
    controls = [healthy(f"h-{n}_FLAIR", flagged_ml=0.5) for n in range(20)]
    return replace(evaluation(ten_patients(), controls), **others)


def probed(question: str, auroc: float, contrast: str = "FLAIR") -> ProbeFigures:
    return ProbeFigures(
        contrast, question, (9, 9), (90, 90), auroc, auroc - 0.05, auroc + 0.05, 0.5
    )


def the_sentence(found: ModelEvaluation) -> str:
    (sentence,) = weaknesses(found)
    return sentence


def test_a_flawless_model_calls_for_no_sentence() -> None:
    assert weaknesses(flawless()) == []


def test_a_model_below_the_baseline_is_told() -> None:
    sentence = the_sentence(flawless(patients=tuple(ten_patients(-0.1))))
    assert "lgg FLAIR: 0.395 against 0.500" in sentence
    assert "intensity" in sentence
    assert "better than the model" in sentence
    assert "-0.105" in sentence


def test_a_model_that_cannot_be_told_from_the_baseline_is_told() -> None:
    sentence = the_sentence(flawless(patients=tuple(ten_patients(0.0))))
    assert "no better than" in sentence
    assert "10 scans" in sentence


@pytest.mark.parametrize(("ap", "below"), [(0.4, True), (0.6, False)])
def test_few_scans_are_examples_and_a_lower_figure_is_told(ap: float, below: bool) -> None:
    few = (*ten_patients(), patient("ms-1_T1", ap, {"intensity": 0.5}))
    found = weaknesses(flawless(patients=few))
    assert any("ms T1" in one and "examples" in one for one in found)
    assert any("ms T1: 0.400 against 0.500" in one for one in found) is below
    assert not any("lgg" in one for one in found)


def test_without_baselines_nothing_is_said_of_them() -> None:
    rows = tuple(
        replace(row, scores={"anomaly map": row.map, "residual": row.map})
        for row in ten_patients(-0.3)
    )
    assert weaknesses(flawless(patients=rows)) == []


PATIENTS = [
    ({"at_threshold": FrocPoint(0.5, 1, 0)}, ("lgg FLAIR", "50%", "20 lesions", "missed")),
    ({"at_threshold": FrocPoint(0.5, 2, 2)}, ("lgg FLAIR", "2.0 findings per scan")),
    ({"flagged_ml": 30.0}, ("lgg FLAIR", "1.5 times as large")),
    ({"flagged_ml": 10.0}, ("lgg FLAIR", "50% of the lesions' volume")),
    ({"outside": 0.04}, ("10 of 10 scans", "4%")),
]


@pytest.mark.parametrize(("change", "words"), PATIENTS)
def test_a_flaw_in_patients_is_told(change: dict[str, Any], words: Sequence[str]) -> None:
    sentence = the_sentence(flawless(patients=tuple(ten_patients(**change))))
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    "change",
    [
        {"at_threshold": FrocPoint(0.5, 3, 1), "lesions": 5},
        {"flagged_ml": 24.9},
        {"flagged_ml": 16.1},
        {"outside": 0.02},
        {"lesions": 0, "at_threshold": FrocPoint(0.5, 0, 0)},
    ],
)
def test_what_meets_the_aim_just_so_is_no_flaw(change: dict[str, Any]) -> None:
    assert weaknesses(flawless(patients=tuple(ten_patients(**change)))) == []


def test_the_scan_whose_lesion_is_cut_off_most_is_named() -> None:
    rows = ten_patients()
    rows[3], rows[7] = replace(rows[3], outside=0.1), replace(rows[7], outside=0.25)
    sentence = the_sentence(flawless(patients=tuple(rows)))
    assert "2 of 10 scans" in sentence
    assert f"{rows[7].case} (25%)" in sentence


def test_thresholds_from_simulation_are_told() -> None:
    aims = {"FLAIR": (0.5, SIMULATION), "T1": (0.4, HEALTHY_SCANS), "T2": (0.4, SIMULATION)}
    sentence = the_sentence(flawless(aims=aims))
    assert "FLAIR, T2" in sentence
    assert "T1" not in sentence


def test_a_contrast_without_a_threshold_is_told() -> None:
    sentence = the_sentence(flawless(aims={"T1": (0.4, HEALTHY_SCANS)}))
    assert "FLAIR" in sentence
    assert "threshold" in sentence


def test_without_healthy_scans_nothing_is_known_of_health() -> None:
    assert "No healthy scan" in the_sentence(flawless(healthy=()))


HEALTH = [
    ({"findings": 2}, ("2.00 findings", "0.50 ml")),
    ({"flagged_ml": 1.5}, ("0.00 findings", "1.50 ml")),
    ({"error": 0.02}, ("0.0200", "0.970")),
    ({"ssim": 0.9}, ("0.0100", "0.900")),
    ({"edges_kept": 0.6}, ("60%", "edges")),
    ({"p_value": 0.01}, ("20 of 20", "do not hold")),
    ({"p_value": None}, ("20 of 20", "no p-value")),
]


@pytest.mark.parametrize(("change", "words"), HEALTH)
def test_a_flaw_in_health_is_told(change: dict[str, Any], words: Sequence[str]) -> None:
    controls = tuple(replace(row, **change) for row in flawless().healthy)
    sentence = the_sentence(flawless(healthy=controls))
    for word in words:
        assert word in sentence


def test_a_few_low_p_values_in_health_are_expected() -> None:
    rows = list(flawless().healthy)
    rows[0] = replace(rows[0], p_value=0.05)
    assert weaknesses(flawless(healthy=tuple(rows))) == []


def test_one_scan_that_holds_most_of_the_false_alarms_is_named() -> None:
    rows = list(flawless().healthy)
    rows[4] = replace(rows[4], flagged_ml=10.0)
    sentence = the_sentence(flawless(healthy=tuple(rows)))
    assert rows[4].case in sentence
    assert "51%" in sentence
    assert "10.0 ml" in sentence
    rows[5] = replace(rows[5], flagged_ml=9.0)
    assert not any(rows[4].case in one for one in weaknesses(flawless(healthy=tuple(rows))))


def test_a_probe_that_tells_the_scanner_is_told() -> None:
    probes = (probed(DISEASE, 0.92), probed(SCANNER, 0.86), probed(WITHIN, 0.7))
    sentence = the_sentence(flawless(probe=probes))
    assert sentence.startswith("FLAIR")
    assert "0.86" in sentence
    assert "0.92" in sentence


@pytest.mark.parametrize(
    "probes",
    [
        (probed(DISEASE, 0.92), probed(SCANNER, 0.6)),
        (probed(DISEASE, 0.92), probed(SCANNER, 0.92, contrast="T1")),
        (probed(DISEASE, 0.92), probed(WITHIN, 0.92)),
        (probed(SCANNER, 0.92),),
    ],
)
def test_a_probe_that_tells_the_disease_is_not_doubted(probes: tuple[ProbeFigures, ...]) -> None:
    assert weaknesses(flawless(probe=probes)) == []


def test_refused_scans_are_named() -> None:
    refused = (Refusal("a_T1", "It is CT."), Refusal("b_T1", "It is empty."))
    sentence = the_sentence(flawless(refusals=refused))
    assert "2 scans" in sentence
    assert "a_T1, b_T1" in sentence
