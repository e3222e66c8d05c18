"""A tiny run: it writes checkpoints, survives being killed, and yields averaged weights."""

import json
from pathlib import Path

import pytest
import torch

from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.errors import CohortError
from counterpart.training.examples import ExampleConfig
from counterpart.training.healing import HealingConfig, HealingModule
from counterpart.training.machines import Machines
from counterpart.training.run import load_averaged_weights
from counterpart.training.stages import train_denoiser

NETWORK = DenoiserConfig((16, 32), (False, False), residual_blocks=1, norm_groups=8)
EARLIER_FIGURES = "clean,step\n0.5,2\n"
STARTED_FROM = {"start_sha256": "0a1b"}
HEALING = HealingConfig(
    steps=4, batch_size=2, warmup_steps=1, validate_every=2, checkpoint_every=2, ema_decay=0.5
)


def train(cohort: Path, run: Path, *, resume: bool = False) -> Path:
    return train_denoiser(
        cohort,
        run,
        network=NETWORK,
        healing=HEALING,
        examples=ExampleConfig(),
        resume=resume,
        machines=Machines(device="cpu"),
    )


@pytest.fixture(scope="module")
def a_run(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    assert train(a_cohort_folder, run) == run / "checkpoints" / "last.ckpt"
    return run


@pytest.fixture(scope="module")
def a_resumed_run(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, killed in its third step and taken up again."""
    run = tmp_path_factory.mktemp("resumed")
    whole = HealingModule.training_step

    def dies_in_the_third_step(
        module: HealingModule, batch: torch.Tensor, batch_idx: int
    ) -> torch.Tensor:
        if module.global_step == 2:
            raise MemoryError("killed")
        return whole(module, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HealingModule, "training_step", dies_in_the_third_step)
        with pytest.raises(MemoryError):
            train(a_cohort_folder, run)
    assert global_step(run / "checkpoints" / "last.ckpt") == 2
    figures = run / "figures" / "from-step-2" / "metrics.csv"  # of a resumed run killed as well
    figures.parent.mkdir()
    figures.write_text(EARLIER_FIGURES)
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps(settings | {"start": STARTED_FROM}))
    train(a_cohort_folder, run, resume=True)
    return run


def global_step(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, weights_only=False)["global_step"])


@pytest.mark.slow
def test_a_run_reaches_its_last_step_and_says_how_it_was_made(
    a_run: Path, a_cohort_folder: Path
) -> None:
    assert global_step(a_run / "checkpoints" / "last.ckpt") == 4
    settings = json.loads((a_run / "settings.json").read_text())
    index = json.loads((a_cohort_folder / "cohort.json").read_text())
    assert settings["cohort"] == index["content_hash"]
    assert settings["network"]["channels"] == [16, 32]
    assert settings["healing"]["steps"] == 4
    assert settings["examples"]["contrasts"] == list(ExampleConfig().contrasts)


@pytest.mark.slow
def test_a_run_logs_its_validation(a_run: Path) -> None:
    tables = list(a_run.rglob("metrics.csv"))
    assert len(tables) == 1
    header = tables[0].read_text().splitlines()[0].split(",")
    assert {"val_healthy_error", "val_healing_error", "val_ap_departure"} <= set(header)


@pytest.mark.slow
def test_averaged_weights_load_into_a_denoiser(a_run: Path) -> None:
    weights = load_averaged_weights(a_run / "checkpoints" / "last.ckpt")
    denoiser = Denoiser(NETWORK)
    denoiser.load_state_dict(weights, strict=True)
    assert all(value.dtype == torch.float32 for value in weights.values())
    assert all(bool(value.isfinite().all()) for value in weights.values())
    assert any(bool(value.any()) for name, value in weights.items() if name.startswith("net.out"))


@pytest.mark.slow
def test_training_is_the_same_each_time(a_run: Path, a_cohort_folder: Path, tmp_path: Path) -> None:
    again = train(a_cohort_folder, tmp_path / "again")
    expected = load_averaged_weights(a_run / "checkpoints" / "last.ckpt")
    for name, value in load_averaged_weights(again).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-5, msg=name)


@pytest.mark.slow
def test_a_killed_run_ends_like_one_that_was_left_alone(a_run: Path, a_resumed_run: Path) -> None:
    last = Path("checkpoints") / "last.ckpt"
    assert global_step(a_resumed_run / last) == 4
    expected = load_averaged_weights(a_run / last)
    for name, value in load_averaged_weights(a_resumed_run / last).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-5, msg=name)


@pytest.mark.slow
def test_resuming_keeps_what_the_run_began_with(a_resumed_run: Path, a_run: Path) -> None:
    assert json.loads((a_resumed_run / "settings.json").read_text())["start"] == STARTED_FROM
    assert json.loads((a_run / "settings.json").read_text())["start"] == {}


@pytest.mark.slow
def test_resuming_keeps_the_figures_from_before(a_resumed_run: Path) -> None:
    tables = list(a_resumed_run.rglob("metrics.csv"))
    assert len(tables) == 3
    assert [table.read_text() for table in tables].count(EARLIER_FIGURES) == 1


@pytest.mark.slow
def test_a_run_is_not_overwritten(a_run: Path, a_cohort_folder: Path) -> None:
    with pytest.raises(CohortError, match=r"holds a run already.*--resume"):
        train(a_cohort_folder, a_run)


def test_without_a_cohort_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"no cohort\.json"):
        train(tmp_path / "cohort", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"last\.ckpt: no such checkpoint"):
        load_averaged_weights(tmp_path / "last.ckpt")


@pytest.mark.slow
def test_a_run_is_not_resumed_with_another_network(a_run: Path, a_cohort_folder: Path) -> None:
    before = (a_run / "settings.json").read_text()
    with pytest.raises(CohortError, match="began with network"):
        train_denoiser(
            a_cohort_folder,
            a_run,
            network=DenoiserConfig((32, 32), (False, False), residual_blocks=1, norm_groups=8),
            healing=HEALING,
            examples=ExampleConfig(),
            resume=True,
            machines=Machines(device="cpu"),
        )
    assert (a_run / "settings.json").read_text() == before
