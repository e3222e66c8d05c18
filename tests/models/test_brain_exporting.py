"""From a run of the brain stage to a bundle: what is released is what was trained and measured."""

import json
import re
import shutil
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch
from torch import nn

from counterpart import brain_exporting
from counterpart.brain_exporting import (
    THRESHOLDS,
    TOLERANCE,
    DiceTable,
    choose_threshold,
    export_brain,
    held_out_dice,
)
from counterpart.brain_extraction import load_brain_model
from counterpart.brain_network import CANVAS_SHAPE, BrainNetworkConfig
from counterpart.bundle import CARD, METADATA, checked_digests
from counterpart.commands import export
from counterpart.errors import CohortError, ModelError
from counterpart.heads import (
    HEAD_SHAPE,
    OUTER_FLUID,
    WHITE,
    HeadEntry,
    Heads,
    PreparedHead,
    read_heads,
    write_heads,
)
from counterpart.results import DISCLAIMER
from counterpart.training.brain_stage import BrainTraining
from counterpart.training.head_examples import HeadExampleConfig
from counterpart.training.machines import Machines
from counterpart.training.run import load_averaged_weights
from counterpart.training.stages import train_brain

TINY = BrainNetworkConfig(channels=8, blocks_down=(1, 1, 1, 1), blocks_up=(1, 1, 1))
TRAINING = BrainTraining(
    steps=2, batch_size=1, warmup_steps=1, validate_every=2, checkpoint_every=1, ema_decay=0.5
)
ONE_CONDITION = {"T1 as acquired": None}
SKIN = 10


@pytest.fixture(scope="module")
def a_cohort_with_heads(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic cohort with two balls for heads: one to train, one to validate."""
    folder = tmp_path_factory.mktemp("brains") / "cohort"
    shutil.copytree(a_cohort_folder, folder)
    write_heads(folder, [a_ball(part) for part in ("train", "validate")])
    return folder


def a_ball(part: str) -> PreparedHead:
    axes = [2.0 * (np.arange(n) - (n - 1) / 2.0) for n in HEAD_SHAPE]
    away = sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij"))
    tissue = np.zeros(HEAD_SHAPE, np.uint8)
    for code, radius in ((SKIN, 90), (OUTER_FLUID, 75), (WHITE, 70)):
        tissue[away <= radius**2] = code
    levels = np.zeros(64, np.uint8)
    levels[[SKIN, OUTER_FLUID, WHITE]] = (90, 30, 200)
    return PreparedHead(HeadEntry(f"ball-{part}", part, True), levels[tissue], tissue)


@pytest.fixture(scope="module")
def a_run(a_cohort_with_heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    train_brain(
        a_cohort_with_heads,
        run,
        network=TINY,
        training=TRAINING,
        examples=HeadExampleConfig(),
        machines=Machines(device="cpu"),
    )
    return run


@pytest.fixture(scope="module")
def a_bundle(
    a_run: Path, a_cohort_with_heads: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Written by the command, which tells the stage from the run."""
    out = tmp_path_factory.mktemp("out") / "tiny-brain"
    status = export(
        a_run,
        a_cohort_with_heads,
        out,
        version="0.4.0",
        selection_subjects=1,
        threshold_subjects=1,
        note="A minute on one core.",
        data="Two balls.",
    )
    assert status == 0
    return out


class BrightIsBrain(nn.Module):
    """Belongs to the brain for sure, perhaps or not at all: by brightness."""

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        assert heads.shape[1:] == (1, *CANVAS_SHAPE)
        return torch.where(heads > 0.7, 4.0, torch.where(heads > 0.2, -0.2, -4.0))


@pytest.mark.slow
def test_a_run_becomes_a_bundle_that_loads(a_bundle: Path, a_run: Path) -> None:
    model = load_brain_model(a_bundle)
    assert (model.name, model.version) == ("tiny-brain", "0.4.0")
    assert model.settings.network == TINY
    assert model.settings.threshold in THRESHOLDS
    averaged = load_averaged_weights(a_run / "checkpoints" / "last.ckpt", "network.")
    for key, value in model.network.state_dict().items():
        assert torch.equal(value, averaged[key].half().float())


@pytest.mark.slow
def test_the_card_says_what_was_trained_and_how_good_it_is(
    a_bundle: Path, a_cohort_with_heads: Path
) -> None:
    model = load_brain_model(a_bundle)
    card = (a_bundle / CARD).read_text()
    assert card.startswith("# tiny-brain: finds the brain")
    assert DISCLAIMER in card
    assert "width 8, float16, averaged (EMA). 2 steps of 1 heads. A minute on one core." in card
    assert "Two balls. 1 heads and label maps were trained on, 1 heads held out." in card
    assert f"from a probability of {model.settings.threshold:g} on" in card
    table = held_out_dice(model.network, read_heads(a_cohort_with_heads).part("validate"))
    rows = re.findall(r"^\| (.+) \| (0\.\d{3}) \| (0\.\d{3}) \|$", card, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(table)
    for name, average, lowest in rows:
        scores = table[name][model.settings.threshold]
        assert (average, lowest) == (f"{mean(scores):.3f}", f"{min(scores):.3f}")


@pytest.mark.slow
def test_the_metadata_speaks_of_a_brain_network(a_bundle: Path) -> None:
    metadata = json.loads((a_bundle / METADATA).read_text())
    assert metadata["task"] == "Brain extraction"
    assert DISCLAIMER in metadata["intended_use"]
    formats = metadata["network_data_format"]
    assert formats["inputs"]["image"]["spatial_shape"] == ["16*n"] * 3
    assert formats["outputs"]["pred"]["num_channels"] == 1
    assert CARD in checked_digests(a_bundle)


@pytest.mark.slow
def test_a_run_of_another_cohort_is_refused(
    a_run: Path, a_cohort_with_heads: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(a_cohort_with_heads, other)
    write_heads(other, [a_ball("train"), a_ball("validate"), a_ball("validate")])
    with pytest.raises(ModelError, match="trained on another cohort"):
        export_brain(a_run, other, tmp_path / "out", version="1", note="", data="")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_run_is_refused(a_cohort_with_heads: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"settings\.json"):
        export_brain(tmp_path, a_cohort_with_heads, tmp_path / "out", version="1", note="", data="")


def test_a_run_without_checkpoint_is_refused(a_cohort_with_heads: Path, tmp_path: Path) -> None:
    settings = {
        "stage": "brain",
        "cohort": read_heads(a_cohort_with_heads).content_hash,
        "network": TINY.to_json(),
        "training": {"batch_size": 1},
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(CohortError, match=r"last\.ckpt"):
        export_brain(tmp_path, a_cohort_with_heads, tmp_path / "out", version="1", note="", data="")
    assert not (tmp_path / "out").exists()


def test_held_out_heads_are_measured_at_every_threshold(
    a_cohort_with_heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brain_exporting, "_CONDITIONS", ONE_CONDITION)
    heads: Heads = read_heads(a_cohort_with_heads).part("validate")
    network: nn.Module = BrightIsBrain()
    scores = held_out_dice(network, heads)["T1 as acquired"]  # type: ignore[arg-type]
    assert tuple(scores) == THRESHOLDS
    ball = {radius: 4 / 3 * np.pi * (radius / 2.0) ** 3 for radius in (70, 75, 90)}
    without_fluid = 2 * ball[70] / (ball[70] + ball[75])
    with_skin = 2 * ball[70] / (ball[70] + ball[75] + ball[90] - ball[75])
    for threshold, (dice,) in scores.items():
        expected = with_skin if threshold < 0.45 else without_fluid
        assert dice == pytest.approx(expected, abs=0.02)


def a_table(*conditions: tuple[float, ...]) -> DiceTable:
    """Mean Dice at each of `THRESHOLDS`; two heads a little apart."""
    return {
        f"condition {number}": {
            threshold: [score - 0.01, score + 0.01]
            for threshold, score in zip(THRESHOLDS, scores, strict=True)
        }
        for number, scores in enumerate(conditions)
    }


@pytest.mark.parametrize(
    ("conditions", "place"),
    [
        ([(0.90, 0.95, 0.96, 0.95, 0.94)], 2),
        ([(0.958, 0.9595, 0.96, 0.95, 0.94)], 0),
        ([(0.90, 0.959, 0.96, 0.95, 0.94), (0.90, 0.93, 0.938, 0.94, 0.93)], 2),
        ([(0.96, 0.90, 0.90, 0.90, 0.90), (0.90, 0.90, 0.90, 0.90, 0.96)], None),
    ],
)
def test_the_lowest_threshold_that_costs_next_to_nothing_is_chosen(
    conditions: list[tuple[float, ...]], place: int | None
) -> None:
    assert TOLERANCE == 0.003
    expected = 0.5 if place is None else THRESHOLDS[place]
    assert choose_threshold(a_table(*conditions)) == expected
