"""Goals as data: which figures they compare, on which side of the aim, and what is not measured."""

from dataclasses import replace

import pytest
from made_up_figures import evaluation, froc, healthy, patient

from counterpart.evaluation.bootstrap import Interval
from counterpart.evaluation.goals import Goal, Outcome, outcomes
from counterpart.evaluation.goals_text import goal_parts, seconds_parts
from counterpart.evaluation.records import ModelEvaluation, PatientFigures

AIMS = {
    "lgg FLAIR: mean voxel AP": 0.65,
    "lgg T1: mean voxel AP": 0.30,
    "mslub T2: mean voxel AP": 0.20,
    "mslub FLAIR: mean voxel AP": 0.60,
    "wmh FLAIR: mean voxel AP": 0.75,
    "brats FLAIR: mean voxel AP": 0.93,
    "lgg FLAIR: AP less that of the strongest baseline, paired by scan": 0.0,
    "lgg T1: AP less that of the strongest baseline, paired by scan": 0.0,
    "lgg FLAIR: share of lesions found at the healthy threshold": 0.6,
    "health: findings per scan at the healthy threshold": 1.0,
    "health: ml flagged per scan at the healthy threshold": 1.0,
    "health: error of the reconstruction, of the normal range": 0.012,
    "health: SSIM of the reconstruction": 0.95,
}


def by_words(found: ModelEvaluation) -> dict[str, Outcome]:
    return {one.goal.what: one for one in outcomes(found)}


def gliomas(*aps: float, contrast: str = "FLAIR", baseline: float = 0.5) -> list[PatientFigures]:
    return [patient(f"lgg-{n}_{contrast}", ap, {"intensity": baseline}) for n, ap in enumerate(aps)]


def test_all_goals_are_there_with_their_aims() -> None:
    assert {what: one.goal.aim for what, one in by_words(evaluation()).items()} == AIMS
    assert {one.verdict for one in outcomes(evaluation())} == {"not measured"}


@pytest.mark.parametrize(("ap", "verdict"), [(0.65, "yes"), (0.649, "no")])
def test_a_precision_is_reached_from_its_aim_on(ap: float, verdict: str) -> None:
    one = by_words(evaluation(gliomas(ap, ap)))["lgg FLAIR: mean voxel AP"]
    assert (one.verdict, one.scans, one.interval) == (verdict, 2, None)
    assert one.value == pytest.approx(ap)


def test_each_set_and_contrast_has_its_own_figure() -> None:
    rows = [patient("wmh1_FLAIR", 0.8), patient("mslub19_T2", 0.1), patient("brats2013_1_FLAIR", 1)]
    found = by_words(evaluation([*rows, *gliomas(0.9), *gliomas(0.2, contrast="T1")]))
    verdicts = {what: one.verdict for what, one in found.items() if "mean voxel AP" in what}
    assert list(verdicts.values()) == ["yes", "no", "no", "not measured", "yes", "yes"]


def test_a_difference_is_reached_if_its_whole_interval_lies_above_zero() -> None:
    what = "lgg T1: AP less that of the strongest baseline, paired by scan"
    clear = by_words(evaluation(gliomas(0.6, 0.7, 0.8, 0.6, 0.7, contrast="T1")))[what]
    assert clear.verdict == "yes"
    assert clear.value == pytest.approx(0.18)
    unclear = by_words(evaluation(gliomas(0.2, 0.3, 0.9, 0.9, 0.9, contrast="T1")))[what]
    assert unclear.value == pytest.approx(0.14)
    assert unclear.verdict == "no"
    few = by_words(evaluation(gliomas(0.9, 0.9, contrast="T1")))[what]
    assert few.verdict == "not measured"
    without = [replace(row, scores={"anomaly map": row.map}) for row in gliomas(*[0.9] * 5)]
    name = what.replace("T1", "FLAIR")
    assert by_words(evaluation(without))[name].verdict == "not measured"


def test_sensitivity_counts_lesions_and_not_scans() -> None:
    what = "lgg FLAIR: share of lesions found at the healthy threshold"
    rows = gliomas(0.5, 0.5)
    points = froc((2, 0), (1, 3))
    rows = [replace(row, at_threshold=point) for row, point in zip(rows, points, strict=True)]
    one = by_words(evaluation([replace(rows[0], lesions=2), replace(rows[1], lesions=3)]))[what]
    assert one.value == pytest.approx(3 / 5)
    assert one.verdict == "yes"
    assert one.interval is not None
    assert one.interval.low < 0.2
    assert one.unsure


def test_health_is_judged_by_means_over_all_healthy_scans() -> None:
    rows = [
        healthy("a_T1", findings=0, flagged_ml=0.0, error=0.011, ssim=0.99),
        healthy("b_T1", findings=2, flagged_ml=2.1, error=0.014, ssim=0.93),
    ]
    found = {
        what: (one.value, one.verdict)
        for what, one in by_words(evaluation(healthy=rows)).items()
        if what.startswith("health")
    }
    assert [verdict for _, verdict in found.values()] == ["yes", "no", "no", "yes"]
    assert [value for value, _ in found.values()] == pytest.approx([1.0, 1.05, 0.0125, 0.96])


def test_an_aim_within_the_interval_is_unsure() -> None:
    goal = Goal("x", "at most", 1.0)
    assert Outcome(goal, 9, 0.9, Interval(0.9, 0.8, 1.1)).unsure
    assert not Outcome(goal, 9, 0.9, Interval(0.9, 0.8, 0.95)).unsure
    assert not Outcome(goal, 2, 0.9, None).unsure


def test_the_table_says_what_was_reached() -> None:
    *_, table = goal_parts(evaluation(gliomas(0.6, 0.7, 0.8, 0.6, 0.7), [healthy(error=0.02)]))
    lines = table.splitlines()[2:]
    assert len(lines) == len(AIMS)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0][1:5] == ["at least 0.65", "0.478", "5", "0.68"]
    assert cells[0][6] == "yes, within"
    assert cells[1][3:] == ["0", "–", "–", "not measured"]
    assert cells[6][1] == "above 0"
    assert cells[6][6] == "yes"
    assert cells[11][3:] == ["1", "0.02", "–", "no"]


def test_seconds_are_told_by_set_with_their_machine() -> None:
    rows = [replace(row, seconds=float(n)) for n, row in enumerate(gliomas(0.5, 0.5, 0.5), 1)]
    found = evaluation(rows, [healthy(seconds=6.0)], machines=("a slow one", "a fast one"))
    heading, text, table = seconds_parts(found)
    assert heading == "### Seconds per scan"
    assert "Measured on: a slow one / a fast one." in text
    assert table.splitlines()[2:] == [
        "| lgg FLAIR | 3 | 2.0 | 2.0 | 1.0 | 3.0 |",
        "| healthy | 1 | 6.0 | 6.0 | 6.0 | 6.0 |",
        "| all scans | 4 | 3.0 | 2.5 | 1.0 | 6.0 |",
    ]
    assert "not told" in seconds_parts(evaluation(rows))[1]
