"""Figures of one patient: closed forms, and the same region and support for every score."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from made_up_results import BRAIN, GRID, LESION, Array, Mask, box, result_of, stored_as
from numpy.typing import NDArray

from counterpart.errors import CounterpartError
from counterpart.evaluation.patients import patient_figures, set_of
from counterpart.evaluation.records import MAP, RESIDUAL, FrocPoint, PatientFigures
from counterpart.results import Evidence

HEAD = "given mask"


def a_map(lesion: Mask = LESION) -> Array:
    """Highest in the lesion, of either sign."""
    rng = np.random.default_rng(1)
    strength = np.where(lesion, 2.0 + 0.1 * rng.random(GRID.shape), 0.1 * rng.random(GRID.shape))
    signed: Array = (strength * np.where(rng.random(GRID.shape) < 0.5, -1, 1)).astype(np.float32)
    return signed


def a_scan(lesion: Mask = LESION) -> Array:
    """Brightest in the lesion; outside the brain there are brighter places still."""
    rng = np.random.default_rng(2)
    values = 100 + rng.random(GRID.shape) + 50.0 * lesion
    return np.where(BRAIN, values, 500.0).astype(np.float32)


@pytest.mark.parametrize(
    ("scan", "group"),
    [
        ("lgg_01_FLAIR", "lgg"),
        ("sample-01_T1", "sample"),
        ("wmh12_FLAIR", "wmh"),
        ("ms_open_3_T2", "ms"),
    ],
)
def test_a_set_is_named_by_the_letters_that_its_scans_begin_with(scan: str, group: str) -> None:
    assert set_of(scan) == group


def test_a_perfect_map_has_average_precision_one_whatever_its_sign() -> None:
    found = patient_figures(result_of(a_map(), mask=LESION), LESION)
    assert found.map.ap == pytest.approx(1.0)
    assert found.scores[RESIDUAL].ap == pytest.approx(1.0)
    assert found.map.best_dice == pytest.approx(1.0)
    assert found.map.dice == 1.0
    assert found.at_threshold == FrocPoint(0.5, 1, 0)


def test_a_constant_map_has_the_prevalence_as_average_precision() -> None:
    found = patient_figures(result_of(np.full(GRID.shape, 0.3, np.float32)), LESION)
    assert found.prevalence == pytest.approx(36 / 480)
    assert found.map.ap == pytest.approx(36 / 480)


def test_of_a_stripped_scan_only_the_foreground_counts() -> None:
    anomaly = np.where(BRAIN, a_map(), 9.0).astype(np.float32)
    assert patient_figures(result_of(anomaly), LESION).map.ap == pytest.approx(1.0)


def test_of_a_stripped_scan_lesion_outside_the_foreground_is_no_lesion() -> None:
    beyond = LESION | ~BRAIN
    found = patient_figures(result_of(a_map(), mask=LESION), beyond)
    assert found.map.ap == pytest.approx(1.0)
    assert (found.map.dice, found.at_threshold) == (1.0, FrocPoint(0.5, 1, 0))
    with pytest.raises(CounterpartError, match="outside the foreground"):
        patient_figures(result_of(a_map()), ~BRAIN)


def test_volumes_and_overlap_are_those_of_the_masks() -> None:
    flagged = np.roll(LESION, 1, axis=0)
    found = patient_figures(result_of(a_map(), mask=flagged), LESION)
    assert found.lesion_ml == pytest.approx(36 * 0.024)
    assert found.flagged_ml == pytest.approx(36 * 0.024)
    assert found.map.dice == pytest.approx(2 / 3)
    assert found.lesions == 1
    assert found.outside == 0.0


def test_the_residual_flags_as_many_voxels_as_the_map() -> None:
    found = patient_figures(result_of(a_map(), mask=np.roll(LESION, 1, axis=0)), LESION)
    assert found.scores[RESIDUAL].dice == pytest.approx(1.0)


def test_of_a_whole_head_the_region_is_the_brain_with_the_lesion() -> None:
    lesion = box((6, 9), (6, 10), (2, 8))  # 72 voxels, 24 of them below the brain
    found = patient_figures(
        result_of(a_map(lesion), values=a_scan(lesion), brain_source=HEAD), lesion
    )
    assert found.whole_head
    assert found.prevalence == pytest.approx(72 / 504)
    assert found.outside == pytest.approx(1 / 3)


def test_lesion_that_the_brain_mask_misses_is_missed_by_every_score_alike() -> None:
    lesion = box((6, 9), (6, 10), (2, 8))
    anomaly = a_map(lesion)
    anomaly[~BRAIN] = 99.0
    found = patient_figures(
        result_of(anomaly, values=a_scan(lesion), brain_source=HEAD, mask=LESION), lesion
    )
    expected = 2 / 3 + 1 / 3 * 72 / 504
    for name in (MAP, RESIDUAL, "intensity"):
        assert found.scores[name].ap == pytest.approx(expected), name
        assert found.scores[name].best_dice == pytest.approx(2 * 48 / (48 + 72)), name
    assert found.baselines["inverted"].ap < 0.2


def test_the_rim_that_the_map_leaves_out_is_left_out_of_every_score() -> None:
    """The lesion's first layer lies in the brain's rim, 2 mm wide; all scores mark it all."""
    lesion = box((5, 9), (8, 12), (6, 8))
    result = result_of(a_map(lesion), values=np.where(BRAIN, a_scan(lesion), 0).astype(np.float32))
    whole = patient_figures(result, lesion)
    eroded = patient_figures(result, lesion, erosion_mm=2.0)
    for name in (MAP, RESIDUAL, "intensity"):
        assert whole.scores[name].ap == pytest.approx(1.0), name
        assert eroded.scores[name].ap == pytest.approx(3 / 4 + 1 / 4 * 32 / 480), name
    assert eroded.prevalence == whole.prevalence


def test_what_the_left_out_rim_holds_does_not_leak_into_smoothed_baselines() -> None:
    core = box((6, 12), (6, 14), (5, 9))
    lesion = box((7, 11), (8, 12), (6, 8))
    values = np.where(BRAIN & ~core, 1000.0, a_scan(lesion)) * BRAIN
    result = result_of(a_map(lesion), values=values.astype(np.float32))
    found = patient_figures(result, lesion, erosion_mm=4.0)
    assert found.scores["intensity, 1.5 mm"].ap > 0.9
    assert patient_figures(result, lesion).scores["intensity, 1.5 mm"].ap < 0.3


def test_baselines_have_curves_and_the_residual_has_none() -> None:
    found = patient_figures(result_of(a_map(), mask=LESION), LESION)
    assert len(found.baselines) == 9
    assert {len(one.froc) for one in found.baselines.values()} == {16}
    assert found.scores[RESIDUAL].froc == ()
    thresholds = [point.threshold for point in found.map.froc]
    assert 0.5 in thresholds
    assert (min(thresholds), max(thresholds)) == pytest.approx((0.5 / 8, 0.5 * 2**4.5))


def test_the_map_s_curve_passes_through_what_is_flagged() -> None:
    anomaly = a_map()
    anomaly[10:12, 10:14, 8] = 1.0  # in vain
    flagged = BRAIN & (np.abs(anomaly) >= 0.5)
    found = patient_figures(result_of(anomaly, mask=flagged), LESION)
    assert [point for point in found.map.froc if point.threshold == 0.5] == [found.at_threshold]
    assert found.at_threshold.found == 1


def test_without_baselines_there_are_map_and_residual() -> None:
    found = patient_figures(result_of(a_map()), LESION, baselines=False)
    assert list(found.scores) == [MAP, RESIDUAL]
    assert found.baselines == {}


def test_what_the_product_says_is_recorded() -> None:
    evidence = Evidence(0.25, 0.05, 19, "19 scans", "Calibrated.")
    result = result_of(a_map(), evidence=evidence, warnings=("Half of the brain is missing.",))
    found = patient_figures(result, LESION, seconds=3.5)
    assert (found.scan, found.group, found.contrast) == ("lgg_01_FLAIR", "lgg", "FLAIR")
    assert (found.p_value, found.seconds) == (0.25, 3.5)
    assert found.warnings == ("Half of the brain is missing.",)
    assert not found.whole_head


def test_figures_survive_the_round_trip_through_json() -> None:
    found = patient_figures(result_of(a_map(), mask=LESION, warnings=("Doubtful.",)), LESION)
    assert PatientFigures.from_json(json.loads(json.dumps(asdict(found)))) == found


@pytest.mark.parametrize("codes", ["RAS", "PIR", "SLA"])
def test_figures_do_not_depend_on_how_the_scan_is_stored(codes: str) -> None:
    def turned(array: Array | Mask) -> NDArray[Any]:
        return stored_as(array, GRID, codes)[0]

    anomaly = a_map() + 0.5 * a_map(box((9, 11), (10, 14), (8, 10)))
    flagged = BRAIN & (np.abs(anomaly) >= 1.0)
    here = patient_figures(result_of(anomaly, mask=flagged), LESION)
    _, grid = stored_as(LESION, GRID, codes)
    values = turned(result_of(anomaly).scan.values)
    other = result_of(
        turned(anomaly), mask=turned(flagged), brain=turned(BRAIN), values=values, grid=grid
    )
    there = patient_figures(other, turned(LESION))
    assert there.at_threshold == here.at_threshold
    assert there.map.froc == here.map.froc
    for name, score in here.scores.items():
        assert there.scores[name].ap == pytest.approx(score.ap, rel=1e-4), name
        assert there.scores[name].slice_auroc == pytest.approx(score.slice_auroc), name
