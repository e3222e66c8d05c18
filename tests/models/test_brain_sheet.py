"""The sheet of brain masks: a row for every scan, also for the refused."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterpart.brain_extraction import load_brain_model
from counterpart.brain_sheet import draw_brain_sheet
from counterpart.cli import main
from counterpart.package_data import package_data
from counterpart.scans import read_mask, read_scan, write_map


@pytest.fixture(scope="module")
def a_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stripped sample with a lesion mask, half of it outside, and a file that is no scan."""
    folder = tmp_path_factory.mktemp("scans")
    samples = package_data("sample_data") / "patients"
    scan = read_scan(samples / "sample-01_FLAIR.nii.gz")
    brain = read_mask(samples / "sample-01_brain.nii.gz", scan.grid)
    write_map(folder / "one_FLAIR.nii.gz", scan.values * brain, scan)
    lesion = np.zeros(scan.grid.shape, np.uint8)
    inside, outside = np.argwhere(brain), np.argwhere(~brain)
    lesion[tuple(inside[::5000].T)] = 1
    count = int(lesion.sum())
    lesion[tuple(outside[: 100 * count : 100].T)] = 1
    write_map(folder / "one_mask.nii.gz", lesion, scan)
    (folder / "two_T1.nii.gz").write_bytes(b"nothing")
    return folder


def test_every_scan_has_a_row_and_a_lesion_outside_is_counted(
    a_folder: Path, tmp_path: Path
) -> None:
    scans = [a_folder / "one_FLAIR.nii.gz", a_folder / "two_T1.nii.gz"]
    rows = draw_brain_sheet(scans, load_brain_model(), tmp_path / "sheet.png")
    assert [row.scan for row in rows] == ["one_FLAIR", "two_T1.nii.gz"]
    assert rows[0].lesion_outside == pytest.approx(0.5, abs=0.01)
    assert rows[1].volume_ml == 0.0
    assert rows[1].source.startswith("refused: ")
    with (tmp_path / "sheet.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [float(row["volume_ml"]) for row in table] == [row.volume_ml for row in rows]
    picture = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 80)
    assert red.sum() > 200


def test_the_command_says_how_many_were_found(
    a_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = [str(a_folder / "one_FLAIR.nii.gz"), str(a_folder / "two_T1.nii.gz")]
    assert main(["brains", *scans, "-o", str(tmp_path / "sheet.png")]) == 1
    text = capsys.readouterr().out
    assert "1 of 2 brains found" in text
    assert "more than 2 % in 1" in text


def test_another_suffix_than_png_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["brains", "scan.nii", "-o", str(tmp_path / "sheet.jpg")]) == 1
    assert "ends in .png" in capsys.readouterr().err
