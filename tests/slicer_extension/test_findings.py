"""The order of findings, and the evidence in plain words."""

import pytest

from HealthyCounterpartLib.finding_row import FindingRow
from HealthyCounterpartLib.findings import evidence_line, in_order
from HealthyCounterpartLib.view_state import BAD, GOOD, PLAIN

CALIBRATED = {"p_value": 0.024, "p_floor": 0.024, "healthy_scans": 40}
SIMULATED = {
    "p_value": None,
    "p_floor": None,
    "healthy_scans": 0,
    "reason": "Rendered heads alone.",
}


def a_row(number: int, volume_ml: float = 1.0, peak: float = 5.0, p: float | None = None):
    return FindingRow(
        number, "brighter", volume_ml, peak, peak / 2, p, "left", "insula", (1.0, 2.0, 3.0)
    )


def test_largest_volume_comes_first_and_equal_ones_keep_their_numbers() -> None:
    rows = [a_row(3, 1.0), a_row(1, 2.0), a_row(2, 2.0)]
    assert [row.number for row in in_order(rows, "volume")] == [1, 2, 3]


def test_highest_peak_comes_first() -> None:
    rows = [a_row(1, 9.0, 4.0), a_row(2, 1.0, 7.0), a_row(3, 5.0, 7.0)]
    assert [row.number for row in in_order(rows, "peak")] == [2, 3, 1]


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="'size'"):
        in_order([a_row(1)], "size")


def test_findings_rarer_than_one_in_twenty_are_counted() -> None:
    rows = [a_row(1, p=0.024), a_row(2, p=0.049), a_row(3, p=0.05), a_row(4, p=0.3)]
    line = evidence_line(rows, CALIBRATED)
    assert line.text.startswith("2 findings that fewer than 1 in 20 healthy brains show.")
    assert "40 healthy scans" in line.text and "0.024" in line.text
    assert line.mood == PLAIN


def test_one_rare_finding_is_told_in_the_singular() -> None:
    line = evidence_line([a_row(1, p=0.03)], CALIBRATED)
    assert line.text.startswith("1 finding that fewer than 1 in 20 healthy brains show.")


def test_common_findings_are_nothing_beyond_health_but_are_still_counted() -> None:
    line = evidence_line([a_row(1, p=0.4), a_row(2, p=0.9)], {**CALIBRATED, "p_value": 0.4})
    assert line.text.startswith("Nothing beyond what healthy brains show; 2 weaker places")


def test_no_finding_is_nothing_beyond_health() -> None:
    line = evidence_line([], {**CALIBRATED, "p_value": 1.0})
    assert line.text.startswith("Nothing beyond what healthy brains show.")
    assert line.mood == GOOD


@pytest.mark.parametrize(("number", "said"), [(0, "Nothing passes"), (1, "1 place"), (2, "2 pl")])
def test_scores_of_an_uncalibrated_contrast_are_never_called_p_values(
    number: int, said: str
) -> None:
    line = evidence_line([a_row(n) for n in range(number)], SIMULATED)
    first = "This contrast is not calibrated for this scan: the scores are not p-values."
    assert line.text.startswith(f"{first} Rendered heads alone. {said}")
    assert line.mood == BAD and "healthy brains show" not in line.text


def test_too_few_healthy_scans_say_nothing_of_one_in_twenty() -> None:
    few = {"p_value": 0.1, "p_floor": 0.1, "healthy_scans": 9}
    line = evidence_line([a_row(1, p=0.1)], few)
    assert "Calibrated on 9 healthy scans, too few" in line.text
    assert "fewer than" not in line.text
