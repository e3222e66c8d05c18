"""The evaluation as Markdown: rows, dashes for what is missing, models side by side, decades."""

import re
from collections.abc import Iterable

import pytest
from made_up_figures import evaluation, froc, healthy, patient, score

from counterpart.evaluation.probe import WITHIN
from counterpart.evaluation.records import (
    MAP,
    FrocPoint,
    HealthyFigures,
    ModelEvaluation,
    PatientFigures,
    ProbeFigures,
    Refusal,
)
from counterpart.evaluation.text import evaluation_text


def text_of(*evaluations: ModelEvaluation) -> str:
    return evaluation_text(evaluations, command="counterpart evaluate --data patients -o out")


def tables(text: str) -> list[list[list[str]]]:
    """The cells of all tables, in order, the line below the head left out."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    return [[_cells(line) for line in block.splitlines() if "---" not in line] for block in blocks]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def lines_of(text: str, first: str) -> list[list[str]]:
    """The line that begins with these words in each table that has it."""
    return [line for _, *lines in tables(text) for line in lines if line[0] == first]


def under(text: str, heading: str) -> str:
    """What stands below a heading."""
    return text.split(f"### {heading}\n")[1].split("\n### ")[0]


def rows_of(text: str, first: str) -> list[dict[str, str]]:
    """The same by column; of columns with one name the last."""
    return [
        dict(zip(head, line, strict=True))
        for head, *lines in tables(text)
        for line in lines
        if line[0] == first
    ]


def some_patients() -> list[PatientFigures]:
    plain = {"intensity": 0.3, "robust |z|, 3 mm": 0.35}
    curve = score(0.6, froc=froc((2, 3), (1, 1)), slice_auroc=0.8, scan_score=2.0)
    return [
        patient(
            f"lgg-{n}_FLAIR",
            baselines=plain,
            scores={MAP: curve},
            at_threshold=FrocPoint(0.5, 1, 2),
        )
        for n in range(6)
    ]


def some_controls(ages: Iterable[float | None] = (30.0,)) -> list[HealthyFigures]:
    return [
        healthy(
            f"h-{n}_FLAIR",
            age_years=age,
            error=0.001 * (n + 1),
            findings=n,
            scan_scores={MAP: float(n)},
            region_errors={"insula": 0.01},
            region_findings={"insula": n},
        )
        for n, age in enumerate(ages)
    ]


def test_a_set_has_a_row_in_each_table_of_patients() -> None:
    controls = some_controls([30.0, 40.0, 50.0, 60.0])
    text = text_of(evaluation(some_patients(), controls))
    precision, overlap, lesions = rows_of(under(text, "Patients"), "lgg FLAIR")
    assert list(precision.values()) == [
        *("lgg FLAIR", "6", "0.020", "0.600", "0.250"),
        *("robust \\|z\\|, 3 mm", "0.350", "+0.250 (+0.250 to +0.250)"),
    ]
    assert list(overlap.values())[1:3] == ["0.300", "0.175"]
    assert (lesions["lesions"], lesions["found at the threshold"]) == ("12", "0.50")
    assert lesions["false positives per scan"] == "2.00"
    assert lesions["found at 1 false positive per scan"] == "0.500"
    assert lesions["slice AUROC"] == "0.800"
    assert lesions["scan AUROC"] == "0.625"  # above 0 and 1, as 2, below 3


def test_without_baselines_there_are_dashes() -> None:
    text = text_of(evaluation([patient(f"lgg-{n}_FLAIR") for n in range(6)]))
    precision, overlap, lesions = lines_of(under(text, "Patients"), "lgg FLAIR")
    assert precision[-3:] == ["–"] * 3
    assert overlap[1:] == ["0.250", "–", "0.250", "–", "–"]
    assert lesions[4:] == ["–"] * 6
    *_, scan = rows_of(text, patient("lgg-3_FLAIR").case)
    assert (scan["baseline"], scan["p"]) == ("–", "–")


def test_each_scan_has_a_row() -> None:
    rows = [*some_patients(), patient("ms-1_T1", 0.25, p_value=0.0244, lesion_ml=3.21)]
    text = text_of(evaluation(rows))
    *_, scan = rows_of(text, rows[-1].case)
    assert list(scan.values()) == [
        *(rows[-1].case, "0.250", "–", "0.125", "0.125", "2 of 2", "0", "3.2", "20.0", "0.024"),
    ]
    *_, other = rows_of(text, rows[0].case)
    assert (other["baseline"], other["lesions found"]) == ("0.350", "1 of 2")
    assert "<summary>All 7 scans</summary>" in text


def test_the_command_and_the_model_come_first() -> None:
    text = text_of(evaluation(some_patients(), seed=3))
    assert text.startswith("```bash\ncounterpart evaluate --data patients -o out\n```\n")
    assert "Model tiny 1.0.0 (abcdefabcdef), seed 3: 6 scans of patients, 0 of healthy" in text


def test_parts_without_figures_are_left_out() -> None:
    patients_alone = text_of(evaluation(some_patients()))
    assert "### In health" not in patients_alone
    assert "### Refused" not in patients_alone
    assert "side by side" not in patients_alone
    assert "What the encoder tells" not in patients_alone
    health_alone = text_of(evaluation(healthy=some_controls()))
    assert "### In health" in health_alone
    assert "<details>" not in health_alone
    assert "*AP* is" not in health_alone


def test_models_stand_side_by_side_with_their_paired_difference() -> None:
    first = evaluation([patient(f"lgg-{n}_FLAIR", 0.1 * n) for n in range(6)])
    better = evaluation([patient(f"lgg-{n}_FLAIR", 0.1 * n + 0.05) for n in range(6)], name="new")
    other = evaluation([patient("ms-1_T1", 0.9)], name="other")
    text = under(text_of(first, better, other), "Models side by side")
    (line,) = lines_of(text, "lgg FLAIR")
    assert line == ["lgg FLAIR", "6", "0.250", "0.300", "+0.050 (+0.050 to +0.050)", "–", "–"]
    head = f"| AP | scans | {first.label} | {better.label} | minus {first.label} | {other.label} |"
    assert head in text_of(first, better, other)


def test_models_stand_side_by_side_in_health_too() -> None:
    one = evaluation(healthy=[healthy(error=0.01, findings=2), healthy("h-2_T1", error=0.03)])
    other = evaluation(healthy=[healthy(error=0.05, flagged_ml=3.0)], name="other")
    without = evaluation([patient()], name="without")
    text = text_of(one, other, without)
    lines = [line for line in lines_of(text, one.label) if len(line) == 9]
    assert [line[1:3] + line[6:7] for line in lines] == [["2", "0.0200", "1.00"]]
    (line,) = lines_of(text, other.label)
    assert (line[1:3], line[7]) == (["1", "0.0500"], "3.00")
    assert not lines_of(text, without.label)


def test_models_that_share_few_scans_have_no_difference() -> None:
    first = evaluation([patient(f"lgg-{n}_FLAIR", 0.1 * n) for n in range(6)])
    few = evaluation([patient(f"lgg-{n}_FLAIR", 0.1 * n + 0.05) for n in range(3)], name="few")
    text = under(text_of(first, few), "Models side by side")
    (row,) = rows_of(text, "lgg FLAIR")
    assert (row[few.label], row[f"minus {first.label}"]) == ("0.150", "–")


def test_health_is_told_by_decade() -> None:
    text = text_of(evaluation(healthy=some_controls([29.9, 20.0, 45.0, None])))
    (everyone,) = rows_of(text, "all")
    assert (everyone["scans"], everyone["error"], everyone["findings"]) == ("4", "0.0025", "1.50")
    (twenties,) = rows_of(text, "20 to 29")
    assert (twenties["scans"], twenties["error"]) == ("2", "0.0015")
    assert (twenties["findings"], twenties["without finding"]) == ("0.50", "1")
    (forties,) = rows_of(text, "40 to 49")
    assert (forties["scans"], forties["error"], forties["without finding"]) == ("1", "0.0030", "0")
    assert not rows_of(text, "30 to 39")


def test_health_is_told_by_region() -> None:
    rows = some_controls([30.0, 30.0, 30.0])
    rows[0] = healthy("h-0_FLAIR", region_errors={"thalamus": 0.02})
    text = text_of(evaluation(healthy=rows))
    (insula,) = rows_of(text, "insula")
    assert (insula["error"], insula["findings per scan"]) == ("0.0100", "1.00")
    (thalamus,) = rows_of(text, "thalamus")
    assert (thalamus["error"], thalamus["findings per scan"]) == ("0.0200", "0.00")


def test_p_values_are_counted_with_their_exact_interval() -> None:
    rows = [healthy(f"h-{n}_FLAIR", p_value=0.5, left_out=n < 4) for n in range(9)]
    rows.append(healthy("h-9_FLAIR", p_value=0.05))
    text = text_of(evaluation(healthy=[*rows, healthy("h-10_FLAIR", p_value=None)]))
    assert "p ≤ 0.05 in 1 of 10 scans: 0.100, exact 95 % interval 0.003 to 0.445" in text
    assert "4 of them" in text
    assert "p ≤" not in text_of(evaluation(healthy=[healthy(p_value=None)])).split("Weak points")[0]


def test_the_probe_the_weak_points_and_the_refused_scans_are_told() -> None:
    probe = ProbeFigures("FLAIR", WITHIN, (7, 8), (70, 80), 0.71, 0.6, 0.8, 0.65)
    refused = (Refusal("bad_T1", "bad_T1.nii.gz: it is CT."),)
    text = text_of(evaluation(some_patients(), probe=(probe,), refusals=refused))
    (row,) = rows_of(text, "FLAIR")
    assert list(row.values()) == [
        *("FLAIR", WITHIN, "7 and 8", "70 and 80", "0.710 (0.600 to 0.800)", "0.650"),
    ]
    assert "- bad_T1: bad_T1.nii.gz: it is CT." in text
    assert "### Weak points\n\n- " in text


@pytest.mark.parametrize("both", [True, False])
def test_all_tables_are_rectangular(both: bool) -> None:
    whole = evaluation(some_patients(), some_controls([30.0, 41.0]))
    found = tables(
        text_of(whole, evaluation(some_patients(), name="new")) if both else text_of(whole)
    )
    assert len(found) == (13 if both else 12)
    for head, *lines in found:
        assert lines
        assert {len(line) for line in lines} == {len(head)}


def test_no_scan_is_named_but_refused_ones() -> None:
    worst = patient("lgg_secret_FLAIR", 0.1, outside=0.3)
    control = healthy("secret_T1", flagged_ml=9.0, findings=3)
    text = text_of(evaluation([*some_patients(), worst], [*some_controls(), control]))
    assert "secret" not in text
    assert worst.case in text
    assert control.case in text
