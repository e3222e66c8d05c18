"""The model card says what the settings say."""

from counterpart.bundle import ModelSettings, Threshold
from counterpart.cohort import Cohort
from counterpart.denoiser import DenoiserConfig
from counterpart.model_card import REGIONS_SENTENCE, CardFacts, model_card
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.results import DISCLAIMER
from counterpart.selection import Choice

SETTINGS = ModelSettings(
    DenoiserConfig((16, 32), (False, False)),
    ReconstructionConfig((120, 500), (1.0, 0.0), (0.0, 1.0)),
    AnomalyConfig(residual_power=0.5),
    {"T1": Threshold(0.73, "20 real scans")},
)


def test_card_names_model_data_choices_and_thresholds(a_cohort: Cohort) -> None:
    facts = CardFacts("tiny", 1_500_000, "7 steps of 2 slices.", "Three heads, CC0.")
    nan = float("nan")
    rows = [
        Choice("levels of d", (500,), (0.0, 1.0), nan, 0.125),
        Choice("levels of d", (120,), (0.0, 1.0), nan, 0.25),
        Choice("levels of r", (500,), (1.0, 0.0), 0.75, nan),
        Choice("levels of r", (120,), (1.0, 0.0), 0.5, nan),
    ]
    card = model_card(facts, SETTINGS, rows, a_cohort)
    for text in (
        "# tiny:",
        DISCLAIMER,
        "1.5 million parameters, channels 16–32",
        "7 steps of 2 slices.",
        "Three heads, CC0. 3 healthy subjects were trained on, 2 were held out",
        "|r|^0.5",
        "- T1: 0.73 (20 real scans)",
    ):
        assert text in card
    assert card.index("0.500") < card.index("0.750") < card.index("0.250") < card.index("0.125")
    assert "nan" not in card


def test_the_card_says_where_regions_come_from_if_there_are_any(a_cohort: Cohort) -> None:
    for regions in (True, False):
        facts = CardFacts("tiny", 1_500_000, "7 steps.", "Three heads, CC0.", regions=regions)
        card = model_card(facts, SETTINGS, [], a_cohort)
        data = card[card.index("## Data") : card.index("## Choices")]
        assert (REGIONS_SENTENCE in data) is regions
