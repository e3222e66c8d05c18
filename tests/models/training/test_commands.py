"""The commands on cohorts: what they print and what they hand on."""

from pathlib import Path

import pytest

from counterpart.training.commands import network_of, time_training, train
from counterpart.training.machines import Machines


def test_lowest_level_alone_has_attention() -> None:
    assert network_of([16, 32, 64]).attention == (False, False, True)
    assert network_of([16, 32, 64]).channels == (16, 32, 64)


def test_timing_prints_a_ratio_of_parts_that_add_up(
    a_cohort_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    time_training(a_cohort_folder, [16, 32], 1, "cpu")
    words = capsys.readouterr().out.replace("\n", " ").split()
    units = [unit.strip(",") for unit in words[1:]]
    seconds = [float(word) for word, unit in zip(words, units, strict=False) if unit == "s"]
    total, making, network = seconds
    assert total == pytest.approx(making + network, abs=0.002)
    ratio = float(words[-1])
    assert ratio == pytest.approx(total / network, abs=0.05)
    assert making > 0


@pytest.mark.slow
def test_train_leaves_a_checkpoint_and_names_it(
    a_cohort_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = train(
        "denoiser",
        a_cohort_folder,
        tmp_path / "run",
        channels=[16, 32],
        steps=2,
        batch_size=2,
        seed=1,
        machines=Machines(device="cpu"),
        resume=False,
    )
    assert status == 0
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert "last.ckpt" in capsys.readouterr().out.replace("\n", "")
