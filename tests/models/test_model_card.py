"""The model card says what was chosen, how the calibrations fare and what the condition brings."""

from dataclasses import replace

import pytest

from counterpart.bundle import ModelSettings
from counterpart.calibration.calibrating import CalibrationFigures
from counterpart.calibration.domain import DomainRange
from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION, Calibration
from counterpart.cohort import Cohort
from counterpart.denoiser import DenoiserConfig
from counterpart.encoder import EncoderConfig
from counterpart.held_out.selection import Choice
from counterpart.model_card import (
    CALIBRATION_HEADING,
    REGIONS_SENTENCE,
    CardFacts,
    Chosen,
    calibration_section,
    model_card,
    with_section,
)
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.results import DISCLAIMER
from counterpart.training.condition_effect import ConditionEffect

NAN = float("nan")
FACTS = CardFacts("tiny", 1_500_000, "7 steps of 2 slices.", "Three heads, CC0.")
SETTINGS = ModelSettings(
    DenoiserConfig((16, 32), (False, False)),
    ReconstructionConfig((120, 500), (1.0, 0.0), (0.0, 1.0)),
    AnomalyConfig(residual_power=0.5),
)
RENDERED = Calibration("FLAIR", "rendered", SIMULATION, 12, "f" * 64, 1.25, "12 rendered")
HEALTHY = Calibration(
    contrast="T1",
    population="volunteers",
    kind=HEALTHY_SCANS,
    n_scale=20,
    weights_sha256="f" * 64,
    threshold=0.73,
    threshold_source="20 held-out healthy scans",
    masses=tuple(float(number) for number in range(19)),
    domain=DomainRange(False, (0.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (0.0, 1.0)),
)
FIGURES = [
    CalibrationFigures("T1", HEALTHY_SCANS, 19, 0.895, 0.625),
    CalibrationFigures("FLAIR", SIMULATION, 12, 1.0, 0.5),
]


def chosen(
    table: list[Choice] | None = None, effects: list[ConditionEffect] | None = None
) -> Chosen:
    return Chosen(SETTINGS, table or [], [RENDERED, HEALTHY], FIGURES, effects or [])


def test_card_names_model_data_choices_and_thresholds(a_cohort: Cohort) -> None:
    rows = [
        Choice("levels of d", (500,), (0.0, 1.0), NAN, 0.125),
        Choice("levels of d", (120,), (0.0, 1.0), NAN, 0.25),
        Choice("levels of r", (500,), (1.0, 0.0), 0.75, NAN),
        Choice("levels of r", (120,), (1.0, 0.0), 0.5, NAN),
    ]
    card = model_card(FACTS, chosen(rows), a_cohort)
    for text in (
        "# tiny:",
        DISCLAIMER,
        "1.5 million parameters, channels 16–32",
        "7 steps of 2 slices.",
        "Three heads, CC0. 3 healthy subjects were trained on, 2 were held out",
        "|z|^0.5",
        "| T1 | healthy scans | 0.73 | 19 |",
    ):
        assert text in card
    assert card.index("0.500") < card.index("0.750") < card.index("0.250") < card.index("0.125")
    assert "nan" not in card


def test_the_best_samplers_and_passes_are_listed_too(a_cohort: Cohort) -> None:
    rows = [
        Choice("sampler: DDIM, 4 steps", (120,), (1.0, 0.0), 0.44, NAN),
        Choice("sampler: one step, 1 draw", (120,), (1.0, 0.0), 0.33, NAN),
        Choice("passes: two", (120,), (1.0, 0.0), 0.22, NAN),
    ]
    card = model_card(FACTS, chosen(rows), a_cohort)
    assert card.index("one step, 1 draw | (120,)") < card.index("DDIM, 4 steps | (120,)")
    assert "| passes: two | (120,) | (1.0, 0.0) | 0.220 |  |" in card


@pytest.mark.parametrize("twice", [True, False])
def test_the_card_says_whether_a_second_pass_is_made(a_cohort: Cohort, twice: bool) -> None:
    levels = replace(SETTINGS.reconstruction, second_pass=twice)
    made = replace(chosen(), settings=replace(SETTINGS, reconstruction=levels))
    card = model_card(FACTS, made, a_cohort)
    assert ("A second pass is made." in card) is twice
    assert ("No second pass is made." in card) is not twice


def test_the_card_says_where_regions_come_from_if_there_are_any(a_cohort: Cohort) -> None:
    for regions in (True, False):
        card = model_card(replace(FACTS, regions=regions), chosen(), a_cohort)
        data = card[card.index("## Data") : card.index("## Choices")]
        assert (REGIONS_SENTENCE in data) is regions


def test_every_calibration_is_a_row_with_how_it_fares() -> None:
    lines = calibration_section([RENDERED, HEALTHY], FIGURES)
    assert lines[0] == CALIBRATION_HEADING
    assert lines[-3:] == [
        "| FLAIR | simulation | 1.25 | 12 | 1.00 | 0.50 |  |",
        "| T1 | healthy scans | 0.73 | 19 | 0.90 | 0.62 | 0.050 |",
        "",
    ]
    columns = {line.count("|") for line in lines if line.startswith("|")}
    assert columns == {8}


def test_a_calibration_whose_figures_are_not_known_leaves_them_empty() -> None:
    borrowed = replace(RENDERED, contrast="T1")
    *_, row, _ = calibration_section([HEALTHY, borrowed], FIGURES[:1])
    assert row == "| T1 | simulation | 1.25 |  |  |  |  |"


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("# A\n\nB\n", f"# A\n\nB\n\n{CALIBRATION_HEADING}\n\nnew\n"),
        (f"# A\n\n{CALIBRATION_HEADING}\n\nold\n", f"# A\n\n{CALIBRATION_HEADING}\n\nnew\n"),
        (
            f"# A\n\n{CALIBRATION_HEADING}\n\nold\n\n## D\n\nE\n\n## F\n",
            f"# A\n\n{CALIBRATION_HEADING}\n\nnew\n\n## D\n\nE\n\n## F\n",
        ),
    ],
)
def test_the_calibration_section_alone_is_replaced(card: str, expected: str) -> None:
    assert with_section(card, [CALIBRATION_HEADING, "", "new", ""]) == expected


def test_the_condition_is_a_section_only_where_it_was_measured(a_cohort: Cohort) -> None:
    assert "## What the condition brings" not in model_card(FACTS, chosen(), a_cohort)
    network = replace(SETTINGS.network, condition="cross-attention", encoder=EncoderConfig())
    effect = ConditionEffect(250, "pattern", 0.5, "no code", -0.0123, -0.02, 0.001)
    made = replace(chosen(effects=[effect]), settings=replace(SETTINGS, network=network))
    card = model_card(FACTS, made, a_cohort)
    section = card[card.index("## What the condition brings") :]
    assert "enters by cross-attention" in section
    assert "| 250 | pattern | 0.500 | no code | -0.0123 | -0.0200 to +0.0010 |" in section


def test_deviations_are_listed_where_there_are_any(a_cohort: Cohort) -> None:
    assert "## Deviations" not in model_card(FACTS, chosen(), a_cohort)
    facts = replace(FACTS, deviations=("No bias correction.", "Fewer subjects."))
    card = model_card(facts, chosen(), a_cohort)
    assert card.endswith("## Deviations\n\n- No bias correction.\n- Fewer subjects.\n")
