"""Results on disk: complete, on the scan's exact grid, and all or nothing."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from counterpart import output
from counterpart.errors import CounterpartError
from counterpart.findings import find_findings
from counterpart.grid import Grid
from counterpart.output import check_output, write_result
from counterpart.results import DISCLAIMER, Evidence, Result
from counterpart.scans import Scan

SHAPE = (14, 17, 11)
FLOATS = ("reconstruction", "counterpart", "residual", "anomaly")
INTEGERS = ("mask", "brain")
FILES = {
    *(f"{name}.nii.gz" for name in (*FLOATS, *INTEGERS)),
    "findings.json",
    "provenance.json",
    "report.html",
    "report.png",
}


def an_oblique_affine() -> np.ndarray:
    """Anisotropic, flipped, and turned by 20 degrees about z, then 10 about x."""
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    d, t = np.cos(np.radians(10)), np.sin(np.radians(10))
    turn = np.array([[1, 0, 0], [0, d, -t], [0, t, d]]) @ np.array(
        [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-8.0, 7.0, 9.0])
    affine[:3, 3] = (51.3, -40.7, -33.1)
    return affine


@pytest.fixture
def a_result() -> Result:
    rng = np.random.default_rng(0)
    index = np.moveaxis(np.indices(SHAPE), 0, -1) - np.array(SHAPE) / 2
    brain = ((index / (np.array(SHAPE) / 2.5)) ** 2).sum(axis=-1) < 1
    values = np.where(brain, 100 + 10 * rng.random(SHAPE), 0).astype(np.float32)
    scan = Scan(values, Grid(SHAPE, an_oblique_affine()), "head_T1", (1, 4))
    anomaly = np.zeros(SHAPE, np.float32)
    anomaly[6:9, 7:10, 4:7] = 0.8
    residual = np.where(brain, rng.standard_normal(SHAPE), 0).astype(np.float32)
    findings, numbers = find_findings(anomaly, scan.grid, 0.5, np.eye(4))
    return Result(
        scan=scan,
        reconstruction=scan.values - 4 * residual,
        counterpart=scan.values - 2 * residual,
        residual=residual,
        anomaly=anomaly,
        brain=brain.astype(np.uint8),
        mask=(numbers > 0).astype(np.uint8),
        findings=findings,
        threshold=0.5,
        contrast="T1",
        template_from_world=np.eye(4),
        provenance={
            "disclaimer": DISCLAIMER,
            "model": "tiny",
            "version": "0.0.0",
            "weights_sha256": "0" * 64,
            "seed": 3,
            "contrast": "T1",
            "contrast_source": "file name",
            "threshold": 0.5,
            "threshold_source": "made up",
            "thick_slices": False,
            "versions": {"counterpart": "0"},
        },
        evidence=Evidence(
            0.25, 0.05, 19, "19 held-out healthy scans", "Calibrated on nobody.", 4.5
        ),
    )


@pytest.fixture
def a_blank_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drawing takes seconds and has its own tests."""
    monkeypatch.setattr(output, "render_report", lambda result, path: path.write_bytes(b"png"))


def test_the_folder_is_complete_with_a_real_report(a_result: Result, tmp_path: Path) -> None:
    write_result(a_result, tmp_path / "out" / "head_T1")
    assert {path.name for path in (tmp_path / "out" / "head_T1").iterdir()} == FILES
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["head_T1"]
    picture = (tmp_path / "out" / "head_T1" / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.usefixtures("a_blank_report")
@pytest.mark.parametrize("codes", [(1, 1), (0, 2), (1, 0), (3, 4)])
def test_maps_keep_values_affine_and_codes(
    a_result: Result, tmp_path: Path, codes: tuple[int, int]
) -> None:
    result = replace(a_result, scan=replace(a_result.scan, codes=codes))
    write_result(result, tmp_path / "head")
    for name in (*FLOATS, *INTEGERS):
        image = nib.load(tmp_path / "head" / f"{name}.nii.gz")
        expected = np.float32 if name in FLOATS else np.uint8
        assert image.get_data_dtype() == expected
        np.testing.assert_array_equal(np.asarray(image.dataobj), getattr(result, name))
        np.testing.assert_allclose(image.affine, result.scan.grid.affine, atol=1e-5)
        assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == codes


@pytest.mark.usefixtures("a_blank_report")
def test_maps_can_be_written_unpacked(a_result: Result, tmp_path: Path) -> None:
    write_result(a_result, tmp_path / "head", image_format="nii")
    for name in (*FLOATS, *INTEGERS):
        path = tmp_path / "head" / f"{name}.nii"
        assert path.read_bytes()[344:348] == b"n+1\x00"
        np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), getattr(a_result, name))


@pytest.mark.usefixtures("a_blank_report")
def test_a_map_that_cannot_be_written_leaves_nothing_behind(
    a_result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *_: object) -> None:
        if path.name.startswith("residual"):
            raise OSError("the disk is full")

    monkeypatch.setattr(output, "write_map", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_result(a_result, tmp_path / "head")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("a_blank_report")
def test_findings_and_provenance_are_written_in_full(a_result: Result, tmp_path: Path) -> None:
    write_result(a_result, tmp_path / "head")
    findings = json.loads((tmp_path / "head" / "findings.json").read_text())
    assert findings["disclaimer"] == DISCLAIMER
    assert findings["threshold"] == 0.5
    (finding,) = findings["findings"]
    assert finding["volume_ml"] == pytest.approx(27 * 0.504)
    assert finding["direction"] == "brighter"
    assert finding["p_value"] is None
    assert findings["evidence"] == {
        "p_value": 0.25,
        "p_floor": 0.05,
        "healthy_scans": 19,
        "source": "19 held-out healthy scans",
        "reason": "Calibrated on nobody.",
        "largest_mass": 4.5,
    }
    provenance = json.loads((tmp_path / "head" / "provenance.json").read_text())
    assert provenance == a_result.provenance


@pytest.mark.usefixtures("a_blank_report")
def test_an_earlier_result_is_not_written_over(a_result: Result, tmp_path: Path) -> None:
    folder = tmp_path / "head"
    write_result(a_result, folder)
    before = (folder / "residual.nii.gz").read_bytes()
    other = replace(a_result, residual=a_result.residual + 1)
    with pytest.raises(CounterpartError, match=r"head: exists already.*--overwrite"):
        write_result(other, folder)
    assert (folder / "residual.nii.gz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["head"]


@pytest.mark.usefixtures("a_blank_report")
def test_overwriting_replaces_the_earlier_result(a_result: Result, tmp_path: Path) -> None:
    folder = tmp_path / "head"
    write_result(a_result, folder)
    other = replace(a_result, residual=a_result.residual + 1)
    write_result(other, folder, overwrite=True)
    assert {path.name for path in folder.iterdir()} == FILES
    values = np.asarray(nib.load(folder / "residual.nii.gz").dataobj)
    np.testing.assert_array_equal(values, a_result.residual + 1)


@pytest.mark.usefixtures("a_blank_report")
def test_a_failure_while_writing_leaves_the_earlier_result(
    a_result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "head"
    write_result(a_result, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(result: Result, path: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(output, "render_report", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_result(replace(a_result, residual=a_result.residual + 1), folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["head"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_or_a_cancel_leaves_nothing_behind(
    a_result: Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    def stop(result: Result, path: Path) -> None:
        raise error

    monkeypatch.setattr(output, "render_report", stop)
    with pytest.raises(error):
        write_result(a_result, tmp_path / "out" / "head")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("a_blank_report")
def test_the_folder_can_be_read_by_others(a_result: Result, tmp_path: Path) -> None:
    write_result(a_result, tmp_path / "head")
    assert (tmp_path / "head").stat().st_mode & 0o777 == 0o755


def test_a_free_folder_passes_the_check(tmp_path: Path) -> None:
    check_output(tmp_path / "new", overwrite=False)
    check_output(tmp_path, overwrite=True)
    with pytest.raises(CounterpartError, match="exists already"):
        check_output(tmp_path, overwrite=False)


def test_overwriting_never_takes_files_that_are_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    folder.mkdir()
    (folder / "report.png").write_bytes(b"old")
    (folder / "my notes.txt").write_text("keep me")
    with pytest.raises(CounterpartError, match="my notes.txt"):
        check_output(folder, overwrite=True)
    assert (folder / "my notes.txt").read_text() == "keep me"
    (folder / "my notes.txt").unlink()
    check_output(folder, overwrite=True)
    with pytest.raises(CounterpartError, match="--overwrite"):
        check_output(folder, overwrite=False)


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "scan").write_text("mine")
    with pytest.raises(CounterpartError, match="is a file"):
        check_output(tmp_path / "scan", overwrite=True)
    assert (tmp_path / "scan").read_text() == "mine"
