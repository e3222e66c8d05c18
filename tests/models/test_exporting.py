"""From a training run to a bundle: what is released is what was trained, with its choices."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpart import exporting
from counterpart.bundle import CARD, METADATA, load_model
from counterpart.calibration.calibrating import calibrate
from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION
from counterpart.cohort import Cohort
from counterpart.denoiser import DenoiserConfig
from counterpart.errors import CohortError, ModelError
from counterpart.exporting import export_run
from counterpart.held_out import selection
from counterpart.held_out.selection import Choice
from counterpart.model_card import REGIONS_SENTENCE
from counterpart.reconstruction import ReconstructionConfig
from counterpart.regions import ATLAS_FILE, RegionAtlas, write_atlas
from counterpart.residual import AnomalyConfig
from counterpart.results import DISCLAIMER
from counterpart.template import CANVAS
from counterpart.training.configurations import configuration_named
from counterpart.training.examples import ExampleConfig
from counterpart.training.healing import HealingConfig
from counterpart.training.machines import Machines
from counterpart.training.run import load_averaged_weights
from counterpart.training.stages import train_denoiser

NETWORK = DenoiserConfig(
    channels=(8, 16), attention=(False, False), residual_blocks=1, head_channels=8, norm_groups=8
)


def export(run: Path, cohort: Path, out: Path, data: str = "", population: str = "") -> int:
    return export_run(
        run,
        cohort,
        out,
        version="0.3.0",
        selection_subjects=1,
        threshold_subjects=2,
        note="Half a minute on one core.",
        data=data,
        population=population,
    )


def written_run(folder: Path, cohort_hash: str) -> Path:
    """A run's folder with its settings and no checkpoint."""
    folder.mkdir()
    settings = {"cohort": cohort_hash, "network": NETWORK.to_json(), "healing": {"batch_size": 2}}
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def the_cohort_folder(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic cohort with an atlas that is one region."""
    folder = tmp_path_factory.mktemp("exporting") / "cohort"
    shutil.copytree(a_cohort_folder, folder)
    write_atlas(folder / ATLAS_FILE, RegionAtlas(np.full(CANVAS.shape, 3, np.uint8)))
    return folder


@pytest.fixture(scope="module")
def the_run(the_cohort_folder: Path) -> Path:
    """A run of two steps."""
    train_denoiser(
        the_cohort_folder,
        the_cohort_folder.parent / "run",
        network=NETWORK,
        healing=HealingConfig(steps=2, batch_size=2, checkpoint_every=1),
        examples=ExampleConfig(),
        machines=Machines(device="cpu"),
    )
    return the_cohort_folder.parent / "run"


@pytest.mark.slow
def test_a_trained_run_becomes_a_bundle_that_loads(
    the_run: Path, the_cohort_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "CANDIDATE_LEVELS", (120, 500))
    monkeypatch.setattr(selection, "SELECTION_CONTRASTS", ("FLAIR",))
    monkeypatch.setattr(selection, "SAMPLERS", {"one step, 1 draw": {}})
    monkeypatch.setattr(exporting, "calibrate", partial(calibrate, contrasts=("FLAIR", "T2")))
    assert export(the_run, the_cohort_folder, tmp_path / "tiny") == 0
    model = load_model(tmp_path / "tiny")
    assert (model.name, model.version) == ("tiny", "0.3.0")
    assert model.settings.network == NETWORK
    averaged = load_averaged_weights(the_run / "checkpoints" / "last.ckpt")
    for key, value in model.denoiser.state_dict().items():
        assert torch.equal(value, averaged[key].half().float())
    assert set(model.settings.reconstruction.levels) <= {120, 500}
    assert model.contrasts == ("FLAIR", "T1", "T2")
    assert {one.weights_sha256 for one in model.calibrations} == {model.weights_sha256}
    known = {(one.contrast, one.kind): one for one in model.calibrations}
    healthy = known["T1", HEALTHY_SCANS]
    assert (healthy.threshold_source, healthy.n) == ("2 held-out healthy scans", 3)
    assert healthy.population == "synthetic"
    for contrast in ("T2", "FLAIR"):
        source = known[contrast, SIMULATION].threshold_source
        assert source == "2 rendered held-out subjects, from simulation, no p-value"
    card = (tmp_path / "tiny" / CARD).read_text()
    assert DISCLAIMER in card
    assert "2 steps of 2 slices. Half a minute on one core." in card
    assert "3 healthy subjects were trained on, 2 were held out" in card
    assert "Healthy cohort 'synthetic'." in card
    assert REGIONS_SENTENCE in card
    for row in ("| sampler: one step, 1 draw |", "| passes: two |", "| T1 | healthy scans |"):
        assert row in card
    assert "## What the condition brings" not in card
    assert model.regions is not None
    assert (model.regions.codes == 3).all()
    assert card.startswith("# tiny:")
    metadata = json.loads((tmp_path / "tiny" / METADATA).read_text())
    assert metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 2
    assert DISCLAIMER in metadata["intended_use"]


@pytest.mark.slow
def test_a_run_of_a_published_configuration_keeps_its_fixed_settings(
    the_run: Path, the_cohort_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever does better on held-out heads; the choosing itself has its own tests."""
    run = Path(shutil.copytree(the_run, tmp_path / "run"))
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps({**settings, "configuration": "paper-text"}))
    rows = [Choice(f"passes: {n}", (9,), (1.0, 0.0), 1.0 / n, float("nan")) for n in (1, 2)]
    asked: list[tuple[object, ...]] = []
    populations: list[object] = []

    def note(*known: object, **options: object) -> tuple[list[object], list[object]]:
        asked.append(known[2:4])
        populations.append(options["population"])
        return [], []

    monkeypatch.setattr(exporting, "held_out", lambda *known, **options: [])
    monkeypatch.setattr(
        exporting,
        "choose_settings",
        lambda *known, **options: (ReconstructionConfig((9,), (1.0,), (1.0,)), AnomalyConfig(), []),
    )
    monkeypatch.setattr(exporting, "compare_samplers", lambda *known, **options: [])
    monkeypatch.setattr(exporting, "compare_passes", lambda *known, **options: rows)
    monkeypatch.setattr(exporting, "calibrate", note)
    assert export(run, the_cohort_folder, tmp_path / "paper", "Ours, CC0", "us") == 0
    model, fixed = load_model(tmp_path / "paper"), configuration_named("paper-text")
    assert model.settings.reconstruction == fixed.reconstruction
    assert model.settings.anomaly == fixed.anomaly
    assert asked == [(fixed.reconstruction, fixed.anomaly)]
    card = (tmp_path / "paper" / CARD).read_text()
    for sentence in fixed.deviations:
        assert f"- {sentence}\n" in card
    assert "Ours, CC0. 3 healthy subjects" in card
    ours = json.dumps({**settings, "configuration": "ours"})
    (run / "settings.json").write_text(ours)
    assert export(run, the_cohort_folder, tmp_path / "ours", "Ours, CC0.") == 0
    assert populations == ["us", "Ours, CC0"]
    assert load_model(tmp_path / "ours").settings.reconstruction == ReconstructionConfig(
        (9,), (1.0,), (1.0,), second_pass=True
    )
    assert "## Deviations" not in (tmp_path / "ours" / CARD).read_text()


def test_a_run_of_another_cohort_is_refused(a_cohort_folder: Path, tmp_path: Path) -> None:
    run = written_run(tmp_path / "run", "0" * 64)
    with pytest.raises(ModelError, match="another cohort"):
        export(run, a_cohort_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_without_checkpoint_is_refused(
    a_cohort_folder: Path, a_cohort: Cohort, tmp_path: Path
) -> None:
    run = written_run(tmp_path / "run", a_cohort.content_hash)
    with pytest.raises(CohortError, match=r"last\.ckpt"):
        export(run, a_cohort_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_run_is_refused(a_cohort_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"settings\.json"):
        export(tmp_path, a_cohort_folder, tmp_path / "out")


def test_a_cohort_with_a_damaged_atlas_is_refused_before_anything_is_chosen(
    a_cohort_folder: Path, a_cohort: Cohort, tmp_path: Path
) -> None:
    cohort_folder = tmp_path / "cohort"
    shutil.copytree(a_cohort_folder, cohort_folder)
    (cohort_folder / ATLAS_FILE).write_bytes(b"regions")
    run = written_run(tmp_path / "run", a_cohort.content_hash)
    with pytest.raises(ModelError, match=f"{ATLAS_FILE}: not a readable atlas"):
        export(run, cohort_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
