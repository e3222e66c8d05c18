"""The command that calibrates: a new bundle of the same weights, and nothing else is touched."""

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from counterpart.bundle import (
    CARD,
    MANIFEST,
    METADATA,
    SETTINGS,
    WEIGHTS,
    Model,
    ModelSettings,
    load_model,
    read_calibrations,
    released_weights,
    write_bundle,
    write_manifest,
)
from counterpart.calibration import commands as calibration_commands
from counterpart.calibration.calibrating import CalibrationFigures, calibrate
from counterpart.calibration.domain import DomainRange
from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION, Calibration
from counterpart.cli import main
from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.hashing import file_sha256
from counterpart.model_card import CALIBRATION_HEADING
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig

TINY = DenoiserConfig(
    channels=(8, 16), attention=(False, False), residual_blocks=1, head_channels=8, norm_groups=8
)
CARD_TEXT = f"# Tiny\n\n{CALIBRATION_HEADING}\n\nthe old table\n\n## Deviations\n\n- none\n"
Spoken = Callable[[], str]


@pytest.fixture(scope="module")
def the_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of random weights with made-up thresholds of T1, T2 and FLAIR."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        denoiser = Denoiser(TINY)
        for parameter in denoiser.parameters():
            nn.init.normal_(parameter, std=0.05)
    weights = denoiser.state_dict()
    settings = ModelSettings(TINY, ReconstructionConfig((250,), (1.0,), (1.0,)), AnomalyConfig())
    digest = hashlib.sha256(released_weights(weights)).hexdigest()
    known = [
        Calibration(contrast, "nobody", SIMULATION, 2, digest, 0.5, "made up")
        for contrast in ("T1", "T2", "FLAIR")
    ]
    metadata = {"version": "1.0.0", "changelog": {"1.0.0": "first"}, "channels": [8, 16]}
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_bundle(folder, weights, settings, metadata, CARD_TEXT, calibrations=known)
    return folder


@pytest.fixture(scope="module")
def the_calibrated(
    the_source: Path, a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the command writes; FLAIR alone is rendered, to save time."""
    out = tmp_path_factory.mktemp("out") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration_commands, "calibrate", partial(calibrate, contrasts=("FLAIR",)))
        arguments = ["calibrate", "--cohort", str(a_cohort_folder), "-o", str(out)]
        assert main([*arguments, "--model", str(the_source)]) == 0
    return out


@pytest.fixture(scope="module")
def the_model(the_calibrated: Path) -> Model:
    return load_model(the_calibrated)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Calibration:
    """Healthy scans give this calibration at once; the work has its own tests."""
    found = Calibration(
        contrast="T1",
        population="volunteers",
        kind=HEALTHY_SCANS,
        n_scale=20,
        weights_sha256="ab" * 32,
        threshold=0.75,
        threshold_source="20 held-out healthy scans",
        masses=tuple(float(number) for number in range(40)),
        domain=DomainRange(False, (0.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (0.0, 1.0)),
    )
    figures = [CalibrationFigures("T1", HEALTHY_SCANS, 40, 0.825, 0.325)]
    monkeypatch.setattr(
        calibration_commands, "calibrate", lambda *known, **options: ([found], figures)
    )
    return found


def calibrate_into(out: Path, source: Path, cohort: Path, *more: str) -> int:
    arguments = ["calibrate", "--cohort", str(cohort), "-o", str(out), "--model", str(source)]
    return main([*arguments, *more])


def test_weights_settings_and_name_stay_with_their_meaning(
    the_source: Path, the_calibrated: Path, the_model: Model
) -> None:
    assert file_sha256(the_calibrated / WEIGHTS) == file_sha256(the_source / WEIGHTS)
    assert (the_calibrated / SETTINGS).read_bytes() == (the_source / SETTINGS).read_bytes()
    assert (the_model.name, the_model.version) == ("site", "1.0.0.calibrated")
    assert the_model.weights_sha256 == load_model(the_source).weights_sha256


def test_the_metadata_tell_the_new_version_and_keep_the_rest(the_calibrated: Path) -> None:
    metadata = json.loads((the_calibrated / METADATA).read_text())
    assert metadata["channels"] == [8, 16]
    assert metadata["changelog"] == {"1.0.0": "first", "1.0.0.calibrated": "calibrated anew"}


def test_the_new_bundle_is_calibrated_on_the_cohort(
    the_model: Model, a_cohort_folder: Path
) -> None:
    kinds = {(one.contrast, one.kind): one for one in the_model.calibrations}
    healthy = kinds["T1", HEALTHY_SCANS]
    assert (healthy.n_scale, healthy.n, healthy.population) == (2, 3, "synthetic")
    assert healthy.weights_sha256 == the_model.weights_sha256
    assert list(healthy.masses) == sorted(healthy.masses)
    rendered = kinds["FLAIR", SIMULATION]
    assert rendered.weights_sha256 == the_model.weights_sha256
    assert rendered.threshold_source.startswith("2 rendered held-out subjects")
    assert rendered.scale is not None


def test_calibrations_of_other_contrasts_and_kinds_are_kept(the_model: Model) -> None:
    kept = [one for one in the_model.calibrations if one.threshold_source == "made up"]
    assert [(one.contrast, one.kind) for one in kept] == [("T1", SIMULATION), ("T2", SIMULATION)]
    assert len(the_model.calibrations) == 4
    assert {one.threshold for one in kept} == {0.5}


def test_the_new_bundle_knows_the_cohort_s_healthy_heads(
    the_source: Path, the_model: Model
) -> None:
    assert load_model(the_source).familiarity is None
    found = the_model.familiarity
    assert found is not None
    assert (found.population, found.weights_sha256) == ("synthetic", the_model.weights_sha256)
    (look,) = found.looks  # of FLAIR there are too few heads
    assert (look.contrast, look.kind, look.heads) == ("T1", HEALTHY_SCANS, 5)


def test_the_card_s_section_is_replaced_and_the_rest_stays(
    the_calibrated: Path, the_model: Model
) -> None:
    card = (the_calibrated / CARD).read_text()
    assert card.startswith(f"# Tiny\n\n{CALIBRATION_HEADING}\n\nThe smallest threshold")
    assert the_model.familiarity is not None
    refused = the_model.familiarity.sentence
    assert card.endswith(f"|\n\n{refused}\n\n## Deviations\n\n- none\n")
    assert card.count(CALIBRATION_HEADING) == 1
    assert "the old table" not in card
    rows = [line for line in card.splitlines() if line.startswith(("| T1 ", "| T2 ", "| FLAIR "))]
    assert len(rows) == len(the_model.calibrations)
    (healthy,) = [row for row in rows if row.startswith(f"| T1 | {HEALTHY_SCANS} | ")]
    threshold = the_model.calibrations[1].threshold
    assert f"| {threshold:g} | 3 | " in healthy
    assert healthy.endswith("| 0.250 |")


def test_neither_source_nor_drafts_are_touched_or_left(
    the_source: Path, the_calibrated: Path
) -> None:
    assert [path.name for path in the_calibrated.parent.iterdir()] == ["site"]
    assert [path.name for path in the_source.parent.iterdir()] == ["tiny"]
    assert (the_source / CARD).read_text() == CARD_TEXT
    assert {one.threshold for one in load_model(the_source).calibrations} == {0.5}
    listed = json.loads((the_calibrated / MANIFEST).read_text())["sha256"]
    files = [path for path in the_calibrated.rglob("*") if path.is_file()]
    assert {path.relative_to(the_calibrated).as_posix() for path in files} == {*listed, MANIFEST}


def test_calibrating_again_changes_nothing_but_the_version(
    the_calibrated: Path,
    a_cohort_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = list(read_calibrations(the_calibrated))
    figures = [CalibrationFigures(one.contrast, one.kind, 3, 1.0, 0.5) for one in known[:2]]
    monkeypatch.setattr(
        calibration_commands, "calibrate", lambda *every, **options: (known[:2], figures)
    )
    out = tmp_path / "again"
    assert calibrate_into(out, the_calibrated, a_cohort_folder, "--model-version", "7") == 0
    assert (out / CARD).read_text().count(CALIBRATION_HEADING) == 1
    assert load_model(out).version == "7"
    found = read_calibrations(out)
    assert [one.to_json() for one in found] == [one.to_json() for one in known]


def test_a_card_without_the_section_gets_it_at_its_end(
    made_up: Calibration, the_source: Path, a_cohort_folder: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(the_source, tmp_path / "bare"))
    (source / CARD).write_text("# Bare\n\n## Data\n\nNone.\n\n")
    write_manifest(source)
    assert calibrate_into(tmp_path / "out", source, a_cohort_folder) == 0
    card = (tmp_path / "out" / CARD).read_text()
    assert card.startswith(f"# Bare\n\n## Data\n\nNone.\n\n{CALIBRATION_HEADING}\n\n")
    assert card.endswith(
        "| 0.024 |\n| T1 | simulation | 0.5 |  |  |  |  |\n"
        "| T2 | simulation | 0.5 |  |  |  |  |\n| FLAIR | simulation | 0.5 |  |  |  |  |\n"
    )
    assert f"| T1 | {HEALTHY_SCANS} | 0.75 | 40 | 0.82 | 0.33 | 0.024 |" in card


def test_thresholds_and_a_check_of_the_p_values_are_printed(
    made_up: Calibration, the_source: Path, a_cohort_folder: Path, tmp_path: Path, spoken: Spoken
) -> None:
    out = tmp_path / "out"
    assert calibrate_into(out, the_source, a_cohort_folder) == 0
    text = spoken()
    (row,) = [line for line in text.splitlines() if line.startswith("│ T1 ")]
    assert HEALTHY_SCANS in row
    for figure in ("0.75", "40", "0.82", "0.33", "0.024"):
        assert figure in row
    checks = [line for line in text.splitlines() if line.startswith("T1, split 1000 times")]
    assert [line.split("p ≤ ")[1].split()[0] for line in checks] == ["0.05", "0.1", "0.2"]
    assert all(line.endswith("as it should") for line in checks)
    assert text.splitlines()[-1] == f"Bundle: {out}"


def test_version_and_population_are_the_user_s(
    the_source: Path, a_cohort_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def note(*known: object, population: str, **options: object) -> tuple[list, list]:
        told.append(population)
        return [], []

    monkeypatch.setattr(calibration_commands, "calibrate", note)
    more = ("--model-version", "2.0.0-site", "--population", "staff of one hospital")
    assert calibrate_into(tmp_path / "out", the_source, a_cohort_folder, *more) == 0
    assert told == ["staff of one hospital"]
    assert load_model(tmp_path / "out").version == "2.0.0-site"


def test_the_training_stage_does_the_same(
    made_up: Calibration, the_source: Path, a_cohort_folder: Path, tmp_path: Path
) -> None:
    assert calibrate_into(tmp_path / "one", the_source, a_cohort_folder) == 0
    arguments = ["train", "--stage", "calibrate", "--cohort", str(a_cohort_folder)]
    arguments += ["-o", str(tmp_path / "two"), "--start-from", str(the_source)]
    assert main(arguments) == 0
    one, two = (json.loads((tmp_path / name / MANIFEST).read_text()) for name in ("one", "two"))
    assert one == two


def test_a_folder_that_exists_is_not_written_over(
    made_up: Calibration,
    the_source: Path,
    a_cohort_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    assert calibrate_into(out, the_source, a_cohort_folder) == 1
    assert f"{out}: exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_a_failure_while_writing_leaves_no_draft(
    made_up: Calibration,
    the_source: Path,
    a_cohort_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full_disk(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(calibration_commands, "write_manifest", full_disk)
    assert calibrate_into(tmp_path / "out", the_source, a_cohort_folder) == 1
    assert "No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_draft_that_a_killed_run_left_is_replaced(
    made_up: Calibration, the_source: Path, a_cohort_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / ".out.draft").mkdir()
    (tmp_path / ".out.draft" / "half.txt").write_text("half")
    assert calibrate_into(tmp_path / "out", the_source, a_cohort_folder) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out" / "half.txt").exists()
