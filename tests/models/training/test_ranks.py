"""Several processes: each makes its own samples, together they train as one would."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from monai.losses import DiceCELoss

from counterpart.training.brain_stage import brain_loss
from counterpart.training.ranks import is_first_rank, mean_over_ranks, own_samples
from counterpart.training.run import checkpoint_step

SCRIPT = Path(__file__).with_name("two_processes.py")
LAST = Path("checkpoints") / "last.ckpt"
STAGES = ("denoiser", "brain")
# AdamW makes whole steps of gradients that are all but zero, whichever sign rounding gives them;
# the brain's sums run over a million voxels.
TOLERANCE = {"denoiser": 1e-5, "brain": 5e-4}


def the_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def one_process(a_folder_with_heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with a batch of two in one process."""
    out = tmp_path_factory.mktemp("one")
    the_script().train_both(a_folder_with_heads, out, processes=1, batch_size=2)
    return out


@pytest.fixture(scope="module")
def two_processes(a_folder_with_heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with a batch of one in each of two processes, which talk by gloo."""
    out = tmp_path_factory.mktemp("two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, SCRIPT, a_folder_with_heads, out],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "sync_dist" not in done.stderr  # Lightning's advice on figures of one process alone
    return out


def logged(run: Path) -> list[dict[str, float]]:
    (table,) = run.rglob("metrics.csv")
    rows = csv.DictReader(table.read_text().splitlines())
    return [{name: float(value) for name, value in row.items() if value} for row in rows]


def weights(run: Path, kind: str) -> torch.Tensor:
    stored = torch.load(run / LAST, weights_only=False)[kind]
    return torch.cat([value.flatten().double() for value in stored.values()])


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_have_the_loss_of_one(
    one_process: Path, two_processes: Path, stage: str
) -> None:
    (one,), (two,) = (
        [row for row in logged(out / stage) if {"clean", "loss"} & row.keys()]
        for out in (one_process, two_processes)
    )
    assert two == pytest.approx(one, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", ["current_model_state", "state_dict"])
def test_two_processes_have_the_weights_and_the_average_of_one(
    one_process: Path, two_processes: Path, stage: str, kind: str
) -> None:
    one, two = (weights(out / stage, kind) for out in (one_process, two_processes))
    assert float((two - one).norm() / one.norm()) < TOLERANCE[stage]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_one_process_writes_for_both(two_processes: Path, stage: str) -> None:
    run = two_processes / stage
    assert checkpoint_step(run / LAST) == {"denoiser": 4, "brain": 2}[stage]
    files = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    assert files == [str(LAST), "figures/from-step-0/metrics.csv", "settings.json"]
    assert json.loads((run / "settings.json").read_text())["machines"]["processes"] == 2
    validated = [row for row in logged(run) if any(name.startswith("val_") for name in row)]
    assert [int(row["step"]) for row in validated] == {"denoiser": [1, 3], "brain": [1]}[stage]


def test_the_samples_of_all_processes_are_those_of_one_large_batch() -> None:
    shares = [own_samples(range(3), rank, 4) for rank in range(4)]
    assert shares == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_a_lone_process_makes_all_samples() -> None:
    assert own_samples([0, 1, 2], 0, 1) == [0, 1, 2]


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_rank_beyond_the_others_is_refused(rank: int) -> None:
    with pytest.raises(ValueError, match=f"a rank from 0 to 1, got {rank}"):
        own_samples([0], rank, 2)


def test_a_lone_process_speaks_for_itself() -> None:
    value = torch.tensor(3.0, requires_grad=True)
    assert mean_over_ranks(value) is value
    assert is_first_rank()


@pytest.mark.parametrize("empty", [False, True])
def test_the_brain_loss_of_a_lone_process_is_dice_and_cross_entropy(empty: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn((2, 1, 4, 5, 6), generator=generator)
    brain = (torch.rand(logits.shape, generator=generator) > 0.5).float() * (not empty)
    brain[1] = 0.0
    expected = DiceCELoss(sigmoid=True, batch=True)(logits, brain)
    assert float(brain_loss(logits, brain)) == pytest.approx(float(expected), rel=1e-6)
