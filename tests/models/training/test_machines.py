"""What a stage trains on: sensible choices become Lightning's options, others are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from counterpart.errors import CounterpartError
from counterpart.training.machines import Machines, require_all_processes
from counterpart.training.run import fit_stage
from counterpart.training.schedule import Schedule


def test_by_default_one_device_trains() -> None:
    options = Machines().trainer_options()
    assert (options["accelerator"], options["devices"], options["num_nodes"]) == ("auto", 1, 1)
    assert options["strategy"] == "auto"


def test_choices_reach_lightning() -> None:
    machines = Machines("gpu", devices="4", nodes=2, strategy="ddp", precision="bfloat16")
    assert machines.trainer_options() == {
        "accelerator": "gpu",
        "devices": 4,
        "num_nodes": 2,
        "strategy": "ddp",
        "precision": "bf16-mixed",
    }


def test_all_devices_are_asked_for_by_word() -> None:
    assert Machines(devices="auto").trainer_options()["devices"] == "auto"


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_bfloat16_is_the_default_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, native: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    assert Machines(device="cpu").trainer_options()["precision"] == expected


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_is_the_default_where_the_gpu_has_it(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    asked = []

    def has_it(including_emulation: bool) -> bool:
        asked.append(including_emulation)
        return native

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", has_it)
    assert Machines().chosen_precision() == ("bfloat16" if native else "float32")
    assert asked == [False]


def test_float32_is_float32_everywhere() -> None:
    assert Machines(precision="float32").trainer_options()["precision"] == "32-true"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"device": "tpu"}, "got 'tpu'"),
        ({"devices": 0}, "1 or more devices, or auto, got 0"),
        ({"devices": "-1"}, "got '-1'"),
        ({"devices": "all"}, "got 'all'"),
        ({"nodes": 0}, "1 or more nodes, got 0"),
        ({"precision": "float16"}, "got 'float16'"),
    ],
)
def test_choices_that_cannot_be_are_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(CounterpartError, match=message):
        Machines(**choice)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_processes_that_would_each_train_alone_are_refused(name: str) -> None:
    with pytest.raises(CounterpartError, match=f"4 processes were started .{name}.*is 1"):
        require_all_processes(1, {name: "4"})
    require_all_processes(4, {name: "4"})
    require_all_processes(1, {})  # nobody started it for others


@pytest.mark.parametrize(
    "machines",
    [
        Machines(device="cpu", strategy="telepathy"),
        pytest.param(
            Machines(device="gpu"),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_machines_that_are_not_there_are_named(tmp_path: Path, machines: Machines) -> None:
    run = tmp_path / "run"
    settings = {"cohort": "c", "network": "n"}
    with pytest.raises(CounterpartError, match="cannot train with Machines"):
        fit_stage(run, settings, Schedule(), 1, torch.nn.Module, machines=machines)  # type: ignore[arg-type]
    assert not run.exists()
