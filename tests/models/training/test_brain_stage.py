"""The brain stage: a tiny network learns, a killed run ends like one that was left alone."""

import csv
import json
from pathlib import Path

import pytest
import torch
from monai.losses import DiceCELoss

from counterpart.brain_network import BrainNetwork, BrainNetworkConfig
from counterpart.errors import CohortError
from counterpart.heads import HeadEntry, Heads, PreparedHead, write_heads
from counterpart.training.brain_stage import BrainModule, BrainTraining, dice
from counterpart.training.head_examples import HeadExampleConfig, HeadExampleMaker
from counterpart.training.machines import Machines
from counterpart.training.run import checkpoint_step, load_averaged_weights
from counterpart.training.stages import train_brain

TINY = BrainNetworkConfig(channels=8, blocks_down=(1, 1, 1, 1), blocks_up=(1, 1, 1))
TRAINING = BrainTraining(
    steps=3, batch_size=1, warmup_steps=1, validate_every=2, checkpoint_every=1, ema_decay=0.5
)
LAST = Path("checkpoints") / "last.ckpt"


def train(folder: Path, run: Path, *, resume: bool = False) -> Path:
    return train_brain(
        folder,
        run,
        network=TINY,
        training=TRAINING,
        examples=HeadExampleConfig(),
        resume=resume,
        machines=Machines(device="cpu"),
    )


@pytest.fixture(scope="module")
def a_run(a_folder_with_heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    assert train(a_folder_with_heads, run) == run / LAST
    return run


def mask(*cells: int) -> torch.Tensor:
    flat = torch.zeros(8, dtype=torch.bool)
    flat[list(cells)] = True
    return flat.reshape(2, 2, 2)


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        (mask(0, 1, 2), mask(0, 1, 2), 1.0),
        (mask(0, 1), mask(2, 3), 0.0),
        (mask(0, 1, 2), mask(2), 0.5),
        (mask(0, 1), mask(1, 2), 0.5),
        (mask(), mask(3), 0.0),
        (mask(3), mask(), 0.0),
        (mask(), mask(), 1.0),
    ],
)
def test_dice_counts_what_both_have(
    found: torch.Tensor, truth: torch.Tensor, expected: float
) -> None:
    assert dice(found, truth) == pytest.approx(expected)
    assert dice(truth, found) == dice(found, truth)


def test_the_loss_falls_on_one_head(some_heads: Heads) -> None:
    examples = HeadExampleMaker(some_heads, HeadExampleConfig(), device=torch.device("cpu"))
    whole = examples.plain([0])
    head, brain = (part[..., 16:80:2, 8:104:2, 16:80:2] for part in (whole.head, whole.brain))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = BrainNetwork(TINY)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    loss = DiceCELoss(sigmoid=True)
    values = []
    for _ in range(32):
        optimiser.zero_grad()
        value = loss(network(head), brain)
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.5 * values[0]
    with torch.no_grad():
        assert dice(network(head) > 0, brain > 0.5) > 0.8


def test_each_part_is_made_from_its_own_heads(some_heads: Heads) -> None:
    module = BrainModule(TINY, TRAINING, HeadExampleConfig(), some_heads)
    train_maker, validate = module.maker("train"), module.maker("validate")
    assert (len(train_maker.scans), len(train_maker.maps)) == (1, 1)
    assert (len(validate.scans), len(validate.maps)) == (1, 0)
    assert torch.equal(validate.tissue, some_heads.part("validate").tissue)
    assert module.maker("train") is train_maker


@pytest.mark.slow
def test_a_run_reaches_its_last_step_and_says_how_it_was_made(
    a_run: Path, some_heads: Heads
) -> None:
    assert checkpoint_step(a_run / LAST) == 3
    settings = json.loads((a_run / "settings.json").read_text())
    assert settings["stage"] == "brain"
    assert settings["cohort"] == some_heads.content_hash
    assert settings["network"] == json.loads(json.dumps(TINY.to_json()))
    assert settings["training"]["steps"] == 3
    assert settings["examples"]["empty_share"] == HeadExampleConfig().empty_share


@pytest.mark.slow
def test_a_run_logs_a_finite_loss_and_its_validation(a_run: Path) -> None:
    (table,) = a_run.rglob("metrics.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    assert losses
    assert all(0.0 < loss < 3.0 for loss in losses)
    for name in ("val_dice_t1", "val_dice_made"):
        scores = [float(row[name]) for row in rows if row[name]]
        assert scores
        assert all(0.0 <= score <= 1.0 for score in scores)


@pytest.mark.slow
def test_averaged_weights_load_into_a_network(a_run: Path) -> None:
    weights = load_averaged_weights(a_run / LAST, prefix="network.")
    network = BrainNetwork(TINY)
    network.load_state_dict(weights, strict=True)
    assert all(bool(value.isfinite().all()) for value in weights.values())


@pytest.mark.slow
def test_a_killed_run_ends_like_one_that_was_left_alone(
    a_run: Path, a_folder_with_heads: Path, tmp_path: Path
) -> None:
    whole = BrainModule.training_step

    def dies_in_the_third_step(
        module: BrainModule, batch: torch.Tensor, batch_idx: int
    ) -> torch.Tensor:
        if module.global_step == 2:
            raise MemoryError("killed")
        return whole(module, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BrainModule, "training_step", dies_in_the_third_step)
        with pytest.raises(MemoryError):
            train(a_folder_with_heads, tmp_path / "run")
    assert checkpoint_step(tmp_path / "run" / LAST) == 2
    train(a_folder_with_heads, tmp_path / "run", resume=True)
    expected = load_averaged_weights(a_run / LAST, prefix="network.")
    found = load_averaged_weights(tmp_path / "run" / LAST, prefix="network.")
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-5, msg=name)


@pytest.mark.slow
def test_a_run_is_not_overwritten(a_run: Path, a_folder_with_heads: Path) -> None:
    with pytest.raises(CohortError, match=r"holds a run already.*--resume"):
        train(a_folder_with_heads, a_run)


def test_a_cohort_without_heads_is_refused(a_cohort_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="holds no whole heads"):
        train(a_cohort_folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("part", ["train", "validate"])
def test_heads_of_one_part_alone_are_refused(
    a_cohort_folder: Path, some_heads: Heads, tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "cohort"
    folder.mkdir()
    (folder / "cohort.json").write_bytes((a_cohort_folder / "cohort.json").read_bytes())
    arrays = (some_heads.image[0].numpy(), some_heads.tissue[0].numpy())
    write_heads(folder, [PreparedHead(HeadEntry("alone", part, True), *arrays)])
    missing = "validate" if part == "train" else "train"
    with pytest.raises(CohortError, match=f"no whole head in part '{missing}'"):
        train(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()
