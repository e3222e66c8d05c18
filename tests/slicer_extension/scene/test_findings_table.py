from dataclasses import replace

import pytest
from made_up_runs import Phantom

from HealthyCounterpartLib.finding_row import FindingRow
from HealthyCounterpartLib.scene.findings_table import (
    COMMENT,
    STATE,
    new_table,
    rows_from_json,
    rows_of,
    title_of,
    write_cell,
)

ROW = FindingRow(
    number=1,
    direction="darker",
    volume_ml=3.216,
    peak=18.5,
    mean=9.25,
    p_value=None,
    side="left",
    region="temporal lobe",
    centre_ras_mm=(-41.5, 10.0, 7.5),
)


def test_rows_come_back_as_they_went_in() -> None:
    rows = (ROW, replace(ROW, number=2, p_value=0.0123457, state="rejected", comment="artefact"))
    assert rows_of(new_table(rows, "t")) == list(rows)


def test_findings_of_the_server_become_rows() -> None:
    rows = rows_from_json(Phantom().findings())
    assert [row.direction for row in rows] == ["brighter", "darker"]
    assert rows[0].p_value == 0.04
    assert rows[0].state == "open"
    assert rows_of(new_table(rows, "t")) == list(rows)


def test_numbers_have_the_digits_that_the_table_file_keeps() -> None:
    findings = Phantom().findings()
    findings["findings"][0].update(volume_ml=36.2473456789, peak=209.5529, p_value=1 / 101)
    row = rows_from_json(findings)[0]
    assert (row.volume_ml, row.peak, row.p_value) == (36.2473, 209.553, 0.00990099)


def test_a_table_without_findings_is_empty() -> None:
    assert rows_of(new_table((), "t")) == []


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("looks like gliosis", "looks like gliosis"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ('called "benign"', "called ”benign”"),
        ("Größe, Ähnlichkeit; 20 %", "Größe, Ähnlichkeit; 20 %"),
        ("\x00\x07bell", "bell"),
    ],
)
def test_a_comment_stays_on_one_line(typed: str, kept: str) -> None:
    table = new_table((ROW, replace(ROW, number=2)), "t")
    assert write_cell(table, 2, COMMENT, typed)
    assert [row.comment for row in rows_of(table)] == ["", kept]


def test_a_finding_that_is_not_there_is_not_written() -> None:
    assert not write_cell(new_table((ROW,), "t"), 7, STATE, "rejected")


def test_a_row_that_a_reader_made_unreadable_is_left_out() -> None:
    table = new_table((ROW, replace(ROW, number=2)), "t")
    table.GetTable().GetColumnByName("Volume (ml)").SetValue(1, float("nan"))
    assert [row.number for row in rows_of(table)] == [1]


def test_an_unknown_state_counts_as_open() -> None:
    table = new_table((ROW,), "t")
    write_cell(table, 1, STATE, "maybe")
    assert rows_of(table)[0].state == "open"


def test_a_finding_is_named_by_number_direction_and_volume() -> None:
    assert title_of(ROW) == "1 darker 3.2 ml"
