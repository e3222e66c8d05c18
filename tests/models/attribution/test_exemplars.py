"""A copy that is trained on one exemplar turns to it, and the model it is a copy of stays."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpart.attribution import commands
from counterpart.attribution.exemplars import ExemplarTraining, exemplar_ranks, trained_on
from counterpart.cli import main
from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser
from counterpart.held_out.heads import cohort_heads
from counterpart.reconstruction import ReconstructionConfig, reconstruct

QUICK = ExemplarTraining(steps=40, batch=8, learning_rate=3e-3, asked=1)


def error(denoiser: Denoiser, cohort: Cohort, row: int) -> float:
    head = list(cohort_heads(cohort))[row]
    config = ReconstructionConfig((700,), (1.0,), (1.0,))
    clean = reconstruct(denoiser, head.shown, head.brain, config, seed=5).clean
    return float((clean - head.shown).abs()[head.brain > 0].mean())


def test_training_on_one_head_lowers_its_error_and_leaves_model_and_encoder(
    a_coded_denoiser: Denoiser, a_cohort: Cohort
) -> None:
    before = {key: value.clone() for key, value in a_coded_denoiser.state_dict().items()}
    head = next(iter(cohort_heads(a_cohort)))
    taught = trained_on(a_coded_denoiser, head, QUICK, seed=1)
    assert error(taught, a_cohort, 0) < 0.8 * error(a_coded_denoiser, a_cohort, 0)
    for key, value in a_coded_denoiser.state_dict().items():
        assert torch.equal(value, before[key])
        same = torch.equal(taught.state_dict()[key], before[key])
        assert same or not key.startswith("encoder.")


def test_every_exemplar_is_ranked_among_the_subjects_trained_on(
    a_coded_denoiser: Denoiser, a_cohort: Cohort
) -> None:
    quick = ExemplarTraining(steps=2, batch=4, asked=1)
    found, among = exemplar_ranks(a_coded_denoiser, a_cohort, 20, quick)
    assert among == 3
    assert [one.name for one in found] == ["head-0", "head-1", "head-2"]
    assert sorted(one.before for one in found) == [1.0, 2.0, 3.0]
    assert all(1.0 <= one.after <= 3.0 for one in found)


def test_the_command_writes_figures_and_the_section_of_a_document(
    a_coded_bundle: Path,
    a_cohort_of_its_own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(commands, "ExemplarTraining", lambda: ExemplarTraining(2, 4, asked=1))
    monkeypatch.setattr("counterpart.attribution.memorised.LEAST_SUBJECTS", 2)
    page = tmp_path / "page.md"
    name = commands.SECTION
    page.write_text(f"# Page\n<!-- {name}: begin -->\n<!-- {name}: end -->\n")
    words = ["references", "measure", str(a_coded_bundle), "--cohort", str(a_cohort_of_its_own)]
    words += ["-o", str(tmp_path / "figures.json"), "--subjects", "3", "--document", str(page)]
    assert main(words) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["subjects_of_each_kind"] == 3
    assert {row["step"] for row in figures["retrieval"]} == {750, 900}
    assert len(figures["exemplars"]["ranks"]) == figures["exemplars"]["among"] == 3
    assert {one["contrast"] for one in figures["patterned"]} == {"FLAIR", "T1"}
    told = page.read_text()
    assert "**Known answers**" in told
    assert "| 900 | whitening |" in told and "**Memorisation**" in told and "**Exemplars**" in told
    ranks = [one["before"] for one in figures["exemplars"]["ranks"]]
    assert f"{np.median(ranks):.1f} before" in told
    monkeypatch.chdir(tmp_path)
    missing = ["--document", "nothing.md"]
    assert main([*words[:4], str(a_cohort_of_its_own), "-o", "f.json", *missing]) == 1
    assert "no such file" in capsys.readouterr().err
