"""The commands on scans, run as a user does: many scans, some broken."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from stand_ins import TINY_NETWORK
from torch import nn

from counterpart import output
from counterpart.bundle import WEIGHTS, ModelSettings, released_weights, write_bundle
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.cli import main
from counterpart.denoiser import Denoiser
from counterpart.hashing import file_sha256
from counterpart.package_data import package_data
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.results import DISCLAIMER
from counterpart.scans import read_mask, read_scan

Spoken = Callable[[], str]


@pytest.fixture(scope="module")
def a_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with random weights; what it finds means nothing."""
    config = TINY_NETWORK
    torch.manual_seed(0)
    denoiser = Denoiser(config)
    for parameter in denoiser.parameters():
        nn.init.normal_(parameter, std=0.05)
    settings = ModelSettings(
        config,
        ReconstructionConfig((250,), (1.0,), (1.0,)),
        AnomalyConfig(),
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    weights = denoiser.state_dict()
    digest = hashlib.sha256(released_weights(weights)).hexdigest()
    known = [Calibration("FLAIR", "nobody", SIMULATION, 2, digest, 1.0, "made up")]
    metadata = {"version": "0.0.1"}
    write_bundle(folder, weights, settings, metadata, "# Tiny\n", calibrations=known)
    return folder


@pytest.fixture(scope="module")
def a_stripped_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = package_data("sample_data") / "patients"
    scan = read_scan(samples / "sample-01_FLAIR.nii.gz")
    brain = read_mask(samples / "sample-01_brain.nii.gz", scan.grid)
    path = tmp_path_factory.mktemp("scans") / "good_FLAIR.nii.gz"
    nib.save(nib.nifti1.Nifti1Image(scan.values * brain, scan.grid.affine), path)
    return path


@pytest.fixture
def a_blank_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "render_report", lambda result, path: path.write_bytes(b"png"))
    monkeypatch.setattr(output, "render_html", lambda result, path: path.write_bytes(b"html"))


@pytest.mark.usefixtures("a_blank_report")
def test_a_broken_scan_leaves_the_others_going(
    a_bundle: Path, a_stripped_scan: Path, tmp_path: Path, spoken: Spoken
) -> None:
    broken = tmp_path / "broken[left].nii.gz"
    broken.write_bytes(a_stripped_scan.read_bytes()[:5000])
    head = tmp_path / "noise_T1.nii.gz"
    noise = np.random.default_rng(0).normal(100, 20, (80, 90, 70)).astype(np.float32)
    nib.save(nib.nifti1.Nifti1Image(noise, np.diag([2.4, 2.4, 2.4, 1.0])), head)
    out = tmp_path / "out"
    scans = [str(broken), str(a_stripped_scan), str(head), str(tmp_path / "gone.nii")]
    status = main(["generate", *scans, "-o", str(out), "--model", str(a_bundle), "--seed", "5"])
    assert status == 1
    assert [path.name for path in out.iterdir()] == ["good_FLAIR"]
    text = spoken()
    assert f"1 of 4 done. {DISCLAIMER}." in text
    summary = text[text.index("1 of 4 done") :]
    assert "good_FLAIR" not in summary
    for name, reason in (
        ("broken[left].nii.gz", "ends early"),
        ("noise_T1.nii.gz", "no brain was found"),
        ("gone.nii", "no such file"),
    ):
        (line,) = [line for line in summary.splitlines() if name in line]
        assert line.startswith("failed ")
        assert line.count(name) == 1
        assert reason in line
    told = json.loads((out / "good_FLAIR" / "provenance.json").read_text())
    assert told["seed"] == 5
    assert told["model"] == "tiny"
    assert told["weights_sha256"] == file_sha256(a_bundle / WEIGHTS)


@pytest.mark.usefixtures("a_blank_report")
def test_an_earlier_result_stays_unless_overwriting_is_asked_for(
    a_bundle: Path, a_stripped_scan: Path, tmp_path: Path, spoken: Spoken
) -> None:
    earlier = tmp_path / "good_FLAIR"
    earlier.mkdir()
    (earlier / "report.png").write_bytes(b"earlier")
    arguments = ["generate", str(a_stripped_scan), "-o", str(tmp_path), "--model", str(a_bundle)]
    assert main(arguments) == 1
    assert "--overwrite" in spoken()
    assert [path.name for path in earlier.iterdir()] == ["report.png"]
    assert (earlier / "report.png").read_bytes() == b"earlier"
    assert main([*arguments, "--overwrite"]) == 0
    assert "done good_FLAIR: " in spoken()
    assert (earlier / "anomaly.nii.gz").is_file()
    assert (earlier / "report.png").read_bytes() != b"earlier"


def test_files_of_others_stay_even_when_overwriting_is_asked_for(
    a_bundle: Path, a_stripped_scan: Path, tmp_path: Path, spoken: Spoken
) -> None:
    folder = tmp_path / "good_FLAIR"
    folder.mkdir()
    (folder / "note.txt").write_text("mine")
    arguments = ["generate", str(a_stripped_scan), "-o", str(tmp_path), "--model", str(a_bundle)]
    assert main([*arguments, "--overwrite"]) == 1
    assert "note.txt" in spoken()
    assert [path.name for path in folder.iterdir()] == ["note.txt"]


def test_an_earlier_result_is_noticed_before_the_scan_is_read(
    a_bundle: Path, tmp_path: Path, spoken: Spoken
) -> None:
    (tmp_path / "gone").mkdir()
    arguments = ["generate", str(tmp_path / "gone.nii"), "-o", str(tmp_path)]
    assert main([*arguments, "--model", str(a_bundle)]) == 1
    assert "exists already" in spoken()


def test_scans_of_the_same_name_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = [str(tmp_path / "a" / "head_T1.nii.gz"), str(tmp_path / "b" / "head_T1.nii")]
    assert main(["generate", *scans, "-o", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "same folder 'head_T1'" in error
    assert all(scan in error for scan in scans)
    assert not (tmp_path / "out").exists()


def test_a_mask_of_another_grid_fails_its_scan(
    a_bundle: Path, a_stripped_scan: Path, tmp_path: Path, spoken: Spoken
) -> None:
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.nifti1.Nifti1Image(np.ones((72, 92, 79), np.uint8), np.eye(4)), mask)
    arguments = ["generate", str(a_stripped_scan), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--model", str(a_bundle), "--brain-mask", str(mask)]) == 1
    assert "must lie on the scan's grid" in spoken()


def test_a_whole_head_gives_a_report_and_its_brain(a_bundle: Path, tmp_path: Path) -> None:
    samples = package_data("sample_data") / "patients"
    scan = samples / "sample-01_FLAIR.nii.gz"
    assert main(["generate", str(scan), "-o", str(tmp_path), "--model", str(a_bundle)]) == 0
    folder = tmp_path / "sample-01_FLAIR"
    assert (folder / "report.png").stat().st_size > 50_000
    assert (folder / "report.html").stat().st_size > 50_000
    brain = np.asarray(nib.load(folder / "brain.nii.gz").dataobj) > 0
    drawn = np.asarray(nib.load(samples / "sample-01_brain.nii.gz").dataobj) > 0
    assert 2 * (brain & drawn).sum() / (brain.sum() + drawn.sum()) > 0.9


@pytest.mark.usefixtures("a_blank_report")
@pytest.mark.parametrize("ending", ["nrrd", "mha", "dicom"])
def test_maps_are_written_in_the_format_that_is_asked_for(
    ending: str, a_bundle: Path, a_stripped_scan: Path, tmp_path: Path
) -> None:
    arguments = ["generate", str(a_stripped_scan), "-o", str(tmp_path), "--model", str(a_bundle)]
    assert main([*arguments, "--format", ending]) == 0
    folder = tmp_path / "good_FLAIR"
    scan = read_scan(a_stripped_scan)
    for name in ("counterpart", "anomaly", "brain"):
        found = read_scan(folder / (name if ending == "dicom" else f"{name}.{ending}"))
        np.testing.assert_allclose(found.grid.affine, scan.grid.affine, atol=1e-4)
        assert found.grid.shape == scan.grid.shape
    assert main([*arguments, "--format", ending, "--overwrite"]) == 0


@pytest.mark.usefixtures("a_blank_report")
def test_the_user_s_contrast_is_taken_and_a_contradiction_is_said(
    a_bundle: Path, a_stripped_scan: Path, tmp_path: Path, spoken: Spoken
) -> None:
    arguments = ["generate", str(a_stripped_scan), "-o", str(tmp_path), "--model", str(a_bundle)]
    assert main([*arguments, "--contrast", "T1"]) == 0
    (line,) = [line for line in spoken().splitlines() if line.startswith("note ")]
    assert "taken for T1 (user)" in line
    told = json.loads((tmp_path / "good_FLAIR" / "provenance.json").read_text())
    assert (told["contrast"], told["contrast_source"]) == ("T1", "user")
    assert told["brain_source"] == "stripped scan"


def test_preparing_names_what_was_left_out(tmp_path: Path, spoken: Spoken) -> None:
    healthy = package_data("sample_data") / "healthy"
    folder = tmp_path / "healthy"
    folder.mkdir()
    for name in ("healthy-01_T1.nii.gz", "healthy-01_brain.nii.gz"):
        (folder / name).write_bytes((healthy / name).read_bytes())
    (folder / "broken[b]_T1.nii.gz").write_bytes(b"")
    assert main(["prepare", str(folder), "-o", str(tmp_path / "cohort")]) == 1
    text = spoken()
    assert "1 subjects in" in text
    (line,) = [line for line in text.splitlines() if line.startswith("left out")]
    assert "broken[b]" in line
    assert (tmp_path / "cohort" / "cohort.json").is_file()
