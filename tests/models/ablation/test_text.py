"""The table's text: figures with intervals, what each part brings, and every deviation said."""

from dataclasses import replace

import pytest

from counterpart.ablation.records import HeadFigures
from counterpart.ablation.rows import (
    BASELINE,
    CALIBRATED,
    HEALING,
    PAPER_TEXT,
    RENDERED,
    SECOND_PASS,
    Sizes,
    ablation_rows,
)
from counterpart.ablation.summary import summarise_rows
from counterpart.ablation.text import Circumstances, ablation_text, what_parts_bring
from counterpart.ablation.training import Mark

SIZES = Sizes(channels=(16, 32, 48), steps=321, encoder_steps=54, batch_size=7)
ROWS = ablation_rows(SIZES)
KNOWN = Circumstances(
    command="counterpart ablate --cohort heads -o out",
    sizes=SIZES,
    subjects={"train": 88, "validate": 20},
    measured=6,
    marks={HEALING: Mark(321, 321, 700.0, 642.0, "0" * 64, "a quiet machine")},
    encoders={PAPER_TEXT: Mark(54, 27, 99.0, 27.0, "0" * 64, "a quiet machine")},
)


def heads(ap: float, within: float, healthy: float = 0.02) -> list[HeadFigures]:
    noise = (0.01, -0.01, 0.02, -0.02, 0.0, 0.005)
    return [
        HeadFigures(n, "T1", 4.0, ap + d, within + d, 0.1, healthy, None)
        for n, d in enumerate(noise)
    ]


@pytest.fixture
def the_text() -> str:
    calm = [replace(one, findings=0.5, flagged_ml=0.2, found=1.0) for one in heads(0.6, 0.4)]
    figures = {
        PAPER_TEXT: heads(0.1, 0.9),
        HEALING: heads(0.4, 0.5),
        CALIBRATED: calm,
        SECOND_PASS: [replace(one, flagged=0.3) for one in calm],
        BASELINE: [replace(one, within=None, score="inverted, 3 mm") for one in heads(0.2, 0.0)],
    }
    return ablation_text(ROWS, summarise_rows(ROWS, figures), KNOWN)


def line(text: str, start: str) -> str:
    return next(one for one in text.splitlines() if one.startswith(start))


def test_a_row_shows_figure_interval_and_difference(the_text: str) -> None:
    cells = [cell.strip() for cell in line(the_text, "| + healing |").split("|")[1:-1]]
    assert cells[1].startswith("0.401 (0.39")
    assert cells[2] == "+0.300 (+0.300 to +0.300)"
    assert cells[3].startswith("0.501 (")
    assert cells[4] == "-0.400 (-0.400 to -0.400)"


def test_healthy_error_is_a_percentage_of_the_normal_range(the_text: str) -> None:
    rows = [one for one in the_text.splitlines() if one.startswith("| + healing |")]
    assert "2.000 (2.000 to 2.000)" in rows[1]


def test_the_baseline_s_line_names_the_score_and_has_no_error(the_text: str) -> None:
    found = line(the_text, "| strongest baseline (inverted, 3 mm)")
    assert "+0.400 (+0.400 to +0.400)" in found
    assert found.rstrip().endswith("| – | – |")


def test_only_rows_with_a_threshold_stand_in_its_table(the_text: str) -> None:
    part = the_text.split("findings per healthy head")[1].split("\n\n")[0]
    assert "+ calibration" in part and "+ second pass" in part
    assert "+ healing" not in part
    assert "0.500 (0.500 to 0.500)" in part


def test_rows_that_are_missing_are_named(the_text: str) -> None:
    missing = line(the_text, "Not measured yet")
    assert RENDERED in missing and "autoencoder" in missing
    assert HEALING not in missing


def test_deviations_and_circumstances_are_said(the_text: str) -> None:
    plain = " ".join(the_text.split())
    assert "counterpart ablate --cohort heads -o out" in plain
    assert "88 healthy subjects of the part *train*" in plain
    assert "for 321 steps of 7 slices" in plain
    assert "measured on 6 subjects of the part *validate*" in plain
    assert "widths 16, 32, 48" in plain and "128, 256, 256" in plain
    assert "321 steps of 7 slices, where ours takes" in plain and "14400 of 32" in plain
    assert "an encoder that had 54 steps" in plain
    assert "a quiet machine" in plain
    assert "about 12 minutes of processor time" in plain  # 642 s and twice 27 s
    assert "+ healing 2.00" in plain and "encoder of paper-text 1.00" in plain


def test_the_changed_settings_are_listed(the_text: str) -> None:
    found = line(the_text.split("<details>")[1], "| + rendered contrasts |")
    assert "`examples.contrasts`: 1.0, 0.0, 0.0, 0.0 →" in found
    assert "network" not in found


def test_sentences_say_better_worse_or_not_clear() -> None:
    worse = [replace(one, healthy=0.03) for one in heads(0.4, 0.5)]
    mixed = [replace(one, within=0.9 + (-1) ** one.subject * 0.1) for one in worse]
    figures = {PAPER_TEXT: heads(0.1, 0.9), HEALING: mixed, RENDERED: mixed}
    found = what_parts_bring(ROWS, summarise_rows(ROWS, figures))
    assert found[0].startswith("T1, + healing: AP better by +0.300")
    assert "within patterns not clearly changed" in found[0]
    assert "healthy heads worse by +1.000" in found[0]
    assert found[1] == (
        "T1, + rendered contrasts: AP unchanged; the error within patterns unchanged; "
        "the error on healthy heads unchanged."
    )


def test_the_full_method_is_set_beside_the_baseline() -> None:
    figures = {SECOND_PASS: heads(0.5, 0.4), BASELINE: heads(0.2, 0.4)}
    (found,) = what_parts_bring(ROWS, summarise_rows(ROWS, figures))
    assert found.startswith("T1, + second pass beside the strongest baseline: AP better by +0.300")
