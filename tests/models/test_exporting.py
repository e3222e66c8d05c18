"""From a training run to a bundle: what is released is what was trained, with its choices."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpart import exporting, selection
from counterpart.bundle import CARD, METADATA, load_model
from counterpart.cohort import Cohort
from counterpart.denoiser import DenoiserConfig
from counterpart.errors import CohortError, ModelError
from counterpart.exporting import export_run
from counterpart.model_card import REGIONS_SENTENCE
from counterpart.regions import ATLAS_FILE, RegionAtlas, write_atlas
from counterpart.results import DISCLAIMER
from counterpart.template import CANVAS
from counterpart.training.examples import ExampleConfig
from counterpart.training.healing import HealingConfig
from counterpart.training.machines import Machines
from counterpart.training.run import load_averaged_weights
from counterpart.training.stages import train_denoiser

NETWORK = DenoiserConfig(
    channels=(16, 32), attention=(False, True), residual_blocks=1, head_channels=16, norm_groups=8
)


def export(run: Path, cohort: Path, out: Path, data: str = "") -> int:
    return export_run(
        run,
        cohort,
        out,
        version="0.3.0",
        selection_subjects=1,
        threshold_subjects=1,
        note="Half a minute on one core.",
        data=data,
    )


def written_run(folder: Path, cohort_hash: str) -> Path:
    """A run's folder with its settings and no checkpoint."""
    folder.mkdir()
    settings = {"cohort": cohort_hash, "network": NETWORK.to_json(), "healing": {"batch_size": 2}}
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.slow
def test_a_trained_run_becomes_a_bundle_that_loads(
    a_cohort_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "CANDIDATE_LEVELS", (120, 500))
    monkeypatch.setattr(exporting, "SELECTION_CONTRASTS", ("FLAIR",))
    healing = HealingConfig(steps=2, batch_size=2, checkpoint_every=1)
    cohort_folder = tmp_path / "cohort"
    shutil.copytree(a_cohort_folder, cohort_folder)
    write_atlas(cohort_folder / ATLAS_FILE, RegionAtlas(np.full(CANVAS.shape, 3, np.uint8)))
    last = train_denoiser(
        cohort_folder,
        tmp_path / "run",
        network=NETWORK,
        healing=healing,
        examples=ExampleConfig(),
        machines=Machines(device="cpu"),
    )
    assert export(tmp_path / "run", cohort_folder, tmp_path / "tiny") == 0
    model = load_model(tmp_path / "tiny")
    assert (model.name, model.version) == ("tiny", "0.3.0")
    assert model.settings.network == NETWORK
    averaged = load_averaged_weights(last)
    for key, value in model.denoiser.state_dict().items():
        assert torch.equal(value, averaged[key].half().float())
    assert set(model.settings.reconstruction.levels) <= {120, 500}
    assert set(model.settings.thresholds) == {"T1", "T2", "FLAIR"}
    assert model.settings.threshold("T1").source.startswith("2 real held-out healthy scans")
    for contrast in ("T2", "FLAIR"):
        source = model.settings.threshold(contrast).source
        assert source == "1 rendered held-out subjects, from simulation, no p-value"
    card = (tmp_path / "tiny" / CARD).read_text()
    assert DISCLAIMER in card
    assert "2 steps of 2 slices. Half a minute on one core." in card
    assert "3 healthy subjects were trained on, 2 were held out" in card
    assert "Healthy cohort 'synthetic'." in card
    assert REGIONS_SENTENCE in card
    assert model.regions is not None
    assert (model.regions.codes == 3).all()
    assert card.startswith("# tiny:")
    metadata = json.loads((tmp_path / "tiny" / METADATA).read_text())
    assert metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 2
    assert DISCLAIMER in metadata["intended_use"]


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
