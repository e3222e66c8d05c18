"""What a step of training costs: each stage trains, and the figures follow from each other."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from counterpart.benchmarking.training_steps import (
    STAGES,
    TrainBench,
    TrainFigures,
    measure_training,
)
from counterpart.cli import main
from counterpart.errors import CohortError, CounterpartError
from counterpart.heads import GREY, HEAD_SHAPE, WHITE, HeadEntry, PreparedHead, write_heads

Spoken = Callable[[], str]


@pytest.fixture(scope="module")
def a_cohort_with_heads(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort's index, and two balls of grey around white matter."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "cohort.json").write_bytes((a_cohort_folder / "cohort.json").read_bytes())
    axes = (np.linspace(-1.0, 1.0, size) for size in HEAD_SHAPE)
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    tissue = np.where(radius < 0.5, WHITE, np.where(radius < 0.8, GREY, 0)).astype(np.uint8)
    heads = [
        PreparedHead(HeadEntry(part, part, True), 10 * tissue, tissue)
        for part in ("train", "validate")
    ]
    write_heads(folder, heads)
    return folder


def _check(figures: TrainFigures, steps: int) -> None:
    assert figures.step.times == figures.making.times == figures.network.times == steps
    assert figures.making.least > 0.0
    assert 0.0 < figures.network.least < figures.step.most
    assert figures.making.most < figures.step.most
    assert figures.ratio == pytest.approx(figures.step.median / figures.network.median)
    rate = figures.batch_size / figures.step.median
    assert figures.samples_per_second == pytest.approx(rate)
    assert (figures.device, figures.peak_gpu_mib) == ("cpu", None)


def test_a_step_of_the_denoiser(a_cohort_folder: Path) -> None:
    bench = TrainBench(a_cohort_folder, "denoiser", 2, 2, [16, 32], "cpu")
    figures = measure_training(bench)
    _check(figures, 2)
    assert (figures.sample, figures.batch_size) == ("slices", 2)


def test_a_step_of_the_encoder(a_cohort_folder: Path) -> None:
    bench = TrainBench(a_cohort_folder, "encoder", 1, 2, [8, 8, 8, 8], "cpu")
    figures = measure_training(bench)
    _check(figures, 1)
    assert figures.sample == "pairs of slices"


def test_a_step_of_the_brain_network(a_cohort_with_heads: Path) -> None:
    figures = measure_training(TrainBench(a_cohort_with_heads, "brain", 1, 1, [8], "cpu"))
    _check(figures, 1)
    assert figures.sample == "heads"


def test_without_whole_heads_the_brain_network_cannot_be_trained(a_cohort_folder: Path) -> None:
    with pytest.raises(CohortError, match="holds no whole heads"):
        measure_training(TrainBench(a_cohort_folder, "brain", 1, device="cpu"))


def test_unknown_stages_and_no_steps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CounterpartError, match="denoiser, encoder, brain, got 'calibrate'"):
        TrainBench(tmp_path, "calibrate")
    with pytest.raises(CounterpartError, match="at least one step, got 0"):
        TrainBench(tmp_path, steps=0)
    assert set(STAGES) == {"denoiser", "encoder", "brain"}


def test_the_command_prints_keeps_and_documents_its_figures(
    a_cohort_folder: Path, tmp_path: Path, spoken: Spoken
) -> None:
    document, out = tmp_path / "page.md", tmp_path / "train.json"
    document.write_text("<!-- bench train: begin --><!-- bench train: end -->\n")
    arguments = ["bench", "train", "--cohort", str(a_cohort_folder), "--steps", "1"]
    arguments += ["--batch-size", "2", "--channels", "16", "32", "--device", "cpu"]
    assert main([*arguments, "-o", str(out), "--document", str(document)]) == 0
    text = spoken()
    assert "Training the denoiser: 2 slices a step" in text
    kept = json.loads(out.read_text())
    assert kept["figures"]["batch_size"] == 2
    command = (
        "counterpart bench train --cohort COHORT --stage denoiser --steps 1 --batch-size 2 "
        "--channels 16 32 --device cpu"
    )
    assert kept["command"] == command
    page = document.read_text()
    assert command in page
    assert str(a_cohort_folder) not in page
    assert f"| step | {kept['figures']['step']['median']:.3f} |" in page
