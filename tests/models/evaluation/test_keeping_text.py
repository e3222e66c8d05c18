"""Figures of keeping by set, and published figures beside ours."""

from dataclasses import fields

import pytest
from made_up_figures import evaluation, healthy, keeping, patient

from counterpart.evaluation.keeping_text import keeping_by_set, keeping_parts
from counterpart.evaluation.published import PUBLISHED, published_parts
from counterpart.evaluation.records import KeepingFigures


def test_each_set_has_the_mean_of_each_figure_and_healthy_scans_are_sets_too() -> None:
    rows = [
        patient(f"lgg-{n}_T1", keeping=keeping(edge_left=0.1 * n, altered_outside=0.001 * n))
        for n in range(6)
    ]
    controls = [healthy("a_T1"), healthy("b_FLAIR", keeping=keeping(rim_jump=3.0))]
    found = keeping_by_set(evaluation(rows, controls))
    assert list(found) == ["lgg T1", "healthy FLAIR", "healthy T1"]
    assert set(found["lgg T1"]) == {field.name for field in fields(KeepingFigures)}
    edge = found["lgg T1"]["edge_left"]
    assert edge is not None
    assert (edge.value, edge.scans) == (pytest.approx(0.25), 6)
    assert edge.interval is not None
    assert 0.05 < edge.interval.low < 0.2
    assert found["lgg T1"]["contrast_removed"] is None
    seam = found["healthy FLAIR"]["rim_jump"]
    assert seam is not None
    assert (seam.value, seam.interval) == (3.0, None)


def test_the_table_has_shares_in_percent_and_dashes_for_what_is_missing() -> None:
    row = patient("lgg-1_T1", keeping=keeping(altered_outside=0.0123, change_outside=0.00045))
    heading, _, table = keeping_parts(evaluation([row], [healthy("a_T1")]))
    assert heading == "### Keeping the patient"
    one, other = table.splitlines()[2:]
    cells = "| 1.23 | 0.45 | 1.00 | 1.00 | 1.50 | – | – | – | – |"
    assert one == f"| lgg T1 {cells}"
    assert other.startswith("| healthy T1 | 0.00 | 0.00 | 1.00 |")


def test_published_figures_stand_beside_ours_of_like_scans() -> None:
    rows = [patient("mslub19_T2", 0.25), patient("mslub20_T2", 0.35)]
    _, why, table = published_parts(evaluation(rows))
    assert "None of these can be subtracted from ours" in why
    lines = table.splitlines()[2:]
    assert len(lines) == len(PUBLISHED) == 10
    assert "| BraTS21 T2 | MCDDPM | AUPRC 0.58 |" in lines[3]
    assert lines[3].endswith("| no such scans |")
    assert lines[4].startswith("| MSLUB T2 | DDPM | AUPRC 0.074 |")
    assert lines[4].endswith("| 0.300 (2) |")
