"""A written result can be read again, and seen by another threshold."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_results import BRAIN, GRID, LESION, box, result_of, stored_as

from counterpart.errors import CounterpartError
from counterpart.findings import find_findings
from counterpart.grid import canonical_orientation
from counterpart.output import write_findings, write_images
from counterpart.results import Evidence, Result
from counterpart.scans import Scan
from counterpart.stored_result import read_result, with_threshold

MAPS = ("reconstruction", "counterpart", "residual", "anomaly", "mask", "brain")
TILTED = np.array(  # oblique, anisotropic, left-handed
    [[-1.9, 0.4, 0.3, 12.0], [0.5, 2.7, -0.6, -40.0], [0.2, 0.8, 3.9, 7.0], [0, 0, 0, 1.0]]
)


def a_result(codes: str = "", affine: np.ndarray | None = None) -> Result:
    """A bright lesion of strength 4 with a core of 8, and a dark spot of -2."""
    anomaly = np.zeros(GRID.shape, np.float32)
    anomaly[LESION] = 4.0
    anomaly[box((7, 9), (7, 10), (5, 8))] = 8.0
    anomaly[box((10, 12), (12, 14), (7, 9))] = -2.0
    grid = GRID if affine is None else replace(GRID, affine=affine)
    if codes:
        anomaly, grid = stored_as(anomaly, grid, codes)
    brain = BRAIN if not codes else stored_as(BRAIN, GRID, codes)[0]
    pose = np.diag([1.0, 1.0, 1.0, 1.0])
    pose[:3, 3] = (1.0, -2.0, 3.0)
    result = result_of(
        anomaly,
        brain=brain,
        grid=grid,
        template_from_world=pose,
        threshold=3.0,
        warnings=("Look at the rim.",),
        evidence=Evidence(0.1, 0.02, 40, "healthy scans", "Fits.", 5.5),
    )
    return with_findings(result, 3.0)


def with_findings(result: Result, threshold: float) -> Result:
    turn = canonical_orientation(result.scan.grid)
    findings, numbers = find_findings(
        turn.forward(result.anomaly), turn.canonical, threshold, result.template_from_world
    )
    known = {
        "template_from_world": result.template_from_world.tolist(),
        "contrast": result.contrast,
        "threshold": threshold,
    }
    mask = turn.backward((numbers > 0).astype(np.uint8))
    return replace(result, findings=findings, mask=mask, provenance=known)


def written(result: Result, folder: Path) -> Path:
    folder.mkdir()
    write_images(result, folder, "nii")
    write_findings(result, folder)
    return folder


@pytest.mark.parametrize("codes", ["", "PIR", "LSA"])
def test_what_was_written_is_read_again(tmp_path: Path, codes: str) -> None:
    result = a_result(codes)
    again = read_result(written(result, tmp_path / "result"), result.scan)
    for name in MAPS:
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
        assert getattr(again, name).dtype == getattr(result, name).dtype
    assert again.findings == result.findings and len(result.findings) == 1
    assert again.evidence == result.evidence
    assert (again.threshold, again.contrast) == (result.threshold, result.contrast)
    assert again.warnings == result.warnings
    np.testing.assert_array_equal(again.template_from_world, result.template_from_world)


@pytest.mark.parametrize("codes", ["", "PIR"])
@pytest.mark.parametrize(("threshold", "count"), [(1.5, 2), (6.0, 1), (9.0, 0)])
def test_another_threshold_lists_what_generating_with_it_would(
    codes: str, threshold: float, count: int
) -> None:
    result = a_result(codes)
    seen = with_threshold(result, threshold)
    expected = with_findings(result, threshold)
    assert seen.findings == expected.findings and len(seen.findings) == count
    np.testing.assert_array_equal(seen.mask, expected.mask)
    assert seen.threshold == threshold and seen.provenance["threshold"] == threshold


def test_maps_stay_and_p_values_go_with_another_threshold() -> None:
    result = a_result()
    seen = with_threshold(result, 1.5)
    for name in ("reconstruction", "counterpart", "residual", "anomaly", "brain"):
        assert getattr(seen, name) is getattr(result, name)
    evidence = seen.evidence
    assert evidence.p_value is None and evidence.p_floor is None and evidence.healthy_scans == 0
    assert "3" in evidence.source and result.evidence.p_value == 0.1


def test_small_places_are_left_out_as_asked() -> None:
    result = a_result()
    core = 18 * GRID.voxel_volume_ml
    assert len(with_threshold(result, 6.0, core * 0.99).findings) == 1
    assert with_threshold(result, 6.0, core * 1.01).findings == []


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(CounterpartError, match="positive threshold"):
        with_threshold(a_result(), threshold)


def test_an_oblique_scan_keeps_its_affine(tmp_path: Path) -> None:
    result = a_result(affine=TILTED)
    again = read_result(written(result, tmp_path / "result"), result.scan)
    np.testing.assert_array_equal(again.anomaly, result.anomaly)
    assert again.findings[0].centre_ras_mm == result.findings[0].centre_ras_mm


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    result = a_result()
    folder = written(result, tmp_path / "result")
    (folder / "residual.nii").write_bytes(b"no map")
    with pytest.raises(CounterpartError, match="residual.nii: is damaged"):
        read_result(folder, result.scan)
    (folder / "residual.nii").unlink()
    with pytest.raises(CounterpartError, match="the map residual is missing"):
        read_result(folder, result.scan)
    listed = json.loads((folder / "findings.json").read_text())
    del listed["evidence"]
    (folder / "findings.json").write_text(json.dumps(listed))
    with pytest.raises(CounterpartError, match="is no result"):
        read_result(folder, result.scan)


def test_a_result_of_another_scan_is_refused(tmp_path: Path) -> None:
    result = a_result()
    folder = written(result, tmp_path / "result")
    values = np.ones((18, 20, 15), np.float32)
    other = Scan(values, replace(GRID, shape=(18, 20, 15)), "other")
    with pytest.raises(CounterpartError, match="another grid"):
        read_result(folder, other)
