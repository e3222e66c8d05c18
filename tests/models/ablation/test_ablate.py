"""A tiny ablation from cohort to table: killed and resumed, measured anew only where need be."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from counterpart.ablation import measured
from counterpart.ablation.autoencoder import AutoencoderModule
from counterpart.ablation.rows import (
    AUTOENCODER,
    BASELINE,
    CALIBRATED,
    DEPARTURE,
    Sizes,
)
from counterpart.ablation.training import read_mark, settle_sizes
from counterpart.cli import main
from counterpart.cohort import Cohort
from counterpart.held_out.heads import validation_heads
from counterpart.training.examples import Examples
from counterpart.training.healing import HealingModule

NAMES = (CALIBRATED, AUTOENCODER, BASELINE)
TINY = Sizes((8, 16), steps=2, encoder_steps=1, batch_size=2, encoder_channels=(8,) * 4)
TEXT = "# Notes\n\n<!-- ablation: begin -->\n<!-- ablation: end -->\nThe end.\n"


def command(cohort: Path, out: Path, *others: str) -> list[str]:
    rows = [word for name in NAMES for word in ("--row", name)]
    fixed = ("--device", "cpu", "--subjects", "3")
    return ["ablate", "--cohort", str(cohort), "-o", str(out), *rows, *fixed, *others]


@pytest.fixture(scope="module", autouse=True)
def heads_once() -> Iterator[None]:
    """Renders the same heads but once; they take longer than all else here."""
    known: dict[tuple[object, ...], list[Examples]] = {}

    def render(
        cohort: Cohort, contrasts: tuple[str, ...], subjects: int, **others: Any
    ) -> list[Examples]:
        key = (cohort.content_hash, contrasts, subjects, others["patterned"])
        if key not in known:
            known[key] = validation_heads(cohort, contrasts, subjects, **others)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measured, "validation_heads", render)
        yield


@pytest.fixture(scope="module")
def an_ablation(
    a_held_out_cohort_folder: Path,
    a_held_out_cohort: Cohort,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Killed in the first step of its last network, then gone on with."""
    out = tmp_path_factory.mktemp("ablation") / "out"
    settle_sizes(out, a_held_out_cohort.content_hash, TINY)
    whole = HealingModule.training_step

    def dies(module: HealingModule, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if isinstance(module, AutoencoderModule):
            raise MemoryError("killed")
        return whole(module, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HealingModule, "training_step", dies)
        with pytest.raises(MemoryError):
            main(command(a_held_out_cohort_folder, out, "--resume"))
    assert read_mark(out / "rows" / "second-output-channel") is not None
    assert read_mark(out / "rows" / "autoencoder") is None
    assert not (out / "ablation.md").exists()
    document = out / "notes.md"
    document.write_text(TEXT)
    before = checkpoint_of(out, "second-output-channel").stat().st_mtime_ns
    assert (
        main(command(a_held_out_cohort_folder, out, "--resume", "--document", str(document))) == 0
    )
    assert checkpoint_of(out, "second-output-channel").stat().st_mtime_ns == before
    return out


def checkpoint_of(out: Path, row: str) -> Path:
    return out / "rows" / row / "run" / "checkpoints" / "last.ckpt"


@pytest.mark.slow
def test_every_row_is_trained_and_measured(an_ablation: Path) -> None:
    made = json.loads((an_ablation / "ablation.json").read_text())
    assert list(made["heads"]) == [DEPARTURE, CALIBRATED, AUTOENCODER, BASELINE]
    assert {len(heads) for heads in made["heads"].values()} == {6}  # three subjects, two contrasts
    assert made["made"]["sizes"]["steps"] == 2
    assert made["made"]["measured"] == 3
    marks = made["made"]["marks"]
    assert list(marks) == [DEPARTURE, AUTOENCODER]
    assert all(mark["steps"] == mark["timed_steps"] == 2 for mark in marks.values())
    assert list(made["made"]["encoders"]) == ["+ condition"]
    with (an_ablation / "ablation.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 24
    assert all(0 < float(row["ap"]) <= 1 for row in rows)
    assert {row["row"] for row in rows if row["findings"]} == {CALIBRATED}


@pytest.mark.slow
def test_the_document_holds_the_table_and_keeps_the_rest(an_ablation: Path) -> None:
    text = (an_ablation / "notes.md").read_text()
    assert text.startswith("# Notes\n\n<!-- ablation: begin -->")
    assert text.endswith("<!-- ablation: end -->\nThe end.\n")
    assert "### T1 heads" in text and "### FLAIR heads" in text
    for name in NAMES:
        assert f"\n| {name}" in text
    assert "for 2 steps of 2 slices" in " ".join(text.split())
    assert (an_ablation / "ablation.md").read_text().startswith("# Ablation\n\nAI-generated")


@pytest.mark.slow
def test_known_figures_are_not_measured_again(
    an_ablation: Path, a_held_out_cohort_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(measured, "network_answers", never)
    before = (an_ablation / "ablation.csv").read_text()
    assert main(command(a_held_out_cohort_folder, an_ablation, "--no-training")) == 0
    assert (an_ablation / "ablation.csv").read_text() == before
    with pytest.raises(AssertionError, match="measured again"):
        main(command(a_held_out_cohort_folder, an_ablation, "--no-training", "--measure-again"))
    with pytest.raises(AssertionError, match="measured again"):  # other heads are other figures
        main(command(a_held_out_cohort_folder, an_ablation, "--no-training", "--subjects", "2"))


@pytest.mark.slow
def test_a_folder_is_not_gone_on_with_unasked_nor_with_other_sizes(
    an_ablation: Path, a_held_out_cohort_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(a_held_out_cohort_folder, an_ablation)) == 1
    assert "Add --resume" in capsys.readouterr().err
    assert main(command(a_held_out_cohort_folder, an_ablation, "--resume", "--steps", "9")) == 1
    assert "began with sizes" in capsys.readouterr().err


def test_without_a_trained_row_there_is_no_table(
    a_held_out_cohort_folder: Path,
    a_held_out_cohort: Cohort,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "new"
    assert main(command(a_held_out_cohort_folder, out, "--no-training")) == 1
    assert "holds no ablation yet" in capsys.readouterr().err
    assert not out.exists()
    settle_sizes(out, a_held_out_cohort.content_hash, TINY)
    assert main(command(a_held_out_cohort_folder, out, "--no-training")) == 1
    assert "no row has been trained yet" in capsys.readouterr().err


def test_wrong_options_are_refused_before_the_work(
    a_held_out_cohort_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    plain = ["ablate", "--cohort", str(a_held_out_cohort_folder), "-o", str(out)]
    for words, said in (
        (["--row", "healing"], "expected a row of"),
        (["--subjects", "0"], "--subjects must be at least 1"),
        (["--document", str(tmp_path / "none.md")], "no such file"),
    ):
        assert main([*plain, *words]) == 1
        assert said in capsys.readouterr().err
    assert not out.exists()
